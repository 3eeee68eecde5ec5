"""The journey of a cancellation, with the refund of what was paid ahead where the tenant wants it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from sync_service.commerce.build import (
    NO_BILLING,
    bill,
    cancel,
    changes,
    order_body,
    order_step,
    preview_step,
    segment,
)
from sync_service.commerce.case import Case
from sync_service.commerce.order import Problem, ProblemCode, refuse
from sync_service.commerce.steps import Judge, Need, Plan, Take
from sync_service.commerce.subscribed import charged_through, live_plans
from sync_service.subscription.zuora import ZuoraSubscription


def cancel_subscription(case: Case) -> Plan:
    """Cancels on the order's date, else at the end of the term, or of the billing period where there is no term.

    What Zuora has cancelled already for that day is done. With automatic refunds a preview comes first: a credit is
    refunded by the cancellation, and refuses it where the caller may not refund.
    """
    subscription = case.subscription
    before = subscription.cancelled_from
    day = case.order.cancel_date or before or subscription.term_end or case.next_payment()
    if before is not None:
        return _cancelled_already(day, before)
    _check_day(case, subscription, day)
    billed = charged_through(live_plans(subscription, case.today), case.today)
    processing = bill(case.today, collect=False) if billed and day < billed else NO_BILLING
    body = order_body(
        case.names.reference,
        case.today,
        {"existingAccountNumber": subscription.payer_number},
        processing,
        [changes(subscription.number, [cancel(case.today, day)], case.subscription_fields())],
        case.order_fields(),
    )
    step = order_step("order", body)
    if not case.options.refund_cancelled:
        return Plan(steps=(step,))
    assert step.silence is not None  # noqa: S101 - an order is looked for by its number
    refunds = f"/v1/refunds?accountId={segment(case.account.id)}&pageSize=40"
    step = replace(step, silence=replace(step.silence, refunds=refunds))
    judge = Judge.PREVIEW if case.order.may_refund else Judge.PREVIEW_WITHOUT_REFUND
    need = Need(step="preview", take=Take.CREDIT, into="processingOptions")
    return Plan(steps=(preview_step(body, max(case.today, day), judge), replace(step, needs=(need,))))


def _cancelled_already(day: date, before: date) -> Plan:
    if day != before:
        message = f"The subscription is cancelled already, from {before} on."
        raise refuse("cancelDate", ProblemCode.NOT_ALLOWED, message)
    message = f"Zuora had cancelled the subscription already, from {before} on."
    return Plan(steps=(), warnings=(Problem(field="", code=ProblemCode.NOT_ALLOWED, message=message),))


def _check_day(case: Case, subscription: ZuoraSubscription, day: date) -> None:
    first = subscription.term_start or subscription.start or case.today
    last = subscription.term_end
    if day < first or (last is not None and day > last):
        until = f" to {last}" if last else " on"
        raise refuse("cancelDate", ProblemCode.INVALID, f"cancelDate must lie in the term, from {first}{until}.")
