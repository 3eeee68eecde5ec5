"""Limio's schedule entries against what is due: which are created, changed, cancelled and left alone. Pure.

Shapes are those of Limio's `schedule` objects: the date has neither zone nor offset. Only payments that are
`pending-external` are ours to change: Zuora bills those, the shop the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from sync_service.subscription.limio.documents import data_of, get_value, read_day
from sync_service.subscription.plan import Cancel, Change, Create, Document, Update
from sync_service.subscription.schedule.computed import CannotCompute
from sync_service.subscription.schedule.due import DueSchedule, Line
from sync_service.subscription.schedule.lines import (
    OURS,
    agrees,
    amount_of,
    merge_lines,
    own_changes,
    payment,
    share_lines,
    total_of,
)
from sync_service.subscription.schedule.money import format_amount

#: Limio's statuses of a schedule entry that counts (its self-service pages); `cancelled` is ignored there.
_LIVE = frozenset({"active", "pending", OURS})


def compare_schedule(
    entries: Sequence[Document], due: DueSchedule, today: date, description: str | None
) -> tuple[list[Change], list[str]]:
    """Changes that make the live entries say what is due, in order of their days, and notes on what was left alone."""
    live, undated = _by_day(entries)
    billed, notes = due.billed_lines(frozenset(live), today)
    changes: list[Change] = []
    if undated:
        notes += (f"{undated} schedule entries have no date that we can read and were left alone.",)
    renewal = due.renewal_day(live, today)
    for day in sorted({*live, *due.lines, *billed}):
        if day >= due.covered_until:
            continue
        lines = tuple(sorted((*due.lines.get(day, ()), *billed.get(day, ())), key=lambda line: line.order))
        found = live.get(day, [])
        if not found:
            changes.append(_create(day, lines, due, description))
            continue
        keep = due.must_keep(day)
        if day == renewal and not keep:
            try:
                lines = due.renewal_lines(day)
            except CannotCompute as reason:
                keep, notes = True, (*notes, f"The payment of {day}, which renews, may change: {reason}.")
        more, note = _compare_day(day, found, lines, due, today, keep=keep)
        changes += more
        notes += (note,) if note else ()
    return changes, list(notes)


def coming_payments(entries: Sequence[Document], today: date) -> list[Document]:
    """The live payments dated today or later that a sync may cancel."""
    live, _ = _by_day(entries)
    return [entry for day, found in live.items() if day >= today for entry in found if _is_ours(entry)]


def _by_day(entries: Iterable[Document]) -> tuple[dict[date, list[Document]], int]:
    """Live payments by day, each day's in one order; and how many have no date that can be read."""
    live: dict[date, list[Document]] = defaultdict(list)
    undated = 0
    for entry in entries:
        data = data_of(entry)
        if entry.get("status") not in _LIVE or data.get("type") != "payment":
            continue
        day = _day_of(data)
        if day is None:
            undated += 1
        else:
            live[day].append(entry)
    for found in live.values():
        found.sort(key=lambda entry: str(entry.get("id")))
    return dict(live), undated


def _day_of(data: Mapping[str, Any]) -> date | None:
    """The entry's date as written: Limio's schedule names days of the calendar, not moments."""
    return read_day(data.get("date")) or read_day(data.get("schedule_date"))


def _is_ours(entry: Document) -> bool:
    return entry.get("status") == OURS


def _compare_day(
    day: date, found: list[Document], lines: tuple[Line, ...], due: DueSchedule, today: date, *, keep: bool
) -> tuple[list[Change], str | None]:
    """One day that has live entries. The past and entries that are not ours stay, whatever Zuora says of them."""
    if not lines:
        gone = [] if keep or day < today else [entry for entry in found if _is_ours(entry)]
        return [_cancel(entry, f"Nothing is due on {day} any more.") for entry in gone], None
    sum_agrees = _sum_agrees(found, lines)
    if sum_agrees and (len(found) > 1 or agrees(found[0], lines, due.currency)):
        return [], None
    if day < today:
        return [], None if sum_agrees else f"{_what(day, found, lines, due)}: it is past and stays."
    if not all(_is_ours(entry) for entry in found):
        return [], f"{_what(day, found, lines, due)}: it is not billed by Zuora and stays."
    if len(found) == 1:
        return _compare_entry(found[0], lines, due, day, keep=keep)
    return _compare_entries(found, lines, due, day, keep=keep), None


def _sum_agrees(found: list[Document], lines: tuple[Line, ...]) -> bool:
    amounts = [amount for entry in found if (amount := amount_of(entry, lines)) is not None]
    return len(amounts) == len(found) and sum(amounts, Decimal(0)) == total_of(lines)


def _what(day: date, found: list[Document], lines: tuple[Line, ...], due: DueSchedule) -> str:
    shown = " + ".join(str(get_value(entry, "data.amount")) for entry in found)
    return f"The payment of {day} is {shown} in Limio and {format_amount(total_of(lines), due.currency)} in Zuora"


def _compare_entry(
    entry: Document, lines: tuple[Line, ...], due: DueSchedule, day: date, *, keep: bool
) -> tuple[list[Change], str | None]:
    """The only entry of its day against the day's lines; where nothing may go, its own other lines stay with them."""
    if keep:
        merged = merge_lines(entry, lines, due.currency)
        if merged is None:
            return [], f"{_what(day, [entry], lines, due)}: part of it is billed, and its lines are not told apart."
        lines = merged
    changes = own_changes(entry, lines, due.currency)
    return ([_update(entry, changes, day)] if changes else []), None


def _compare_entries(
    found: list[Document], lines: tuple[Line, ...], due: DueSchedule, day: date, *, keep: bool
) -> list[Change]:
    """Several entries of one day, line by line on charge names; lines that none of them has get a new entry."""
    shares, rest = share_lines(found, lines)
    changes: list[Change] = []
    for entry, share in zip(found, shares, strict=True):
        if share:
            more, _ = _compare_entry(entry, share, due, day, keep=keep)
            changes += more
        elif not keep:
            changes.append(_cancel(entry, f"Its charge is not due on {day} any more."))
    if rest:
        changes.append(_create(day, rest, due, get_value(found[0], "data.description")))
    return changes


def _create(day: date, lines: tuple[Line, ...], due: DueSchedule, description: Any) -> Create:
    document = payment(day, lines, due.currency, description)
    return Create(record_type="schedule", document=document, reason=f"Due in Zuora on {day}.")


def _update(entry: Document, changes: Sequence[Any], day: date) -> Update:
    return Update(
        record_type="schedule",
        id=str(entry["id"]),
        fields=tuple(changes),
        reason=f"Matches Zuora's billing preview for {day}.",
    )


def _cancel(entry: Document, reason: str) -> Cancel:
    return Cancel(record_type="schedule", id=str(entry["id"]), document=entry, reason=reason)
