"""Limio's schedule entries against what is due."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sync_service.subscription.plan import Cancel, Change, Create, Update
from sync_service.subscription.schedule.due import due_schedule
from sync_service.subscription.schedule.entries import compare_schedule
from sync_service.subscription.zuora import PreviewItem, Tier, ZuoraSubscription
from tests.unit.builders import (
    TODAY,
    a_line_item,
    a_preview,
    a_preview_item,
    a_segment,
    a_subscription,
    an_entry,
    day,
    months,
    term_of,
)

NEVER_BILLED = a_subscription(segments=(a_segment(effective_start=day("2026-07-01"), charged_through=None),))
JULY = a_preview_item("2026-07-01")


def compare(
    entries: list[dict[str, Any]],
    *items: PreviewItem,
    subscription: ZuoraSubscription = NEVER_BILLED,
    currency: str | None = "GBP",
    **preview: Any,
) -> tuple[list[Change], list[str]]:
    schedule = due_schedule(term_of(subscription), a_preview(*items, **preview), currency)
    return compare_schedule(entries, schedule, TODAY, None)


def in_short(changes: list[Change]) -> list[tuple[str, str]]:
    """(what, which) of every change: a new entry by its day, another one by its id."""
    short = []
    for change in changes:
        if isinstance(change, Create):
            short.append(("create", change.document["data"]["date"][:10]))
        else:
            short.append(("update" if isinstance(change, Update) else "cancel", change.id))
    return short


def after(change: Change) -> dict[str, Any]:
    assert isinstance(change, Update)
    return {field.path.removeprefix("data."): field.after for field in change.fields}


def test_an_entry_that_agrees_is_left_alone_however_its_amounts_are_written() -> None:
    plain = an_entry(data={"amount": 17.5, "amountWithoutTax": "17.5", "taxAmount": "0", "unit_amount": 17.5})

    assert compare([plain], JULY) == ([], [])


def test_an_older_entry_that_has_no_more_than_its_amount_is_left_alone() -> None:
    """Limio's older shape: a date, an amount, a currency and a type."""
    bare = {
        "id": "schedule-1",
        "status": "pending-external",
        "data": {"date": "2026-07-01T00:00:00.000", "amount": "17.50", "currency": "GBP", "type": "payment"},
    }

    assert compare([bare], JULY) == ([], [])


def test_a_changed_price_changes_the_amounts_and_the_line_and_nothing_else() -> None:
    changes, notes = compare([an_entry()], a_preview_item(amount="19.00"))

    assert in_short(changes) == [("update", "schedule-2026-07-01")]
    assert after(changes[0]) == {
        "amount": "19.00",
        "amountWithoutTax": "19.00",
        "unit_amount": "19.00",
        "lineItems": [a_line_item(amount="19.00")],
    }
    assert notes == []


def test_tax_apart_is_written_as_limio_has_it_a_number_beside_texts() -> None:
    changes, _ = compare([], a_preview_item(amount="20.83", tax_amount=Decimal("4.16")))

    assert isinstance(changes[0], Create)
    data = changes[0].document["data"]
    assert (data["amount"], data["amountWithoutTax"], data["taxAmount"]) == ("24.99", "20.83", 4.16)
    assert data["lineItems"][0]["taxAmount"] == "4.16"


def test_a_new_entry_has_limios_shape() -> None:
    changes, _ = compare([], JULY)

    assert changes == [
        Create(
            record_type="schedule",
            document={
                "status": "pending-external",
                "data": {
                    "date": "2026-07-01T00:00:00.000",
                    "schedule_date": "2026-07-01T00:00:00.000",
                    "type": "payment",
                    "description": "Digital",
                    "amount": "17.50",
                    "amountWithoutTax": "17.50",
                    "taxAmount": 0,
                    "unit_amount": "17.50",
                    "quantity": 1,
                    "currency": "GBP",
                    "lineItems": [a_line_item()],
                },
            },
            reason="Due in Zuora on 2026-07-01.",
        )
    ]


@pytest.mark.parametrize(("currency", "amount", "text"), [("JPY", "1980", "1980"), ("KWD", "5.25", "5.250")])
def test_amounts_have_the_decimals_of_the_currency(currency: str, amount: str, text: str) -> None:
    changes, _ = compare([], a_preview_item(amount=amount), currency=currency)

    assert isinstance(changes[0], Create)
    assert changes[0].document["data"]["amount"] == text
    assert changes[0].document["data"]["currency"] == currency


