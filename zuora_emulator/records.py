"""What a tenant keeps: accounts, contacts, and subscriptions with every version that they ever had.

All are frozen but `Subscription`, which is the list of its versions: an order adds one, nothing alters an old one. End
dates are exclusive, as in Zuora. A segment without an end runs as long as the subscription does, so a renewal need not
touch it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any


def hex_id(*parts: object) -> str:
    """A Zuora id, 32 hexadecimal digits: the same parts always give the same id."""
    return blake2b("/".join(map(str, parts)).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A person with an address. Countries and states are names or codes, whatever was entered."""

    id: str
    account_number: str
    first_name: str = ""
    last_name: str = ""
    address1: str | None = None
    address2: str | None = None
    city: str | None = None
    county: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None
    work_email: str | None = None
    personal_email: str | None = None
    work_phone: str | None = None
    mobile_phone: str | None = None
    home_phone: str | None = None
    other_phone: str | None = None
    created: datetime
    updated: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who owns and pays; the two contacts may be one and the same."""

    id: str
    number: str
    name: str
    currency: str
    bill_to: str | None
    sold_to: str | None
    bill_cycle_day: int = 1
    crm_id: str = ""
    auto_pay: bool = True
    payment_gateway: str | None = None
    #: The id of the payment method that pays unless another is named.
    default_payment_method: str | None = None
    is_partner: bool = False
    custom_fields: Mapping[str, Any] = field(default_factory=dict)
    created: datetime
    updated: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One step of a tiered or volume price: the price of a unit, or of the whole step (`FlatFee`)."""

    starting_unit: Decimal
    #: None for the last step.
    ending_unit: Decimal | None
    price: Decimal
    price_format: str = "PerUnit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One price of a charge for one stretch of time. Without `end` it runs as long as the subscription."""

    start: date
    end: date | None = None
    price: Decimal | None = None
    quantity: Decimal = Decimal(1)
    discount_amount: Decimal | None = None
    discount_percentage: Decimal | None = None
    tiers: tuple[Tier, ...] = ()

    def holds(self, day: date) -> bool:
        """Whether the day lies in it, as far as its own dates tell."""
        return self.start <= day and (self.end is None or day < self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A rate plan charge. Words are Zuora's: `Recurring`, `FlatFee`, `Month`, `IN_ADVANCE`, …."""

    number: str
    name: str
    segments: tuple[Segment, ...]
    type: str = "Recurring"
    model: str = "FlatFee"
    billing_period: str | None = "Month"
    specific_billing_period: int | None = None
    billing_timing: str | None = "IN_ADVANCE"
    billing_day: str = "ChargeTriggerDay"
    list_price_base: str | None = "Per_Billing_Period"
    unit_of_measure: str | None = None
    description: str = ""
    end_date_condition: str = "Subscription_End"
    discount_level: str | None = None
    apply_discount_to: str | None = None
    #: The part of the price that is tax where prices include it (0.2 is 20 % on top of the net amount).
    tax_rate: Decimal | None = None
    invoice_schedule_id: str | None = None
    #: How long a `Fixed_Period` lasts, such as 3 `Months`.
    up_to: tuple[int, str] | None = None
    #: The id of the catalog's charge that it was made of; None derives one from the names.
    catalog_id: str | None = None
    #: The first day that is not yet billed.
    billed_through: date | None = None

    @property
    def is_discount(self) -> bool:
        """Whether it takes money off other charges."""
        return self.model.startswith("Discount")


@dataclass(frozen=True, slots=True, kw_only=True)
class RatePlan:
    """A product's rate plan within a subscription; it stays in the answers for ever, removed or not."""

    number: str
    name: str
    product_name: str
    charges: tuple[Charge, ...]
    last_change: str | None = "Add"
    #: The ids of the catalog's rate plan and product that it was made of; None derives them from the names.
    catalog_id: str | None = None
    catalog_product_id: str | None = None
    custom_fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def product_rate_plan_id(self) -> str:
        """The catalog's rate plan that it was made of."""
        return self.catalog_id or hex_id("product rate plan", self.product_name, self.name)

    @property
    def product_id(self) -> str:
        """The catalog's product that it was made of."""
        return self.catalog_product_id or hex_id("product", self.product_name)

    def product_charge_id(self, charge: Charge) -> str:
        """The catalog's charge that one of its charges was made of."""
        return charge.catalog_id or hex_id("product charge", self.product_name, self.name, charge.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspension:
    """From its start until the resumption, which may not be known yet."""

    start: date
    end: date | None = None
    #: The charges that it stopped, each with the end that its last segment had before: resuming goes on until there.
    stopped: tuple[tuple[str, date | None], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a subscription: what one order made of it."""

    id: str
    number: str
    version: int
    previous_id: str | None = None
    account: str
    invoice_owner: str
    term_type: str = "TERMED"
    start: date
    term_start: date
    #: None for an evergreen subscription that has not been cancelled.
    term_end: date | None
    initial_term: int | None = 12
    current_term: int | None = 12
    term_period: str = "Month"
    auto_renew: bool = True
    renewal_setting: str = "RENEW_WITH_SPECIFIC_TERM"
    renewal_term: int = 12
    #: The unit of the renewal term; None is that of the term.
    renewal_period: str | None = None
    currency: str
    #: The status that no date decides: `Active`, or `Draft`, `Pending Activation`, `Pending Acceptance`.
    base_status: str = "Active"
    cancelled_on: date | None = None
    cancel_reason: str | None = None
    #: The day on which terms and conditions cancel it; nothing else tells of it until then.
    scheduled_cancel: date | None = None
    suspensions: tuple[Suspension, ...] = ()
    #: The subscription's own contacts; None leaves it to the account's.
    bill_to: str | None = None
    sold_to: str | None = None
    rate_plans: tuple[RatePlan, ...] = ()
    custom_fields: Mapping[str, Any] = field(default_factory=dict)
    notes: str | None = None
    order_number: str | None = None
    invoice_schedule_id: str | None = None
    invoice_separately: bool = False
    #: The payment profile: the ids of a payment method and of a gateway, where it has its own.
    payment_method: str | None = None
    payment_gateway: str | None = None
    created: datetime
    updated: datetime

    @property
    def charges(self) -> tuple[Charge, ...]:
        """The charges of all rate plans."""
        return tuple(charge for plan in self.rate_plans for charge in plan.charges)

    def status_on(self, day: date) -> str:
        """What the top-level `status` says on that day: the date decides between active, suspended and cancelled."""
        if self.base_status != "Active":
            return self.base_status
        if self.cancelled_on is not None and day >= self.cancelled_on:
            return "Cancelled"
        if any(each.start <= day and (each.end is None or day < each.end) for each in self.suspensions):
            return "Suspended"
        return "Active"

    def segment_end(self, segment: Segment) -> date | None:
        """The exclusive end of a segment, which the end of the subscription cuts off."""
        ends = [end for end in (segment.end, self.term_end) if end is not None]
        return min(ends, default=None)


@dataclass(slots=True)
class Subscription:
    """All versions of one subscription number, oldest first, and the orders that made them."""

    number: str
    versions: list[Version]
    orders: list[str] = field(default_factory=list)
    #: Counts every version ever made, deleted ones too, so that no id comes twice.
    made: int = 1

    @property
    def latest(self) -> Version:
        """The version in force."""
        return self.versions[-1]
