"""Whether a billing preview can be whole: how far it has to reach, and what must not be missing from it. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from sync_service.errors import PreviewIncomplete
from sync_service.subscription.schedule.charges import Charge, costs_something, is_in_arrears
from sync_service.subscription.terms import TermOnDay
from sync_service.subscription.zuora import ChargeSegment, Preview

_ONE_DAY = timedelta(days=1)


def preview_target_date(term: TermOnDay) -> date:
    """How far to preview: the end of the schedule plus one longest billing period, so that the last arrears are there.

    Zuora previews what falls due up to and with the target date ("Generate a billing preview"). What was cancelled up
    to today may still owe a last period in arrears.
    """
    end = max(term.schedule_end, term.today)
    lengths = [
        length
        for charge in term.charges
        for segment in charge.segments
        if _may_fall_due(segment, term.today) and (length := charge.length_of(segment)) is not None
    ]
    return max((length.after(end) for length in lengths), default=end)


def _may_fall_due(segment: ChargeSegment, today: date) -> bool:
    end = segment.effective_end or date.max
    return end > today or (is_in_arrears(segment) and (segment.charged_through or date.min) < end)


def days_covered(term: TermOnDay, preview: Preview) -> date:
    """Lines due before this day are all there; the last day that there is, where the preview is whole.

    It is not whole where Zuora cut the answer, or where it was asked for less than `preview_target_date`; without
    charges in arrears, reaching the end of the schedule is enough.
    """
    arrears = any(is_in_arrears(segment) for segment in term.subscription.segments)
    needed = preview_target_date(term) if arrears else term.schedule_end - _ONE_DAY
    if preview.complete_until is None and preview.target_date >= needed:
        return date.max
    return min(preview.complete_until or date.max, preview.target_date + _ONE_DAY)


def check_preview_complete(term: TermOnDay, preview: Preview) -> None:
    """Raise PreviewIncomplete, naming the charges, where the preview has no line of a charge that must be due.

    That is a recurring charge that costs something, is no discount and follows no invoice schedule, with a day that is
    not billed, lies before its own, the schedule's and the preview's end and before any suspension, and that no free
    segment covers. A charge whose first day is not known is not due, and nothing is before activation.
    """
    if term.is_pending:
        return
    lines = _NamedCharges(preview)
    stop = min(term.schedule_end, term.suspended_from or date.max)
    covered = days_covered(term, preview)
    missing = [
        charge
        for charge in term.charges
        if not lines.name(charge) and any(_must_be_due(charge, each, stop, covered) for each in charge.segments)
    ]
    if missing:
        names = ", ".join(charge.name for charge in missing)
        raise PreviewIncomplete(f"Zuora's billing preview has no line of: {names}.")


def unscheduled_charges(term: TermOnDay, preview: Preview) -> list[str]:
    """Names of charges that follow an invoice schedule and have no line in the preview: their days are not known."""
    lines = _NamedCharges(preview)
    return [
        charge.name
        for charge in term.charges
        if not lines.name(charge)
        for segment in charge.segments[-1:]
        if _follows_invoice_schedule(charge, segment)
        and _costs(segment)
        and _has_open_day(charge, segment, term.schedule_end)
    ]


def as_billed_by_now(charges: tuple[Charge, ...], preview: Preview, term: TermOnDay) -> tuple[Charge, ...]:
    """The charges, each billed up to where its lines in the preview begin.

    Zuora previews a charge from where billing stopped, without what stands on draft invoices ("Generate a billing
    preview"). One that begins after `chargedThroughDate` so means a draft invoice that is not posted yet, or a bill run
    between our two questions: either way the days between are no longer to come.
    """
    begun: dict[str | None, date] = {}
    for item in preview.items:
        begun[item.charge_number] = min(begun.get(item.charge_number, date.max), item.service_start)
    return tuple(
        _billed_up_to(charge, min(begun[charge.number], term.suspended_from or date.max))
        if charge.number in begun
        else charge
        for charge in charges
    )


def _billed_up_to(charge: Charge, stop: date) -> Charge:
    segments = tuple(
        replace(each, charged_through=min(each.effective_end or stop, stop))
        if _costs(each) and not _follows_invoice_schedule(charge, each) and _has_open_day(charge, each, stop)
        else each
        for each in charge.segments
    )
    return charge if segments == charge.segments else replace(charge, segments=segments)


class _NamedCharges:
    """Which charges a preview names; old recordings lack charge numbers here and there, then the name has to do."""

    def __init__(self, preview: Preview) -> None:
        self._numbers = {item.charge_number for item in preview.items}
        self._names = {item.charge_name for item in preview.items if item.charge_number is None}

    def name(self, charge: Charge) -> bool:
        """Whether a line is of `charge`."""
        return charge.number in self._numbers or any(segment.name in self._names for segment in charge.segments)


def _costs(segment: ChargeSegment) -> bool:
    return segment.type == "Recurring" and not segment.is_discount and costs_something(segment)


def _follows_invoice_schedule(charge: Charge, segment: ChargeSegment) -> bool:
    return segment.invoice_schedule_id is not None or charge.subscription.invoice_schedule_id is not None


def _must_be_due(charge: Charge, segment: ChargeSegment, stop: date, covered: date) -> bool:
    if not _costs(segment) or _follows_invoice_schedule(charge, segment):
        return False
    if is_in_arrears(segment) and covered < stop:
        # A period that begins before the end of what was read may fall due after it.
        length = charge.length_of(segment)
        covered = length.after(covered, -1) if length is not None else date.min
    return _has_open_day(charge, segment, min(stop, covered))


def _has_open_day(charge: Charge, segment: ChargeSegment, stop: date) -> bool:
    """Whether a day of `segment` before `stop` is not billed and no free segment of the charge covers it."""
    if segment.effective_start is None:
        return False
    day = max(segment.effective_start, segment.charged_through or segment.effective_start)
    stop = min(segment.effective_end or stop, stop)
    free = [each for each in charge.segments if each.effective_start is not None and not costs_something(each)]
    for each in free:  # by first day
        if each.effective_start is not None and each.effective_start <= day:
            day = max(day, each.effective_end or stop)
    return day < stop
