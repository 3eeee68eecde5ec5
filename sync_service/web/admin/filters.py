"""The stream as pages show it, and what of it: a kind of entry, who, and between which days, as the address says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from flask import request

from sync_service.access.cipher import TextCipher
from sync_service.queue.runs.history import Outcome
from sync_service.queue.stream.branches import EntryFilter, EntryKind, Spot, Whose, read_spot
from sync_service.queue.stream.details import read_entries
from sync_service.queue.stream.page import EntryPage, count, read_page
from sync_service.store.engine import Session
from sync_service.subscription.digest import Touch
from sync_service.subscription.trigger import Trigger
from sync_service.web.admin.context import PageContext
from sync_service.web.admin.telling import Told, tell

#: The chips: what an address says, its words, and what it makes of the question.
SHOWN: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "dates": ("Payment dates", {"touch": Touch.DATES.value}),
    "amounts": ("Amounts", {"touch": Touch.AMOUNTS.value}),
    "term": ("Term", {"touch": Touch.TERM.value}),
    "status": ("Status", {"touch": Touch.STATUS.value}),
    "renewal": ("Auto-renew", {"touch": Touch.RENEWAL.value}),
    "address": ("Addresses", {"touch": Touch.ADDRESS.value}),
    "customer": ("Name and email", {"touch": Touch.CUSTOMER.value}),
    "syncs": ("Syncs", {"kinds": frozenset({EntryKind.RUN})}),
    "callouts": ("Callouts", {"kinds": frozenset({EntryKind.CALLOUT})}),
    "orders": ("Orders", {"kinds": frozenset({EntryKind.ORDER})}),
    "people": ("People", {"kinds": frozenset({EntryKind.ACT})}),
}
VERDICTS = ("accepted", "ignored", "rejected")


class DayInvalid(ValueError):
    """A day is written as 2026-11-30, a moment as 2026-11-30T12:00Z."""


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What an address asks for; nothing means everything."""

    show: str = ""
    outcome: str = ""
    verdict: str = ""
    trigger: str = ""
    by: str = ""
    #: As they were given: a day of the tenant's calendar, or a moment.
    since: str = ""
    until: str = ""

    def __bool__(self) -> bool:
        return self != Filter()

    def kept(self, cipher: TextCipher, **changed: str) -> dict[str, str]:
        """The parameters of an address that asks for the same, with some `changed`; who it was is sealed."""
        asked = replace(self, **changed)
        words = {
            "show": asked.show,
            "outcome": asked.outcome,
            "verdict": asked.verdict,
            "trigger": asked.trigger,
            "by": cipher.encrypt(asked.by) if asked.by else "",
            "from": asked.since,
            "to": asked.until,
        }
        return {name: word for name, word in words.items() if word}

    def wanted(self, zone: tzinfo, whose: Whose | None = None, order: str = "") -> EntryFilter:
        """The same as a question to the stream; `zone` is the tenant's. Raises DayInvalid."""
        _, made = SHOWN.get(self.show, ("", {}))
        return replace(
            EntryFilter(**made),
            whose=whose,
            outcome=self.outcome,
            verdict=self.verdict,
            trigger=self.trigger,
            actor=self.by,
            order=order,
            since=_moment(self.since, zone, ends=False),
            until=_moment(self.until, zone, ends=True),
        )


def read_filter(args: Mapping[str, str], cipher: TextCipher, zone: tzinfo) -> Filter:
    """The filter that an address names; a word that means nothing counts as none."""
    since, until = args.get("from", ""), args.get("to", "")
    by = args.get("by", "")
    return Filter(
        show=_one_of(args.get("show", ""), SHOWN),
        outcome=_one_of(args.get("outcome", ""), tuple(Outcome)),
        verdict=_one_of(args.get("verdict", ""), VERDICTS),
        trigger=_one_of(args.get("trigger", ""), tuple(Trigger)),
        by=cipher.decrypt(by) if by else "",
        since=since if _is_day(since, zone) else "",
        until=until if _is_day(until, zone) else "",
    )


