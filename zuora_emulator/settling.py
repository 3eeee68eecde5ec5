"""What an order's processing options do: bill what is due, give credit, collect the bill or refund the credit.

Source: "Create an order" of Zuora's API reference, `processingOptions`, and its tutorial on refunds of cancellations:
all of it happens or nothing, but for a refund, whose failure the answer tells of while the order stands.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from zuora_emulator import billing
from zuora_emulator.fields import Fields, Refused
from zuora_emulator.ledger import PREFIXES, Document, Line, Payment, Refund, paid, refunded
from zuora_emulator.payment_methods import PaymentMethod
from zuora_emulator.records import Account, Version, hex_id
from zuora_emulator.tenant import Tenant

#: What a fault may bring about: no tax, no payment, no refund.
TROUBLES = ("tax_error", "decline", "refund_error")


@dataclass(frozen=True, kw_only=True)
class Options:
    """The processing options of an order."""

    run_billing: bool = False
    collect: bool = False
    refund: Decimal | None = None
    target: date
    method: str | None = None
    gateway: str | None = None

    @classmethod
    def read(cls, asked: Fields) -> Options:
        """Read and check them. Raises Refused."""
        billing_options = asked.inner("billingOptions") or Fields({}, today=asked.today)
        electronic = asked.inner("electronicPaymentOptions") or Fields({}, today=asked.today)
        run, collect = bool(asked.flag("runBilling", False)), bool(asked.flag("collectPayment", False))
        refund = asked.number("refundAmount")
        if collect and not run:
            raise Refused("collectPayment needs runBilling.", 40000020)
        if asked.flag("refund", False):
            if collect:
                raise Refused("collectPayment and refund exclude each other.", 40000020)
            if not run:
                raise Refused("refund needs runBilling.", 40000020)
            if refund is None or refund <= 0:
                raise Refused("refundAmount is needed with refund.", 40000022)
        else:
            refund = None
        return cls(
            run_billing=run,
            collect=collect,
            refund=refund,
            target=billing_options.day("targetDate", asked.today) or asked.today,
            method=electronic.text("paymentMethodId"),
            gateway=electronic.text("paymentGatewayId"),
        )


@dataclass(kw_only=True)
class Settlement:
    """What settling an order made; nothing of it is in the tenant yet."""

    documents: list[Document] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)

    def of(self, kind: str) -> list[Document]:
        """The documents of a kind."""
        return [each for each in self.documents if each.kind == kind]

    def put(self, tenant: Tenant) -> None:
        """Put all of it into the tenant."""
        tenant.put_money(*self.documents, *self.payments, *self.refunds)


def items_of(before: Version | None, after: Version, target: date) -> list[billing.Item]:
    """What billing a changed subscription up to a day bills and gives back."""
    if after.base_status != "Active":
        return []
    items = list(billing.credits(before, after)) if before else []
    return items + list(billing.lines(after, billing.Assumptions(target=target)))


def billed(before: Version | None, after: Version, target: date) -> Version:
    """The version after it was billed so."""
    if after.base_status != "Active":
        return after
    return billing.bill(billing.credited(before, after) if before else after, target)


def settle(
    tenant: Tenant,
    account: Account,
    changes: Iterable[tuple[Version | None, Version]],
    options: Options,
    *,
    order: str,
    method: PaymentMethod | None,
    troubles: frozenset[str] = frozenset(),
) -> Settlement:
    """Bill the subscriptions of an order, then collect or refund. `method` is the account's own. Raises Refused."""
    made = Settlement()
    if not options.run_billing:
        return made
    if "tax_error" in troubles:
        raise Refused("The tax engine did not answer: the order was rolled back.", 40000099)
    for bill in _bills(changes, options.target):
        total = sum((each.amount + each.tax for each in bill), Decimal(0))
        if bill:
            kind = "CreditMemo" if total < 0 else "Invoice"
            made.documents.append(document_of(tenant, account, bill, kind, options.target, order=order))
    if options.collect:
        _collect(tenant, account, made, options, order, method, troubles)
    if options.refund is not None:
        _refund(tenant, made, options.refund, method, troubles)
    return made


def _bills(changes: Iterable[tuple[Version | None, Version]], target: date) -> Iterable[list[billing.Item]]:
    """The lines of each bill: subscriptions that are invoiced separately have one of their own."""
    together: list[billing.Item] = []
    for before, after in changes:
        items = items_of(before, after, target)
        if after.invoice_separately:
            yield items
        else:
            together += items
    yield together


def document_of(
    tenant: Tenant, account: Account, items: list[billing.Item], kind: str, target: date, *, order: str | None = None
) -> Document:
    """An invoice of these items, or a credit memo of them, whose amounts have the other sign."""
    number = tenant.next_number(PREFIXES[kind])
    sign = -1 if kind == "CreditMemo" else 1
    return Document(
        kind=kind,
        id=hex_id(kind, number),
        number=number,
        account=account.number,
        currency=account.currency,
        day=tenant.today,
        target=target,
        lines=tuple(line_of(each, sign, f"{number}/{place}") for place, each in enumerate(items)),
        order=order,
        created=tenant.now(),
    )


