"""What an order would cost: how far Zuora is asked to look, and its answer as Limio's schedule."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from sync_service.commerce.cost import cost_of_memos, question_of, schedule_of
from sync_service.commerce.order import Refusal
from sync_service.commerce.steps import Plan, Step

TODAY = date(2026, 12, 1)


def order_plan(*actions: dict[str, Any]) -> Plan:
    body = {
        "orderNumber": "232POEEK2ABG",
        "orderDate": "2026-12-01",
        "existingAccountNumber": "A1",
        "processingOptions": {},
        "subscriptions": [{"orderActions": list(actions)}],
    }
    return Plan(steps=(Step(name="order", method="POST", path="/v1/orders", body=body),))


def create(start: str, **term: Any) -> dict[str, Any]:
    return {
        "type": "CreateSubscription",
        "triggerDates": [{"triggerDate": start}],
        "createSubscription": {"terms": {"initialTerm": term}},
    }


@pytest.mark.parametrize(
    ("action", "through"),
    [
        (create("2026-12-01", termType="TERMED", period=1, periodType="Month"), "2027-01-01"),
        (create("2027-01-31", termType="TERMED", period=1, periodType="Month"), "2027-02-28"),
        (create("2026-12-01", termType="TERMED", period=2, periodType="Year"), "2028-12-01"),
        (create("2026-12-01", termType="TERMED", period=6, periodType="Week"), "2027-01-12"),
        (create("2026-12-01", termType="EVERGREEN"), "2027-12-01"),
        ({"type": "AddProduct", "triggerDates": [{"triggerDate": "2026-12-16"}]}, "2027-12-16"),
        (
            {
                "type": "CancelSubscription",
                "triggerDates": [{"triggerDate": "2026-12-01"}],
                "cancelSubscription": {"cancellationEffectiveDate": "2026-12-16"},
            },
            "2026-12-16",
        ),
    ],
)
def test_zuora_is_asked_up_to_the_end_of_the_first_term_or_the_day_of_the_cancellation(
    action: dict[str, Any], through: str
) -> None:
    question = question_of(order_plan(action), TODAY)

    assert isinstance(question, Step)
    assert (question.path, question.body and question.body["previewOptions"]["specificPreviewThruDate"]) == (
        "/v1/orders/preview",
        through,
    )


def test_an_order_without_a_call_that_costs_anything_has_no_preview() -> None:
    plan = Plan(steps=(Step(name="account", method="PUT", path="/v1/accounts/A1", body={"autoPay": True}),))

    assert isinstance(question_of(plan, TODAY), Refusal)


def item(day: str, amount: float, **more: Any) -> dict[str, Any]:
    return {"serviceStartDate": day, "amountWithoutTax": amount, "taxAmount": 0, "chargeName": "Monthly", **more}


def test_lines_of_one_day_are_one_payment_and_a_discount_is_a_line_of_it() -> None:
    lines = [
        item("2027-01-01", 17.5, productName="Digital", additionalInfo={"quantity": 5}),
        item("2026-12-01", 17.5, taxAmount=3.5, productName="Digital"),
        item("2026-12-01", -5.25, chargeName="Save", processingType="Discount"),
    ]

    schedule = schedule_of({"previewResult": {"invoices": [{"invoiceItems": lines}]}}, "GBP")

    assert [(each["data"]["date"], each["data"]["amount"]) for each in schedule] == [
        ("2026-12-01T00:00:00.000", "15.75"),
        ("2027-01-01T00:00:00.000", "17.50"),
    ]
    first, second = (each["data"] for each in schedule)
    assert (first["description"], first["taxAmount"], first["currency"]) == ("Digital", 3.5, "GBP")
    assert [line["processingType"] for line in first["lineItems"]] == ["Charge", "Discount"]
    assert second["lineItems"][0]["quantity"] == 5


def test_a_credit_memo_gives_money_back_however_its_lines_are_signed() -> None:
    memo = {"creditMemoItems": [item("2026-12-01", 8.47)]}

    (payment,) = schedule_of({"previewResult": {"creditMemos": [memo]}}, "GBP")

    assert payment["data"]["amount"] == "-8.47"


def test_a_memo_tells_its_own_sum_because_zuora_previews_none() -> None:
    body = {"effectiveDate": "2026-12-01", "currency": "GBP", "charges": [{"amount": 12}]}
    plan = Plan(steps=(Step(name="memo", method="POST", path="/v1/credit-memos", body=body),))

    assert question_of(plan, TODAY) is None
    (payment,) = cost_of_memos(plan)
    assert (payment["data"]["date"], payment["data"]["amount"]) == ("2026-12-01T00:00:00.000", "-12.00")


@pytest.mark.parametrize("answer", [{}, {"previewResult": None}, {"previewResult": {"invoices": [{}]}}])
def test_nothing_to_charge_is_an_empty_schedule(answer: dict[str, Any]) -> None:
    assert schedule_of(answer, None) == []
