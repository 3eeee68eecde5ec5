"""Billing periods: where those of a charge begin and end. Pure.

A grid is anchored: its n-th beginning is counted from the anchor, never from the beginning before, so that a charge
which began on the 31st falls due on the last day of short months and on the 31st again.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from sync_service.subscription.zuora import ChargeSegment, ZuoraSubscription

#: Zuora's `billingPeriod` of charges ("Retrieve a subscription by key"), in months.
_MONTHS = {
    "month": 1,
    "quarter": 3,
    "semi_annual": 6,
    "annual": 12,
    "eighteen_months": 18,
    "two_years": 24,
    "three_years": 36,
    "five_years": 60,
}
#: Zuora's period types of terms, and the units of the `Specific_…` billing periods, as (months, days).
_UNITS = {"month": (1, 0), "year": (12, 0), "week": (0, 7), "day": (0, 1)}


@dataclass(frozen=True)
class Length:
    """How long one period is: whole months, or days."""

    months: int = 0
    days: int = 0

    @property
    def is_positive(self) -> bool:
        """Whether such periods get anywhere."""
        return (self.months > 0) != (self.days > 0)

    def after(self, anchor: date, count: int = 1) -> date:
        """The day `count` periods after `anchor`; the last day that there is, where it would lie beyond."""
        if self.months:
            return add_months(anchor, count * self.months)
        try:
            return anchor + timedelta(days=count * self.days)
        except OverflowError:
            return date.max if count > 0 else date.min


@dataclass(frozen=True)
class Grid:
    """Where periods of one length begin, counted from the anchor in both directions."""

    anchor: date
    length: Length

    def at(self, index: int) -> date:
        """The beginning number `index`; 0 is the anchor."""
        return self.length.after(self.anchor, index)

    def index_of(self, day: date) -> int:
        """The number of the period that holds `day`."""
        if self.length.days:
            return (day - self.anchor).days // self.length.days
        apart = (day.year - self.anchor.year) * 12 + day.month - self.anchor.month
        index = apart // self.length.months
        # Within the anchor's month the day decides.
        return index - 1 if self.at(index) > day else index

    def begins_on(self, day: date) -> bool:
        """Whether a period begins on `day`."""
        return self.at(self.index_of(day)) == day


@lru_cache(maxsize=4096)
def add_months(day: date, months: int) -> date:
    """The same day `months` later, or the last of that month where it is shorter; bounded by the calendar's ends."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if year > date.max.year:
        return date.max
    if year < date.min.year:
        return date.min
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def length_of(segment: ChargeSegment, subscription: ZuoraSubscription) -> Length | None:
    """How long a billing period of `segment` is; None where Zuora's word for it is not known or says too little."""
    word = (segment.billing_period or "").strip().lower().replace(" ", "_").replace("-", "_")
    if word in _MONTHS:
        return Length(months=_MONTHS[word])
    if word == "week":
        return Length(days=7)
    if word == "subscription_term":
        return _times(subscription.current_term, subscription.current_term_period)
    if word.startswith("specific_"):
        return _times(segment.specific_billing_period, word.removeprefix("specific_"))
    return None


def _times(count: int | None, unit: str | None) -> Length | None:
    unit_length = _UNITS.get((unit or "").lower().removesuffix("s"))
    if unit_length is None or not count or count < 0:
        return None
    return Length(months=count * unit_length[0], days=count * unit_length[1])