def test_an_entry_of_a_charge_that_no_longer_applies_is_cancelled() -> None:
    changes, _ = compare([an_entry("2026-07-01"), an_entry("2026-07-15")], JULY)

    assert in_short(changes) == [("cancel", "schedule-2026-07-15")]


def test_a_cancelled_entry_stays_cancelled_and_a_charge_that_returns_gets_a_new_one() -> None:
    changes, _ = compare([an_entry(status="cancelled")], JULY)

    assert in_short(changes) == [("create", "2026-07-01")]


@pytest.mark.parametrize("fields", [{"data": {"type": "refund"}}, {"status": "failed"}])
def test_what_is_no_live_payment_is_not_looked_at(fields: dict[str, Any]) -> None:
    changes, _ = compare([an_entry("2026-07-15", **fields)], JULY)

    assert in_short(changes) == [("create", "2026-07-01")]


@pytest.mark.parametrize("status", ["pending", "active"])
def test_a_payment_that_zuora_does_not_bill_is_never_changed(status: str) -> None:
    assert compare([an_entry("2026-07-15", status=status), an_entry()], JULY)[0] == []
    changes, notes = compare([an_entry(status=status)], a_preview_item(amount="19.00"))

    assert changes == []
    assert notes == [
        "The payment of 2026-07-01 is 17.50 in Limio and 19.00 in Zuora: it is not billed by Zuora and stays."
    ]


def test_an_entry_without_a_date_is_left_alone_and_said() -> None:
    changes, notes = compare(
        [an_entry("2026-07-01"), an_entry("2026-07-02", data={"date": "soon", "schedule_date": None})], JULY
    )

    assert changes == []
    assert "no date" in notes[0]


def test_a_day_is_told_by_the_schedule_date_where_there_is_no_other() -> None:
    assert compare([an_entry(data={"date": None})], JULY)[0] == []


# The past: a previewed period without an entry gets one, what is there is history.


def test_a_past_day_that_is_still_to_be_billed_gets_an_entry() -> None:
    """The bill run is late: 1 June is not billed on 15 June."""
    late = a_subscription(segments=(a_segment(charged_through=day("2026-06-01")),))

    changes, _ = compare([], a_preview_item("2026-06-01"), JULY, subscription=late)

    assert in_short(changes) == [("create", "2026-06-01"), ("create", "2026-07-01")]


def test_a_past_entry_is_neither_changed_nor_cancelled() -> None:
    late = a_subscription(segments=(a_segment(charged_through=day("2026-06-01")),))
    entries = [an_entry("2026-06-01"), an_entry("2026-06-10"), an_entry()]

    changes, notes = compare(entries, a_preview_item("2026-06-01", "19.00"), JULY, subscription=late)

    assert changes == []
    assert notes == ["The payment of 2026-06-01 is 17.50 in Limio and 19.00 in Zuora: it is past and stays."]


# Billed days: absence from the preview means nothing.


def test_an_entry_of_today_that_was_billed_this_morning_stays() -> None:
    billed_today = a_subscription(
        segments=(a_segment(effective_start=day("2026-01-15"), charged_through=day("2026-07-15")),)
    )

    changes, _ = compare([an_entry("2026-06-15")], a_preview_item("2026-07-15"), subscription=billed_today)

    assert in_short(changes) == [("create", "2026-07-15")]


def test_entries_invoiced_ahead_stay() -> None:
    ahead = a_subscription(segments=(a_segment(charged_through=day("2026-10-01")),))
    entries = [an_entry(on) for on in months("2026-06-01", 8)]

    items = [a_preview_item(on) for on in months("2026-10-01", 3)]

    assert compare(entries, *items, subscription=ahead) == ([], [])


def test_on_a_billed_day_lines_are_added_and_changed_but_none_is_removed() -> None:
    """Digital is invoiced ahead, Print is not: the day's entry has both and only Print is previewed."""
    ahead = a_subscription(
        segments=(
            a_segment("C-1", name="Digital", charged_through=day("2026-08-01")),
            a_segment("C-2", name="Print", charged_through=day("2026-07-01")),
        )
    )
    print_line = a_preview_item("2026-07-01", "6.00", charge_number="C-2", charge_name="Print")
    digital_next = a_preview_item("2026-08-01", charge_number="C-1", charge_name="Digital")
    both = [a_line_item("Digital", "17.50"), a_line_item("Print", "5.00")]
    entries = [an_entry("2026-06-01"), an_entry("2026-07-01", "22.50", data={"lineItems": both})]

    changes, _ = compare(entries, print_line, digital_next, subscription=ahead)

    assert in_short(changes) == [("update", "schedule-2026-07-01"), ("create", "2026-08-01")]
    assert after(changes[0])["amount"] == "23.50"
    assert after(changes[0])["lineItems"] == [a_line_item("Digital", "17.50"), a_line_item("Print", "6.00")]


