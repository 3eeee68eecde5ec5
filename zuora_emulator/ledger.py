"""Money: invoices, credit memos and debit memos, payments and refunds. All are frozen; a change replaces one.

With Invoice Settlement, as Limio needs it: a negative bill becomes a credit memo, and a refund is one of a credit memo.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar

from zuora_emulator.fields import Refused

_NOTHING = Decimal(0)
#: What the numbers of documents begin with.
PREFIXES = {"Invoice": "INV", "CreditMemo": "CM", "DebitMemo": "DM"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a document; `amount` is without tax, `end` the last day of the service."""

    id: str
    name: str
    product: str = ""
    product_charge_id: str = ""
    charge_number: str | None = None
    charge_type: str = "OneTime"
    subscription: str | None = None
    start: date | None = None
    end: date | None = None
    amount: Decimal
    tax: Decimal = _NOTHING
    quantity: Decimal = Decimal(1)
    is_discount: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A posted invoice, credit memo or debit memo; the amount of a credit memo is positive."""

    kind: str
    id: str
    number: str
    account: str
    currency: str
    #: Its own date, and up to when it bills.
    day: date
    target: date | None = None
    lines: tuple[Line, ...]
    #: What was paid or, of a credit memo, applied.
    settled: Decimal = _NOTHING
    refunded: Decimal = _NOTHING
    order: str | None = None
    reason: str | None = None
    comment: str | None = None
    is_applied_automatically: bool = True
    custom_fields: Mapping[str, Any] = field(default_factory=dict)
    created: datetime

    @property
    def tax(self) -> Decimal:
        """The tax in it."""
        return sum((each.tax for each in self.lines), _NOTHING)

    @property
    def amount(self) -> Decimal:
        """Its total, tax included."""
        return sum((each.amount for each in self.lines), _NOTHING) + self.tax

    @property
    def balance(self) -> Decimal:
        """What is still to be paid, or of a credit memo still to be given."""
        return self.amount - self.settled - self.refunded


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """Money that came in, or (`Error`) did not; `applied` are the documents that it paid."""

    id: str
    number: str
    account: str
    currency: str
    amount: Decimal
    day: date
    type: str = "Electronic"
    method: str | None = None
    gateway: str | None = None
    gateway_order: str | None = None
    status: str = "Processed"
    response: str = "Approved"
    applied: tuple[tuple[str, Decimal], ...] = ()
    created: datetime

    @property
    def applied_amount(self) -> Decimal:
        """How much of it paid something."""
        return sum((amount for _, amount in self.applied), _NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """Money that went back, or (`Error`) did not."""

    id: str
    number: str
    account: str
    currency: str
    amount: Decimal
    day: date
    memo: str
    type: str = "Electronic"
    method: str | None = None
    gateway: str | None = None
    status: str = "Processed"
    response: str = "Approved"
    created: datetime


_T = TypeVar("_T", Document, Payment, Refund)


class Ledger:
    """Everything by its id."""

    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}
        self.payments: dict[str, Payment] = {}
        self.refunds: dict[str, Refund] = {}

    def put(self, *entries: Document | Payment | Refund) -> None:
        """Add entries, or replace them."""
        for entry in entries:
            match entry:
                case Document():
                    self.documents[entry.id] = entry
                case Payment():
                    self.payments[entry.id] = entry
                case Refund():
                    self.refunds[entry.id] = entry

    def find(self, kind: str, key: str) -> Document | None:
        """The document of a kind with this id or number."""
        found = _find(self.documents, key)
        return found if found and found.kind == kind else None

    def need(self, kind: str, key: str) -> Document:
        """The document of a kind with this id or number. Raises Refused."""
        found = self.find(kind, key)
        if found is None:
            raise Refused(f"Cannot find entity by key: '{key}'.", 50000040)
        return found

    def find_line(self, key: str) -> tuple[Document, Line] | None:
        """The line of an invoice with this id, and its invoice."""
        lines = ((each, line) for each in self.documents.values() if each.kind == "Invoice" for line in each.lines)
        return next((found for found in lines if found[1].id == key), None)

    def find_payment(self, key: str) -> Payment | None:
        """The payment with this id or number."""
        return _find(self.payments, key)

    def find_refund(self, key: str) -> Refund | None:
        """The refund with this id or number."""
        return _find(self.refunds, key)

    def of_account(self, account: str, kind: str | None = None) -> list[Document]:
        """The documents of an account, the newest first."""
        found = [each for each in self.documents.values() if each.account == account and kind in (None, each.kind)]
        return found[::-1]

    def sums(self) -> dict[str, str]:
        """All that was billed, credited, paid and given back, by currency and kind."""
        sums: dict[str, Decimal] = {}
        for kind, currency, amount in self._amounts():
            sums[f"{kind} {currency}"] = sums.get(f"{kind} {currency}", _NOTHING) + amount
        return {name: str(amount) for name, amount in sorted(sums.items())}

    def listed(self) -> dict[str, list[dict[str, Any]]]:
        """Every document, payment and refund in short: its number, what it is of, and its amount."""
        documents, payments, refunds = [*self.documents.values()], [*self.payments.values()], [*self.refunds.values()]
        numbers = {each.id: each.number for each in documents}
        return {
            "documents": [
                {"kind": each.kind, "number": each.number, "order": each.order, "amount": str(each.amount)}
                for each in documents
            ],
            "payments": [
                {"number": each.number, "order": each.gateway_order, "amount": str(each.amount), "status": each.status}
                | {"pays": [numbers[key] for key, _ in each.applied]}
                for each in payments
            ],
            "refunds": [
                {"number": each.number, "memo": numbers[each.memo], "amount": str(each.amount), "status": each.status}
                for each in refunds
            ],
        }

    def _amounts(self) -> Iterable[tuple[str, str, Decimal]]:
        for document in self.documents.values():
            yield document.kind, document.currency, document.amount
        for payment in self.payments.values():
            if payment.status == "Processed":
                yield "Payment", payment.currency, payment.amount
        for refund in self.refunds.values():
            if refund.status == "Processed":
                yield "Refund", refund.currency, refund.amount


def paid(document: Document, amount: Decimal) -> Document:
    """The document after a payment, or a credit memo after it was applied. Raises Refused above the balance."""
    if amount > document.balance:
        raise Refused(f"The amount {amount} is above the balance {document.balance} of {document.number}.", 50000020)
    return replace(document, settled=document.settled + amount)


def refunded(memo: Document, amount: Decimal) -> Document:
    """The credit memo after a refund. Raises Refused above what it still has to give."""
    if not 0 < amount <= memo.balance:
        raise Refused(f"The amount {amount} is not within the unapplied amount of {memo.number}.", 50000020)
    return replace(memo, refunded=memo.refunded + amount)


def _find(among: dict[str, _T], key: str) -> _T | None:
    return among.get(key) or next((each for each in among.values() if each.number == key), None)
