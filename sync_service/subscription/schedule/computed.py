"""The schedule computed from charge segments, for where Zuora's preview cannot tell. Pure.

Used whole where Zuora does not permit the billing preview, and for single periods that are billed but have no entry in
Limio. It accepts only what can be known for certain: a flat fee or a price per unit, once or in advance, for whole
billing periods counted from the charge's own day. Everything else is refused by name.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from sync_service.subscription.schedule.charges import (
    MAX_PERIODS,
    BilledPeriod,
    Charge,
    costs_something,
    is_in_arrears,
)
from sync_service.subscription.schedule.coverage import preview_target_date
from sync_service.subscription.schedule.periods import Grid
from sync_service.subscription.terms import TermOnDay
from sync_service.subscription.zuora import ChargeSegment, Preview, PreviewItem, PreviewSource

_ONE_DAY = timedelta(days=1)
#: Where Zuora counts billing periods from, by `billingPeriodAlignment`.
_ALIGNED_TO = {"AlignToSubscriptionStart": "start", "AlignToTermStart": "term_start", "AlignToTermEnd": "term_end"}


class CannotCompute(Exception):
    """The schedule cannot be known from the charges alone; the text names the charges and says why."""


def compute_preview(term: TermOnDay) -> Preview:
    """The lines that Zuora would preview, computed from the segments. Raises CannotCompute naming every charge."""
    if term.suspended_from is not None:
        raise CannotCompute("the subscription is suspended, and its later billing is unknown.")
    items: list[PreviewItem] = []
    refusals: list[str] = []
    charges = term.charges
    for charge in charges:
        for segment in charge.segments:
            window = _open_days(segment, term.schedule_end)
            if window is None:
                continue
            reason = _why_not(charge, segment) or _why_discounted(charges, segment, *window)
            if reason is None:
                computed = _items_of(charge, segment, *window)
                if isinstance(computed, list):
                    items += computed
                    continue
                reason = computed
            if costs_something(segment) or segment.is_discount or segment.type == "Usage":
                refusals.append(f"{_name(segment)} {reason}")
    if refusals:
        raise CannotCompute("; ".join(refusals) + ".")
    return Preview(items=tuple(items), target_date=preview_target_date(term), source=PreviewSource.COMPUTED)


def compute_billed(period: BilledPeriod, charges: tuple[Charge, ...]) -> PreviewItem:
    """The line that was billed for `period` of one of `charges`. Raises CannotCompute naming the charge."""
    charge, segment = period.charge, period.segment
    reason = _why_not(charge, segment) or _why_discounted(charges, segment, period.start, period.end)
    if reason is None and not period.whole:
        reason = "was billed for a period that does not begin and end on its own day"
    begun = [each.effective_start for each in charge.segments if each.effective_start is not None]
    if reason is None and any(period.start < start < period.end for start in begun):
        reason = "changed within the period"
    if reason is not None:
        raise CannotCompute(f"{_name(segment)} {reason}")
    return _item(segment, period.start, period.end - _ONE_DAY)


def compute_renewal(day: date, charges: tuple[Charge, ...], end: date) -> list[PreviewItem]:
    """The lines that fall due in advance on `day`, on or after the schedule's `end`, when the subscription goes on.

    Raises CannotCompute naming the charges whose amount Zuora does not tell.
    """
    items: list[PreviewItem] = []
    refusals: list[str] = []
    for charge in charges:
        segment = charge.segments[-1]
        if not _goes_on(segment, end) or is_in_arrears(segment):
            continue
        if not costs_something(segment) and not segment.is_discount:
            continue
        reason = _why_not(charge, segment)
        if reason is None and segment.price_change not in (None, "NoChange"):
            reason = "changes its price when it renews"
        if reason is not None:
            refusals.append(f"{_name(segment)} {reason}")
        elif (grid := charge.grid_of(segment)) is not None and grid.begins_on(day):
            items.append(_item(segment, day, grid.at(grid.index_of(day) + 1) - _ONE_DAY))
    if refusals or not items:
        raise CannotCompute("; ".join(refusals) or "no charge that costs something begins a period on that day")
    return items


def _goes_on(segment: ChargeSegment, end: date) -> bool:
    """Whether the charge is in force after `end`, where the subscription is."""
    if segment.type != "Recurring" or segment.effective_start is None or segment.effective_start > end:
        return False
    if segment.effective_end is None or segment.effective_end > end:
        return True
    return segment.effective_end == end and segment.end_condition in (None, "Subscription_End")


def _open_days(segment: ChargeSegment, end: date) -> tuple[date, date] | None:
    """From the first day that is not billed to before the segment's or the schedule's end; None where none is left."""
    if segment.effective_start is None:
        return None
    if segment.type == "OneTime" and segment.charged_through is not None:
        return None
    start = max(segment.effective_start, segment.charged_through or segment.effective_start)
    stop = min(segment.effective_end or end, end)
    if segment.type == "OneTime":
        stop = min(start + _ONE_DAY, end)
    return (start, stop) if start < stop else None


def _why_not(charge: Charge, segment: ChargeSegment) -> str | None:
    """What about this segment, whatever the period, only Zuora knows; None where nothing."""
    if segment.is_discount:
        return "is a discount, whose amount depends on what else is billed"
    if segment.type not in ("Recurring", "OneTime"):
        return f"is of type {segment.type}"
    if segment.model not in ("FlatFee", "PerUnit"):
        return f"has the price model {segment.model}"
    if segment.price is None or (segment.model == "PerUnit" and segment.quantity is None):
        return "has no price"
    if segment.invoice_schedule_id is not None or charge.subscription.invoice_schedule_id is not None:
        return "is billed by an invoice schedule"
    if segment.tax_mode is not None:
        return "is taxed"
    return None if segment.type == "OneTime" else _why_not_recurring(charge, segment)


def _why_not_recurring(charge: Charge, segment: ChargeSegment) -> str | None:
    if segment.billing_timing != "IN_ADVANCE":
        return "is not billed in advance"
    length, anchor = charge.length_of(segment), charge.anchor
    if length is None or anchor is None:
        return f"has the billing period {segment.billing_period}"
    by_the_month = segment.list_price_base == "Per_Month" and length.months == 1
    if segment.list_price_base not in (None, "Per_Billing_Period") and not by_the_month:
        return f"has a price {segment.list_price_base}"
    if segment.segment in charge.billed_otherwise:
        return f"was billed for longer than its billing period {segment.billing_period}"
    grid, through = Grid(anchor, length), segment.charged_through
    aligned = getattr(charge.subscription, _ALIGNED_TO.get(segment.billing_period_alignment or "", ""), anchor)
    if aligned is None or not grid.begins_on(aligned):
        return f"is billed with {segment.billing_period_alignment}"
    followed = through is not None and through > anchor and _tells_the_day(through, grid)
    if not followed and not _begins_on_its_own_day(charge, segment, grid):
        return f"is billed on another day than its own ({segment.billing_day})"
    return None


def _tells_the_day(through: date, grid: Grid) -> bool:
    """Whether billing that stopped at `through` has followed the grid and nothing else.

    The last day of a short month is that of every later billing day, too.
    """
    if not grid.length.months:
        return grid.begins_on(through)
    is_end_of_month = (through + _ONE_DAY).day == 1
    return grid.begins_on(through) and through.day == grid.anchor.day and (through.day == 31 or not is_end_of_month)


def _begins_on_its_own_day(charge: Charge, segment: ChargeSegment, grid: Grid) -> bool:
    """Whether Zuora's word for the billing day means the charge's own; only the account knows the others."""
    word, start = segment.billing_day or "ChargeTriggerDay", charge.subscription.start
    if word == "SubscriptionStartDay" and start is not None:
        return start.day == grid.anchor.day if grid.length.months else grid.begins_on(start)
    if word.startswith("SpecificDayofMonth") and grid.length.months:
        return "".join(filter(str.isdigit, word)) == str(grid.anchor.day)
    return word == "ChargeTriggerDay"


def _why_discounted(charges: tuple[Charge, ...], segment: ChargeSegment, start: date, stop: date) -> str | None:
    """Which discount is in force between `start` and `stop`; a discount's own days are known whatever it applies to."""
    if segment.is_discount:
        return None
    for charge in charges:
        for other in charge.segments:
            if not other.is_discount or other.effective_start is None:
                continue
            if other.effective_start < stop and (other.effective_end or date.max) > start:
                return f"may be reduced by {_name(other)}"
    return None


