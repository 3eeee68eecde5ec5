"""The query bar of the history: words such as `customer:ada field:amounts from:month`, read and answered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta, tzinfo

from sync_service.queue.branches import Whose
from sync_service.queue.history import Outcome
from sync_service.queue.stream import MOST_NUMBERS, whose
from sync_service.store.engine import Session
from sync_service.store.reads import resolve_key
from sync_service.subscription.keys import normalise_key
from sync_service.subscription.trigger import Trigger
from sync_service.web.admin.filters import SHOWN, VERDICTS, Filter
from sync_service.web.admin.finding import SubscriptionFilter, find_page

LONGEST = 200
_WORD = re.compile(r'(?:([A-Za-z]+):)?("[^"]*"|[^\s"]+)')
#: What may be asked for, with an example.
FIELDS: Mapping[str, str] = {
    "customer": "customer:ada",
    "number": "number:A-S00000271",
    "order": "order:O-00000440",
    "by": "by:ada@example.com",
    "field": "field:amounts",
    "kind": "kind:callouts",
    "outcome": "outcome:failed",
    "verdict": "verdict:ignored",
    "trigger": "trigger:sweep",
    "from": "from:2026-11-01",
    "to": "to:2026-11-30",
}
_KINDS = ("syncs", "callouts", "orders", "people")
_CHANGES = tuple(name for name in SHOWN if name not in _KINDS)
#: Words that stand for a day.
_DAYS = ("today", "yesterday", "week", "month")
_WORDS = {
    "field": _CHANGES,
    "kind": _KINDS,
    "outcome": tuple(each.value for each in Outcome),
    "verdict": VERDICTS,
    "trigger": tuple(each.value for each in Trigger),
}


class QueryInvalid(ValueError):
    """The words cannot be read: the message names the one and what may stand there."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """What the words ask for."""

    #: A customer, a number or whatever else the search finds.
    words: str = ""
    number: str = ""
    order: str = ""
    filter: Filter = field(default_factory=Filter)

    @property
    def is_of_all(self) -> bool:
        """Whether it is about no subscription in particular."""
        return not (self.words or self.number)


def read_query(text: str, today: date, zone: tzinfo) -> Query:
    """Raises QueryInvalid; `today` is the tenant's, whose days and months are meant in `zone`."""
    query, words = Query(), list[str]()
    for name, found in _WORD.findall(text[:LONGEST]):
        value = found.strip('"').strip()
        asked = name.lower()
        if not value:
            continue
        if not asked or asked == "customer":
            words.append(value)
        elif asked not in FIELDS:
            known = ", ".join(FIELDS)
            raise QueryInvalid(f"“{name}:” is not known; known are {known}. Put words with a colon in quotes.")
        elif asked == "number":
            query = replace(query, number=value)
        elif asked == "order":
            query = replace(query, order=value)
        else:
            query = replace(query, filter=_narrow(query.filter, asked, value, today, zone))
    return replace(query, words=" ".join(words))


def find_whose(session: Session, query: Query, today: date) -> Whose | None:
    """The subscriptions that a query is about; None where it is about all."""
    if query.number:
        key = normalise_key(query.number)
        return whose(session, [resolve_key(session, key) or key] if key.isprintable() else [])
    if not query.words:
        return None
    found = find_page(session, SubscriptionFilter(text=query.words, today=today), limit=MOST_NUMBERS)
    mine = whose(session, [row.number for row in found.rows if row.number])
    return replace(mine, is_cut=mine.is_cut or found.after is not None or found.is_cut)


def _narrow(found: Filter, name: str, value: str, today: date, zone: tzinfo) -> Filter:
    if name == "by":
        return replace(found, by=value)
    if name in ("from", "to"):
        day = _day(value, today)
        asked = replace(found, since=day) if name == "from" else replace(found, until=day)
        try:
            asked.wanted(zone)
        except ValueError as error:
            words = ", ".join(_DAYS)
            raise QueryInvalid(f"{name}: {error} These words may stand there, too: {words}.") from None
        return asked
    word = value.lower()
    if word not in _WORDS[name]:
        raise QueryInvalid(f"“{name}:” may be {', '.join(_WORDS[name])}, and not “{value[:40]}”.")
    if name in ("field", "kind"):
        return replace(found, show=word)
    if name == "outcome":
        return replace(found, outcome=word)
    return replace(found, verdict=word) if name == "verdict" else replace(found, trigger=word)


def _day(value: str, today: date) -> str:
    match value.lower():
        case "today":
            return today.isoformat()
        case "yesterday":
            return (today - timedelta(days=1)).isoformat()
        case "week":
            return (today - timedelta(days=today.weekday())).isoformat()
        case "month":
            return today.replace(day=1).isoformat()
    return value
