"""Journeys of money alone: a goodwill refund, a credit memo, a payment of an invoice, a gift taken back."""

from __future__ import annotations

from decimal import Decimal

from sync_service.commerce.build import Json, segment
from sync_service.commerce.case import Case
from sync_service.commerce.catalog import Offer, ProductCharge, charges_of
from sync_service.commerce.order import ProblemCode, refuse
from sync_service.commerce.pricing import unit_price
from sync_service.commerce.rate_plans import current_offers
from sync_service.commerce.state import GIFT_MEMO, INVOICE, gift_memo_number
from sync_service.commerce.steps import Evidence, Judge, Plan, Silence, Step
from sync_service.subscription.schedule.money import format_amount, round_amount


def refund(case: Case) -> Plan:
    """A credit memo that no invoice uses up, and the same sum back to the customer's payment method.

    Where that is refused, or there is no method, the memo stays and the order is complete ("when allowed").
    """
    amount = case.order.amount or Decimal(0)
    charge: Json = {"amount": amount, "quantity": 1}
    account, currency = case.subscription.payer_number, case.subscription.currency
    memo = _credit_memo(
        case, account, currency, _memo_charge(case, case.offer()), charge, {"excludeFromAutoApplyRules": True}
    )
    return Plan(steps=(memo, *_refund_steps(case, amount, case.account.default_method_id)))


def credit_memo(case: Case) -> Plan:
    """A credit for later invoices: an amount, or as many units as the add-on adjusts by."""
    offer = case.offer()
    amount = case.order.amount
    if amount is None and case.order.quantity is not None:
        price = unit_price(offer)
        if price is None:
            raise refuse("quantity", ProblemCode.CATALOG, f"{offer.label} has no price to multiply: give an amount.")
        amount = price * case.order.quantity
    reason = {"reasonCode": case.order.reason} if case.order.reason else {}
    account, currency = case.subscription.payer_number, case.subscription.currency
    memo = _credit_memo(case, account, currency, _memo_charge(case, offer), {"amount": amount}, reason)
    return Plan(steps=(memo,))


def refund_gift(case: Case) -> Plan:
    """A gift that was not redeemed, taken back: its debit memo is credited, and refunded where it was paid."""
    number = gift_memo_number(case.state)
    answer = case.state.zuora.get(GIFT_MEMO)
    if not number or not answer:
        raise refuse("subscriptionId", ProblemCode.UNKNOWN, "Zuora knows no debit memo of this gift.")
    amount, balance = Decimal(str(answer.get("amount") or 0)), Decimal(str(answer.get("balance") or 0))
    paid = amount - balance
    account = str(answer.get("accountNumber") or "")
    offers = current_offers(case)
    if not offers:
        raise refuse("subscriptionId", ProblemCode.UNKNOWN, "The store holds no offer of this gift.")
    charge = _memo_charge(case, offers[0][1])
    options: Json = {"excludeFromAutoApplyRules": True} if paid > 0 else {}
    memo = _credit_memo(case, account, answer.get("currency"), charge, {"amount": amount, "quantity": 1}, options)
    method = case.account.default_method_id if paid > 0 else None
    return Plan(steps=(memo, *_refund_steps(case, paid, method)))


def pay_invoice(case: Case) -> Plan:
    """A payment of an invoice, whole or in part. Gateways refuse a second one under the same `gatewayOrderId`."""
    invoice = case.state.zuora.get(INVOICE)
    if not invoice:
        raise refuse("invoice.id", ProblemCode.UNKNOWN, "Zuora knows no such invoice.")
    amount, balance = case.order.amount or Decimal(0), Decimal(str(invoice.get("balance") or 0))
    if invoice.get("status") != "Posted":
        raise refuse("invoice.id", ProblemCode.NOT_ALLOWED, "Only a posted invoice can be paid.")
    if amount > balance:
        raise refuse("payment.amount", ProblemCode.INVALID, f"The invoice is open with {balance}: pay at most that.")
    currency = invoice.get("currency") or case.account.currency
    if round_amount(amount, currency) != amount:
        message = f"The invoice is in {currency}: an amount such as {format_amount(amount, currency)} is wanted."
        raise refuse("payment.amount", ProblemCode.INVALID, message)
    account = case.account
    if invoice.get("accountId") not in (None, account.id):
        message = "The invoice is not one of the account that pays for the subscription."
        raise refuse("invoice.id", ProblemCode.NOT_ALLOWED, message)
    payment = case.order.payment
    method = (payment.method_id if payment else None) or account.default_method_id
    if not method:
        message = "The account has no default payment method: name one in payment.zuora.refId."
        raise refuse("payment.zuora.refId", ProblemCode.MISSING, message)
    body = {
        "accountNumber": account.number,
        "type": "Electronic",
        "amount": amount,
        "currency": currency,
        "effectiveDate": case.today.isoformat(),
        "paymentMethodId": method,
        "gatewayOrderId": case.names.reference,
        "invoices": [{"invoiceId": invoice.get("id") or case.order.invoice_id, "amount": amount}],
    }
    silence = Silence(
        evidence=Evidence.LISTED,
        path=f"/v1/payments?accountId={segment(account.id)}&sort=-createdDate&pageSize=40",
        listed_in="payments",
        match={"gatewayOrderId": case.names.reference},
    )
    step = Step(name="payment", method="POST", path="/v1/payments", body=body, silence=silence, judge=Judge.PAYMENT)
    return Plan(steps=(*case.association(), step))


def _memo_charge(case: Case, offer: Offer) -> ProductCharge:
    """The one charge that a memo names: the generic one-off plan's."""
    charges = charges_of(offer, case.catalog, case.today)
    if len(charges) != 1:
        message = f"{offer.label}: a memo needs a rate plan with one charge; it has {len(charges)}."
        raise refuse("offer", ProblemCode.CATALOG, message)
    return charges[0]


def _credit_memo(
    case: Case, account: str, currency: str | None, charge: ProductCharge, amount: Json, options: Json
) -> Step:
    number = f"CM-{case.names.reference}"
    body = {
        "accountNumber": account,
        "number": number,
        **({"currency": currency} if currency else {}),
        "effectiveDate": case.today.isoformat(),
        "autoPost": True,
        **options,
        "charges": [{"productRatePlanChargeId": charge.id, **amount}],
    }
    silence = Silence(evidence=Evidence.EXISTS, path=f"/v1/credit-memos/{segment(number)}")
    return Step(name="memo", method="POST", path="/v1/credit-memos", body=body, silence=silence)


def _refund_steps(case: Case, amount: Decimal, method: str | None) -> list[Step]:
    if not method or amount <= 0:
        return []
    path = f"/v1/credit-memos/{segment(f'CM-{case.names.reference}')}"
    body: Json = {"type": "Electronic", "totalAmount": amount, "paymentMethodId": method}
    silence = Silence(evidence=Evidence.REFUNDED, path=path)
    return [Step(name="refund", method="POST", path=f"{path}/refund", body=body, silence=silence, critical=False)]
