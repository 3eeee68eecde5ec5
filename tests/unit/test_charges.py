"""What costs something, and which days and periods are billed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sync_service.subscription.schedule.charges import billed_and_not_over, charges_of, costs_something, is_billed_day
from sync_service.subscription.zuora import ChargeSegment, Tier
from tests.unit.builders import TERM_END, TODAY, a_segment, a_subscription, day


def is_billed(segment: ChargeSegment, on: str, **subscription: Any) -> bool:
    return is_billed_day(charges_of(a_subscription(segments=(segment,), **subscription)), day(on))


@pytest.mark.parametrize(
    ("on", "billed"),
    [
        ("2026-01-01", True),
        ("2026-06-01", True),
        ("2026-07-01", False),  # the first day that is not yet billed
        ("2026-06-02", False),
        ("2025-12-01", False),
    ],
)
def test_in_advance_the_first_day_of_a_billed_period_is_a_billed_day(on: str, billed: bool) -> None:
    assert is_billed(a_segment(), on) is billed


@pytest.mark.parametrize(
    ("on", "billed"), [("2026-01-01", False), ("2026-02-01", True), ("2026-07-01", True), ("2026-08-01", False)]
)
def test_in_arrears_the_day_after_a_billed_period_is_a_billed_day(on: str, billed: bool) -> None:
    assert is_billed(a_segment(billing_timing="IN_ARREARS"), on) is billed


def test_the_last_arrears_of_a_charge_that_ends_within_a_period_are_billed_on_its_end() -> None:
    ended = a_segment(billing_timing="IN_ARREARS", effective_end=day("2026-06-20"), charged_through=day("2026-06-20"))

    assert is_billed(ended, "2026-06-20")


def test_what_is_billed_beyond_the_end_of_its_charge_is_no_billed_day() -> None:
    """A plan removed from 1 August on, though it was invoiced up to October: the rest is credited."""
    removed = a_segment(effective_end=day("2026-08-01"), charged_through=day("2026-10-01"))

    assert is_billed(removed, "2026-07-01")
    assert not is_billed(removed, "2026-08-01")
    assert not is_billed(removed, "2026-09-01")


def test_a_billed_one_time_charge_is_billed_on_its_day_alone() -> None:
    setup = a_segment(
        type="OneTime",
        billing_period=None,
        billing_timing=None,
        effective_start=day("2026-06-20"),
        effective_end=day("2026-06-21"),
        charged_through=day("2026-06-21"),
    )

    assert is_billed(setup, "2026-06-20")
    assert not is_billed(setup, "2026-06-21")


def test_a_charge_never_billed_has_no_billed_day() -> None:
    assert not is_billed(a_segment(charged_through=None), "2026-01-01")


def test_billing_on_another_day_than_the_charges_own_is_counted_back_from_where_it_stopped() -> None:
    """Begun on the 10th, billed on the 1st: the first period is a short one."""
    monthly = a_segment(
        effective_start=day("2026-01-10"), charged_through=day("2026-09-01"), billing_day="DefaultFromCustomer"
    )

    assert [is_billed(monthly, on) for on in ("2026-01-10", "2026-07-01", "2026-08-01")] == [True, True, True]
    assert [is_billed(monthly, on) for on in ("2026-07-10", "2026-09-01")] == [False, False]


def test_an_unknown_billing_period_still_shows_its_last_billed_day() -> None:
    odd = a_segment(billing_period="Fortnight", processed_through=day("2026-07-08"), charged_through=day("2026-07-22"))

    assert is_billed(odd, "2026-07-08")
    assert not is_billed(odd, "2026-07-09")


def test_segments_of_a_charge_share_its_own_day() -> None:
    """A price change on 10 March does not move the 31st."""
    before = a_segment(
        effective_start=day("2026-01-31"), effective_end=day("2026-03-10"), charged_through=day("2026-03-31")
    )
    after = a_segment(
        segment=2, effective_start=day("2026-03-10"), effective_end=TERM_END, charged_through=day("2026-08-31")
    )
    charges = charges_of(a_subscription(segments=(after, before)))

    assert is_billed_day(charges, day("2026-07-31"))
    assert not is_billed_day(charges, day("2026-07-30"))


def running(*segments: ChargeSegment, end: str = "2027-01-01") -> list[tuple[str, str, bool]]:
    charges = charges_of(a_subscription(segments=segments))
    found = billed_and_not_over(charges, TODAY, day(end))
    return [(period.start.isoformat(), period.end.isoformat(), period.whole) for period in found]


def test_the_running_period_and_those_billed_ahead_are_found() -> None:
    assert running(a_segment()) == [("2026-06-01", "2026-07-01", True)]
    assert running(a_segment(charged_through=day("2026-08-01"))) == [
        ("2026-06-01", "2026-07-01", True),
        ("2026-07-01", "2026-08-01", True),
    ]


@pytest.mark.parametrize(
    "segment",
    [
        a_segment(charged_through=None),
        a_segment(charged_through=day("2026-06-01")),
        a_segment(charged_through=TODAY),
        a_segment(effective_end=TODAY),
        a_segment(billing_timing="IN_ARREARS"),
        a_segment(model="DiscountPercentage"),
    ],
)
def test_nothing_runs_that_is_not_billed_has_ended_or_is_paid_afterwards(segment: ChargeSegment) -> None:
    assert running(segment) == []


def test_a_billed_period_that_the_end_of_the_term_cuts_is_whole_when_billed_whole() -> None:
    """Recorded: a term to 12 September, billed to 28 September."""
    annual = a_segment(
        billing_period="Annual",
        effective_start=day("2024-09-28"),
        effective_end=day("2026-09-12"),
        charged_through=day("2026-09-28"),
    )

    assert running(annual, end="2026-09-12") == [("2025-09-28", "2026-09-28", True)]


def test_a_first_period_cut_short_by_another_billing_day_is_not_whole() -> None:
    short = a_segment(effective_start=day("2026-06-10"), charged_through=day("2026-07-01"))

    assert running(short) == [("2026-06-10", "2026-07-01", False)]


@pytest.mark.parametrize(
    ("segment", "costs"),
    [
        (a_segment(), True),
        (a_segment(price=Decimal(0)), False),
        (a_segment(price=None), False),
        (a_segment(price=None, tiers=(Tier(price=Decimal(3)),)), True),
        (a_segment(price=None, tiers=(Tier(price=Decimal(0)),)), False),
        (a_segment(model="PerUnit", quantity=Decimal(0)), False),
        (a_segment(model="PerUnit", quantity=Decimal(2)), True),
        (a_segment(model="FlatFee", quantity=Decimal(0)), True),
    ],
)
def test_what_costs_something_has_a_price_and_units(segment: ChargeSegment, costs: bool) -> None:
    assert costs_something(segment) is costs


def test_a_one_time_charge_that_is_not_billed_yet_is_not_taken_for_billed() -> None:
    """An odd answer: billed through a day before it begins."""
    odd = a_segment(
        type="OneTime",
        effective_start=day("2026-07-01"),
        effective_end=day("2026-07-02"),
        charged_through=day("2026-06-20"),
    )

    assert running(odd) == []
