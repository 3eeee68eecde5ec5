"""The entries of a page of the stream with what belongs to each: who asked for a run, what came of a callout."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select as sql_select
from sqlalchemy import union_all
from sqlmodel import col, select

from sync_service.queue.stream.branches import EntryKind, Spot
from sync_service.store.engine import Session
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
#: The first causes of one run of several, which are told apart by their places. As a text, because making fifty of
#: these anew for each page takes longer than to ask them.
_FIRST_CAUSES = """
SELECT id FROM (SELECT id FROM sync_cause WHERE kind = :kind{of} AND key = :key{of} AND seq > :seq_from{of}
  AND seq <= :seq_to{of} ORDER BY seq, id LIMIT {most}) AS first{of}
"""
#: Payments whose days are looked up for a page.
_MAX_PAYMENTS = 1_000

Row = SyncRunRow | CalloutRow | OrderWorkRow | AdminActionRow


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
    row: Row
    #: The subscription's number, or the key that was given; empty where it is about none.
    key: str
    causes: tuple[SyncCauseRow, ...] = ()
    callouts: tuple[CalloutRow, ...] = ()
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
    runs = [row for row in rows[EntryKind.RUN].values() if isinstance(row, SyncRunRow)]
    causes = _read_causes(session, runs)
    told_by = _read_callouts(session, causes)
    came = _read_came(session, [row for row in rows[EntryKind.CALLOUT].values() if isinstance(row, CalloutRow)])
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
                spot=replace(spot, at=_moment_of(row)),
                row=row,
                key=_key_of(row, fate),
                causes=mine,
                callouts=callouts,
                came=fate,
            )
        )
    return Entries(
        entries=tuple(_with_customers(session, made)), payments=read_payments(session, [run.plan for run in runs])
    )


def _read_rows(session: Session, kind: EntryKind, ids: Sequence[str]) -> Mapping[str, Row]:
    if not ids:
        return {}
    if kind is EntryKind.ORDER:
        orders = session.exec(select(OrderWorkRow).where(col(OrderWorkRow.order_id).in_(ids)))
        return {row.order_id: row for row in orders}
    numbers = [int(each) for each in ids]
    if kind is EntryKind.RUN:
        return {str(row.id): row for row in session.exec(select(SyncRunRow).where(col(SyncRunRow.id).in_(numbers)))}
    if kind is EntryKind.ACT:
        acts = session.exec(select(AdminActionRow).where(col(AdminActionRow.id).in_(numbers)))
        return {str(row.id): row for row in acts}
    return {str(row.id): row for row in session.exec(select(CalloutRow).where(col(CalloutRow.id).in_(numbers)))}


def _moment_of(row: Row) -> int:
    match row:
        case SyncRunRow():
            return row.ended_at
        case CalloutRow():
            return row.received_at
        case OrderWorkRow():
            return row.submitted_at
        case AdminActionRow():
            return row.at


def _key_of(row: Row, came: Came | None) -> str:
    match row:
        case OrderWorkRow():
            return row.subscription_number or ""
        case AdminActionRow():
            return row.target or ""
        case CalloutRow():
            return came.key if came else row.key
    return row.key


def _read_causes(session: Session, runs: Iterable[SyncRunRow]) -> Mapping[str, tuple[SyncCauseRow, ...]]:
    """By the run's id, the first of the causes that it covers."""
    cause, found = SyncCauseRow, dict[str, tuple[SyncCauseRow, ...]]()
    runs = list(runs)
    if not runs:
        return {}
    # Attempts at the same requests cover the same causes: they are read once.
    covered = sorted({(run.kind, run.key, run.seq_from, run.seq_to) for run in runs})
    first = "UNION ALL".join(_FIRST_CAUSES.format(of=of, most=MAX_CAUSES) for of in range(len(covered)))
    values = {
        f"{name}{of}": value
        for of, asked in enumerate(covered)
        for name, value in zip(("kind", "key", "seq_from", "seq_to"), asked, strict=True)
    }
    ids = [id_ for (id_,) in session.run(first, values)]
    of_key = defaultdict[tuple[str, str], list[tuple[int, SyncCauseRow]]](list)
    for row in session.exec(select(cause).where(col(cause.id).in_(ids)).order_by(col(cause.seq), col(cause.id))):
        of_key[row.kind, row.key].append((row.seq, row))
    for run in runs:
        seq_from, seq_to = run.seq_from, run.seq_to
        found[str(run.id)] = tuple(row for seq, row in of_key[run.kind, run.key] if seq_from < seq <= seq_to)
    return found


