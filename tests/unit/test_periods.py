"""Where billing periods begin."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_service.subscription.schedule.periods import Grid, Length, add_months, length_of
from tests.unit.builders import a_segment, a_subscription, day

days = st.dates(date(1990, 1, 1), date(2090, 1, 1))
lengths = st.one_of(
    st.integers(1, 60).map(lambda months: Length(months=months)),
    st.integers(1, 400).map(lambda count: Length(days=count)),
)


def test_a_charge_of_the_31st_falls_on_the_last_day_of_short_months_and_comes_back() -> None:
    grid = Grid(day("2026-01-31"), Length(months=1))

    begins = [grid.at(index).isoformat() for index in range(5)]

    assert begins == ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]


def test_a_leap_day_is_kept_from_one_leap_year_to_the_next() -> None:
    grid = Grid(day("2024-02-29"), Length(months=12))

    assert [grid.at(index).isoformat() for index in (1, 4)] == ["2025-02-28", "2028-02-29"]


# Zuora's billing periods: "Retrieve a subscription by key", billingPeriod and specificBillingPeriod.
@pytest.mark.parametrize(
    ("period", "specific", "second"),
    [
        ("Month", None, "2026-02-15"),
        ("Quarter", None, "2026-04-15"),
        ("Semi_Annual", None, "2026-07-15"),
        ("Semi-Annual", None, "2026-07-15"),
        ("Annual", None, "2027-01-15"),
        ("Eighteen_Months", None, "2027-07-15"),
        ("Two_Years", None, "2028-01-15"),
        ("Three_Years", None, "2029-01-15"),
        ("Five_Years", None, "2031-01-15"),
        ("Week", None, "2026-01-22"),
        ("Specific_Months", 2, "2026-03-15"),
        ("Specific_Weeks", 4, "2026-02-12"),
        ("Specific_Days", 10, "2026-01-25"),
        ("Subscription_Term", None, "2027-01-15"),
    ],
)
def test_zuoras_billing_periods_are_known(period: str, specific: int | None, second: str) -> None:
    segment = a_segment(billing_period=period, specific_billing_period=specific)
    length = length_of(segment, a_subscription(current_term=12, current_term_period="Month"))

    assert length is not None
    assert length.after(day("2026-01-15")) == day(second)


@pytest.mark.parametrize("period", [None, "", "Fortnight", "Specific_Months", "Specific_Moons"])
def test_a_billing_period_that_says_too_little_has_no_length(period: str | None) -> None:
    assert length_of(a_segment(billing_period=period), a_subscription()) is None


@given(days, lengths, days)
def test_each_day_lies_in_exactly_the_period_that_the_grid_names(anchor: date, length: Length, any_day: date) -> None:
    grid = Grid(anchor, length)
    index = grid.index_of(any_day)

    assert grid.at(index) <= any_day < grid.at(index + 1)


@given(days, lengths, st.integers(-20, 20))
def test_a_beginning_is_recognised_as_one(anchor: date, length: Length, index: int) -> None:
    grid = Grid(anchor, length)

    assert grid.begins_on(grid.at(index))


@given(st.dates(), st.integers(-200_000, 200_000))
def test_months_never_lead_out_of_the_calendar(start: date, months: int) -> None:
    assert date.min <= add_months(start, months) <= date.max


def test_days_never_lead_out_of_the_calendar() -> None:
    assert Length(days=2**31).after(day("2026-01-01")) == date.max
    assert Length(days=2**31).after(day("2026-01-01"), -1) == date.min
