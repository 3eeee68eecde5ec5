"""The short way: which of Zuora's answers a sync may do without, told from what the last good run read.

Pure. Only callouts and sweeps take the short way; people, API callers and news of an account always read everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from datetime import date
from hashlib import sha256
from typing import Any

from sync_service.subscription import Contact, ZuoraAccount, ZuoraSubscription


@dataclass(frozen=True)
class Fingerprint:
    """What one good run read, short enough to keep; contacts only as a hash, they are personal."""

    zuora_id: str
    version: int
    update_time: str | None
    account_id: str | None
    contacts: str
    #: The tenant's day on which the preview was read whole, None where it never was.
    preview_day: str | None

    def as_json(self) -> dict[str, Any]:
        """For the `zuora_link` row."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, stored: Mapping[str, Any] | None) -> Fingerprint | None:
        """The stored value, or None where there is none that we can read."""
        try:
            return cls(**stored) if stored else None
        except TypeError:
            return None


def take_fingerprint(subscription: ZuoraSubscription, *, preview_day: date | None) -> Fingerprint:
    """The fingerprint of `subscription` as just read."""
    return Fingerprint(
        zuora_id=subscription.id,
        version=subscription.version,
        update_time=subscription.update_time,
        account_id=subscription.account_id,
        contacts=_hash_contacts(subscription),
        preview_day=preview_day.isoformat() if preview_day else None,
    )


def account_from_contacts(subscription: ZuoraSubscription) -> ZuoraAccount | None:
    """The account as the subscription itself shows it, where both contacts are the account's own and there in full."""
    bill_to, sold_to = subscription.bill_to, subscription.sold_to
    if bill_to is None or sold_to is None or subscription.account_id is None or subscription.account_number is None:
        return None
    if bill_to.of_subscription is not False or sold_to.of_subscription is not False:
        return None
    return ZuoraAccount(
        id=subscription.account_id,
        number=subscription.account_number,
        name=subscription.account_name,
        currency=subscription.currency,
        bill_to=bill_to,
        sold_to=sold_to,
    )


def may_skip_account(subscription: ZuoraSubscription, last: Fingerprint | None) -> bool:
    """Whether the contacts and the account are those that the last good run already compared."""
    return (
        last is not None
        and last.account_id == subscription.account_id
        and last.contacts == _hash_contacts(subscription)
    )


def may_skip_preview(subscription: ZuoraSubscription, last: Fingerprint | None, today: date) -> bool:
    """Whether nothing moved since a complete preview was read on this same day of the tenant.

    The update time takes part because a bill run moves it and nothing else.
    """
    return (
        last is not None
        and may_skip_account(subscription, last)
        and last.version == subscription.version
        and last.update_time == subscription.update_time
        and last.preview_day == today.isoformat()
    )


def _hash_contacts(subscription: ZuoraSubscription) -> str:
    def flat(contact: Contact | None) -> tuple[Any, ...]:
        return astuple(contact) if contact else ()

    return sha256(repr((flat(subscription.bill_to), flat(subscription.sold_to))).encode()).hexdigest()