def test_lines_that_stay_on_a_billed_day_are_rounded_like_the_others() -> None:
    """Else the sum of the unrounded lines would be written, and the next sync would write that of the rounded ones."""
    ahead = a_subscription(
        segments=(
            a_segment("C-1", name="Digital", charged_through=day("2026-08-01")),
            a_segment("C-2", name="Print", charged_through=day("2026-07-01")),
        )
    )
    print_line = a_preview_item("2026-07-01", "6.00", charge_number="C-2", charge_name="Print")
    stored = [a_line_item("Digital", "17.40"), a_line_item("Puzzles", "5.40"), a_line_item("Print", "5.00")]
    entries = [an_entry("2026-06-01"), an_entry("2026-07-01", "27.80", data={"lineItems": stored})]

    changes, _ = compare(entries, print_line, a_preview_item("2026-08-01"), subscription=ahead, currency="JPY")

    written = after(changes[0])
    assert [line["amountWithoutTax"] for line in written["lineItems"]] == ["17", "6", "5"]
    assert written["amount"] == "28"


def test_on_a_billed_day_an_entry_that_names_no_lines_is_left_alone_and_said() -> None:
    ahead = a_subscription(
        segments=(
            a_segment("C-1", charged_through=day("2026-08-01")),
            a_segment("C-2", name="Print", effective_start=day("2026-07-01"), charged_through=None),
        )
    )
    print_line = a_preview_item("2026-07-01", "6.00", charge_number="C-2", charge_name="Print")
    entries = [an_entry("2026-06-01"), an_entry("2026-07-01", data={"lineItems": None})]

    changes, notes = compare(entries, print_line, a_preview_item("2026-08-01"), subscription=ahead)

    assert in_short(changes) == [("create", "2026-08-01")]
    assert "not told apart" in notes[0]


def test_a_running_period_that_was_billed_before_limio_knew_gets_its_entry_from_the_segment() -> None:
    changes, notes = compare([], JULY, subscription=a_subscription())

    assert in_short(changes) == [("create", "2026-06-01"), ("create", "2026-07-01")]
    assert isinstance(changes[0], Create)
    assert changes[0].document["data"]["amount"] == "17.50"
    assert notes == []


def test_a_running_period_whose_price_cannot_be_computed_is_named() -> None:
    tiered = a_subscription(segments=(a_segment(model="Tiered", price=None, tiers=(Tier(price=Decimal(1)),)),))

    changes, notes = compare([], JULY, subscription=tiered)

    assert in_short(changes) == [("create", "2026-07-01")]
    assert notes == [
        "The billed payment of 2026-06-01 is missing and not known: Monthly (C-1) has the price model Tiered."
    ]


def test_a_running_period_under_a_discount_is_named_and_not_guessed() -> None:
    discounted = a_subscription(segments=(a_segment(), a_segment("C-9", name="Offer", model="DiscountPercentage")))

    changes, notes = compare([], JULY, subscription=discounted)

    assert in_short(changes) == [("create", "2026-07-01")]
    assert "Offer (C-9)" in notes[0]


def test_a_billed_period_that_has_an_entry_is_not_asked_about() -> None:
    discounted = a_subscription(segments=(a_segment(), a_segment("C-9", name="Offer", model="DiscountPercentage")))

    assert compare([an_entry("2026-06-01"), an_entry()], JULY, subscription=discounted) == ([], [])


# The end of the term.


def test_the_payment_that_renews_stays_while_the_subscription_will_renew() -> None:
    assert compare([an_entry(), an_entry("2027-01-01")], JULY)[0] == []


@pytest.mark.parametrize(
    "fields", [{"auto_renew": False}, {"scheduled_cancel": day("2027-01-01")}, {"status": "Cancelled"}]
)
def test_the_payment_that_renews_goes_when_nothing_will(fields: dict[str, Any]) -> None:
    ending = a_subscription(segments=NEVER_BILLED.segments, **fields)

    assert in_short(compare([an_entry(), an_entry("2027-01-01")], JULY, subscription=ending)[0]) == [
        ("cancel", "schedule-2027-01-01")
    ]


def test_arrears_due_on_the_last_day_join_the_payment_that_renews() -> None:
    arrears = a_subscription(
        segments=(
            a_segment(charged_through=day("2027-01-01")),
            a_segment("C-2", name="Calls", billing_timing="IN_ARREARS", charged_through=day("2026-12-01")),
        )
    )
    calls = a_preview_item("2026-12-01", "3.00", charge_number="C-2", charge_name="Calls")
    entries = [an_entry(on) for on in months("2026-06-01", 8)]

    changes, _ = compare(entries, calls, subscription=arrears)

    assert in_short(changes) == [("update", "schedule-2027-01-01")]
    assert after(changes[0])["amount"] == "20.50"