def _items_of(charge: Charge, segment: ChargeSegment, start: date, stop: date) -> list[PreviewItem] | str:
    """The lines from `start` to before `stop`, or why they cannot be known."""
    length, anchor = charge.length_of(segment), charge.anchor
    if segment.type == "OneTime" or length is None or anchor is None:
        return [_item(segment, start, start)]
    grid = Grid(anchor, length)
    if not grid.begins_on(start):
        return f"has an open period that begins on {start}, not on its own day"
    items: list[PreviewItem] = []
    first = grid.index_of(start)
    for index in range(first, first + MAX_PERIODS):
        begin, after = grid.at(index), grid.at(index + 1)
        if begin >= stop:
            return items
        if after > (segment.effective_end or after) and segment.proration_option != "NoProration":
            return f"ends on {segment.effective_end}, within a billing period"
        items.append(_item(segment, begin, after - _ONE_DAY))
    return f"has more than {MAX_PERIODS} billing periods"


def _item(segment: ChargeSegment, start: date, last: date) -> PreviewItem:
    quantity = segment.quantity if segment.model == "PerUnit" and segment.quantity is not None else Decimal(1)
    return PreviewItem(
        charge_number=segment.charge_number,
        charge_name=segment.name,
        product_name=segment.product_name,
        charge_type=segment.type,
        service_start=start,
        service_end=last,
        amount=(segment.price or Decimal(0)) * quantity,
        quantity=quantity,
        unit_of_measure=segment.unit_of_measure,
    )


def _name(segment: ChargeSegment) -> str:
    return f"{segment.name} ({segment.charge_number})" if segment.name else segment.charge_number
