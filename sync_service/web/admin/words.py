"""How values are put on a page: times in the zone of choice, money, an outcome as a badge, an error's remedy."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from flask import g, request
from markupsafe import Markup, escape

from sync_service.subscription.pace import duration_in_words
from sync_service.subscription.schedule.money import format_amount, parse_amount

#: Holds the choice: `tenant`, or a zone's name.
ZONE_COOKIE = "sync_zone"
TENANT = "tenant"
_UTC = "UTC"
#: Longer ago, a moment is shown as its date.
_RELATIVE_MS = 86_400_000
#: The last moment that a calendar of four digits holds.
LAST_MOMENT = 253_402_300_799_999


@dataclass(frozen=True)
class Clock:
    """What time it is on the page at hand, in ms since 1970 by the database's clock, and where."""

    now: int
    zone: tzinfo = UTC

    @property
    def zone_name(self) -> str:
        """The zone as people write it now, such as CET; an offset where it has no name."""
        return _zone_name(self.local(self.now))

    def local(self, at: int) -> datetime:
        """The moment `at` in the page's zone."""
        return datetime.fromtimestamp(max(0, min(at, LAST_MOMENT)) / 1000, UTC).astimezone(self.zone)

    def exact(self, at: int, *, seconds: bool = False) -> str:
        """Date and time with the zone, such as `27 Nov 2026, 10:22 CET`."""
        local = self.local(at)
        second = f":{local.second:02}" if seconds else ""
        return f"{day(local.date())}, {local.hour:02}:{local.minute:02}{second} {_zone_name(local)}"

    def is_near(self, at: int) -> bool:
        """Whether the distance to `at` says more than its date."""
        return abs(self.now - at) < _RELATIVE_MS

    def relative(self, at: int) -> str:
        """How long ago, or in how long; one unit is enough."""
        words = " ".join(duration_in_words(abs(self.now - at) // 1000).split()[:2])
        return f"{words} ago" if at <= self.now else f"in {words}"


def _zone_name(local: datetime) -> str:
    name = local.tzname() or ""
    if name.isalpha():
        return name
    offset = f"{local:%z}"
    return f"UTC{offset[:3]}:{offset[3:]}"


def clock() -> Clock:
    """The clock of the request at hand."""
    if "clock" not in g:
        g.clock = Clock(int(time.time() * 1000))
    here: Clock = g.clock
    return here


def chosen_zone(tenant: ZoneInfo) -> tuple[str, tzinfo]:
    """The person's choice, one of utc, tenant and mine, and the zone that it means."""
    wanted = request.cookies.get(ZONE_COOKIE, _UTC)
    if wanted == TENANT:
        return TENANT, tenant
    zone = None if wanted == _UTC else find_zone(wanted)
    return ("utc", UTC) if zone is None else ("mine", zone)


def find_zone(name: str) -> ZoneInfo | None:
    """The zone of this name, such as Europe/Berlin; None where there is none."""
    if not name.isascii() or len(name) > 60:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not there, not a name, a folder
        return None


#: Longer texts are cut on a page; the whole is in the title.
LONGEST_SHOWN = 300

#: Ids of so many letters and digits are for machines.
_LONG_ID = 20

#: A number above this is a moment in ms (2001 and later) and no count.
_FIRST_MOMENT = 1_000_000_000_000
_SIGNS = {"GBP": "£", "USD": "$", "EUR": "€", "JPY": "¥"}
#: A run's outcome or a callout's verdict in words, and its tone.
OUTCOMES = {
    "changed": ("Changed", "good"),
    "unchanged": ("Already up to date", "calm"),
    "imported": ("Imported", "good"),
    "not in zuora": ("Not in Zuora", "calm"),
    "left out": ("Left out", "calm"),
    "retried": ("Failed, will retry", "warn"),
    "failed": ("Failed", "bad"),
    "resolved": ("Number found", "calm"),
    "listed": ("Account listed", "calm"),
    "held": ("Held", "warn"),
    "released": ("Released", "calm"),
    "dropped": ("Dropped", "calm"),
    "superseded": ("Superseded", "calm"),
    "scrubbed": ("Personal data erased", "calm"),
    "accepted": ("Accepted", "good"),
    "ignored": ("Ignored", "calm"),
    "rejected": ("Rejected", "bad"),
}
_TONES = {
    "active": "good",
    "initial": "calm",
    "cancelled": "bad",
    "suspended": "warn",
    "pending-external": "calm",
    "paid": "good",
}
_TRIGGERS = {
    "callout": "Zuora callout",
    "workflow": "Zuora Workflow",
    "event": "Zuora event",
    "admin": "Sync button",
    "api": "API",
    "sweep": "Sweep",
    "backfill": "Backfill",
    "calendar": "Calendar",
    "cli": "Command line",
}
#: What a person can do about an error, by its code.
_REMEDIES = {
    "unknown key": "Check the key: neither Limio nor Zuora knows it.",
    "gone from Zuora": "Zuora deleted it, or our user may no longer see it. Check it in Zuora.",
    "not found in Zuora": "Check the number, and that our Zuora user may see this account.",
    "preview incomplete": "Look at the subscription's billing preview in Zuora: charges are missing that must be due.",
    "payload invalid": "Zuora's answer holds something we cannot read; the message names the field.",
    "request refused": "Zuora refused the question; its message says why.",
    "zuora failed": "Zuora had a problem of its own. Retry later; if it stays, ask Zuora's support.",
    "not served": "Zuora serves others but not this one: see that our user may read its account, then retry.",
    "attempts exhausted": "The worker ended in every attempt: look at the worker's log.",
}


def moment(at: int | None) -> Markup:
    """A moment (ms since 1970): how long ago where that is less than a day, with the exact one in the title."""
    if at is None:
        return Markup('<span class="none">never</span>')
    here = clock()
    return _time(here, at, here.relative(at), ages=True) if here.is_near(at) else _time(here, at, here.exact(at))


def exact_moment(at: int | None) -> Markup:
    """A moment as date and time, with its zone."""
    return moment(at) if at is None else _time(clock(), at, clock().exact(at))


def _time(here: Clock, at: int, shown: str, *, ages: bool = False) -> Markup:
    when = datetime.fromtimestamp(max(0, min(at, LAST_MOMENT)) // 1000, UTC).isoformat()[:19]
    age = f' data-at="{at}"' if ages else ""
    return _html(f'<time datetime="{when}Z" title="{here.exact(at, seconds=True)}"{age}>', shown, "</time>")


def instant(text: str | None) -> Markup:
    """A moment as Limio writes it, such as `2026-11-21T09:00:00.000Z`; what is none stays text."""
    try:
        when = datetime.fromisoformat(text or "")
    except ValueError:
        return isolated(text or "—")
    zoned = when if when.tzinfo else when.replace(tzinfo=UTC)
    return moment(int((zoned - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000))


@lru_cache(4096)
def _written(value: date) -> str:
    return value.strftime("%d %b %Y")


def day(value: date | str | None) -> str:
    """A calendar day for people."""
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value[:10])
        except ValueError:
            return cut(value)
    return _written(value) if value else "—"


def money(amount: Any, currency: str | None = None) -> str:
    """An amount with its currency's decimals and sign, such as `£17.50`."""
    number = parse_amount(amount)
    if number is None:
        return cut(str(amount)) if amount else "—"
    return _priced(number, currency)


@lru_cache(4096)
def _priced(number: Decimal, currency: str | None) -> str:
    digits = f"{format_amount(abs(number), currency)}"
    whole, point, rest = digits.partition(".")
    text = f"{int(whole):,}{point}{rest}" if whole.isdigit() and len(whole) < 40 else digits
    sign = _SIGNS.get((currency or "").upper())
    minus = "−" if number < 0 else ""
    return f"{minus}{sign}{text}" if sign else f"{minus}{text} {cut(currency or '')}".strip()


def span(ms: int | None) -> str:
    """A length of time in the two largest units."""
    if ms is None:
        return "—"
    if ms < 1000:
        return f"{ms} ms"
    return duration_in_words(ms // 1000)


def badge(word: str | None) -> Markup:
    """A run's outcome, a callout's verdict or an object's status as a coloured word."""
    text, tone = OUTCOMES.get(word or "", ((word or "unknown").capitalize(), _TONES.get((word or "").lower(), "calm")))
    return _html(f'<span class="badge {tone}">', cut(text), "</span>")


def trigger(word: str | None) -> str:
    """What asked for a run."""
    return _TRIGGERS.get(word or "", cut(word or "unknown"))


def remedy(code: str | None) -> str:
    """What to do about an error."""
    return _REMEDIES.get(code or "", "Press Sync to try again; the message says what went wrong.")


def short(key: str | None) -> str:
    """A long id of a machine by its beginning; numbers and references, which people say, stay whole."""
    text = cut(key or "—")
    begin, mark, rest = text.rpartition("-")
    return f"{begin}{mark}{rest[:8]}…" if len(rest) >= _LONG_ID and rest.isalnum() else text


def cut(text: Any, most: int = LONGEST_SHOWN) -> str:
    """`text` of a length that a page can show, without characters that no page can."""
    plain = str(text).replace("\0", "\N{REPLACEMENT CHARACTER}")
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def isolated(text: Any) -> Markup:
    """Foreign text that must not turn its surroundings around, whatever its direction; cut, and whole in the title."""
    title = f' title="{escape(cut(text, 2000))}"' if len(str(text)) > LONGEST_SHOWN else ""
    return _html(f"<bdi{title}>", cut(text), "</bdi>")


def _html(begin: str, text: str, end: str) -> Markup:
    """`text` escaped between two pieces of our own; a page has hundreds of these, so they are put together once."""
    return Markup(f"{begin}{escape(text)}{end}")  # noqa: S704 - the callers' pieces hold nothing foreign unescaped


def advice(text: str) -> Markup:
    """Our own words, with the commands that they hold in backticks set as code."""
    pieces = text.split("`")
    shown = (
        Markup("<code>{}</code>").format(piece) if index % 2 else escape(piece) for index, piece in enumerate(pieces)
    )
    return Markup("").join(shown)


def facts(progress: Mapping[str, Any], most: int = 30) -> list[tuple[str, str | Markup]]:
    """What a job found: names and values, those inside others too; numbers that are moments as such."""
    found: list[tuple[str, str | Markup]] = []
    for name, value in progress.items():
        shown = cut(name, 40).replace("_", " ")
        if isinstance(value, Mapping):
            found += [(f"{shown}: {inner}", text) for inner, text in facts(value, most)]
        elif isinstance(value, int) and value > _FIRST_MOMENT:
            found.append((shown, moment(value)))
        elif isinstance(value, str | int | float) and value != "":
            found.append((shown, cut(value, 60)))
    return found[:most]
