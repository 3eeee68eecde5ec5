"""The charges of a subscription over time: their segments, what costs nothing, and which periods are billed. Pure.

Billing ran up to `chargedThroughDate`, the first day that is not yet billed ("Retrieve a subscription by key"). In
advance a period falls due on its first day, in arrears on the day after its last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property

from sync_service.subscription.schedule.periods import Grid, Length, length_of
from sync_service.subscription.zuora import ChargeSegment, ZuoraSubscription

#: No tenant bills further ahead than this many periods; a later date is not believed.
MAX_PERIODS = 2000


@dataclass(frozen=True)
class Charge:
    """One rate plan charge with all of its segments, earliest first."""

    subscription: ZuoraSubscription
    segments: tuple[ChargeSegment, ...]
    #: Numbers of the segments that were last billed for longer than one of their own periods.
    billed_otherwise: frozenset[int] = frozenset()

    @property
    def number(self) -> str:
        """Zuora's stable name of the charge, such as C-00000950."""
        return self.segments[0].charge_number

    @property
    def name(self) -> str:
        """The charge for people: its latest name and its number."""
        return f"{self.segments[-1].name} ({self.number})".strip()

    @cached_property
    def anchor(self) -> date | None:
        """The charge's own day: its first day ever. Periods are counted from it over all segments."""
        return min((each.effective_start for each in self.segments if each.effective_start), default=None)

    def length_of(self, segment: ChargeSegment) -> Length | None:
        """How long one billing period of `segment` is, where known."""
        length = length_of(segment, self.subscription)
        return length if length is not None and length.is_positive else None

    def grid_of(self, segment: ChargeSegment) -> Grid | None:
        """Where the billing periods of `segment` begin: counted from the charge's own day, where billing did so too.

        Else counted back from `chargedThroughDate`: the billing day is another one. None where nothing tells.
        """
        length = self.length_of(segment)
        if length is None:
            return None
        through = segment.charged_through
        if self.anchor is not None and (through is None or Grid(self.anchor, length).begins_on(through)):
            return Grid(self.anchor, length)
        return Grid(through, length) if through is not None else None

    def segment_on(self, day: date) -> ChargeSegment:
        """The segment in force on `day`, else the nearest one before it, else the first."""
        begun = [each for each in self.segments if each.effective_start is not None and each.effective_start <= day]
        return begun[-1] if begun else self.segments[0]


def charges_of(subscription: ZuoraSubscription) -> tuple[Charge, ...]:
    """All charges, by number; the order of Zuora's answer does not matter."""
    by_number: dict[str, list[ChargeSegment]] = defaultdict(list)
    for segment in subscription.segments:
        by_number[segment.charge_number].append(segment)
    return tuple(_charge(subscription, _in_order(segments)) for _, segments in sorted(by_number.items()))


def _charge(subscription: ZuoraSubscription, segments: tuple[ChargeSegment, ...]) -> Charge:
    charge = Charge(subscription, segments)
    otherwise = frozenset(each.segment for each in segments if _is_billed_otherwise(charge, each))
    return replace(charge, billed_otherwise=otherwise) if otherwise else charge


def _is_billed_otherwise(charge: Charge, segment: ChargeSegment) -> bool:
    """Whether the label and the dates of `segment` contradict each other: it was billed for longer than one period.

    In advance the last billed period runs from `processedThroughDate` to `chargedThroughDate` ("Retrieve a
    subscription by key").
    """
    begun, through = segment.processed_through, segment.charged_through
    if begun is None or through is None or is_in_arrears(segment):
        return False
    grid = charge.grid_of(segment)
    return grid is not None and grid.at(grid.index_of(begun) + 1) < through


def _in_order(segments: list[ChargeSegment]) -> tuple[ChargeSegment, ...]:
    # Most charges have one segment, and spelling out a segment takes longer than all else here.
    return tuple(segments) if len(segments) == 1 else tuple(sorted(segments, key=_order))


def _order(segment: ChargeSegment) -> tuple[date, int, str]:
    """By first day; the rest only puts what Zuora should not answer in one order, too."""
    return segment.effective_start or date.max, segment.segment, repr(segment)


def is_in_arrears(segment: ChargeSegment) -> bool:
    """Whether a period falls due on the day after its last; usage always does."""
    return segment.billing_timing == "IN_ARREARS" or segment.type == "Usage"


def costs_something(segment: ChargeSegment) -> bool:
    """Whether the segment has a price above zero, or tiers with one, for more than no unit at all."""
    if segment.tiers:
        return any(tier.price is None or tier.price > 0 for tier in segment.tiers)
    if segment.model == "PerUnit" and segment.quantity == 0:
        return False
    return segment.price is not None and segment.price > 0


def is_billed_day(charges: tuple[Charge, ...], day: date) -> bool:
    """Whether on `day` a period falls due that ends on or before its charge's `chargedThroughDate`."""
    return any(_bills_on(charge, segment, day) for charge in charges for segment in charge.segments)


def _bills_on(charge: Charge, segment: ChargeSegment, day: date) -> bool:
    start, through = segment.effective_start, segment.charged_through
    if start is None or through is None or segment.is_discount:
        return False
    if segment.type == "OneTime":
        return day == start <= through
    end = segment.effective_end or date.max
    stop = min(end, through)
    if is_in_arrears(segment):
        return start < day <= stop and (day == end or _begins_on(charge, segment, day, unknown=True))
    if not start <= day < stop:
        return False
    return day in (start, segment.processed_through) or _begins_on(charge, segment, day, unknown=False)


def _begins_on(charge: Charge, segment: ChargeSegment, day: date, *, unknown: bool) -> bool:
    grid = charge.grid_of(segment)
    return unknown if grid is None else grid.begins_on(day)


@dataclass(frozen=True)
class BilledPeriod:
    """A period in advance that is billed and not over: it runs, or is yet to come."""

    charge: Charge
    segment: ChargeSegment
    #: The due day.
    start: date
    #: Exclusive.
    end: date
    #: Begins and ends with a billing period of the charge.
    whole: bool


def billed_and_not_over(charges: tuple[Charge, ...], today: date, end: date) -> Iterator[BilledPeriod]:
    """The billed periods that hold `today` or begin later, before `end`; one-time charges count for their day."""
    for charge in charges:
        for segment in charge.segments:
            through = segment.charged_through
            if through is None or segment.is_discount or is_in_arrears(segment):
                continue
            if segment.effective_start is None or (segment.effective_end or date.max) <= today:
                continue
            yield from (each for each in _periods(charge, segment, today, through) if each.start < end)


def _periods(charge: Charge, segment: ChargeSegment, today: date, through: date) -> Iterator[BilledPeriod]:
    first = segment.effective_start or today
    if segment.type == "OneTime":
        if today <= first <= through:
            yield BilledPeriod(charge, segment, first, through, whole=True)
        return
    if through <= today:
        return
    grid = charge.grid_of(segment)
    if grid is None or segment.segment in charge.billed_otherwise:
        last_billed = segment.processed_through
        if last_billed is not None and first <= last_billed < min(through, segment.effective_end or date.max):
            yield BilledPeriod(charge, segment, last_billed, through, whole=False)
        return
    begin = grid.index_of(max(today, first))
    stop = min(through, segment.effective_end or date.max)
    for index in range(begin, begin + MAX_PERIODS):
        start, end = grid.at(index), grid.at(index + 1)
        if start >= stop:
            return
        whole = start >= first and end <= through and grid.anchor == charge.anchor
        yield BilledPeriod(charge, segment, max(start, first), min(end, through), whole=whole)
