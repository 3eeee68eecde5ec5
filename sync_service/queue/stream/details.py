"""The entries of a page of the stream with what belongs to each: who asked for a run, what came of a callout."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlmodel import col, select

from sync_service.queue.stream.branches import BRANCHES, EntryKind, Spot
from sync_service.store.engine import Session
from sync_service.store.statement import Found, first_of_each, given_rows, within
from sync_service.store.tables import (
    AdminActionRow,
    CalloutRow,
    CustomerRow,
    OrderWorkRow,
    ScheduleRow,
    SubscriptionRow,
    SyncCauseRow,
    SyncRequestRow,
    SyncRunRow,
    ZuoraLinkRow,
)
from sync_service.subscription.digest import Payment
from sync_service.subscription.schedule.money import parse_amount

#: Causes of one run that are named; a burst of callouts is one run.
MAX_CAUSES = 20
_CAUSES_COVERED = """sync_cause
WHERE kind = runs.kind AND key = runs.key AND seq > runs.seq_from AND seq <= runs.seq_to ORDER BY seq, id"""
_RUN_COVERING = """sync_run
WHERE kind = causes.kind AND key = causes.key AND seq_to >= causes.seq AND seq_from < causes.seq ORDER BY seq_to, id"""
_SPAN = {"kind": "TEXT", "key": "TEXT", "seq_from": "BIGINT", "seq_to": "BIGINT"}
_ASKED = {"kind": "TEXT", "key": "TEXT", "seq": "BIGINT"}
#: Payments whose days are looked up for a page.
_MAX_PAYMENTS = 1_000

#: The rows of each kind by their ids.
_ROWS: Mapping[EntryKind, Any] = {
    EntryKind.RUN: select(SyncRunRow).where(within(SyncRunRow.id, "ids")),
    EntryKind.ACT: select(AdminActionRow).where(within(AdminActionRow.id, "ids")),
    EntryKind.ORDER: select(OrderWorkRow).where(within(OrderWorkRow.order_id, "ids")),
    EntryKind.CALLOUT: select(CalloutRow).where(within(CalloutRow.id, "ids")),
}
_CAUSES_OF = select(SyncCauseRow).where(within(SyncCauseRow.callout_id, "ids")).order_by(col(SyncCauseRow.id))
_REQUESTS = select(SyncRequestRow.kind, SyncRequestRow.key, SyncRequestRow.done_seq).where(
    within(SyncRequestRow.kind, "kinds"), within(SyncRequestRow.key, "keys")
)
_PAYMENTS = select(*map(col, (ScheduleRow.id, ScheduleRow.due, ScheduleRow.amount, ScheduleRow.currency))).where(
    within(ScheduleRow.id, "ids")
)
_CUSTOMERS = (
    select(ZuoraLinkRow.number, CustomerRow.id, CustomerRow.name)
    .join(SubscriptionRow, col(SubscriptionRow.id) == col(ZuoraLinkRow.subscription_id))
    .join(CustomerRow, col(CustomerRow.id) == col(SubscriptionRow.customer))
    .where(within(ZuoraLinkRow.number, "numbers"))
)
_CUSTOMERS_REFERRED = (
    select(SubscriptionRow.reference, CustomerRow.id, CustomerRow.name)
    .join(CustomerRow, col(CustomerRow.id) == col(SubscriptionRow.customer))
    .where(within(SubscriptionRow.reference, "numbers"))
)


@dataclass(frozen=True, kw_only=True)
class Came:
    """What came of an accepted callout: the run that covers it, or where its request stands."""

    key: str
    run_id: int | None
    outcome: str | None
    #: Served without a run worth keeping: nothing differed.
    is_served: bool


@dataclass(frozen=True, kw_only=True)
class HistoryEntry:
    """One entry. `causes` and `callouts` are a run's, `came` is a callout's."""

    spot: Spot
    #: The row of the table that keeps its kind.
    row: Any
    #: The subscription's number, or the key that was given; empty where it is about none.
    key: str
    causes: tuple[Any, ...] = ()
    callouts: tuple[Any, ...] = ()
    came: Came | None = None
    #: The customer's id and name, where they are known.
    customer: tuple[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Entries:
    """A page of them, and the payments of the store that their plans name, by id."""

    entries: tuple[HistoryEntry, ...]
    payments: Mapping[str, Payment]


def read_entries(session: Session, spots: Sequence[Spot]) -> Entries:
    """The entries at `spots`, in that order; one that was pruned meanwhile is left out."""
    rows = {kind: _read_rows(session, kind, [spot.id for spot in spots if spot.kind is kind]) for kind in EntryKind}
    runs = list(rows[EntryKind.RUN].values())
    causes = _read_causes(session, runs)
    told_by = _read_callouts(session, causes)
    came = _read_came(session, list(rows[EntryKind.CALLOUT].values()))
    made: list[HistoryEntry] = []
    for spot in spots:
        row = rows[spot.kind].get(spot.id)
        if row is None:
            continue
        mine = causes.get(spot.id, ()) if spot.kind is EntryKind.RUN else ()
        callouts = tuple(told_by[each.callout_id] for each in mine if each.callout_id in told_by)
        fate = came.get(spot.id) if spot.kind is EntryKind.CALLOUT else None
        made.append(
            HistoryEntry(
                spot=Spot(at=getattr(row, BRANCHES[spot.kind].at), kind=spot.kind, id=spot.id),
                row=row,
                key=fate.key if fate else getattr(row, BRANCHES[spot.kind].key) or "",
                causes=mine,
                callouts=callouts,
                came=fate,
            )
        )
    return Entries(
        entries=tuple(_with_customers(session, made)), payments=read_payments(session, [run.plan for run in runs])
    )


def _read_rows(session: Session, kind: EntryKind, ids: Sequence[str]) -> Mapping[str, Any]:
    if not ids:
        return {}
    found = session.run(_ROWS[kind], {"ids": ids if kind is EntryKind.ORDER else list(map(int, ids))})
    return {str(getattr(row, BRANCHES[kind].id)): row for row in found}


def _read_causes(session: Session, runs: Sequence[Any]) -> Mapping[str, tuple[Any, ...]]:
    """By the run's id, the first of the causes that it covers."""
    if not runs:
        return {}
    # Attempts at the same requests cover the same causes: they are read once.
    covered = sorted({(run.kind, run.key, run.seq_from, run.seq_to) for run in runs})
    rows = _first(session, "runs", _SPAN, covered, _CAUSES_COVERED, MAX_CAUSES)
    of_key = defaultdict[tuple[str, str], dict[int, Any]](dict)
    for row in sorted(rows, key=lambda row: (row.seq, row.id)):
        of_key[row.kind, row.key][row.id] = row
    return {
        str(run.id): tuple(row for row in of_key[run.kind, run.key].values() if run.seq_from < row.seq <= run.seq_to)
        for run in runs
    }


