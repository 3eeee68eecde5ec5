"""When a charge is billed: its billing periods, whole and anchored to the day the charge began.

Follows what recorded previews do (see "Generate a billing preview"): no proration; the last period runs on past the
end of the term; a segment that follows another without a gap takes over at the next period.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from zuora_emulator.records import Charge, Segment, Version

_MONTHS = {
    "Month": 1,
    "Quarter": 3,
    "Semi_Annual": 6,
    "Annual": 12,
    "Eighteen_Months": 18,
    "Two_Years": 24,
    "Three_Years": 36,
    "Five_Years": 60,
}
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """One billing period of a charge at one segment's price; `end` is exclusive."""

    segment: Segment
    start: date
    end: date

    def due(self, charge: Charge) -> date:
        """The day on which it is billed: its first in advance, the day after its last in arrears."""
        return self.end if charge.billing_timing == "IN_ARREARS" else self.start


@lru_cache(maxsize=100_000)
def add_months(day: date, months: int) -> date:
    """The same day of another month, or that month's last day where it is shorter."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def add_term(day: date, count: int, unit: str) -> date:
    """The day `count` Months, Years, Weeks or Days later."""
    if unit in ("Month", "Year"):
        return add_months(day, count * (12 if unit == "Year" else 1))
    return day + timedelta(days=count * (7 if unit == "Week" else 1))


def months_of(version: Version, charge: Charge) -> int | None:
    """How many months one billing period has; None where it is counted in days."""
    match charge.billing_period:
        case "Specific_Months":
            return charge.specific_billing_period or 1
        case "Subscription_Term":
            months = version.current_term or 12
            return months * 12 if version.term_period == "Year" else months
        case period:
            return _MONTHS.get(period or "Month")


def next_boundary(version: Version, charge: Charge, day: date) -> date:
    """The first day after `day` on which a billing period of this charge begins."""
    anchor = version.term_start if charge.billing_period == "Subscription_Term" else charge.segments[0].start
    months = months_of(version, charge)
    if months is None:
        days = charge.specific_billing_period or 1
        days *= 1 if charge.billing_period == "Specific_Days" else 7
        return anchor + timedelta(days=((day - anchor).days // days + 1) * days)
    count = ((day.year - anchor.year) * 12 + day.month - anchor.month) // months
    while (boundary := add_months(anchor, count * months)) <= day:
        count += 1
    return boundary


def periods(version: Version, charge: Charge, until: date, *, renews: bool = False) -> Iterator[Period]:
    """Every period that begins on or before `until`, from the first; `renews` runs on past the end of the term."""
    if charge.type == "OneTime":
        segment = charge.segments[0]
        if segment.start <= until and segment.end != segment.start:
            yield Period(segment, segment.start, segment.start + _DAY)
        return
    covered = date.min
    for segment in charge.segments:
        end = segment.end if renews else version.segment_end(segment)
        start = max(segment.start, covered)
        while start <= until and (end is None or start < end):
            boundary = next_boundary(version, charge, start)
            yield Period(segment, start, boundary)
            start = covered = boundary


def charged_and_processed(version: Version, charge: Charge, segment: Segment) -> tuple[date | None, date | None]:
    """`chargedThroughDate` and `processedThroughDate` of a segment; None where nothing of it is billed.

    The first is its first day that is not yet billed; a segment that began within a billed period counts as billed to
    that period's end. The second is the start of the last billed period, or the first where all is billed.
    """
    billed = charge.billed_through
    if billed is None or segment.start >= billed:
        return None, None
    if charge.type == "OneTime":
        return billed, billed
    own = [each for each in periods(version, charge, billed) if each.segment is segment]
    charged = min(billed, own[-1].end) if own else billed
    end = version.segment_end(segment)
    all_billed = end is not None and end <= charged and end != version.term_end
    if charge.billing_timing == "IN_ARREARS" or all_billed:
        return charged, charged
    starts = [each.start for each in own if each.end <= charged]
    return charged, starts[-1] if starts else charged


def billed_through(version: Version, charge: Charge, target: date) -> date | None:
    """What a bill run with this target date moves `billed_through` to: never back."""
    if charge.type == "Usage":
        return charge.billed_through
    ends = [each.end for each in periods(version, charge, target) if each.due(charge) <= target]
    known = [day for day in (charge.billed_through, *ends[-1:]) if day is not None]
    return max(known, default=None)
