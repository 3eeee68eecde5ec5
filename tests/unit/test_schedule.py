"""Which lines fall due on which day."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sync_service.errors import PreviewIncomplete
from sync_service.subscription.schedule.computed import CannotCompute
from sync_service.subscription.schedule.due import DueSchedule, due_schedule
from sync_service.subscription.zuora import PreviewItem, ZuoraSubscription
from tests.unit.builders import (
    a_preview,
    a_preview_item,
    a_segment,
    a_subscription,
    an_evergreen_subscription,
    day,
    term_of,
)


def due(*items: PreviewItem, subscription: ZuoraSubscription | None = None, **preview: Any) -> DueSchedule:
    return due_schedule(term_of(subscription or a_subscription()), a_preview(*items, **preview), "GBP")


def days(schedule: DueSchedule) -> list[str]:
    return [each.isoformat() for each in sorted(schedule.lines)]


def test_a_line_in_advance_is_due_on_the_first_day_of_its_service() -> None:
    assert days(due(a_preview_item("2026-07-01"))) == ["2026-07-01"]


def test_a_line_in_arrears_is_due_on_the_day_after_its_last() -> None:
    arrears = a_subscription(segments=(a_segment(billing_timing="IN_ARREARS"),))

    assert days(due(a_preview_item("2026-07-01"), subscription=arrears)) == ["2026-08-01"]


def test_the_last_arrears_of_the_term_fall_due_on_its_end() -> None:
    arrears = a_subscription(segments=(a_segment(billing_timing="IN_ARREARS"),))

    assert days(due(a_preview_item("2026-12-01"), subscription=arrears)) == ["2027-01-01"]


def test_a_one_time_line_is_due_on_its_day() -> None:
    setup = a_preview_item("2026-07-10", charge_number="C-2", charge_type="OneTime", service_end=day("2026-07-10"))

    assert days(due(setup, a_preview_item())) == ["2026-07-01", "2026-07-10"]


def test_a_line_belongs_to_the_term_if_its_service_starts_before_the_end() -> None:
    """A last period may reach beyond the term: Zuora bills it whole."""
    last, next_term = a_preview_item("2026-12-15"), a_preview_item("2027-01-01")

    assert days(due(last, next_term)) == ["2026-12-15"]


def test_an_evergreen_schedule_stops_at_the_horizon() -> None:
    items = [a_preview_item(start) for start in ("2027-06-01", "2027-06-14", "2027-06-15")]

    schedule = due(*items, subscription=an_evergreen_subscription(), target_date=day("2027-07-15"))

    assert days(schedule) == ["2027-06-01", "2027-06-14"]


def test_a_discount_falls_due_with_what_it_is_taken_off() -> None:
    """Its own charge has no billing timing; the lines of the same service tell."""
    discount = a_preview_item(
        "2026-07-01", "-1.75", charge_number="C-9", charge_name="Offer", processing_type="Discount"
    )
    of_arrears = a_subscription(
        segments=(
            a_segment(billing_timing="IN_ARREARS"),
            a_segment("C-9", model="DiscountPercentage", billing_timing=None),
        )
    )

    assert days(due(discount, a_preview_item("2026-07-01"), subscription=of_arrears)) == ["2026-08-01"]
    assert days(due(discount, a_preview_item("2026-07-01"))) == ["2026-07-01"]
    assert days(due(discount, a_preview_item("2026-08-01"))) == ["2026-07-01", "2026-08-01"]


def test_usage_is_due_after_use_and_its_amount_is_not_known() -> None:
    usage = a_preview_item("2026-07-01", None, charge_number="C-5", charge_name="Calls", charge_type="Usage")

    schedule = due(usage, a_preview_item("2026-07-01"))

    assert days(schedule) == ["2026-07-01"]
    assert schedule.unknown_days == {day("2026-08-01")}
    assert any("Calls" in note for note in schedule.notes)


def test_amounts_are_in_whole_smallest_units() -> None:
    schedule = due(a_preview_item("2026-07-01", "5.837419349"))

    assert schedule.lines[day("2026-07-01")][0].amount == Decimal("5.84")


def test_nothing_may_go_on_a_billed_day() -> None:
    schedule = due()

    assert schedule.must_keep(day("2026-06-01"))
    assert not schedule.must_keep(day("2026-07-01"))


def test_the_payment_that_renews_is_the_first_to_come_on_or_after_the_end() -> None:
    days = [day(text) for text in ("2026-12-01", "2027-01-05", "2027-02-05")]

    assert due().renewal_day(days, day("2026-06-15")) == day("2027-01-05")
    assert due().renewal_day(days, day("2027-01-06")) == day("2027-02-05")
    assert due().renewal_day(days[:1], day("2026-06-15")) is None


@pytest.mark.parametrize(
    "subscription", [a_subscription(auto_renew=False), a_subscription(scheduled_cancel=day("2027-01-01"))]
)
def test_where_nothing_will_renew_no_payment_is_that_of_the_renewal(subscription: ZuoraSubscription) -> None:
    assert due(subscription=subscription).renewal_day([day("2027-01-01")], day("2026-06-15")) is None


def test_the_payment_that_renews_costs_what_goes_on_then() -> None:
    end = day("2027-01-01")
    risen = a_segment(segment=2, price=Decimal("19.00"), effective_start=day("2026-09-01"), charged_through=None)
    ends = a_segment("C-2", name="Until the end", effective_end=end, end_condition="Specific_End_Date")
    quarterly = a_segment("C-3", name="Quarterly", billing_period="Quarter", price=Decimal("60.00"))
    first = a_segment(effective_end=day("2026-09-01"))
    previewed = [a_preview_item(charge_number=each) for each in ("C-1", "C-2", "C-3")]
    subscription = a_subscription(segments=(first, risen, ends, quarterly))

    lines = due(*previewed, subscription=subscription).renewal_lines(end)

    assert [(line.name, line.amount) for line in lines] == [
        ("Monthly", Decimal("19.00")),
        ("Quarterly", Decimal("60.00")),
    ]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"model": "Tiered"}, "price model"),
        ({"tax_mode": "TaxExclusive"}, "taxed"),
        ({"price_change": "SpecificPercentageValue"}, "changes its price"),
        ({"price": Decimal(0)}, "no charge that costs something"),
    ],
)
def test_what_the_payment_that_renews_costs_is_not_guessed(values: dict[str, Any], reason: str) -> None:
    schedule = due(subscription=a_subscription(segments=(a_segment(**values),)))

    with pytest.raises(CannotCompute, match=reason):
        schedule.renewal_lines(day("2027-01-01"))


def test_charges_of_an_invoice_schedule_that_the_preview_does_not_show_keep_everything() -> None:
    scheduled = a_subscription(segments=(a_segment(), a_segment("C-7", name="Milestones", invoice_schedule_id="is-1")))

    schedule = due(subscription=scheduled)

    assert schedule.must_keep(day("2026-09-09"))
    assert any("Milestones (C-7)" in note for note in schedule.notes)


def test_an_incomplete_preview_makes_no_schedule() -> None:
    with pytest.raises(PreviewIncomplete):
        due(a_preview_item(charge_number="C-OTHER", charge_name="Other"))


def test_the_order_of_the_lines_makes_no_difference() -> None:
    items = [a_preview_item("2026-07-01", amount) for amount in ("3.00", "1.00", "2.00")]

    assert due(*items).lines == due(*reversed(items)).lines


def test_before_activation_every_payment_is_kept() -> None:
    """Zuora bills nothing then, which says nothing of what will be billed."""
    pending = a_subscription(status="Pending Activation", status_history=())

    assert due(a_preview_item(), subscription=pending).must_keep(day("2026-09-09"))
