"""What an order would cost and when: the question for Zuora, and its answer as Limio's schedule.

Asked with the very bodies that would place the order. Usage, and enhanced discounts, are in no preview of Zuora's
("Preview an order"); a memo is previewed by nothing, and tells its own sum.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from dateutil.relativedelta import relativedelta

from sync_service.commerce.build import preview_step
from sync_service.commerce.offer_terms import LENGTHS
from sync_service.commerce.order import Problem, ProblemCode, Refusal
from sync_service.commerce.steps import Judge, Plan, Step
from sync_service.subscription.limio.documents import get_value, read_day
from sync_service.subscription.schedule.due import Line
from sync_service.subscription.schedule.lines import payment
from sync_service.subscription.schedule.money import parse_amount, round_amount

#: How far ahead an order is previewed whose term does not say.
_HORIZON = relativedelta(months=12)
_UNSUPPORTED = Refusal(
    problems=(Problem(field="order_type", code=ProblemCode.UNSUPPORTED, message="Such an order has no preview."),)
)


@dataclass(frozen=True, kw_only=True)
class Due:
    """What is charged up to a day; negative where it is a credit."""

    #: With tax.
    amount: Decimal
    tax: Decimal


def question_of(plan: Plan, today: date) -> Step | Refusal | None:
    """The call that previews the order of `plan`; None where nothing has to be asked."""
    for step in plan.steps:
        if step.path == "/v1/orders" and step.body is not None:
            return replace(preview_step(dict(step.body), _through(step.body, today), Judge.PLAIN), needs=())
    return None if any(_is_memo(step) for step in plan.steps) else _UNSUPPORTED


def cost_of_memos(plan: Plan) -> list[dict[str, Any]]:
    """The schedule of an order that makes memos: a credit is negative, a debit is not."""
    entries = []
    for step in plan.steps:
        if _is_memo(step) and step.body is not None:
            sign = -1 if "credit" in step.path else 1
            lines = [
                Line(name="", amount=sign * _amount(charge.get("amount"))) for charge in step.body.get("charges") or ()
            ]
            entries.append(_entry(date.fromisoformat(step.body["effectiveDate"]), lines, step.body.get("currency")))
    return entries


def schedule_of(answer: Mapping[str, Any], currency: str | None) -> list[dict[str, Any]]:
    """Limio's schedule of a preview's answer: a payment for each day on which something is charged, by day."""
    days: dict[date, list[Line]] = defaultdict(list)
    for item in _items(answer):
        day = read_day(item.get("serviceStartDate"))
        if day is not None:
            days[day].append(_line(item, currency))
    return [_entry(day, lines, currency) for day, lines in sorted(days.items())]


def due_until(schedule: Iterable[Mapping[str, Any]], day: date) -> Due:
    """What a preview's schedule charges on `day` and before."""
    entries = [entry for entry in schedule if (read_day(get_value(entry, "data.date")) or date.max) <= day]
    return Due(
        amount=sum((_amount(get_value(entry, "data.amount")) for entry in entries), Decimal(0)),
        tax=sum((_amount(get_value(entry, "data.taxAmount")) for entry in entries), Decimal(0)),
    )


def _through(body: Mapping[str, Any], today: date) -> date:
    """Up to where: the end of the first term, or the day of the last action where nothing new begins."""
    days = [today]
    for subscription in body.get("subscriptions") or ():
        for action in subscription.get("orderActions") or ():
            start = read_day(action["triggerDates"][0]["triggerDate"]) or today
            cancelled = read_day(get_value(action, "cancelSubscription.cancellationEffectiveDate"))
            term = get_value(action, "createSubscription.terms.initialTerm") or {}
            unit = LENGTHS.get(str(term.get("periodType")))
            days.append(cancelled or start + (int(term["period"]) * unit if unit else _HORIZON))
    return max(days)


def _is_memo(step: Step) -> bool:
    return step.method == "POST" and step.path in ("/v1/credit-memos", "/v1/debit-memos")


def _items(answer: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    result = answer.get("previewResult") or {}
    for document in result.get("invoices") or ():
        yield from document.get("invoiceItems") or ()
    for document in result.get("creditMemos") or ():
        for item in document.get("creditMemoItems") or ():
            # A credit memo says how much it gives, and its items are positive.
            yield {**item, "amountWithoutTax": -abs(_amount(item.get("amountWithoutTax")))}


def _line(item: Mapping[str, Any], currency: str | None) -> Line:
    return Line(
        name=str(item.get("chargeName") or ""),
        amount=round_amount(_amount(item.get("amountWithoutTax")), currency),
        tax=round_amount(_amount(item.get("taxAmount")), currency),
        processing_type="Discount" if item.get("processingType") == "Discount" else "Charge",
        product=str(item.get("productName") or ""),
        description=str(item.get("chargeDescription") or ""),
        quantity=parse_amount(get_value(item, "additionalInfo.quantity") or item.get("quantity")),
    )


def _entry(day: date, lines: list[Line], currency: str | None) -> dict[str, Any]:
    return {"record_type": "schedule", **payment(day, lines, currency)}


def _amount(value: Any) -> Decimal:
    return parse_amount(value) or Decimal(0)
