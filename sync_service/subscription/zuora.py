"""The domain as frozen values: what Zuora says of a subscription, its account and its coming charges.

Pure. Dates are dates in the tenant's calendar; every end date is exclusive but `PreviewItem.service_end`, as in Zuora.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from typing import Any

import msgspec

#: What holds other values.
_NESTED = frozenset({dict, list})
#: What every object inside an answer gets anew with each version.
_NEW_IN_EACH_VERSION = frozenset({"id", "version", "amendedByOrderOn"})
#: Of a subscription's answer what no coming line follows from: which version it is, who changed it and when, whether
#: and how it renews (previews assume no renewal), and the contacts, which are compared by themselves.
_BILLS_NOTHING = frozenset(
    {
        *("id", "version", "revision", "isLatestVersion", "createTime", "updateTime", "orderNumber", "lastBookingDate"),
        *("autoRenew", "renewalSetting", "renewalTerm", "renewalTermPeriodType", "notes", "success", "processId"),
        *("requestId", "accountName", "invoiceOwnerAccountName", "billToContact", "soldToContact", "shipToContact"),
    }
)


@dataclass(frozen=True, kw_only=True)
class Contact:
    """A Zuora contact; None is absent or blank (Zuora writes both for the same thing)."""

    id: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    address1: str | None = None
    address2: str | None = None
    city: str | None = None
    county: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None
    mobile_phone: str | None = None
    work_phone: str | None = None
    other_phone: str | None = None
    personal_email: str | None = None
    work_email: str | None = None
    #: Zuora's isSpecifiedInSubscription: True is this subscription's own contact, False the account's, None not said.
    of_subscription: bool | None = None


@dataclass(frozen=True, kw_only=True)
class StatusPeriod:
    """One entry of `statusHistory`."""

    status: str
    start: date | None
    end: date | None = None


@dataclass(frozen=True, kw_only=True)
class Tier:
    """One step of a volume or tiered price: only whether it costs anything is asked."""

    price: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class ChargeSegment:
    """One segment of a rate plan charge: the same charge at one price for one stretch of time.

    Words are Zuora's (`Recurring`, `FlatFee`, `IN_ADVANCE`, `Month`, …); unknown ones pass through.
    """

    charge_number: str
    segment: int = 1
    name: str = ""
    product_name: str = ""
    #: The subscription's rate plan, whose number stays over all versions, and the catalog's plan and product behind it.
    plan_number: str = ""
    plan_name: str = ""
    plan_id: str = ""
    product_id: str = ""
    #: Recurring, OneTime or Usage.
    type: str = "Recurring"
    #: FlatFee, PerUnit, Volume, Tiered, DiscountPercentage, ….
    model: str = "FlatFee"
    currency: str | None = None
    price: Decimal | None = None
    tiers: tuple[Tier, ...] = ()
    quantity: Decimal | None = None
    unit_of_measure: str | None = None
    billing_period: str | None = None
    #: How many months, weeks or days one billing period has where billing_period is Specific_….
    specific_billing_period: int | None = None
    #: IN_ADVANCE or IN_ARREARS.
    billing_timing: str | None = None
    billing_day: str | None = None
    billing_period_alignment: str | None = None
    list_price_base: str | None = None
    proration_option: str | None = None
    tax_mode: str | None = None
    effective_start: date | None = None
    effective_end: date | None = None
    #: The first day that is not yet billed; None means never billed.
    charged_through: date | None = None
    processed_through: date | None = None
    invoice_schedule_id: str | None = None
    #: What ends it: Subscription_End (goes on when the subscription renews), Fixed_Period, Specific_End_Date, ….
    end_condition: str | None = None
    #: What a renewal does to the price: NoChange, SpecificPercentageValue, UseLatestProductCatalogPricing.
    price_change: str | None = None

    @property
    def is_discount(self) -> bool:
        """Whether this charge takes money off others instead of costing some itself."""
        return self.model.startswith("Discount")


@dataclass(frozen=True, kw_only=True)
class ZuoraSubscription:
    """One version of a subscription, as `GET /v1/subscriptions/{key}?charge-detail=all-segments` tells it."""

    id: str
    number: str
    version: int
    is_latest: bool
    #: The top-level status; `status_history` decides by date.
    status: str
    account_id: str | None
    account_number: str | None
    account_name: str | None = None
    invoice_owner_id: str | None = None
    invoice_owner_number: str | None = None
    #: TERMED or EVERGREEN.
    term_type: str = "TERMED"
    start: date | None = None
    end: date | None = None
    term_start: date | None = None
    #: None for an evergreen subscription without a cancellation.
    term_end: date | None = None
    auto_renew: bool = False
    current_term: int | None = None
    current_term_period: str | None = None
    renewal_term: int | None = None
    currency: str | None = None
    status_history: tuple[StatusPeriod, ...] = ()
    scheduled_cancel: date | None = None
    scheduled_suspend: date | None = None
    scheduled_resume: date | None = None
    invoice_schedule_id: str | None = None
    #: The order that made this version.
    order_number: str | None = None
    #: As Zuora prints it: the tenant's local time without an offset. For comparing, never for ordering.
    update_time: str | None = None
    create_time: str | None = None
    bill_to: Contact | None = None
    sold_to: Contact | None = None
    #: Every segment of every charge of every rate plan, removed and finished ones too.
    segments: tuple[ChargeSegment, ...] = ()
    #: Whether the answer had rate plans at all, be it an empty list: without, nothing is known of payments.
    names_rate_plans: bool = True
    #: The answer itself, for a hash of all that it says.
    answer: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def payer_id(self) -> str | None:
        """The invoice owner's account, where another account than the subscription's own pays."""
        return self.invoice_owner_id if self.invoice_owner_id != self.account_id else None

    @property
    def payer_number(self) -> str:
        """The account whose orders may change it: the invoice owner's, another one where, say, a partner pays."""
        return self.invoice_owner_number or self.account_number or ""

    @property
    def is_evergreen(self) -> bool:
        """Whether it has no terms."""
        return self.term_type.upper() == "EVERGREEN"

    @cached_property
    def cancellations(self) -> tuple[StatusPeriod, ...]:
        """The entries of the history that cancel it for good."""
        return tuple(each for each in self.status_history if each.status == "Cancelled" and each.end is None)

    @property
    def cancelled_from(self) -> date | None:
        """The day of a cancellation, past or to come, that the history tells of."""
        return self.cancellations[-1].start if self.cancellations else None

    @property
    def is_cancel_set(self) -> bool:
        """Whether it is cancelled or will be: by status, by history or by schedule.

        A cancellation that was withdrawn leaves none of the three.
        """
        return self.status == "Cancelled" or self.scheduled_cancel is not None or bool(self.cancellations)

    @cached_property
    def billing_hash(self) -> str | None:
        """A hash of everything in the answer but what makes no coming line; None where there is none of the answer.

        Named is what does not count, so that a field which we do not know does.
        """
        if not self.answer:
            return None
        billed = {key: value for key, value in self.answer.items() if key not in _BILLS_NOTHING}
        try:
            return sha256(msgspec.json.encode(_without_ids(billed))).hexdigest()
        except UnicodeEncodeError:  # halves of characters
            return None


