"""What happened, as one stream: callouts, runs, orders, and what people did, newest first.

One read for a subscription, a customer and the whole service. Each kind is a branch that an index serves in order of
time, and each gives no more than a page. A filter that no index serves looks through a bounded stretch of the past and
says how far it looked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlmodel import col, select

from sync_service.queue.stream.branches import (
    BRANCHES,
    EntryFilter,
    EntryKind,
    Spot,
    StatementPart,
    Whose,
    part_of,
)
from sync_service.store.engine import Session
from sync_service.store.statement import Found, first_of_each, given_rows, within
from sync_service.store.tables import SubscriptionRow, ZuoraLinkRow

PAGE = 30
#: Keys by which one subscription's callouts may have come, and subscriptions of one customer.
MAX_NAMES, MAX_NUMBERS = 60, 25
#: Keys of all subscriptions of one stream together.
_MAX_KEYS = 400
_LINKED = (
    select(SubscriptionRow.id, SubscriptionRow.reference)
    .join(ZuoraLinkRow, col(ZuoraLinkRow.subscription_id) == col(SubscriptionRow.id))
    .where(within(ZuoraLinkRow.number, "numbers"))
)


@dataclass(frozen=True, kw_only=True)
class EntryPage:
    """Some entries, and where the next ones begin."""

    spots: tuple[Spot, ...]
    before: Spot | None
    #: Where the look into the past ended although more may lie behind; None where it found enough or came to the end.
    looked_to: int | None = None


def read_page(session: Session, wanted: EntryFilter, before: Spot | None = None, limit: int = PAGE) -> EntryPage:
    """Up to `limit` entries older than `before`, newest first."""
    parts = _parts(session, wanted, before, limit + 1)
    found = [
        Spot(at=at, kind=EntryKind(kind), id=word if n is None else str(n))
        for kind, n, word, at in _ask(session, parts, [part.sql for part in parts])
    ]
    spots = sorted(found, key=lambda spot: spot.order)[: limit + 1]
    looked_to = _find_end(session, parts) if len(spots) <= limit else None
    if looked_to is not None:
        spots = [spot for spot in spots if spot.at > looked_to]
        return EntryPage(spots=tuple(spots), before=_behind(looked_to, before), looked_to=looked_to)
    more = len(spots) > limit
    spots = spots[:limit]
    return EntryPage(spots=tuple(spots), before=spots[-1] if more else None)


def count(session: Session, wanted: EntryFilter, most: int) -> Mapping[EntryKind, int]:
    """How many entries of each kind there are, counted up to `most`; in the last stretch where no index serves."""
    parts = _parts(session, wanted, None, most)
    counted = [f"SELECT min(kind) AS kind, count(*) AS found FROM ({part.sql}) AS counted" for part in parts]  # noqa: S608 - of constants
    return {EntryKind(kind): found for kind, found in _ask(session, parts, counted) if kind}


def whose(session: Session, numbers: Sequence[str]) -> Whose:
    """The first of `numbers`, with the keys by which their callouts may have come."""
    kept = tuple(dict.fromkeys(numbers))
    shown = kept[:MAX_NUMBERS]
    room = max(3, min(MAX_NAMES, _MAX_KEYS // max(1, len(shown)) - 3))
    return Whose(numbers=shown, names=_names_of(session, shown, room), is_cut=len(kept) > len(shown))


def _names_of(session: Session, numbers: Sequence[str], most: int) -> tuple[str, ...]:
    """The numbers themselves, their subscriptions' id and reference, and up to `most` other keys of each."""
    dialect = session.database.dialect
    rows = given_rows(dialect, "numbers", {"key": "TEXT"})
    source = "subscription_alias WHERE number = numbers.key ORDER BY alias"
    table = "subscription_alias"
    others = first_of_each(rows, dialect, table=table, id="alias", columns="alias", source=source, limit=most)
    aliases = session.run(others, {"numbers": json.dumps([[number] for number in numbers])}).scalars()
    linked = session.run(_LINKED, {"numbers": numbers})
    return tuple(dict.fromkeys([*numbers, *(name for each in linked for name in each if name), *aliases]))


def _kinds(wanted: EntryFilter) -> frozenset[EntryKind]:
    kinds = wanted.kinds
    if wanted.of_runs_only:
        kinds &= {EntryKind.RUN}
    if wanted.verdict:
        kinds &= {EntryKind.CALLOUT}
    if wanted.order:
        kinds &= {EntryKind.ORDER, EntryKind.CALLOUT}
    return kinds


def _parts(session: Session, wanted: EntryFilter, before: Spot | None, limit: int) -> list[StatementPart]:
    kinds, dialect = _kinds(wanted), session.database.dialect
    return [part_of(dialect, BRANCHES[kind], wanted, before, limit) for kind in EntryKind if kind in kinds]


def _ask(session: Session, parts: Sequence[StatementPart], statements: Sequence[str]) -> Found:
    """The rows of all `statements` together, which take the values of `parts`."""
    values = {name: value for part in parts for name, value in part.values.items()}
    return session.run(" UNION ALL ".join(statements), values) if statements else Found([], 0)


def _find_end(session: Session, parts: Sequence[StatementPart]) -> int | None:
    """The latest moment to which a branch looked without having come to its end; None where all came to it."""
    looked = [part for part in parts if part.end is not None]
    ends = _ask(session, looked, [part.end for part in looked if part.end]).scalars()
    return max((int(last) for last in ends if last is not None), default=None)


def _behind(looked_to: int, before: Spot | None) -> Spot:
    """The place before everything at that moment, which the next page begins with."""
    spot = Spot(at=looked_to + 1, kind=EntryKind.CALLOUT, id="0")
    if before is not None and spot.at >= before.at:  # a whole stretch of one moment: what is left of it is passed over
        return replace(spot, at=looked_to)
    return spot
