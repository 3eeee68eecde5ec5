"""The customer's name and email address. Pure.

They come from the account's own bill-to contact, never from a subscription's: a customer may have several of those
(Limio's page "How Limio events update Zuora for Commerce" writes them to the contacts, the email as Personal Email).
"""

from __future__ import annotations

from collections.abc import Mapping

from sync_service.subscription.limio.documents import get_value
from sync_service.subscription.plan import Document, FieldChange
from sync_service.subscription.zuora import Contact, ZuoraAccount, ZuoraSubscription


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
