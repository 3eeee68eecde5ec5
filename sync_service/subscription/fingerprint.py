"""The short way: which of Zuora's answers a sync may do without, told from what the last good run read.

Pure. Only callouts and sweeps take the short way; people, API callers and news of an account always read everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from hashlib import sha256
from typing import Any

from sync_service.subscription.contacts import country_code, state_code
from sync_service.subscription.zuora import Contact, ZuoraAccount, ZuoraSubscription


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
    #: What Zuora's lists show of a subscription, so that a sweep can tell a change from the list alone.
    status: str | None = None
    term_start: str | None = None
    term_end: str | None = None
    auto_renew: bool | None = None
    #: The account's own two contacts by id.
    account_bill_to: str | None = None
    account_sold_to: str | None = None
    #: The account that pays where it is another one, and its bill-to contact.
    payer_id: str | None = None
    payer_bill_to: str | None = None
    #: A hash of each contact that was read, by its id: the subscription's two, the account's own two and the payer's.
    contact_hashes: Mapping[str, str] = field(default_factory=dict)
    #: A hash of all that the coming lines follow from in the answer itself.
    billing: str | None = None

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


def take_fingerprint(
    subscription: ZuoraSubscription,
    *,
    preview_day: date | None,
    account: ZuoraAccount | None = None,
    payer: ZuoraAccount | None = None,
    last: Fingerprint | None = None,
) -> Fingerprint:
    """The fingerprint of `subscription` as just read.

    Where `account` or `payer` was not read because nothing about it had moved, its contacts are those of the `last`
    good run.
    """
    own, billed = _own_contacts(subscription, account, last), _payer_contact(subscription, payer, last)
    return Fingerprint(
        zuora_id=subscription.id,
        version=subscription.version,
        update_time=subscription.update_time,
        account_id=subscription.account_id,
        contacts=_hash_contacts(subscription.bill_to, subscription.sold_to),
        preview_day=preview_day.isoformat() if preview_day else None,
        status=subscription.status,
        term_start=subscription.term_start.isoformat() if subscription.term_start else None,
        term_end=subscription.term_end.isoformat() if subscription.term_end else None,
        auto_renew=subscription.auto_renew,
        account_bill_to=own.bill_to,
        account_sold_to=own.sold_to,
        payer_id=subscription.payer_id,
        payer_bill_to=billed.bill_to,
        contact_hashes={**own.hashes, **billed.hashes, **_hashes_of(subscription.bill_to, subscription.sold_to)},
        billing=last.billing if last is not None and _is_same(subscription, last) else subscription.billing_hash,
    )


@lru_cache(maxsize=256)
def hash_contact(contact: Contact) -> str:
    """A contact as a hash of what a sync writes of it; the same however Zuora words the country or the state."""
    country = country_code(contact.country)
    state = state_code(contact.state, country)
    street = (contact.address1, contact.address2, contact.city, contact.county, contact.postal_code)
    person = (contact.first_name, contact.last_name, contact.personal_email, contact.work_email)
    phones = (contact.mobile_phone, contact.work_phone, contact.other_phone)
    flat = [text or "" for text in (*person, *phones, *street, state or contact.state, country or contact.country)]
    return sha256(repr(flat).encode()).hexdigest()


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
        and last.contacts == _hash_contacts(subscription.bill_to, subscription.sold_to)
    )


def may_skip_payer(subscription: ZuoraSubscription, last: Fingerprint | None) -> bool:
    """Whether the account that pays, where it is another one, is the one that the last good run already compared."""
    return last is not None and last.payer_id == subscription.payer_id and may_skip_account(subscription, last)


def may_skip_preview(
    subscription: ZuoraSubscription, last: Fingerprint | None, today: date, *, pays_renewal: Callable[[], bool]
) -> bool:
    """Whether nothing that it follows from moved since a complete preview was read on this same day of the tenant.

    An order makes a new version, and what it changes stands in the answer: where all that is billed reads as before,
    such as after a change of the notes, the lines are as before. An update time that moved alone is a bill run's,
    which says no more than that. An id that is another's at the same version is one of after a deleted order. A change
    of auto-renew decides only on a payment of Limio's after the end of the term: `pays_renewal` tells of one.
    """
    if last is None or last.preview_day != today.isoformat() or not may_skip_account(subscription, last):
        return False
    if last.version < subscription.version:
        is_billed_alike = last.billing is not None and last.billing == subscription.billing_hash
        return is_billed_alike and (last.auto_renew == subscription.auto_renew or not pays_renewal())
    return _is_same(subscription, last)


def _is_same(subscription: ZuoraSubscription, last: Fingerprint) -> bool:
    return (last.zuora_id, last.version, last.update_time) == (
        subscription.id,
        subscription.version,
        subscription.update_time,
    )


@lru_cache(maxsize=256)
def _hash_contacts(*contacts: Contact | None) -> str:
    flat = tuple(tuple(vars(contact).values()) if contact else () for contact in contacts)
    return sha256(repr(flat).encode()).hexdigest()


@dataclass(frozen=True)
class _Own:
    """The account's own contacts."""

    bill_to: str | None
    sold_to: str | None
    hashes: Mapping[str, str]


def _own_contacts(subscription: ZuoraSubscription, account: ZuoraAccount | None, last: Fingerprint | None) -> _Own:
    if account is not None:
        bill_to, sold_to = account.bill_to, account.sold_to
        ids = [contact.id if contact else None for contact in (bill_to, sold_to)]
        return _Own(ids[0], ids[1], _hashes_of(bill_to, sold_to))
    if last is None or last.account_id != subscription.account_id:
        return _Own(None, None, {})
    kept = {id: text for id, text in last.contact_hashes.items() if id in (last.account_bill_to, last.account_sold_to)}
    return _Own(last.account_bill_to, last.account_sold_to, kept)


def _payer_contact(subscription: ZuoraSubscription, payer: ZuoraAccount | None, last: Fingerprint | None) -> _Own:
    if payer is not None:
        return _Own(payer.bill_to.id if payer.bill_to else None, None, _hashes_of(payer.bill_to))
    if last is None or last.payer_id is None or last.payer_id != subscription.payer_id:
        return _Own(None, None, {})
    return _Own(last.payer_bill_to, None, {id: t for id, t in last.contact_hashes.items() if id == last.payer_bill_to})


def _hashes_of(*contacts: Contact | None) -> dict[str, str]:
    return {contact.id: hash_contact(contact) for contact in contacts if contact is not None and contact.id}
