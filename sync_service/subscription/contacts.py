"""The people of a subscription: its addresses, and the customer's name and email address. Pure.

Zuora's sold-to is Limio's `delivery`, bill-to is `billing`. Limio shows the newest active address of each kind, so that
a change is a new object beside the old one (Limio's page "Sync between Limio subscriptions and Zuora subscriptions",
and its self-service pages). Name and email come from the account's own bill-to contact, never from a subscription's: a
customer may have several of those (Limio's page "How Limio events update Zuora for Commerce").

Zuora keeps names of countries ("United Kingdom", "California"), Limio ISO codes; people type both, and names that ISO
does not list. Zuora's own names are those of its country list ("Set up countries, regions, and subregions"), which has
states for the United States and Canada; the names that ISO 3166 lacks and the states stand in `countries.json`.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import iso3166

from sync_service.subscription.limio.documents import get_value, moment_of
from sync_service.subscription.plan import Create, Document, FieldChange
from sync_service.subscription.zuora import Contact, ZuoraAccount, ZuoraSubscription

_Words = tuple[str, ...]

#: Say nothing about which country is meant: "Korea, Republic of" is the "Republic of Korea".
_FILLERS = frozenset({"the", "of", "and"})


@lru_cache(maxsize=1024)
def country_code(text: str | None) -> str | None:
    """The ISO 3166 code of a country given by name, two letters or three; None where it is not known or blank."""
    return _country_index().get(_words(text or ""))


@lru_cache(maxsize=1024)
def state_code(text: str | None, country: str | None) -> str | None:
    """The post's code of a state given by name or code, in a country (ISO code) that uses codes; else None."""
    return _state_index(country or "").get(_words(text or ""))


def is_same_country(one: str | None, other: str | None) -> bool:
    """Whether both texts name one country; where neither is known, whether they are the same word."""
    return _same(one, other, country_code(one), country_code(other))


def is_same_state(one: str | None, other: str | None, country: str | None) -> bool:
    """Whether both texts name one state of the country (ISO code); else whether they are the same word."""
    return _same(one, other, state_code(one, country), state_code(other, country))


def _same(one: str | None, other: str | None, code: str | None, other_code: str | None) -> bool:
    if code is not None or other_code is not None:
        return code == other_code
    return _plain(one or "") == _plain(other or "")


@cache
def _named() -> Mapping[str, Mapping[str, Any]]:
    named: Mapping[str, Mapping[str, Any]] = json.loads(
        files(__package__).joinpath("countries.json").read_text(encoding="utf-8")
    )
    return named


@cache
def _country_index() -> Mapping[_Words, str]:
    index: dict[_Words, str] = {}
    for country in iso3166.countries:
        for name in (country.name, country.apolitical_name, country.alpha2, country.alpha3):
            index[_words(name)] = country.alpha2
    for code, names in _named()["countries"].items():
        index |= {_words(name): code for name in names}
    return index


@cache
def _state_index(country: str) -> Mapping[_Words, str]:
    states = _named()["states"].get(country, {})
    return {_words(word): code for code, names in states.items() for word in (code, *names)}


def _words(text: str) -> _Words:
    """The words that tell one place from another, in any order: ISO says "Virgin Islands, British"."""
    words = sorted(_plain(text).split())
    # Andorra's code is AND.
    return tuple(word for word in words if word not in _FILLERS) or tuple(words)


@lru_cache(maxsize=1024)
def _plain(text: str) -> str:
    """`text` without case, accents, punctuation and doubled blanks; `&` and `St` written out."""
    letters = unicodedata.normalize("NFKD", text.replace("&", " and ")).casefold()
    letters = "".join(letter for letter in letters if not unicodedata.combining(letter))
    letters = letters.replace(".", "").replace("'", "").replace("\u2019", "")
    words = "".join(letter if letter.isalnum() else " " for letter in letters).split()
    return " ".join("saint" if word == "st" else word for word in words)


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
    told, stored = _told_by(contact), data if isinstance(data, Mapping) else {}
    country, state = told.pop("country"), told.pop("state")
    return (
        all(_is_same_text(stored.get(field), text) for field, text in told.items())
        and is_same_country(_text(stored.get("country")), _text(country))
        and is_same_state(_text(stored.get("state")), _text(state), country_code(_text(country)))
    )


def _is_same_text(stored: object, told: str) -> bool:
    return stored == told or _text(stored) == _text(told)


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
