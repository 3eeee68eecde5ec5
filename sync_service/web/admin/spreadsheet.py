"""CSV files for spreadsheets: marked as UTF-8, times as ISO 8601, nothing that they take for a formula.

One is for finance: what changed between two days, a line for each payment or value, with amounts before and after.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

from flask import Response
from sqlalchemy import tuple_
from sqlmodel import col, func, select

from sync_service.queue.runs.history import Outcome
from sync_service.queue.stream.branches import EntryKind, Spot
from sync_service.queue.stream.details import Entries, HistoryEntry, read_entries
from sync_service.store.engine import Database, Session
from sync_service.store.tables import CustomerRow, SyncRunRow
from sync_service.subscription.digest import Payment, Touch, digest, touches
from sync_service.subscription.plan import SyncPlan, noun_of
from sync_service.subscription.schedule.money import format_amount
from sync_service.web.admin.differences import title_of

#: Excel takes a file without it for one of the machine's old character set.
_UTF_8 = "\N{ZERO WIDTH NO-BREAK SPACE}"
_CHUNK = 16_384
_BEGIN_FORMULAS = frozenset(
    "=+-@\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
)


class TrustedNumber(str):
    """Digits of our own making, which may begin with a minus."""

    __slots__ = ()


def send(name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """The file `name`, sent while its rows are read."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(_lines(columns, rows), content_type="text/csv; charset=utf-8", headers=headers)


def iso(at: int | None) -> str:
    """A moment (ms since 1970) as ISO 8601 in UTC; empty for None."""
    return "" if at is None else f"{datetime.fromtimestamp(at // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _lines(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    buffer = io.StringIO()
    buffer.write(_UTF_8)
    write = csv.writer(buffer).writerow
    write(columns)
    for row in rows:
        write([_cell(value) for value in row])
        if buffer.tell() > _CHUNK:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _cell(value: object) -> str:
    """What no spreadsheet takes for a formula (OWASP, "CSV Injection"): also behind blanks, and in full width."""
    if isinstance(value, TrustedNumber):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    text = "" if value is None else {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
    first = text.lstrip()[:1]
    is_formula = first in _BEGIN_FORMULAS or text[:1] in ("\t", "\r", "\n")
    return f"'{text}" if first and is_formula else text


#: Syncs of one export: a longer one is asked for in parts.
MAX_RUNS = 100_000
COLUMNS = (
    *("changed_at", "subscription", "customer", "email", "what", "change", "date_before", "date_after"),
    *("amount_before", "amount_after", "difference", "currency", "value_before", "value_after"),
    *("cause", "asked_by", "zuora_orders", "made_in_zuora_by", "sync"),
)
_PAGE = 200
_APPLIED = (Outcome.CHANGED, Outcome.IMPORTED)


def count_runs(session: Session, since: int, until: int) -> int:
    """How many syncs changed something from `since` to before `until`, in ms; counted to one more than MAX_RUNS."""
    run = SyncRunRow
    within = select(run.id).where(col(run.outcome).in_(_APPLIED), run.ended_at >= since, run.ended_at < until)
    return session.exec(select(func.count()).select_from(within.limit(MAX_RUNS + 1).subquery())).one()


def read_changes(
    database: Database, since: int, until: int, touch: Touch | None = None
) -> Iterator[tuple[object, ...]]:
    """The lines of COLUMNS, oldest first, read page by page so that no export holds a transaction open."""
    after = (since, 0)
    while True:
        with database.reading() as session:
            runs = _read_runs(session, after, until)
            read = read_entries(session, [Spot(at=at, kind=EntryKind.RUN, id=str(run_id)) for run_id, at in runs])
            emails = _read_emails(session, read)
        for entry in read.entries:
            yield from _lines_of_entry(entry, read, emails, touch)
        if len(runs) < _PAGE:
            return
        after = (runs[-1][1], runs[-1][0])


def _read_runs(session: Session, after: tuple[int, int], until: int) -> list[tuple[int, int]]:
    run = SyncRunRow
    place = tuple_(col(run.ended_at), col(run.id))
    pages = [
        select(run.id, run.ended_at)
        .where(run.outcome == outcome, place > tuple_(*after), run.ended_at < until)
        .order_by(col(run.ended_at), col(run.id))
        .limit(_PAGE)
        for outcome in _APPLIED
    ]
    found = [(int(run_id or 0), at) for page in pages for run_id, at in session.exec(page)]
    return sorted(found, key=lambda each: (each[1], each[0]))[:_PAGE]


def _read_emails(session: Session, read: Entries) -> Mapping[str, str]:
    ids = {entry.customer[0] for entry in read.entries if entry.customer}
    rows = session.exec(select(CustomerRow.id, CustomerRow.email).where(col(CustomerRow.id).in_(ids)))
    return {customer_id: email or "" for customer_id, email in rows}


def _lines_of_entry(
    entry: HistoryEntry, read: Entries, emails: Mapping[str, str], touch: Touch | None
) -> Iterator[tuple[object, ...]]:
    run = entry.row
    if not run.plan:
        return
    plan = SyncPlan.from_json(run.plan)
    if touch is not None and touch not in touches(plan.changes):
        return
    customer_id, name = entry.customer or ("", "")
    head = (iso(run.ended_at), run.key, name, emails.get(customer_id, ""))
    orders = " ".join(dict.fromkeys(each.order_number for each in entry.callouts if each.order_number))
    makers = " ".join(dict.fromkeys(each.created_by for each in entry.callouts if each.created_by))
    tail = (run.trigger, run.actor, orders, makers, run.id)
    found = digest(plan, read.payments)
    if touch in (None, Touch.DATES, Touch.AMOUNTS):
        for group in found.payments:
            pairs = zip(group.before or [None] * group.count, group.after or [None] * group.count, strict=True)
            word = (
                "added"
                if not group.before
                else "removed"
                if not group.after
                else "moved"
                if group.is_moved
                else "repriced"
            )
            for before, after in pairs:
                yield (*head, "payment", word, *_payment(before, after), "", "", *tail)
    for value in found.values:
        if touch is None or touch in value.touches:
            yield (*head, title_of(value), "changed", *[""] * 6, value.before, value.after, *tail)
    for thing in found.things:
        if touch is None or (touch is Touch.ADDRESS and thing.record_type == "address"):
            word = "added" if thing.came else "removed"
            yield (*head, noun_of(thing.record_type), word, *[""] * 8, *tail)


def _payment(before: Payment | None, after: Payment | None) -> tuple[object, ...]:
    currency = (after.currency if after else None) or (before.currency if before else None)
    old, new = before.amount if before else None, after.amount if after else None
    change = (new or Decimal(0)) - (old or Decimal(0))
    return (
        before.due if before else None,
        after.due if after else None,
        _digits(old, currency),
        _digits(new, currency),
        _digits(change, currency),
        currency,
    )


def _digits(amount: Decimal | None, currency: str | None) -> TrustedNumber:
    return TrustedNumber("" if amount is None else format_amount(amount, currency))
