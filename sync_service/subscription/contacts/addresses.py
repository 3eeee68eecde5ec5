"""The addresses of a subscription: Zuora's sold-to is Limio's `delivery`, bill-to is `billing`. Pure.

Limio shows the newest active address of each kind, so that a change is a new object beside the old one
(Limio's page "Sync between Limio subscriptions and Zuora subscriptions", and its self-service pages).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sync_service.subscription.contacts.countries import country_code, is_same_country, is_same_state, state_code
from sync_service.subscription.limio.documents import get_value, moment_of
from sync_service.subscription.plan import Create, Document
from sync_service.subscription.zuora import Contact, ZuoraAccount, ZuoraSubscription

#: Limio's fields that a sync compares and writes, by the names of `Contact` (Limio's page "Updating contact details in
#: Zuora via Limio orders").
_FIELDS: Mapping[str, str] = {
    "firstName": "first_name",
    "lastName": "last_name",
    "address1": "address1",
    "address2": "address2",
    "city": "city",
    "county": "county",
    "state": "state",
    "postalCode": "postal_code",
    "country": "country",
    "phone": "mobile_phone",
    "workPhone": "work_phone",
    "otherPhone": "other_phone",
    "workEmail": "work_email",
}
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def compare_addresses(
    addresses: Sequence[Document],
    subscription: ZuoraSubscription,
    account: ZuoraAccount | None,
    payer: ZuoraAccount | None = None,
) -> tuple[list[Create], list[str]]:
    """A new address for each kind whose newest active one differs from Zuora's contact, and notes on odd countries.

    A contact that Zuora does not give changes nothing. Where another account pays, `payer`, its bill-to is billed.
    """
    contacts = {
        "billing": _billed_contact(subscription, account, payer),
        "delivery": _contact_in_use(subscription.sold_to, account.sold_to if account else None),
    }
    changes: list[Create] = []
    notes: list[str] = []
    for kind, contact in contacts.items():
        if contact is None:
            continue
        current = _newest(addresses, kind)
        if current is not None and _agrees(get_value(current, "data"), contact):
            continue
        changes.append(_create(kind, contact, current))
        if contact.country is not None and country_code(contact.country) is None:
            notes.append(f"The {kind} address has a country that is no name or code we know: it was written as it is.")
    return changes, notes


def _billed_contact(
    subscription: ZuoraSubscription, account: ZuoraAccount | None, payer: ZuoraAccount | None
) -> Contact | None:
    """The subscription's own bill-to where it says so, else that of the account that pays."""
    own = subscription.bill_to
    if subscription.payer_id is None:
        return _contact_in_use(own, account.bill_to if account else None)
    if own is not None and own.of_subscription:
        return own
    return payer.bill_to if payer else None


def _contact_in_use(own: Contact | None, of_account: Contact | None) -> Contact | None:
    """The subscription's own contact where Zuora says so, else the account's.

    Zuora fills the subscription's contacts in from the account where it has none of its own, so that one of which it
    does not say whose it is is the one in use, too.
    """
    if own is not None and (own.of_subscription is not False or of_account is None):
        return own
    return of_account


def _newest(addresses: Sequence[Document], kind: str) -> Document | None:
    in_use = [each for each in addresses if each.get("relationship_type") == kind and each.get("status") == "active"]
    return max(in_use, key=lambda each: (_start_of(each), str(each.get("id"))), default=None)


def _start_of(address: Document) -> datetime:
    return moment_of(address.get("start")) or moment_of(address.get("created")) or _LONG_AGO


def _told_by(contact: Contact) -> dict[str, str]:
    """Limio's fields as Zuora's contact tells them, blank where it says nothing.

    Without a personal email the work email is the customer's own address, which Limio keeps there and not here.
    """
    told = {field: getattr(contact, name) or "" for field, name in _FIELDS.items()}
    if contact.personal_email is None:
        del told["workEmail"]
    return told


def _agrees(data: Any, contact: Contact) -> bool:
    """Null, absent and blank are one; country and state agree by name or by code."""
    told = {field: _text(value) for field, value in _told_by(contact).items()}
    stored = {field: _text(data.get(field)) if isinstance(data, Mapping) else "" for field in told}
    country = country_code(told["country"])
    by_word = [field for field in told if field not in ("country", "state")]
    return (
        all(stored[field] == told[field] for field in by_word)
        and is_same_country(stored["country"], told["country"])
        and is_same_state(stored["state"], told["state"], country)
    )


def _text(value: object) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


def _create(kind: str, contact: Contact, current: Document | None) -> Create:
    """The newest active one's `data` with our fields replaced; what we do not own (a company, an email) stays.

    The store gives it a `start` that is the newest.
    """
    before = get_value(current, "data") if current is not None else None
    country = country_code(contact.country)
    values = _told_by(contact)
    values["country"] = country or values["country"]
    values["state"] = state_code(contact.state, country) or values["state"]
    data = dict(before) if isinstance(before, Mapping) else {}
    document: dict[str, Any] = {"status": "active", "relationship_type": kind, "data": data | values}
    source = "bill-to" if kind == "billing" else "sold-to"
    reason = f"Zuora's {source} contact differs." if current is not None else f"Zuora has a {source} contact."
    return Create(record_type="address", document=document, reason=reason)
