"""Zuora's addresses of memos, payments, refunds and invoices."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from zuora_emulator import money_answers as shown
from zuora_emulator.account_bodies import check_custom_fields
from zuora_emulator.answers import Json, number
from zuora_emulator.fields import Fields, Refused
from zuora_emulator.invoice_files import pdf_of
from zuora_emulator.ledger import PREFIXES, Document, Line, Payment, paid, refunded
from zuora_emulator.messages import Answer, Request
from zuora_emulator.payment_methods import PaymentMethod
from zuora_emulator.records import Account, hex_id
from zuora_emulator.settling import decline_of, refund_of

if TYPE_CHECKING:
    from zuora_emulator.zuora_api import ZuoraApi

#: What payments may be listed by.
_PAYMENT_FILTERS = ("accountId", "amount", "currency", "effectiveDate", "number", "status", "type")
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
    method = _method_for(api, asked.text("paymentMethodId"), account) if kind == "Electronic" else None
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
    method = _method_for(api, given.text("paymentMethodId"), account)
    if reason := decline_of(method, request.troubles):
        raise Refused(f"Transaction declined. {reason}", 50000000 + tenant.decline_code % 100)
    payment = _payment(api, account, memo.balance, method, applied=((memo.id, memo.balance),))
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


def write_off_debit_memo(api: ZuoraApi, _: Request, key: str) -> Json:
    """As "Write off a debit memo": a credit memo of the same charges takes up what is open."""
    tenant = api.tenant
    memo = tenant.ledger.need("DebitMemo", key)
    if memo.balance <= 0:
        raise Refused(f"The debit memo {memo.number} has no balance to write off.", 50000030)
    chosen = tenant.next_number(PREFIXES["CreditMemo"])
    credit = replace(
        memo,
        kind="CreditMemo",
        id=hex_id("CreditMemo", chosen),
        number=chosen,
        created=tenant.now(),
        settled=Decimal(0),
    )
    tenant.put_money(paid(credit, memo.balance), paid(memo, memo.balance))
    return {"creditMemo": {"id": credit.id}, "success": True}


def create_payment(api: ZuoraApi, request: Request) -> Json:
    """As "Create a payment": one that the bank declines is a payment in error, and pays nothing."""
    tenant = api.tenant
    asked = Fields(request.json(), today=tenant.today)
    account = api.need_account(asked.text("accountNumber") or asked.need("accountId"))
    kind, amount = asked.one_of("type", ("External", "Electronic"), ""), asked.number("amount")
    if amount is None or amount <= 0:
        raise Refused("amount must be above 0", 50000020)
    if asked.need("currency") != account.currency:
        raise Refused(f"The currency of the account is {account.currency}.", 50000020)
    if asked.day("effectiveDate", tenant.today) != tenant.today and kind == "Electronic":
        raise Refused("effectiveDate of an electronic payment must be today.", 50000020)
    order = asked.text("gatewayOrderId")
    if order and any(
        each.gateway_order == order and each.status == "Processed" for each in tenant.ledger.payments.values()
    ):
        raise Refused(f"The gateway refuses the order id {order}: it was used before.", 50000099)
    method = _method_for(api, asked.text("paymentMethodId"), account) if kind == "Electronic" else None
    after: list[Document] = []
    for name, of, key in (("invoices", "Invoice", "invoiceId"), ("debitMemos", "DebitMemo", "debitMemoId")):
        for part in asked.inner_list(name):
            document = tenant.ledger.need(of, part.need(key))
            if document.account != account.number:
                raise Refused(f"{document.number} is not one of the account {account.number}.", 50000020)
            after.append(paid(document, part.number("amount", document.balance) or document.balance))
    applied = tuple((each.id, each.settled - tenant.ledger.documents[each.id].settled) for each in after)
    if sum((part for _, part in applied), Decimal(0)) > amount:
        raise Refused("The amounts of the invoices are above the amount of the payment.", 50000020)
    declined = decline_of(method, request.troubles) if method else None
    payment = _payment(
        api,
        account,
        amount,
        method,
        kind=kind,
        order=order,
        applied=() if declined else applied,
        declined=declined,
    )
    tenant.put_money(payment, *(() if declined else after))
    return {**shown.payment(payment, account), "success": True}


def list_payments(api: ZuoraApi, request: Request) -> Json:
    """As "List payments", by the account's id among other things."""
    tenant = api.tenant
    kept = []
    for payment in reversed(tenant.ledger.payments.values()):
        row = shown.payment(payment, tenant.accounts[payment.account])
        wanted = {name: value for name in _PAYMENT_FILTERS if (value := request.one(name)) is not None}
        if all(str(row.get(name)) == value for name, value in wanted.items()):
            kept.append(row)
    page, rest = api.page(request, kept)
    return {"payments": page, "success": True, **rest}


def show_payment(api: ZuoraApi, _: Request, key: str) -> Json:
    """As "Retrieve a payment"."""
    payment = api.tenant.ledger.find_payment(key)
    if payment is None:
        raise Refused(f"Cannot find entity by key: '{key}'.", 50000040)
    return {**shown.payment(payment, api.tenant.accounts[payment.account]), "success": True}


