"""A Limio order as a value: what a shop, an agent or another system wishes, with the names that we gave it.

Shapes and field names are those of Limio's "Send Orders" API and of the payloads that Limio's public components send.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum

from sync_service.subscription.plan import Document


class OrderType(StrEnum):
    """The customer journeys, under the names that Limio's wire has for them."""

    NEW = "new"
    CHANGE_OFFER = "change_offer"
    ADD_OFFER = "add_offer"
    UPDATE_SUBSCRIPTION = "update_subscription"
    CANCEL_SUBSCRIPTION = "cancel_subscription"
    #: A customer looked at the cancel page: no Zuora call.
    CANCEL_INTENT = "cancel_intent"
    RENEW = "renew"
    CHANGE_ADDRESS = "change_address"
    CHANGE_PAYMENT = "change_payment"
    #: A payment method outside Zuora: kept in the store only.
    CHANGE_EXTERNAL_PAYMENT = "change_external_payment"
    CHANGE_DEFAULT_PAYMENT = "change_default_payment"
    PAY_INVOICE = "pay_invoice"
    UPDATE_CUSTOMER_DETAILS = "update_customer_details"
    GIFT_REFUND = "gift_refund"
    REFUND = "refund"
    CREDIT_MEMO = "credit_memo"


class ProblemCode(StrEnum):
    """What kind of wrong a problem is; the web decides the HTTP status by it."""

    #: A field that must be there is not.
    MISSING = "missing"
    #: A field holds what it may not hold.
    INVALID = "invalid"
    #: An order type, or a combination, that we do not place.
    UNSUPPORTED = "unsupported"
    #: The subscription, offer, version, gift code or invoice is not known: 404.
    UNKNOWN = "unknown"
    #: Known, and not in a state in which this order can be placed.
    NOT_ALLOWED = "not_allowed"
    #: A change of this subscription is under way until a date: 423.
    PENDING_CHANGE = "pending_change"
    #: The caller's scopes do not permit it: 403.
    NOT_PERMITTED = "not_permitted"
    #: An offer leads to no rate plan, or to several.
    CATALOG = "catalog"
    #: Zuora said no; the message is Zuora's.
    ZUORA = "zuora"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong. `field` is the dotted path in the order's payload, empty for the order as a whole."""

    field: str
    code: ProblemCode
    message: str


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """The order cannot be placed as it is: final, nothing was sent."""

    problems: tuple[Problem, ...]


class CannotBePlacedError(Exception):
    """Ends the planning of an order; `journeys` makes a Refusal of it."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(" ".join(problem.message for problem in problems))
        self.problems = problems


def refuse(field: str, code: ProblemCode, message: str) -> CannotBePlacedError:
    """The error that ends the planning with one problem."""
    return CannotBePlacedError(Problem(field=field, code=code, message=message))


@dataclass(frozen=True, kw_only=True)
class CatalogRef:
    """Which offer or add-on, and which version of it."""

    id: str
    version: str | None = None


@dataclass(frozen=True, kw_only=True)
class OrderItem:
    """One offer that is bought."""

    #: The order item's uuid: `data.id` of the subscription and of its offer.
    id: str | None = None
    offer: CatalogRef
    quantity: Decimal = Decimal(1)
    add_ons: tuple[CatalogRef, ...] = ()


class UpdateAction(StrEnum):
    """What one entry of `updates` does."""

    ADD = "add"
    REMOVE = "remove"


@dataclass(frozen=True, kw_only=True)
class ItemUpdate:
    """One entry of an update_subscription order, of either generation."""

    action: UpdateAction
    #: `offer` or `add_on`.
    record_type: str
    #: To add: the offer or add-on. To remove: the subscription_offer's, the add-on's or the catalog item's id.
    item: CatalogRef
    quantity: Decimal | None = None
    #: None: now.
    effective: date | None = None


@dataclass(frozen=True, kw_only=True)
class OrderContact:
    """Name and address as the order says them; None is absent or blank."""

    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    work_email: str | None = None
    #: Zuora's mobilePhone ("Updating contact details in Zuora via Limio orders").
    phone: str | None = None
    work_phone: str | None = None
    other_phone: str | None = None
    address1: str | None = None
    address2: str | None = None
    city: str | None = None
    county: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None
    company: str | None = None
    tax_number: str | None = None


@dataclass(frozen=True, kw_only=True)
class OrderPayment:
    """How it is paid. Card tokens and signatures are dropped when an order is read."""

    #: `zuora`, `invoice`, …
    type: str | None = None
    #: `zuora_card`, `zuora_paypal`, `invoice`, …: must be among the offer's `payment_types__limio`.
    payment_type: str | None = None
    #: Zuora's id of the payment method.
    method_id: str | None = None
    #: The NAME of the gateway instance.
    gateway: str | None = None
    gift_code: str | None = None


@dataclass(frozen=True, kw_only=True)
class OrderDiscount:
    """A discount on the whole order: a rate plan of Zuora's by names, with overrides."""

    product_path: str
    rate_plan: str
    percentage: Decimal | None = None
    amount: Decimal | None = None
    #: How long, in Zuora's unit words (Months, Years, …); None: as the rate plan says.
    periods: int | None = None
    period_type: str | None = None