def line_of(item: billing.Item, sign: int, key: str) -> Line:
    """A document's line of what was billed; a credit memo's amounts have the other sign."""
    return Line(
        id=hex_id("line", key),
        name=item.charge.name,
        product=item.plan.product_name,
        product_charge_id=item.plan.product_charge_id(item.charge),
        charge_number=item.charge.number,
        charge_type=item.charge.type,
        subscription=item.version.number,
        start=item.start,
        end=item.end - timedelta(days=1),
        amount=item.amount * sign,
        tax=item.tax * sign,
        quantity=item.quantity,
        is_discount=item.charge.is_discount,
    )


def _collect(
    tenant: Tenant,
    account: Account,
    made: Settlement,
    options: Options,
    order: str,
    own: PaymentMethod | None,
    troubles: frozenset[str],
) -> None:
    due = sum((each.balance for each in made.of("Invoice")), Decimal(0))
    if due <= 0:
        return
    method = tenant.payment_methods.need(options.method) if options.method else own
    if method is None:
        raise Refused(f"The account {account.number} has no payment method to collect from.", 40000030)
    if method.account not in (None, account.number):
        raise Refused(f"The payment method {method.id} belongs to another account.", 40000030)
    if reason := decline_of(method, troubles):
        raise Refused(f"Transaction declined. {reason}", tenant.decline_code)
    number = tenant.next_number("P-")
    applied = tuple((each.id, each.balance) for each in made.of("Invoice"))
    made.documents = [paid(each, each.balance) if each.kind == "Invoice" else each for each in made.documents]
    made.payments.append(
        Payment(
            id=hex_id("payment", number),
            number=number,
            account=account.number,
            currency=account.currency,
            amount=due,
            day=tenant.today,
            method=method.id,
            gateway=options.gateway or _gateway_of(tenant, account),
            gateway_order=order,
            applied=applied,
            created=tenant.now(),
        )
    )


def _refund(
    tenant: Tenant, made: Settlement, amount: Decimal, method: PaymentMethod | None, troubles: frozenset[str]
) -> None:
    """Refund credit memos; a refusal of the gateway becomes a refund in error, and the order stands."""
    memos = made.of("CreditMemo")
    if amount > sum((each.balance for each in memos), Decimal(0)):
        raise Refused(f"The refund of {amount} is above the credit that the order gives.", 40000020)
    for memo in memos:
        part = min(amount, memo.balance)
        amount -= part
        if part > 0:
            refund = refund_of(tenant, memo, part, method, troubles)
            made.refunds.append(refund)
            if refund.status == "Processed":
                made.documents = [refunded(each, part) if each is memo else each for each in made.documents]


def refund_of(
    tenant: Tenant, memo: Document, amount: Decimal, method: PaymentMethod | None, troubles: frozenset[str]
) -> Refund:
    """A refund of a credit memo, in error where the money cannot go back."""
    refused = method is None or method.refuses_refunds or "refund_error" in troubles
    number = tenant.next_number("R-")
    return Refund(
        id=hex_id("refund", number),
        number=number,
        account=memo.account,
        currency=memo.currency,
        amount=amount,
        day=tenant.today,
        memo=memo.id,
        method=method.id if method else None,
        status="Error" if refused else "Processed",
        response="The gateway refused the refund." if refused else "Approved",
        created=tenant.now(),
    )


def decline_of(method: PaymentMethod, troubles: frozenset[str]) -> str | None:
    """What the bank says against charging a method, None where it lets it pass."""
    return method.declines or ("Do Not Honor" if "decline" in troubles else None)


def _gateway_of(tenant: Tenant, account: Account) -> str | None:
    found = tenant.payment_methods.find_gateway(account.payment_gateway or "")
    found = found or next((each for each in tenant.payment_methods.gateways if each.is_default), None)
    return found.id if found else None


def answer_of(made: Settlement) -> dict[str, Any]:
    """What the order's answer says of it."""
    said: dict[str, Any] = {}
    if invoices := made.of("Invoice"):
        said["invoiceNumbers"] = [each.number for each in invoices]
    if memos := made.of("CreditMemo"):
        said["creditMemoNumbers"] = [each.number for each in memos]
    for payment in made.payments:
        said |= {"paymentNumber": payment.number, "paidAmount": str(payment.amount)}
    if made.refunds:
        said["refunds"] = [
            {"status": "Success", "number": each.number, "refundInvoiceNumbers": []}
            if each.status == "Processed"
            else {"status": "Error"}
            for each in made.refunds
        ]
    return said