def show_refund(api: ZuoraApi, _: Request, key: str) -> Json:
    """As "Retrieve a refund"."""
    refund = api.tenant.ledger.find_refund(key)
    if refund is None:
        raise Refused(f"Cannot find entity by key: '{key}'.", 50000040)
    return {**shown.refund(refund, api.tenant.accounts[refund.account]), "success": True}


def list_refunds(api: ZuoraApi, request: Request) -> Json:
    """As "List refunds"."""
    tenant = api.tenant
    wanted = request.one("accountId")
    rows = [shown.refund(each, tenant.accounts[each.account]) for each in reversed(tenant.ledger.refunds.values())]
    page, rest = api.page(request, [row for row in rows if wanted in (None, row["accountId"])])
    return {"refunds": page, "success": True, **rest}


def _shower(kind: str, show: Callable[[Document, Account], Json]) -> Callable[..., Json]:
    """As "Retrieve an invoice", "… a credit memo" and "… a debit memo", by id or number."""

    def work(api: ZuoraApi, _: Request, key: str) -> Json:
        found = api.tenant.ledger.need(kind, key)
        return {**show(found, api.tenant.accounts[found.account]), "success": True}

    return work


def list_invoice_items(api: ZuoraApi, request: Request, key: str) -> Json:
    """As "List all items of an invoice"."""
    found = api.tenant.ledger.need("Invoice", key)
    page, rest = api.page(request, list(found.lines))
    return {"invoiceItems": [shown.invoice_item(found, each) for each in page], "success": True, **rest}


def list_invoice_files(api: ZuoraApi, _: Request, key: str) -> Json:
    """As "List all files of an invoice": one PDF, whose address needs the same token."""
    found = api.tenant.ledger.need("Invoice", key)
    file = {"id": hex_id("file", found.id), "versionNumber": 1, "pdfFileUrl": f"/v1/files/{hex_id('file', found.id)}"}
    return {"invoiceFiles": [file], "success": True}


def show_file(api: ZuoraApi, _: Request, key: str) -> Answer:
    """As "Retrieve a file": the PDF of an invoice."""
    tenant = api.tenant
    for document in tenant.ledger.documents.values():
        if document.kind == "Invoice" and hex_id("file", document.id) == key:
            body = pdf_of(document, tenant.accounts[document.account])
            return Answer(200, body, content_type="application/pdf")
    raise Refused(f"Cannot find entity by key: '{key}'.", 50000040)


def list_documents(api: ZuoraApi, request: Request) -> Json:
    """As "List billing documents for an account"."""
    account = api.need_account(request.one("accountId") or request.one("accountNumber") or "")
    found = api.tenant.ledger.of_account(account.number)
    page, rest = api.page(request, [shown.billing_document(each, account) for each in found])
    return {"documents": page, "success": True, **rest}


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


def _method_for(api: ZuoraApi, key: str | None, account: Account) -> PaymentMethod:
    """The method that pays, the account's default unless another is named. Raises Refused."""
    chosen = key or account.default_payment_method
    if chosen is None:
        raise Refused(f"The account {account.number} has no payment method.", 50000030)
    return api.tenant.payment_methods.taken(chosen, account.number, api.tenant.now())


def _payment(
    api: ZuoraApi,
    account: Account,
    amount: Decimal,
    method: PaymentMethod | None,
    *,
    kind: str = "Electronic",
    order: str | None = None,
    applied: tuple[tuple[str, Decimal], ...] = (),
    declined: str | None = None,
) -> Payment:
    tenant = api.tenant
    today: date = tenant.today
    serial = tenant.next_number("P-")
    return Payment(
        id=hex_id("payment", serial),
        number=serial,
        account=account.number,
        currency=account.currency,
        amount=amount,
        day=today,
        type=kind,
        method=method.id if method else None,
        gateway_order=order,
        status="Error" if declined else "Processed",
        response=declined or "Approved",
        applied=applied,
        created=tenant.now(),
    )


ROUTES: dict[str, Any] = {
    "POST /v1/credit-memos": create_credit_memo,
    "GET /v1/credit-memos/{key}": _shower("CreditMemo", shown.credit_memo),
    "POST /v1/credit-memos/{key}/refund": refund_credit_memo,
    "POST /v1/debit-memos": create_debit_memo,
    "GET /v1/debit-memos/{key}": _shower("DebitMemo", shown.debit_memo),
    "POST /v1/debit-memos/{key}/collect": collect_debit_memo,
    "PUT /v1/debit-memos/{key}/write-off": write_off_debit_memo,
    "POST /v1/payments": create_payment,
    "GET /v1/payments": list_payments,
    "GET /v1/payments/{key}": show_payment,
    "GET /v1/refunds": list_refunds,
    "GET /v1/refunds/{key}": show_refund,
    "GET /v1/invoices/{key}": _shower("Invoice", shown.invoice),
    "GET /v1/invoices/{key}/items": list_invoice_items,
    "GET /v1/invoices/{key}/files": list_invoice_files,
    "GET /v1/files/{id}": show_file,
    "GET /v1/billing-documents": list_documents,
}