@dataclass(frozen=True, kw_only=True)
class NewSubscription:
    """The names of a subscription to come, given at submit so that silence can be resolved by asking for them."""

    #: Limio's id, `sub-…`.
    id: str
    #: Limio's reference; Zuora's subscription number.
    reference: str
    #: The order item's uuid.
    item_id: str


@dataclass(frozen=True, kw_only=True)
class Names:
    """What we named an order and what it makes, before anything was sent."""

    #: Limio's id, `order-…`.
    order_id: str
    #: Limio's order reference; Zuora's order number, and part of the numbers of memos and accounts.
    reference: str
    owner: str | None = None
    customer: str | None = None
    #: As many as `subscriptions_needed` says, in the order of the items.
    subscriptions: tuple[NewSubscription, ...] = ()
    #: The code of the gift that this order buys.
    gift_code: str | None = None
    #: Limio's id, `pm-…`, of the payment method that the order brings.
    payment_method: str | None = None

    @property
    def gift_account(self) -> str:
        """Zuora's number of the account that a gift's buyer gets."""
        return f"L-{self.reference}"

    @property
    def gift_memo(self) -> str:
        """Zuora's number of the debit memo that a gift is paid with."""
        return f"DM-{self.reference}"


@dataclass(frozen=True, kw_only=True)
class Order:
    """An order as read from its payload, of either generation. Dates are days in the tenant's zone."""

    type: OrderType
    #: The payload as it came, unknown fields too, without card token and signature.
    document: Document
    names: Names | None = None
    external_id: str | None = None
    initiated_source: str | None = None
    source: str | None = None
    process_immediately: bool = False
    #: When the subscription should start; None: today.
    start: date | None = None
    country: str | None = None
    owner: str | None = None
    #: Limio's id (`sub-…`) or the reference of the subscription that the order is for.
    subscription_key: str | None = None
    items: tuple[OrderItem, ...] = ()
    updates: tuple[ItemUpdate, ...] = ()
    #: `cancel_save`, `add_offer` or `change_offer`, as sent.
    change_type: str | None = None
    effective: date | None = None
    cancel_date: date | None = None
    #: `data.reason.id`.
    reason: str | None = None
    #: Who it is for (`customerDetails`), and the addresses.
    customer: OrderContact | None = None
    billing: OrderContact | None = None
    delivery: OrderContact | None = None
    recipient: OrderContact | None = None
    #: The new address of a change_address order.
    address: OrderContact | None = None
    #: `billing` or `delivery`: which address a change_address order changes.
    address_type: str | None = None
    payment: OrderPayment | None = None
    discount: OrderDiscount | None = None
    auto_renew: bool | None = None
    is_gift: bool = False
    is_redeem: bool = False
    #: A code that the seller made for the gift that is bought; None: we make one.
    gift_code: str | None = None
    redeem_code: str | None = None
    #: Of refund, credit memo and pay_invoice.
    amount: Decimal | None = None
    #: Of a credit memo whose add-on adjusts by quantity.
    quantity: Decimal | None = None
    invoice_id: str | None = None
    tracking: Document = field(default_factory=dict)
    #: The caller holds the scope `api/order:update_refund`.
    may_refund: bool = False
    #: The account in Zuora, by id or number, of the partner that pays for what a new order makes.
    payer_account: str | None = None

    @property
    def named(self) -> Names:
        """The names of an order that is accepted."""
        if self.names is None:
            raise ValueError("An order is named when it is accepted.")
        return self.names


#: What the fields of a contact are called: here, by Limio, by Zuora (Limio's page "Updating contact details in Zuora").
PERSON_NAMES = (
    ("first_name", "firstName", "firstName"),
    ("last_name", "lastName", "lastName"),
    ("email", "email", "personalEmail"),
    ("work_email", "workEmail", "workEmail"),
    ("phone", "phone", "mobilePhone"),
    ("work_phone", "workPhone", "workPhone"),
    ("other_phone", "otherPhone", "otherPhone"),
)
_ALIKE = ("address1", "address2", "city", "county", "state", "country")
CONTACT_NAMES = (*PERSON_NAMES, *((name,) * 3 for name in _ALIKE), ("postal_code", "postalCode", "postalCode"))


def payer_of(order: Order) -> OrderContact:
    """Who is billed: the customer's name and ways of contact, at the billing address."""
    return _merge(order.billing, order.customer, order.country)


def receiver_of(order: Order) -> OrderContact | None:
    """Who gets it, where the order is delivered elsewhere: with the payer's name and email where it says none."""
    if order.delivery is None:
        return None
    payer, delivery = payer_of(order), _merge(order.delivery, None, order.country)
    names = ("first_name", "last_name", "email")
    return replace(delivery, **{name: getattr(delivery, name) or getattr(payer, name) for name in names})


def redeemer_of(order: Order) -> OrderContact:
    """Who redeems a gift."""
    return _merge(order.delivery or order.billing, order.customer or order.recipient, order.country)


def _merge(address: OrderContact | None, customer: OrderContact | None, country: str | None) -> OrderContact:
    """The address with the customer's name, email and telephones, the address's own where the customer has none."""
    where, who = address or OrderContact(), customer or OrderContact()
    names = [*(name for name, _, _ in PERSON_NAMES), "company"]
    merged = replace(where, **{name: getattr(who, name) or getattr(where, name) for name in names})
    return replace(merged, country=where.country or country)
