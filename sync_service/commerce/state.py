"""What an order meets: how the tenant wants orders placed, what our store holds, and what Zuora says now.

Placing reads the store's part before it accepts an order and again before it plans it. Zuora's part is what `missing`
names, read round by round until nothing is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, time, tzinfo
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from sync_service.commerce.order import Order, OrderType
from sync_service.subscription.limio.documents import data_of, moment_of, read_day
from sync_service.subscription.plan import Document
from sync_service.subscription.zuora import ZuoraSubscription


@dataclass(frozen=True, kw_only=True)
class Options:
    """Names in brackets are those of Limio's settings page."""

    #: The zone of Zuora's dates.
    zone: tzinfo = field(default_factory=lambda: ZoneInfo("UTC"))
    #: 1-N: new subscriptions go on the owner's account where its currency is theirs; else every one gets its own.
    one_account_per_owner: bool = False
    #: New, Switch and Renew bill and collect at once ("Collect payment on order (if payment method specified)").
    collect_payment: bool = False
    #: New and Change Payment write payment profiles ("Enable Zuora Payment Profiles").
    payment_profiles: bool = False
    #: Payment method and gateway go into custom fields of the subscription (Advanced Payment Manager; 1-N only).
    advanced_payment_manager: bool = False
    #: A new default payment method does not switch auto pay on ("Disable Auto Pay for Payment Method Updates").
    disable_auto_pay: bool = False
    #: "Automatically refund cancelled subscriptions".
    refund_cancelled: bool = False
    #: "Zuora Payment Method ID for Invoice Payments".
    invoice_payment_method_id: str | None = None
    #: Subscriptions of one account may share an invoice ("Combine invoices").
    combine_invoices: bool = False
    #: All offers of an order in one subscription.
    one_subscription_per_order: bool = False
    #: Renewing with another offer also removes the old rate plan, as Zuora's own tutorial does; Limio names Add and
    #: Renew only.
    renewal_removes_old_plan: bool = True
    #: The reason code of the debit memo that a gift makes.
    gift_reason_code: str = "Gifting"
    #: The debit memo's custom field that holds the gift code.
    gift_code_field: str = "GiftCode__c"
    #: The custom fields that the tenant has, as `Order.Source__c`; what is not there is not sent.
    custom_fields: frozenset[str] = frozenset()


#: The names in `State.zuora`.
SUBSCRIPTION = "subscription"
ACCOUNT = "account"
#: The account of the partner that pays for a new order.
PAYER = "payer"
#: The newest orders of the subscription, of which one may be the cancellation that a switch takes back.
ORDERS = "orders"
GATEWAYS = "gateways"
INVOICE = "invoice"
#: The debit memo that a gift was paid with.
GIFT_MEMO = "gift_memo"

#: More rounds of reads no journey needs: the subscription names the account.
MAX_ROUNDS = 3

#: They change the customer's own contacts, even if another account pays.
_OF_THE_OWNER = frozenset({OrderType.CHANGE_ADDRESS, OrderType.UPDATE_CUSTOMER_DETAILS})
_WITHOUT_ZUORA = frozenset({OrderType.CANCEL_INTENT, OrderType.CHANGE_EXTERNAL_PAYMENT})


@dataclass(frozen=True, kw_only=True)
class Read:
    """One GET. Its answer goes into `State.zuora` under `name`; a 404 goes there as None."""

    name: str
    path: str


def missing(order: Order, state: State, options: Options, today: date) -> tuple[Read, ...]:
    """The reads that are still to be made; empty once the order can be planned."""
    if order.type in _WITHOUT_ZUORA:
        return ()
    wanted = _wanted(order, state, options, today)
    return tuple(Read(name=name, path=path) for name, path in wanted if name not in state.zuora)