def _one_of(word: str, words: Any) -> str:
    return word if word in words else ""


def _is_day(words: str, zone: tzinfo) -> bool:
    try:
        return _moment(words, zone, ends=False) is not None
    except DayInvalid:
        return False


def _moment(words: str, zone: tzinfo, *, ends: bool) -> int | None:
    """In ms since 1970. A day begins at its midnight in `zone`; `ends`: the midnight after it."""
    if not words:
        return None
    try:
        if len(words) == len("2026-11-30"):
            day = date.fromisoformat(words) + timedelta(days=int(ends))
            when = datetime.combine(day, time(), zone)
        else:
            read = datetime.fromisoformat(words)
            when = read if read.tzinfo else read.replace(tzinfo=zone)
        return int((when.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)
    except (ValueError, OverflowError):
        raise DayInvalid(f"{words!r} is no day: write it as 2026-11-30, or a moment as 2026-11-30T12:00Z.") from None


#: Entries of each kind that are counted; there may be more.
MAX_COUNTED = 1_000
_NOUNS = {
    EntryKind.RUN: ("sync", "syncs"),
    EntryKind.ACT: ("act of a person", "acts of people"),
    EntryKind.ORDER: ("order", "orders"),
    EntryKind.CALLOUT: ("callout", "callouts"),
}


@dataclass(frozen=True, kw_only=True)
class Chip:
    """A filter that one press sets or takes away."""

    words: str
    kept: Mapping[str, str]
    is_set: bool


@dataclass(frozen=True, kw_only=True)
class ShownEntries:
    """What a page shows of the stream."""

    told: tuple[Told, ...]
    filter: Filter
    #: The parameters of the page's own address.
    kept: Mapping[str, str]
    chips: tuple[Chip, ...]
    #: Where the next page begins.
    before: Spot | None
    #: How far it looked, in ms, where it ended before the past did.
    looked_to: int | None
    is_first: bool
    whose: Whose | None
    totals: tuple[str, ...] = ()


def read_shown(
    context: PageContext,
    session: Session,
    *,
    whose: Whose | None = None,
    asked: Filter | None = None,
    order: str = "",
    counted: bool = False,
) -> ShownEntries:
    """What the request asks for; `asked` where the page has read its filter from elsewhere than the address."""
    zone = context.settings.tenant_time_zone
    wish = read_filter(request.args, context.cipher, zone) if asked is None else asked
    wanted = wish.wanted(zone, whose, order)
    before = read_spot(request.args.get("before", ""))
    page = read_page(session, wanted, before)
    return ShownEntries(
        told=tuple(tell(session, read_entries(session, page.spots))),
        filter=wish,
        kept=wish.kept(context.cipher),
        chips=tuple(_chips(context, wish)),
        before=page.before,
        looked_to=page.looked_to,
        is_first=before is None,
        whose=whose,
        totals=_totals(_count(session, wanted, before, page)) if counted else (),
    )


def _chips(context: PageContext, wish: Filter) -> list[Chip]:
    chips = [Chip(words="Everything", kept=wish.kept(context.cipher, show=""), is_set=not wish.show)]
    for name, (words, _) in SHOWN.items():
        chips.append(Chip(words=words, kept=wish.kept(context.cipher, show=name), is_set=wish.show == name))
    return chips


def _count(session: Session, wanted: EntryFilter, before: Spot | None, page: EntryPage) -> Mapping[EntryKind, int]:
    """How many entries of each kind there are; a page that has all of them was counted by reading it."""
    if before or page.before or page.looked_to:
        return count(session, wanted, MAX_COUNTED)
    return Counter(spot.kind for spot in sorted(page.spots, key=lambda spot: spot.kind.rank))


def _totals(counts: Mapping[EntryKind, int]) -> tuple[str, ...]:
    words = []
    for kind, found in counts.items():
        one, many = _NOUNS[kind]
        shown = f"{found:,} or more" if found >= MAX_COUNTED else f"{found:,}"
        if found:
            words.append(f"{shown} {one if found == 1 else many}")
    return tuple(words)
