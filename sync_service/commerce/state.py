"""What an order meets: what our store holds of its subscription, and what Zuora says now.

Placing reads the store's part before it accepts an order and again before it plans it. Zuora's part is what
`reads.missing` names, read round by round until nothing is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sync_service.subscription.plan import Document


@dataclass(frozen=True, kw_only=True)
class InStore:
    """Limio's objects around the order, as documents; all of the subscription's, old ones too."""

    #: The subscription that the order names; None: the order names none, or we hold none.
    subscription: Document | None = None
    offers: tuple[Document, ...] = ()
    add_ons: tuple[Document, ...] = ()
    addresses: tuple[Document, ...] = ()
    schedule: tuple[Document, ...] = ()
    payment_methods: tuple[Document, ...] = ()
    customer: Document | None = None
    #: The gift code that the order redeems or refunds.
    gift_code: Document | None = None
    #: The Zuora account of the subscription, or the newest account of the order's owner (1-N); None: not known.
    account_number: str | None = None


@dataclass(frozen=True, kw_only=True)
class State:
    """The store's part, and Zuora's answers by the name of the `Read` that brought them; None: Zuora knows no such."""

    store: InStore = field(default_factory=InStore)
    zuora: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