def _wanted(order: Order, state: State, options: Options, today: date) -> Iterator[tuple[str, str]]:
    if options.payment_profiles and order.payment and order.payment.gateway:
        yield GATEWAYS, "/v1/paymentgateways"
    if order.type is OrderType.GIFT_REFUND:
        number = gift_memo_number(state)
        if number:
            yield GIFT_MEMO, f"/v1/debit-memos/{quote(number, safe='')}"
    if order.type is OrderType.PAY_INVOICE:
        yield INVOICE, f"/v1/invoices/{quote(order.invoice_id or '', safe='')}"
    number = subscription_number(order, state)
    if number and order.type is not OrderType.GIFT_REFUND:
        yield SUBSCRIPTION, f"/v1/subscriptions/{quote(number, safe='')}?charge-detail=all-segments"
    if order.payer_account:
        yield PAYER, f"/v1/accounts/{quote(order.payer_account, safe='')}"
    account = account_key(order, state, options)
    if account:
        yield ACCOUNT, f"/v1/accounts/{quote(account, safe='')}"
    if order.type is OrderType.CHANGE_OFFER and number and _is_cancelled_later(state, today):
        yield ORDERS, f"/v1/orders/subscription/{quote(number, safe='')}?status=completed&pageSize=40"


def subscription_number(order: Order, state: State) -> str | None:
    """The Zuora number of the subscription that the order names."""
    document = state.store.subscription
    if document is not None and document.get("reference"):
        return str(document["reference"])
    key = order.subscription_key
    return key if key and not key.startswith("sub-") else None


def account_key(order: Order, state: State, options: Options) -> str | None:
    """The account that the order concerns, once it is known: number or id."""
    subscription = state.subscription
    if subscription is not None:
        return subscription.account_number if order.type in _OF_THE_OWNER else subscription.payer_number
    memo = state.zuora.get(GIFT_MEMO)
    if memo and memo.get("accountNumber"):
        return str(memo["accountNumber"])
    invoice = state.zuora.get(INVOICE)
    if invoice and invoice.get("accountId"):
        return str(invoice["accountId"])
    if order.type is OrderType.NEW:
        return state.store.account_number if options.one_account_per_owner and not order.is_gift else None
    return None


def gift_memo_number(state: State) -> str | None:
    """The debit memo of the gift that the store's gift code belongs to."""
    number = data_of(state.store.gift_code).get("debitMemoNumber")
    return str(number) if number else None


def _is_cancelled_later(state: State, today: date) -> bool:
    cancelled = state.subscription.cancelled_from if state.subscription else None
    return cancelled is not None and cancelled > today


@dataclass(frozen=True, kw_only=True)
class InStore:
    """Limio's objects around the order, as documents; all of the subscription's, old ones too."""

    #: The subscription that the order names; None: the order names none, or we hold none.
    subscription: Document | None = None
    offers: tuple[Document, ...] = ()
    add_ons: tuple[Document, ...] = ()
    addresses: tuple[Document, ...] = ()
    schedule: tuple[Document, ...] = ()
    payment_methods: tuple[Document, ...] = ()
    customer: Document | None = None
    #: The gift code that the order redeems or refunds.
    gift_code: Document | None = None
    #: The Zuora account of the subscription, or the newest account of the order's owner (1-N); None: not known.
    account_number: str | None = None
    #: The day of a cancellation that is set, as the last sync read it.
    cancelled_on: date | None = None


@dataclass(frozen=True, kw_only=True)
class State:
    """The store's part, and Zuora's answers by the name of the `Read` that brought them; None: Zuora knows no such."""

    store: InStore = field(default_factory=InStore)
    zuora: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    #: The answer about the subscription, read as every sync reads it; None where it is not asked, or Zuora knows none.
    subscription: ZuoraSubscription | None = None


def day_of(value: Any, zone: tzinfo) -> date | None:
    """The day of a Limio timestamp in the tenant's `zone`; midnight in UTC stands for a day as such."""
    moment = moment_of(value)
    if moment is None or moment.time() == time.min:
        return moment.date() if moment else None
    return moment.astimezone(zone).date()


def is_discount(document: Document) -> bool:
    """Whether an offer of a subscription is a discount beside the product."""
    return data_of(document).get("record_subtype") == "discount"


def goes_on(document: Document, day: date) -> bool:
    """Whether an offer or add-on of a subscription has not ended on `day`."""
    end = read_day(data_of(document).get("end"))
    return document.get("status", "active") == "active" and (end is None or end > day)
