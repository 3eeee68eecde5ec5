"""What happened, as one stream: callouts, runs, orders, and what people did, newest first.

One read for a subscription, a customer and the whole service. Each kind is a branch that an index serves in order of
time, and each gives no more than a page. A filter that no index serves looks through a bounded stretch of the past and
says how far it looked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import text
from sqlmodel import col, select

from sync_service.queue.stream.branches import (
    BRANCHES,
    STRETCH,
    Branch,
    EntryFilter,
    EntryKind,
    Spot,
    StatementPart,
    Whose,
    parts_of,
)
from sync_service.store.engine import Session
from sync_service.store.tables import SubscriptionRow, ZuoraLinkRow

PAGE = 30
#: Keys by which one subscription's callouts may have come, and subscriptions of one customer.
MAX_NAMES, MAX_NUMBERS = 60, 25
#: Branches of one statement: SQLite puts no more than 500 together.
_MAX_BRANCHES = 400
_COUNTED = "SELECT count(*) FROM ({}) AS counted"
_ALIASES = """
SELECT alias FROM (SELECT alias FROM subscription_alias WHERE number = :{name} ORDER BY alias LIMIT {most:d}) AS {name}
"""


@dataclass(frozen=True, kw_only=True)
class EntryPage:
    """Some entries, and where the next ones begin."""

    spots: tuple[Spot, ...]
    before: Spot | None
    #: Where the look into the past ended although more may lie behind; None where it found enough or came to the end.
    looked_to: int | None = None


def read_page(session: Session, wanted: EntryFilter, before: Spot | None = None, limit: int = PAGE) -> EntryPage:
    """Up to `limit` entries older than `before`, newest first."""
    branches = [BRANCHES[kind] for kind in EntryKind if kind in _kinds(wanted)]
    found = _run(session, [part for each in branches for part in parts_of(each, wanted, before, limit + 1)])
    spots = sorted(found, key=lambda spot: spot.order)[: limit + 1]
    looked_to = _find_end(session, branches, wanted, before) if len(spots) <= limit else None
    if looked_to is not None:
        spots = [spot for spot in spots if spot.at > looked_to]
        return EntryPage(spots=tuple(spots), before=_behind(looked_to, before), looked_to=looked_to)
    more = len(spots) > limit
    spots = spots[:limit]
    return EntryPage(spots=tuple(spots), before=spots[-1] if more else None)


def count(session: Session, wanted: EntryFilter, most: int) -> Mapping[EntryKind, int]:
    """How many entries of each kind there are, counted up to `most`; in the last stretch where no index serves."""
    counts: dict[EntryKind, int] = {}
    for kind in EntryKind:
        if kind in _kinds(wanted):
            parts = list(parts_of(BRANCHES[kind], wanted, None, most))
            counts[kind] = min(most, sum(row[0] for row in _ask(session, parts, _COUNTED)))
    return counts


def whose(session: Session, numbers: Sequence[str]) -> Whose:
    """The first of `numbers`, with the keys by which their callouts may have come."""
    kept = tuple(dict.fromkeys(numbers))
    shown = kept[:MAX_NUMBERS]
    room = max(3, min(MAX_NAMES, _MAX_BRANCHES // max(1, len(shown)) - 3))
    return Whose(numbers=shown, names=_names_of(session, shown, room), is_cut=len(kept) > len(shown))


def _names_of(session: Session, numbers: Sequence[str], most: int) -> tuple[str, ...]:
    """The numbers themselves, their subscriptions' id and reference, and up to `most` other keys of each."""
    row, link = SubscriptionRow, ZuoraLinkRow
    theirs = select(row.id, row.reference).join(link, col(link.subscription_id) == col(row.id))
    linked = session.exec(theirs.where(col(link.number).in_(numbers)).order_by(col(row.id)).limit(len(numbers)))
    names = [*numbers, *(name for each in linked for name in each if name)]
    parts = [
        StatementPart(_ALIASES.format(name=f"a{index}", most=most), {f"a{index}": number}, None)
        for index, number in enumerate(numbers)
    ]
    return tuple(dict.fromkeys([*names, *(alias for (alias,) in _ask(session, parts))]))


def _kinds(wanted: EntryFilter) -> frozenset[EntryKind]:
    kinds = wanted.kinds
    if wanted.of_runs_only:
        kinds &= {EntryKind.RUN}
    if wanted.verdict:
        kinds &= {EntryKind.CALLOUT}
    if wanted.order:
        kinds &= {EntryKind.ORDER, EntryKind.CALLOUT}
    return kinds


def _run(session: Session, parts: Sequence[StatementPart]) -> list[Spot]:
    spots = [
        Spot(at=at, kind=EntryKind(kind), id=word if n is None else str(n))
        for kind, n, word, at in _ask(session, parts)
    ]
    return list(dict.fromkeys(spots))


def _ask(session: Session, parts: Sequence[StatementPart], form: str = "{}") -> Iterator[Any]:
    """The rows of all `parts`, each put into `form`; together as far as a statement holds them."""
    for first in range(0, len(parts), _MAX_BRANCHES):
        some = parts[first : first + _MAX_BRANCHES]
        values = {name: value for part in some for name, value in part.values.items()}
        statement = " UNION ALL ".join(form.format(part.sql) for part in some)
        yield from session.connection().execute(text(statement), values)


def _find_end(session: Session, branches: Sequence[Branch], wanted: EntryFilter, before: Spot | None) -> int | None:
    """The latest moment to which a branch looked without having come to its end; None where all came to it."""
    parts = [part for each in branches for part in parts_of(each, wanted, before, 1)]
    looked = [StatementPart(part.stretch, part.values, None) for part in parts if part.stretch is not None]
    return max((int(last) for seen, last in _ask(session, looked) if seen >= STRETCH), default=None)


def _behind(looked_to: int, before: Spot | None) -> Spot:
    """The place before everything at that moment, which the next page begins with."""
    spot = Spot(at=looked_to + 1, kind=EntryKind.CALLOUT, id="0")
    if before is not None and spot.at >= before.at:  # a whole stretch of one moment: what is left of it is passed over
        return replace(spot, at=looked_to)
    return spot
