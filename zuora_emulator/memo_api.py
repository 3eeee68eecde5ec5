"""Zuora's addresses of credit memos and debit memos."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from zuora_emulator import money_answers as shown
from zuora_emulator.account_bodies import check_custom_fields
from zuora_emulator.answers import Json, number
from zuora_emulator.fields import Fields, Refused
from zuora_emulator.ledger import PREFIXES, Document, Line, paid, refunded
from zuora_emulator.messages import Request
from zuora_emulator.money_api import make_payment, method_for, shower
from zuora_emulator.records import Account, hex_id
from zuora_emulator.settling import decline_of, refund_of

if TYPE_CHECKING:
    from zuora_emulator.zuora_api import ZuoraApi

#: What a memo's number of one's own may be.
_NUMBER = re.compile(r"[A-Za-z0-9_-]{1,32}")


def create_credit_memo(api: ZuoraApi, request: Request) -> Json:
    """As "Create a credit memo from a charge"; only those that are posted at once."""
    memo, account = _create_memo(api, request, "CreditMemo")
    return {**shown.credit_memo(memo, account), "success": True}


def create_debit_memo(api: ZuoraApi, request: Request) -> Json:
    """As "Create a debit memo from a charge"; only those that are posted at once."""
    memo, account = _create_memo(api, request, "DebitMemo")
    return {**shown.debit_memo(memo, account), "success": True}


def refund_credit_memo(api: ZuoraApi, request: Request, key: str) -> Json:
    """As "Refund a credit memo": a refund that the gateway refuses is one in error."""
    tenant = api.tenant
    memo = tenant.ledger.need("CreditMemo", key)
    account = tenant.accounts[memo.account]
    asked = Fields(request.json(), today=tenant.today)
    amount, kind = asked.number("totalAmount"), asked.one_of("type", ("External", "Electronic"), "")
    if amount is None:
        raise Refused("totalAmount is missing", 50000022)
    after = refunded(memo, amount)
    method = method_for(api, asked.text("paymentMethodId"), account) if kind == "Electronic" else None
    refund = refund_of(tenant, memo, amount, method, request.troubles)
    tenant.put_money(refund)
    if refund.status == "Processed":
        tenant.put_money(after)
    return {**shown.refund(refund, account), "success": True}


def collect_debit_memo(api: ZuoraApi, request: Request, key: str) -> Json:
    """As "Collect a posted debit memo"."""
    tenant = api.tenant
    memo = tenant.ledger.need("DebitMemo", key)
    asked = Fields(request.json(), today=tenant.today)
    answer: Json = {"success": True, "debitMemo": {"id": memo.id, "number": memo.number}}
    if not asked.flag("collect", False) or memo.balance <= 0:
        return {**answer, "appliedPayments": [], "appliedCreditMemos": []}
    given = asked.inner("payment") or Fields({}, today=tenant.today)
    account = tenant.accounts[memo.account]
    method = method_for(api, given.text("paymentMethodId"), account)
    if reason := decline_of(method, request.troubles):
        raise Refused(f"Transaction declined. {reason}", 50000000 + tenant.decline_code % 100)
    payment = make_payment(api, account, memo.balance, method, applied=((memo.id, memo.balance),))
    tenant.put_money(paid(memo, memo.balance), payment)
    processed = {
        "id": payment.id,
        "number": payment.number,
        "amount": number(payment.amount),
        "status": payment.status,
        "paymentMethodId": method.id,
        "gatewayResponse": payment.response,
        "gatewayResponseCode": payment.response,
    }
    return {**answer, "appliedPayments": [], "appliedCreditMemos": [], "processedPayment": processed}


def write_off_debit_memo(api: ZuoraApi, request: Request, key: str) -> Json:
    """As "Write off a debit memo": a credit memo takes what is still to be paid."""
    tenant = api.tenant
    memo = tenant.ledger.need("DebitMemo", key)
    asked = Fields(request.json(), today=tenant.today)
    if memo.balance <= 0:
        raise Refused(f"{memo.number} has no balance to write off.", 50000030)
    serial = tenant.next_number(PREFIXES["CreditMemo"])
    line = Line(id=hex_id("line", serial), name="Write-off", amount=memo.balance)
    credit = Document(
        kind="CreditMemo",
        id=hex_id("CreditMemo", serial),
        number=serial,
        account=memo.account,
        currency=memo.currency,
        day=asked.day("memoDate", tenant.today) or tenant.today,
        lines=(line,),
        settled=memo.balance,
        reason=asked.text("reasonCode"),
        comment=asked.text("comment"),
        created=tenant.now(),
    )
    tenant.put_money(credit, paid(memo, memo.balance))
    return {"creditMemo": {"id": credit.id}, "success": True}


def _create_memo(api: ZuoraApi, request: Request, kind: str) -> tuple[Document, Account]:
    tenant = api.tenant
    body = request.json()
    asked = Fields(body, today=tenant.today)
    account = api.need_account(asked.text("accountNumber") or asked.need("accountId"))
    own = asked.text("number")
    if own is not None and (not _NUMBER.fullmatch(own) or tenant.ledger.find(kind, own)):
        raise Refused(f"The number {own} is in use, or is not of letters, digits, - and _ (32 at most).", 50000020)
    if not asked.flag("autoPost", False):
        raise Refused("The emulator holds no drafts: autoPost must be true.", 50000045)
    if asked.text("currency", account.currency) != account.currency:
        raise Refused(f"The currency of the account is {account.currency}.", 50000020)
    chosen = own or tenant.next_number(PREFIXES[kind])
    charges = asked.inner_list("charges")
    if not charges:
        raise Refused("charges is missing", 50000022)
    lines = tuple(_memo_line(api, each, account.currency, f"{chosen}/{n}") for n, each in enumerate(charges))
    custom = {name: value for name, value in body.items() if name.endswith("__c")}
    memo = Document(
        kind=kind,
        id=hex_id(kind, chosen),
        number=chosen,
        account=account.number,
        currency=account.currency,
        day=asked.day("effectiveDate", tenant.today) or tenant.today,
        lines=lines,
        reason=asked.text("reasonCode"),
        comment=asked.text("comment"),
        is_applied_automatically=not asked.flag("excludeFromAutoApplyRules", False),
        custom_fields=check_custom_fields(tenant, kind, custom),
        created=tenant.now(),
    )
    if memo.amount <= 0:
        raise Refused("The amount of a memo must be above 0.", 50000020)
    tenant.put_money(memo)
    return memo, account


def _memo_line(api: ZuoraApi, asked: Fields, currency: str, key: str) -> Line:
    charge_key = asked.need("productRatePlanChargeId")
    found = api.tenant.catalog.find_charge(charge_key)
    if found is None:
        raise Refused(f"The product rate plan charge {charge_key} is not in the product catalog.", 50000040)
    product, _, charge = found
    listed = charge.prices.get(currency)
    amount = asked.number("amount", listed.price if listed else None)
    if amount is None:
        raise Refused(f"The charge {charge.template.name} has no price in {currency}: give an amount.", 50000022)
    start, end = asked.day("serviceStartDate"), asked.day("serviceEndDate")
    return Line(
        id=hex_id("line", key),
        name=charge.template.name,
        product=product.name,
        product_charge_id=charge.id,
        charge_type=charge.template.type,
        start=start,
        end=end,
        amount=amount,
        quantity=asked.number("quantity", Decimal(1)) or Decimal(1),
    )


ROUTES: dict[str, Any] = {
    "POST /v1/credit-memos": create_credit_memo,
    "GET /v1/credit-memos/{key}": shower("CreditMemo", shown.credit_memo),
    "POST /v1/credit-memos/{key}/refund": refund_credit_memo,
    "POST /v1/debit-memos": create_debit_memo,
    "GET /v1/debit-memos/{key}": shower("DebitMemo", shown.debit_memo),
    "POST /v1/debit-memos/{key}/collect": collect_debit_memo,
    "PUT /v1/debit-memos/{key}/write-off": write_off_debit_memo,
}
