"""The customer's name and email address, and which of a customer's accounts may write them. Pure.

They come from the account's own bill-to contact, never from a subscription's: a customer may have several of those
(Limio's page "How Limio events update Zuora for Commerce" writes them to the contacts, the email as Personal Email).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from sync_service.subscription.limio.documents import get_value
from sync_service.subscription.plan import Document, FieldChange
from sync_service.subscription.zuora import Contact, ZuoraAccount, ZuoraSubscription


@dataclass(frozen=True)
class Claimant:
    """A subscription of a customer, seen as one whose account might write that customer."""

    number: str
    account_id: str | None
    started_on: date | None
    cancelled: bool

    @classmethod
    def of(cls, subscription: ZuoraSubscription) -> Claimant:
        """As Zuora tells it; its top-level status turns on the day of the cancellation."""
        is_cancelled = subscription.status == "Cancelled"
        return cls(subscription.number, subscription.account_id, subscription.start, is_cancelled)

    @property
    def rank(self) -> tuple[bool, date, str]:
        """The highest writes: the newest that is not cancelled; if all are, the newest, in whatever order they come."""
        return (not self.cancelled, self.started_on or date.min, self.number)

    @staticmethod
    def first(other: Claimant | None, ours: Claimant) -> Claimant:
        """Of two subscriptions the one whose account writes the customer."""
        return ours if other is None else max(other, ours, key=lambda each: each.rank)


def customer_values(account: ZuoraAccount | None) -> Mapping[str, str]:
    """`name` and `email` as the account tells them: bill-to's, else sold-to's; unknown ones are absent.

    The personal email comes before the work email.
    """
    return _values_of((account.bill_to or account.sold_to) if account else None)


def values_for_import(account: ZuoraAccount | None, subscription: ZuoraSubscription) -> Mapping[str, str]:
    """The same for a customer that is new; where the account was not read, the subscription's contact has to do."""
    return customer_values(account) if account else _values_of(subscription.bill_to or subscription.sold_to)


def _values_of(contact: Contact | None) -> Mapping[str, str]:
    if contact is None:
        return {}
    name = " ".join(f"{contact.first_name or ''} {contact.last_name or ''}".split())
    email = (contact.personal_email or contact.work_email or "").strip()
    return {key: value for key, value in (("name", name), ("email", email)) if value}


def compare_customer(customer: Document, account: ZuoraAccount | None) -> list[FieldChange]:
    """Name and email of a Limio customer that differ from the account's."""
    changes = []
    for key, after in customer_values(account).items():
        before = get_value(customer, f"data.{key}")
        if not isinstance(before, str) or " ".join(before.split()) != after:
            changes.append(FieldChange(path=f"data.{key}", before=before, after=after))
    return changes