# Several payments of one day.


def test_several_entries_of_a_day_are_left_alone_where_their_sum_agrees() -> None:
    split = [an_entry(id="schedule-a", amount="10.00"), an_entry(id="schedule-b", amount="7.50")]

    assert compare(split, JULY) == ([], [])


def test_several_entries_of_a_day_are_compared_line_by_line_where_their_sum_differs() -> None:
    entries = [
        an_entry(id="schedule-a", amount="17.50", data={"lineItems": [a_line_item("Digital", "17.50")]}),
        an_entry(id="schedule-b", amount="5.00", data={"lineItems": [a_line_item("Print", "5.00")]}),
        an_entry(id="schedule-c", amount="1.00", data={"lineItems": [a_line_item("Postage", "1.00")]}),
    ]
    subscription = a_subscription(segments=())
    items = [
        a_preview_item("2026-07-01", amount, charge_number=None, charge_name=name)
        for name, amount in (("Digital", "17.50"), ("Print", "6.00"), ("Archive", "2.00"))
    ]

    changes, _ = compare(entries, *items, subscription=subscription)

    assert in_short(changes) == [
        ("update", "schedule-b"),
        ("cancel", "schedule-c"),
        ("create", "2026-07-01"),
    ]
    assert after(changes[0])["amount"] == "6.00"
    assert isinstance(changes[2], Create)
    assert changes[2].document["data"]["lineItems"] == [a_line_item("Archive", "2.00")]


def test_one_entry_takes_all_lines_of_its_day() -> None:
    items = [JULY, a_preview_item("2026-07-01", "5.00", charge_number="C-2", charge_name="Print")]

    changes, _ = compare([an_entry()], *items)

    assert after(changes[0])["amount"] == "22.50"
    assert [line["chargeName"] for line in after(changes[0])["lineItems"]] == ["Monthly", "Print"]


def test_a_discount_is_a_negative_line() -> None:
    discount = a_preview_item(
        "2026-07-01", "-1.75", charge_number="C-9", charge_name="Offer", processing_type="Discount"
    )

    changes, _ = compare([], JULY, discount)

    assert isinstance(changes[0], Create)
    data = changes[0].document["data"]
    assert data["amount"] == "15.75"
    assert [(line["amountWithoutTax"], line["processingType"]) for line in data["lineItems"]] == [
        ("17.50", "Charge"),
        ("-1.75", "Discount"),
    ]


# What the preview does not tell.


def test_a_preview_cut_short_leaves_everything_from_there_on_alone() -> None:
    entries = [an_entry("2026-07-15"), an_entry("2026-09-15"), an_entry("2026-10-15")]
    items = [JULY, a_preview_item("2026-09-15", "99.00")]

    changes, _ = compare(entries, *items, complete_until=day("2026-09-01"))

    assert in_short(changes) == [("create", "2026-07-01"), ("cancel", "schedule-2026-07-15")]


def test_a_day_on_which_usage_falls_due_keeps_its_entry() -> None:
    usage = a_preview_item("2026-07-01", None, charge_number="C-5", charge_name="Calls", charge_type="Usage")

    changes, _ = compare([an_entry("2026-08-01", "3.00"), an_entry()], JULY, usage)

    assert changes == []


def test_a_tax_on_top_of_the_price_is_not_taken_away_because_zuora_does_not_preview_it() -> None:
    """Zuora previews tax of tax-inclusive charges only ("Generate a billing preview")."""
    taxed = a_subscription(
        segments=(a_segment(tax_mode="TaxExclusive", effective_start=day("2026-07-01"), charged_through=None),)
    )
    entry = an_entry(
        amount="21.00",
        data={
            "amountWithoutTax": "17.50",
            "taxAmount": 3.5,
            "lineItems": [a_line_item(amount="17.50", taxAmount="3.50")],
        },
    )

    assert compare([entry], JULY, subscription=taxed)[0] == []
    assert after(compare([entry], a_preview_item(amount="19.00"), subscription=taxed)[0][0])["amount"] == "19.00"


def test_cancelling_shows_the_object_as_it_was() -> None:
    changes, _ = compare([an_entry(), an_entry("2026-07-15")], JULY)

    assert isinstance(changes[0], Cancel)
    assert changes[0].document == an_entry("2026-07-15")
