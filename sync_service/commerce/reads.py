"""What has to be read from Zuora before an order can be planned."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Read:
    """One GET. Its answer goes into `State.zuora` under `name`; a 404 goes there as None."""

    name: str
    path: str


#: More rounds of reads no journey needs: the subscription names the account, the account the payment method.
MAX_ROUNDS = 3
