"""What Zuora's lists show of subscriptions, accounts and contacts, and how that differs from the last good run. Pure.

A list shows much less than a read does, but enough to tell that nothing happened. Personal values are compared, and
remembered, as hashes only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from hashlib import sha256
from zoneinfo import ZoneInfo

from sync_service.subscription.fingerprint import Fingerprint, hash_contact
from sync_service.subscription.zuora import Contact, ZuoraSubscription


class ListDifference(StrEnum):
    """Why a list makes us look closer at a number, in words for people."""

    NEVER_READ = "never read"
    VERSION = "another version"
    ACCOUNT = "another account"
    STATUS = "another status"
    TERM = "other term dates"
    AUTO_RENEW = "other auto-renew"
    #: Alone it is mostly a bill run, which changes nothing that Limio shows.
    UPDATE_TIME = "update time alone"
    CONTACT = "contact changed"
    ACCOUNT_CHANGED = "account changed"
    UNKNOWN = "not in Limio"
    ABSENT = "no longer in Zuora's list"


@dataclass(frozen=True, kw_only=True)
class ListedSubscription:
    """One version of a subscription as a list shows it."""

    id: str
    number: str
    version: int
    #: None where the list does not say; then only superseded versions are `Expired`.
    is_latest: bool | None
    status: str
    account_id: str | None
    term_start: date | None = None
    term_end: date | None = None
    auto_renew: bool | None = None
    updated: datetime
    #: When its first version was made.
    created: datetime | None = None

    @property
    def facts(self) -> str:
        """Everything that takes part in comparing, the update time too, as one short text."""
        parts = (self.id, self.version, self.status, self.account_id, self.term_start, self.term_end, self.auto_renew)
        return _hash(*parts, self.updated.astimezone(UTC).isoformat())

    def as_subscription(self, zone: ZoneInfo) -> ZuoraSubscription:
        """What the rules of importing want to know; `zone` is the tenant's, in which Zuora prints its times."""
        return ZuoraSubscription(
            id=self.id,
            number=self.number,
            version=self.version,
            is_latest=True,
            status=self.status,
            account_id=self.account_id,
            account_number=None,
            create_time=_wall_time(self.created.astimezone(zone)) if self.created else None,
        )


@dataclass(frozen=True, kw_only=True)
class ListedAccount:
    """An account as a list shows it."""

    id: str
    name: str | None = None
    currency: str | None = None
    bill_cycle_day: int | None = None
    bill_to: str | None = None
    sold_to: str | None = None
    updated: datetime | None = None

    @property
    def facts(self) -> str:
        """What matters to its subscriptions; a balance that moves does not."""
        return _hash(self.name, self.currency, self.bill_cycle_day, self.bill_to, self.sold_to)


@dataclass(frozen=True, kw_only=True)
class ListedContact:
    """A contact as a list shows it."""

    id: str
    account_id: str
    contact: Contact
    updated: datetime | None = None

    @property
    def facts(self) -> str:
        """The hash that a fingerprint has of the same contact."""
        return hash_contact(self.contact)


@dataclass(frozen=True)
class LastSeen:
    """What the last good run of a number left behind."""

    version: int
    zuora_id: str
    account_id: str | None
    fingerprint: Fingerprint | None


def compare_subscription(listed: ListedSubscription, last: LastSeen, zone: ZoneInfo) -> tuple[ListDifference, ...]:
    """In what the list differs from the last good run; nothing means that a read would find nothing new.

    `zone` is the tenant's. A superseded version, which some lists show too, tells nothing.
    """
    if listed.is_latest is None and listed.status == "Expired" and listed.version < last.version:
        return ()
    differs: dict[ListDifference, bool] = {
        ListDifference.VERSION: (listed.version, listed.id) != (last.version, last.zuora_id),
        ListDifference.ACCOUNT: listed.account_id != last.account_id,
    }
    read = last.fingerprint
    if read is None:
        differs[ListDifference.NEVER_READ] = True
    else:
        term = tuple(day.isoformat() if day else None for day in (listed.term_start, listed.term_end))
        differs[ListDifference.STATUS] = listed.status != read.status
        differs[ListDifference.TERM] = term != (read.term_start, read.term_end)
        differs[ListDifference.AUTO_RENEW] = bool(listed.auto_renew) != bool(read.auto_renew)
        differs[ListDifference.UPDATE_TIME] = not _is_same_moment(listed.updated, read.update_time, zone)
    return tuple(difference for difference in ListDifference if differs.get(difference))


def is_account_changed(listed: ListedAccount, read: Fingerprint | None) -> bool:
    """Whether an account seen in a list for the first time has other contacts than those that were read."""
    if read is not None and listed.id == read.payer_id:
        return listed.bill_to != read.payer_bill_to
    return read is None or (listed.bill_to, listed.sold_to) != (read.account_bill_to, read.account_sold_to)


def is_contact_changed(listed: ListedContact, read: Fingerprint | None) -> bool:
    """Whether a subscription was read with other values of this contact; one that it never had does not matter."""
    if read is None or not read.contact_hashes:
        return True
    return read.contact_hashes.get(listed.id, listed.facts) != listed.facts


def _is_same_moment(listed: datetime, read: str | None, zone: ZoneInfo) -> bool:
    """Whether a list's time is the one of a read, which Zuora prints in the tenant's zone without an offset.

    The list's own offset is the tenant's too (so it is in recorded answers), which also holds where our setting of
    the zone is wrong.
    """
    text = (read or "").replace("T", " ")[:19]
    return text in (_wall_time(listed), _wall_time(listed.astimezone(zone)))


def _wall_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _hash(*parts: object) -> str:
    return sha256(repr([None if part is None else str(part) for part in parts]).encode()).hexdigest()
