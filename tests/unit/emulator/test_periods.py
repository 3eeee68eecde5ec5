"""Billing periods. Expectations follow what recorded previews do: whole periods, anchored, never prorated."""

from __future__ import annotations

from datetime import date

import pytest

from tests.unit.emulator.tenants import a_tenant, act, billed, subscribe
from zuora_emulator.periods import add_months, charged_and_processed, next_boundary, periods


def test_a_charge_begun_on_the_31st_falls_on_the_last_day_of_short_months_and_on_the_31st_again() -> None:
    version = subscribe(a_tenant(), start="2026-01-31")

    starts = [str(each.start) for each in periods(version, version.charges[0], date(2026, 5, 1))]

    assert starts == ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"]


@pytest.mark.parametrize(
    ("period", "every", "expected"),
    [
        ("Month", None, "2026-02-15"),
        ("Quarter", None, "2026-04-15"),
        ("Semi_Annual", None, "2026-07-15"),
        ("Annual", None, "2027-01-15"),
        ("Two_Years", None, "2028-01-15"),
        ("Specific_Months", 5, "2026-06-15"),
        ("Week", None, "2026-01-22"),
        ("Specific_Weeks", 2, "2026-01-29"),
        ("Specific_Days", 10, "2026-01-25"),
        ("Subscription_Term", None, "2027-01-15"),
    ],
)
def test_each_billing_period_has_its_length(period: str, every: int | None, expected: str) -> None:
    version = subscribe(a_tenant(), billing_period=period, every=every)

    assert expected == str(next_boundary(version, version.charges[0], date(2026, 1, 15)))


def test_the_boundary_after_a_boundary_is_the_next_one() -> None:
    version = subscribe(a_tenant())

    assert date(2026, 3, 15) == next_boundary(version, version.charges[0], date(2026, 2, 15))
    assert date(2026, 2, 15) == next_boundary(version, version.charges[0], date(2026, 2, 14))


def test_the_last_period_runs_on_past_the_end_of_the_term() -> None:
    tenant = a_tenant()
    subscribe(tenant)
    version = act(tenant, "cancel", on="2026-12-01")

    last = list(periods(version, version.charges[0], date(2027, 6, 1)))[-1]

    assert (date(2026, 11, 15), date(2026, 12, 15)) == (last.start, last.end)


def test_a_price_that_changes_within_a_period_counts_from_the_next_one() -> None:
    tenant = a_tenant()
    subscribe(tenant)
    version = act(tenant, "change_price", price="12.00", on="2026-12-01")

    found = [
        (str(each.start), str(each.segment.price)) for each in periods(version, version.charges[0], date(2027, 1, 1))
    ]

    assert found[-2:] == [("2026-11-15", "9.99"), ("2026-12-15", "12.00")]


def test_after_a_gap_billing_begins_on_the_day_of_resumption_and_keeps_its_day_of_the_month() -> None:
    tenant = a_tenant()
    subscribe(tenant, term="24")
    act(tenant, "suspend", on="2026-11-20", until="2027-01-03")
    version = tenant.subscriptions["A-S1"].latest

    starts = [str(each.start) for each in periods(version, version.charges[0], date(2027, 3, 1))]

    assert starts[-4:] == ["2026-11-15", "2027-01-03", "2027-01-15", "2027-02-15"]


def test_a_bill_run_moves_charged_through_to_the_end_of_the_running_period() -> None:
    tenant = a_tenant()
    subscribe(tenant)

    version = billed(tenant)

    charge = version.charges[0]
    assert (date(2026, 12, 15), date(2026, 11, 15)) == charged_and_processed(version, charge, charge.segments[0])


def test_in_arrears_only_what_is_over_is_billed() -> None:
    tenant = a_tenant()
    subscribe(tenant, timing="IN_ARREARS")

    version = billed(tenant)

    charge = version.charges[0]
    assert (date(2026, 11, 15), date(2026, 11, 15)) == charged_and_processed(version, charge, charge.segments[0])


def test_a_segment_that_begins_within_a_billed_period_counts_as_billed_to_its_end() -> None:
    tenant = a_tenant()
    subscribe(tenant)
    billed(tenant)
    version = act(tenant, "change_price", price="12.00", on="2026-11-25")

    old, new = version.charges[0].segments

    assert date(2026, 12, 15) == charged_and_processed(version, version.charges[0], old)[0]
    assert date(2026, 12, 15) == charged_and_processed(version, version.charges[0], new)[0]


def test_what_was_never_billed_has_no_charged_through_date() -> None:
    version = subscribe(a_tenant())

    assert charged_and_processed(version, version.charges[0], version.charges[0].segments[0]) == (None, None)


def test_a_month_after_the_29th_of_february_is_in_march() -> None:
    assert date(2028, 3, 29) == add_months(date(2028, 2, 29), 1)
    assert date(2029, 2, 28) == add_months(date(2028, 2, 29), 12)
    assert date(2025, 12, 31) == add_months(date(2026, 1, 31), -1)