def _without_ids(value: Any) -> Any:
    """A copy without what is new in each version, whatever it changed."""
    if type(value) is dict:
        return {
            key: _without_ids(each) if type(each) in _NESTED else each
            for key, each in value.items()
            if key not in _NEW_IN_EACH_VERSION
        }
    return [_without_ids(each) for each in value] if type(value) is list else value


@dataclass(frozen=True, kw_only=True)
class ZuoraAccount:
    """An account with its own two contacts; what Zuora's answer lacks is None."""

    id: str | None = None
    number: str | None = None
    name: str | None = None
    currency: str | None = None
    bill_cycle_day: int | None = None
    bill_to: Contact | None = None
    sold_to: Contact | None = None


@dataclass(frozen=True, kw_only=True)
class PreviewItem:
    """One coming invoice line of one subscription."""

    charge_number: str | None
    charge_name: str = ""
    product_name: str = ""
    charge_description: str = ""
    #: Recurring, OneTime or Usage.
    charge_type: str = "Recurring"
    #: Charge or Discount.
    processing_type: str = "Charge"
    service_start: date
    #: The last day of the period: inclusive.
    service_end: date
    #: Without tax; negative for a discount or a credit. None for usage, whose amount is not known yet.
    amount: Decimal | None
    tax_amount: Decimal = Decimal(0)
    quantity: Decimal | None = None
    unit_of_measure: str | None = None


class PreviewSource(StrEnum):
    """Where the coming lines come from."""

    PREVIEWED = "previewed"
    COMPUTED = "computed"


@dataclass(frozen=True, kw_only=True)
class Preview:
    """The coming lines of one subscription."""

    items: tuple[PreviewItem, ...]
    target_date: date
    source: PreviewSource = PreviewSource.PREVIEWED
    #: Lines due on or after this date may be missing (Zuora cut the answer); None means all are here.
    complete_until: date | None = None


@dataclass(frozen=True, kw_only=True)
class ZuoraState:
    """All that one sync read from Zuora, in one look."""

    subscription: ZuoraSubscription
    #: The owner's account; None where the subscription's contacts say all that is needed (the short way).
    account: ZuoraAccount | None = None
    #: The invoice owner's account, where that is another one; None where it is not, or where nothing about it moved.
    payer: ZuoraAccount | None = None
    preview: Preview | None = None
    #: Why a preview that was needed could not be had, for people: the schedule is not kept in step.
    no_preview: str | None = None
