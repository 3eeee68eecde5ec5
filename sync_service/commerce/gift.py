"""Journeys of a gift: its purchase, its redemption, and taking it back before it was redeemed."""

from __future__ import annotations

from dataclasses import replace

from sync_service.commerce.build import NO_BILLING, Json, create_subscription, custom, order_body, order_step, segment
from sync_service.commerce.case import Case
from sync_service.commerce.catalog import charges_of
from sync_service.commerce.offer_terms import initial_terms, terms_of
from sync_service.commerce.order import OrderContact, ProblemCode, payer_of, redeemer_of, refuse
from sync_service.commerce.pricing import unit_price
from sync_service.commerce.purchase import (
    account_name,
    contacts_of,
    crm_of,
    currency_of,
    new_account,
    payment_of,
)
from sync_service.commerce.steps import CallClass, Evidence, Judge, Plan, Silence, Step, StepKind

#: An account that nothing is billed to by cycle still needs a day.
_FIRST = 1


def redeem(case: Case) -> Plan:
    """The recipient's subscription: paid already, so nothing is charged and nothing renews."""
    day = case.order.start or case.today
    offer = case.offer()
    terms = replace(terms_of(offer), auto_renew=False)
    plans = case.plans(offer, day, case.order.items[0].quantity, free=True)
    account = new_account(case, currency_of(case), redeemer_of(case.order), pays=False)
    action = create_subscription(day, case.names.subscriptions[0].reference, initial_terms(terms), plans, case.options)
    subscription = {**custom(case.subscription_fields()), "orderActions": [action]}
    body = order_body(
        case.names.reference, case.today, {"newAccount": account}, NO_BILLING, [subscription], case.order_fields()
    )
    return Plan(steps=(order_step("order", body),))


def give(case: Case) -> Plan:
    """A gift's purchase: an account of its own, a debit memo for the price, and its payment. No subscription yet."""
    offer = case.offer()
    charges = charges_of(offer, case.catalog, case.today)
    price = unit_price(offer)
    currency = currency_of(case)
    if len(charges) == 1 and price is None:
        price = charges[0].prices.get(currency)
    if len(charges) != 1 or price is None:
        raise refuse("orderItems", ProblemCode.CATALOG, f"{offer.label}: a gift needs one charge with one price.")
    quantity = case.order.items[0].quantity
    number, memo = case.names.gift_account, case.names.gift_memo
    payer = payer_of(case.order)
    steps = [
        _gift_account(case, number, currency, payer),
        _gift_memo(case, number, memo, currency, {"id": charges[0].id, "amount": price * quantity, "of": quantity}),
    ]
    payment = case.order.payment
    if case.options.collect_payment and payment and payment.method_id and not case.is_paid_by_invoice:
        body: Json = {"collect": True, "payment": {"paymentMethodId": payment.method_id}}
        path = f"/v1/debit-memos/{segment(memo)}"
        silence = Silence(evidence=Evidence.PAID, path=path)
        steps.append(
            Step(name="collect", method="POST", path=f"{path}/collect", body=body, silence=silence, judge=Judge.PAYMENT)
        )
    return Plan(steps=tuple(steps))


def _gift_account(case: Case, number: str, currency: str, payer: OrderContact) -> Step:
    body = {
        "accountNumber": number,
        "name": account_name(payer),
        "currency": currency,
        "billCycleDay": _FIRST,
        **payment_of(case, pays=True),
        **contacts_of(case, payer, postal_code="zipCode"),
        **crm_of(case),
        **case.account_fields(),
    }
    silence = Silence(evidence=Evidence.EXISTS, path=f"/v1/accounts/{segment(number)}")
    return Step(
        name="account",
        method="POST",
        path="/v1/accounts",
        body=body,
        call_class=CallClass.ORDERS,
        silence=silence,
    )


def _gift_memo(case: Case, account: str, number: str, currency: str, charge: Json) -> Step:
    field = case.options.gift_code_field
    has_field = f"DebitMemo.{field}" in case.options.custom_fields and case.names.gift_code
    body = {
        "accountNumber": account,
        "number": number,
        "currency": currency,
        "effectiveDate": case.today.isoformat(),
        "reasonCode": case.options.gift_reason_code,
        "autoPost": True,
        "charges": [{"productRatePlanChargeId": charge["id"], "amount": charge["amount"], "quantity": charge["of"]}],
        **({field: case.names.gift_code} if has_field else {}),
    }
    path = f"/v1/debit-memos/{segment(number)}"
    undo = Step(
        name="write_off",
        kind=StepKind.UNDO,
        method="PUT",
        path=f"{path}/write-off",
        body={"memoDate": case.today.isoformat()},
    )
    silence = Silence(evidence=Evidence.EXISTS, path=path)
    return Step(name="memo", method="POST", path="/v1/debit-memos", body=body, silence=silence, undo=undo)
