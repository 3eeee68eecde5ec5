"""The schedule computed from segments, and what is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sync_service.subscription.schedule.computed import CannotCompute, compute_preview
from sync_service.subscription.zuora import ChargeSegment, PreviewSource, StatusPeriod, Tier, ZuoraSubscription
from tests.unit.builders import (
    TERM_START,
    a_segment,
    a_subscription,
    an_evergreen_subscription,
    day,
    months,
    term_of,
)


def computed(*segments: ChargeSegment, **fields: Any) -> list[tuple[str, str, str]]:
    """(first day, last day, amount) of every line."""
    items = compute_preview(term_of(a_subscription(segments=segments, **fields))).items
    return [(item.service_start.isoformat(), item.service_end.isoformat(), str(item.amount)) for item in items]


def test_whole_months_in_advance_are_computed_from_where_billing_stopped_to_the_end_of_the_term() -> None:
    assert computed(a_segment()) == [
        ("2026-07-01", "2026-07-31", "17.50"),
        ("2026-08-01", "2026-08-31", "17.50"),
        ("2026-09-01", "2026-09-30", "17.50"),
        ("2026-10-01", "2026-10-31", "17.50"),
        ("2026-11-01", "2026-11-30", "17.50"),
        ("2026-12-01", "2026-12-31", "17.50"),
    ]


def test_a_computed_preview_says_so_and_is_whole() -> None:
    preview = compute_preview(term_of(a_subscription()))

    assert preview.source is PreviewSource.COMPUTED
    assert preview.complete_until is None
    assert preview.items[0].charge_name == "Monthly"


def test_a_price_per_unit_is_taken_times_the_quantity() -> None:
    seats = a_segment(model="PerUnit", price=Decimal("4.20"), quantity=Decimal(3), charged_through=day("2026-12-01"))

    assert computed(seats) == [("2026-12-01", "2026-12-31", "12.60")]


def test_the_31st_comes_back_after_short_months() -> None:
    segment = a_segment(
        effective_start=day("2026-01-31"), effective_end=day("2027-01-31"), charged_through=day("2026-08-31")
    )
    found = computed(segment, term_start=day("2026-01-31"), term_end=day("2027-01-31"), end=day("2027-01-31"))

    assert [start for start, _, _ in found] == ["2026-08-31", "2026-09-30", "2026-10-31", "2026-11-30", "2026-12-31"]


def test_a_price_change_in_a_later_segment_applies_from_its_first_day() -> None:
    now = a_segment(effective_end=day("2026-09-01"))
    later = a_segment(segment=2, price=Decimal("19.00"), effective_start=day("2026-09-01"), charged_through=None)

    assert [(start, amount) for start, _, amount in computed(later, now)] == [
        ("2026-07-01", "17.50"),
        ("2026-08-01", "17.50"),
        ("2026-09-01", "19.00"),
        ("2026-10-01", "19.00"),
        ("2026-11-01", "19.00"),
        ("2026-12-01", "19.00"),
    ]


def test_a_one_time_charge_is_due_once_and_not_again_when_billed() -> None:
    setup = a_segment(
        type="OneTime",
        price=Decimal(25),
        billing_period=None,
        billing_timing=None,
        effective_start=day("2026-07-10"),
        effective_end=day("2026-07-11"),
        charged_through=None,
    )

    assert computed(setup) == [("2026-07-10", "2026-07-10", "25")]
    assert computed(a_segment(type="OneTime", charged_through=day("2026-07-11"))) == []


def test_four_weeks_are_counted_in_days() -> None:
    weekly = a_segment(
        billing_period="Specific_Weeks",
        specific_billing_period=4,
        charged_through=day("2026-06-18"),
        effective_end=day("2026-08-13"),
    )

    assert [start for start, _, _ in computed(weekly)] == ["2026-06-18", "2026-07-16"]


def test_an_evergreen_subscription_is_computed_up_to_the_horizon() -> None:
    preview = compute_preview(term_of(an_evergreen_subscription()))

    assert [item.service_start.isoformat() for item in preview.items] == months("2026-07-01", 12)


def test_free_days_cost_nothing_and_are_shown_so() -> None:
    free = a_segment(price=Decimal(0), effective_end=day("2026-08-01"))

    assert computed(free) == [("2026-07-01", "2026-07-31", "0")]


REFUSED = {
    "is not billed in advance": a_segment(billing_timing="IN_ARREARS"),
    "is of type Usage": a_segment(type="Usage", billing_timing="IN_ARREARS"),
    "has the price model Volume": a_segment(model="Volume", price=None, tiers=(Tier(price=Decimal(1)),)),
    "has the price model Tiered": a_segment(model="Tiered", price=None, tiers=(Tier(price=Decimal(1)),)),
    "is a discount": a_segment(model="DiscountPercentage"),
    "is billed by an invoice schedule": a_segment(invoice_schedule_id="is-1"),
    "is taxed": a_segment(tax_mode="TaxExclusive"),
    "has the billing period Fortnight": a_segment(billing_period="Fortnight"),
    "has a price Per_Year": a_segment(list_price_base="Per_Year"),
    "is billed on another day": a_segment(billing_day="SpecificDayofMonth(#5)", charged_through=None),
    "is billed on another day than": a_segment(billing_day="DefaultFromCustomer", charged_through=None),
    "is billed on another day than its": a_segment(
        billing_day="SpecificDayofWeek/Monday", billing_period="Week", charged_through=None
    ),
    "is billed with AlignToTermStart": a_segment(
        billing_period_alignment="AlignToTermStart", effective_start=day("2026-01-20"), charged_through=None
    ),
    "begins on 2026-07-05": a_segment(charged_through=day("2026-07-05")),
    "ends on 2026-08-20": a_segment(effective_end=day("2026-08-20")),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_only_zuora_knows_is_refused_by_name(reason: str) -> None:
    with pytest.raises(CannotCompute, match=rf"Monthly \(C-1\) .*{reason}"):
        computed(REFUSED[reason])


def test_each_refused_charge_is_named() -> None:
    with pytest.raises(CannotCompute, match=r"Print \(C-2\) is taxed; Seats \(C-3\) is not billed in advance\."):
        computed(
            a_segment(),
            a_segment("C-3", name="Seats", billing_timing="IN_ARREARS"),
            a_segment("C-2", name="Print", tax_mode="TaxInclusive"),
        )


def test_a_charge_beside_a_discount_is_refused_because_it_may_be_reduced() -> None:
    with pytest.raises(CannotCompute, match=r"Monthly \(C-1\) may be reduced by Offer \(C-9\)"):
        computed(a_segment(), a_segment("C-9", name="Offer", model="DiscountPercentage"))


def test_a_discount_that_is_over_reduces_nothing() -> None:
    over = a_segment("C-9", model="DiscountPercentage", effective_end=day("2026-07-01"))

    assert len(computed(a_segment(), over)) == 6


def test_the_accounts_billing_day_is_believed_where_billing_has_followed_the_charges_own() -> None:
    assert len(computed(a_segment(billing_day="DefaultFromCustomer"))) == 6


@pytest.mark.parametrize("through", ["2026-06-30", "2026-05-30"])
def test_the_last_day_of_a_short_month_does_not_tell_whether_the_billing_day_is_the_30th_or_the_31st(
    through: str,
) -> None:
    segment = a_segment(
        billing_day="DefaultFromCustomer",
        effective_start=day("2026-04-30"),
        effective_end=day("2026-12-30"),
        charged_through=day(through),
    )
    if through == "2026-05-30":
        assert [start for start, _, _ in computed(segment)][:2] == ["2026-05-30", "2026-06-30"]
        return
    with pytest.raises(CannotCompute, match="is billed on another day"):
        computed(segment)


def test_weeks_are_counted_from_the_charges_own_day_where_billing_has_followed_it() -> None:
    weekly = a_segment(
        billing_day="SpecificDayofWeek/Thursday",
        billing_period="Week",
        effective_end=day("2026-07-02"),
        charged_through=day("2026-06-18"),
    )

    assert [start for start, _, _ in computed(weekly)] == ["2026-06-18", "2026-06-25"]


def test_a_last_period_that_is_not_prorated_is_computed_whole() -> None:
    cut = a_segment(effective_end=day("2026-08-20"), proration_option="NoProration")

    assert [start for start, _, _ in computed(cut)] == ["2026-07-01", "2026-08-01"]


def test_what_is_over_or_billed_to_its_end_is_not_asked_about() -> None:
    usage_long_ago = a_segment("C-2", type="Usage", effective_end=day("2026-03-01"), charged_through=day("2026-03-01"))

    assert computed(usage_long_ago) == []


@pytest.mark.parametrize(
    "subscription",
    [
        a_subscription(status="Suspended", status_history=()),
        a_subscription(scheduled_suspend=day("2026-08-01")),
        a_subscription(status_history=(StatusPeriod(status="Suspended", start=TERM_START),)),
    ],
)
def test_a_suspended_subscription_is_refused(subscription: ZuoraSubscription) -> None:
    with pytest.raises(CannotCompute, match="suspended"):
        compute_preview(term_of(subscription))