def _read_callouts(session: Session, causes: Mapping[str, tuple[SyncCauseRow, ...]]) -> Mapping[int | None, CalloutRow]:
    ids = {cause.callout_id for each in causes.values() for cause in each if cause.callout_id is not None}
    if not ids:
        return {}
    return {row.id: row for row in session.exec(select(CalloutRow).where(col(CalloutRow.id).in_(ids)))}


def _read_came(session: Session, callouts: Sequence[CalloutRow]) -> Mapping[str, Came]:
    """What came of those that were accepted; of an alias that proved to be a number, what came of the number."""
    cause, run, request = SyncCauseRow, SyncRunRow, SyncRequestRow
    ids = [row.id for row in callouts if row.verdict == "accepted"]
    if not ids:
        return {}
    asked = session.exec(select(cause).where(col(cause.callout_id).in_(ids)).order_by(col(cause.id))).all()
    last = {each.callout_id: each for each in sorted(asked, key=lambda each: each.kind == "subscription")}
    if not last:
        return {}
    keys = {(each.kind, each.key) for each in last.values()}
    standing = {
        (row.kind, row.key): row
        for row in session.exec(
            select(request).where(
                col(request.kind).in_({kind for kind, _ in keys}), col(request.key).in_({key for _, key in keys})
            )
        )
    }
    covering = [
        select(run.id)
        .where(run.kind == each.kind, run.key == each.key, run.seq_to >= each.seq, run.seq_from < each.seq)
        .order_by(col(run.seq_to), col(run.id))
        .limit(1)
        for each in last.values()
    ]
    found = union_all(*(select(each.subquery().c.id) for each in covering))
    heads = (col(run.id), col(run.kind), col(run.key), col(run.seq_from), col(run.seq_to), col(run.outcome))
    ran = session.connection().execute(sql_select(*heads).where(col(run.id).in_(found)).order_by(col(run.id))).all()
    return {
        str(callout_id): _judge(each, ran, standing.get((each.kind, each.key))) for callout_id, each in last.items()
    }


def _judge(cause: SyncCauseRow, ran: Sequence[Any], request: SyncRequestRow | None) -> Came:
    for run_id, kind, key, seq_from, seq_to, outcome in ran:
        if (kind, key) == (cause.kind, cause.key) and seq_from < cause.seq <= seq_to:
            return Came(key=cause.key, run_id=run_id, outcome=outcome, is_served=True)
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
    entry = ScheduleRow
    columns = (col(entry.id), col(entry.due), col(entry.amount), col(entry.currency))
    rows = session.connection().execute(sql_select(*columns).where(col(entry.id).in_(ids)))
    return {row.id: Payment(due=row.due, amount=parse_amount(row.amount), currency=row.currency) for row in rows}


def _with_customers(session: Session, entries: Sequence[HistoryEntry]) -> Iterable[HistoryEntry]:
    names = read_customers(session, {entry.key for entry in entries})
    for entry in entries:
        yield HistoryEntry(**{**vars(entry), "customer": names.get(entry.key)})


def read_customers(session: Session, numbers: Iterable[str]) -> Mapping[str, tuple[str, str]]:
    """The id and the name of the customer of each number that a subscription of the store has."""
    wanted = [each for each in set(numbers) if each]
    if not wanted:
        return {}
    link, row, customer = ZuoraLinkRow, SubscriptionRow, CustomerRow
    linked = (
        select(link.number, customer.id, customer.name)
        .join(row, col(row.id) == col(link.subscription_id))
        .join(customer, col(customer.id) == col(row.customer))
        .where(col(link.number).in_(wanted))
    )
    found = {number: (its_id, name or "") for number, its_id, name in session.exec(linked)}
    rest = [each for each in wanted if each not in found]
    referred = (
        select(row.reference, customer.id, customer.name)
        .join(customer, col(customer.id) == col(row.customer))
        .where(col(row.reference).in_(rest))
    )
    return {number or "": (its_id, name or "") for number, its_id, name in session.exec(referred)} | found