def _first(
    session: Session, name: str, columns: Mapping[str, str], given: Sequence[Any], source: str, limit: int
) -> Found:
    """The first rows of `source`, which begins with its table, for each of the `given`."""
    table = source.partition("\n")[0]
    dialect = session.database.dialect
    rows = given_rows(dialect, name, columns)
    words = first_of_each(rows, dialect, table=table, id="id", columns=f"{table}.*", source=source, limit=limit)
    return session.run(words, {name: json.dumps(given)})


def _read_callouts(session: Session, causes: Mapping[str, tuple[Any, ...]]) -> Mapping[int | None, Any]:
    ids = {cause.callout_id for each in causes.values() for cause in each if cause.callout_id is not None}
    return {row.id: row for row in session.run(_ROWS[EntryKind.CALLOUT], {"ids": list(ids)})} if ids else {}


def _read_came(session: Session, callouts: Sequence[Any]) -> Mapping[str, Came]:
    """What came of those that were accepted; of an alias that proved to be a number, what came of the number."""
    ids = [row.id for row in callouts if row.verdict == "accepted"]
    asked = session.run(_CAUSES_OF, {"ids": ids}).all() if ids else []
    last = {each.callout_id: each for each in sorted(asked, key=lambda each: each.kind == "subscription")}
    if not last:
        return {}
    kinds, keys = {each.kind for each in last.values()}, {each.key for each in last.values()}
    standing = {(row.kind, row.key): row for row in session.run(_REQUESTS, {"kinds": kinds, "keys": keys})}
    given = [(each.kind, each.key, each.seq) for each in last.values()]
    ran = sorted(_first(session, "causes", _ASKED, given, _RUN_COVERING, 1), key=lambda run: run.id)
    return {
        str(callout_id): _judge(each, ran, standing.get((each.kind, each.key))) for callout_id, each in last.items()
    }


def _judge(cause: Any, ran: Sequence[Any], request: Any) -> Came:
    for run in ran:
        if (run.kind, run.key) == (cause.kind, cause.key) and run.seq_from < cause.seq <= run.seq_to:
            return Came(key=cause.key, run_id=run.id, outcome=run.outcome, is_served=True)
    served = request is None or request.done_seq >= cause.seq
    return Came(key=cause.key, run_id=None, outcome=None, is_served=served)


def read_payments(session: Session, plans: Iterable[Mapping[str, Any] | None]) -> Mapping[str, Payment]:
    """Day and currency of the payments that got another price: the plans themselves name only their ids."""
    ids = [
        str(change.get("id"))
        for plan in plans
        for change in (plan or {}).get("changes", ())
        if change.get("record_type") == "schedule" and change.get("change") == "update"
    ][:_MAX_PAYMENTS]
    if not ids:
        return {}
    rows = session.run(_PAYMENTS, {"ids": ids})
    return {row.id: Payment(due=row.due, amount=parse_amount(row.amount), currency=row.currency) for row in rows}


def _with_customers(session: Session, entries: Sequence[HistoryEntry]) -> Iterable[HistoryEntry]:
    names = read_customers(session, {entry.key for entry in entries})
    return (replace(entry, customer=names.get(entry.key)) for entry in entries)


def read_customers(session: Session, numbers: Iterable[str]) -> Mapping[str, tuple[str, str]]:
    """The id and the name of the customer of each number that a subscription of the store has."""
    wanted = [each for each in set(numbers) if each]
    if not wanted:
        return {}
    found = {number: (its_id, name or "") for number, its_id, name in session.run(_CUSTOMERS, {"numbers": wanted})}
    rest = [each for each in wanted if each not in found]
    if rest:
        referred = session.run(_CUSTOMERS_REFERRED, {"numbers": rest})
        found = {number: (its_id, name or "") for number, its_id, name in referred} | found
    return found
