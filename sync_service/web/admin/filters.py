"""What a page shows of the stream, as its address says it: a kind of entry, who, and between which days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from sync_service.access.cipher import TextCipher
from sync_service.queue.branches import EntryFilter, EntryKind, Whose
from sync_service.queue.history import Outcome
from sync_service.subscription.digest import Touch
from sync_service.subscription.trigger import Trigger

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
