"""What Zuora holds of the subscription and the account that an order concerns, read from its answers. Total."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sync_service.subscription.limio.documents import read_day
from sync_service.subscription.schedule.money import parse_amount

Answer = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class SubscribedCharge:
    """A rate plan charge in its segment of a day."""

    number: str
    product_charge_id: str
    type: str
    model: str
    quantity: Decimal | None
    start: date | None
    #: Exclusive.
    end: date | None
    #: The first day that is not yet billed.
    charged_through: date | None

    @property
    def counts(self) -> bool:
        """Whether it has a quantity that can change."""
        return self.model in ("PerUnit", "Volume", "Tiered")


@dataclass(frozen=True, kw_only=True)
class SubscribedPlan:
    """A rate plan of the subscription: its number stays over all versions."""

    number: str
    plan_id: str
    product_id: str
    name: str
    charges: tuple[SubscribedCharge, ...]

    def is_live_on(self, day: date) -> bool:
        """Whether it goes on after `day`: dead plans stay in Zuora's answers for ever."""
        return any(
            (charge.end is None or charge.end > day) and charge.start != charge.end and charge.type != "OneTime"
            for charge in self.charges
        )


@dataclass(frozen=True, kw_only=True)
class Subscribed:
    """The latest version of a subscription. `cancelled_from` is a cancellation, past or to come."""

    number: str
    #: Of this version.
    id: str
    #: Whose orders may change it: the invoice owner's account.
    account_number: str
    #: The customer's account; another one than the invoice owner's where, say, a partner pays.
    owner_number: str
    status: str
    is_evergreen: bool
    start: date | None
    term_start: date | None
    #: Exclusive; None: evergreen.
    term_end: date | None
    auto_renew: bool
    renewal_term: int | None
    currency: str | None
    #: The order that made this version.
    order_number: str | None
    cancelled_from: date | None
    #: A cancellation that terms and conditions carry and no order action.
    scheduled_cancel: date | None
    plans: tuple[SubscribedPlan, ...]

    def live_plans(self, day: date) -> tuple[SubscribedPlan, ...]:
        """What is subscribed to after `day`, discounts too."""
        return tuple(plan for plan in self.plans if plan.is_live_on(day))

    def charged_through(self, day: date) -> date | None:
        """The end of what is billed, where it lies after `day`: the end of the current billing period."""
        ends = (
            charge.charged_through
            for plan in self.live_plans(day)
            for charge in plan.charges
            if not charge.model.startswith("Discount")
        )
        return max((end for end in ends if end and end > day), default=None)

    def has_ended(self, today: date) -> bool:
        """Cancelled by now, or lapsed: its term is over and nothing renewed it or will renew it today."""
        cancelled = self.status == "Cancelled" or (self.cancelled_from is not None and self.cancelled_from <= today)
        if cancelled or self.term_end is None:
            return cancelled
        return self.term_end < today or (self.term_end == today and not self.auto_renew)


def read_subscribed(answer: Answer) -> Subscribed:
    """From `GET /v1/subscriptions/{key}?charge-detail=all-segments`."""
    history = [each for each in answer.get("statusHistory") or () if each.get("status") == "Cancelled"]
    return Subscribed(
        number=str(answer.get("subscriptionNumber") or ""),
        id=str(answer.get("id") or ""),
        account_number=str(answer.get("invoiceOwnerAccountNumber") or answer.get("accountNumber") or ""),
        owner_number=str(answer.get("accountNumber") or answer.get("invoiceOwnerAccountNumber") or ""),
        status=str(answer.get("status") or ""),
        is_evergreen=answer.get("termType") == "EVERGREEN",
        start=read_day(answer.get("subscriptionStartDate")),
        term_start=read_day(answer.get("termStartDate")),
        term_end=read_day(answer.get("termEndDate")),
        auto_renew=answer.get("autoRenew") is True,
        renewal_term=answer.get("renewalTerm") if isinstance(answer.get("renewalTerm"), int) else None,
        currency=answer.get("currency"),
        order_number=answer.get("orderNumber"),
        cancelled_from=read_day(history[-1].get("startDate")) if history else None,
        scheduled_cancel=read_day(answer.get("scheduledCancelDate")),
        plans=tuple(_read_plan(each) for each in answer.get("ratePlans") or ()),
    )


def _read_plan(answer: Answer) -> SubscribedPlan:
    return SubscribedPlan(
        number=str(answer.get("subscriptionRatePlanNumber") or ""),
        plan_id=str(answer.get("productRatePlanId") or ""),
        product_id=str(answer.get("productId") or ""),
        name=str(answer.get("ratePlanName") or ""),
        charges=tuple(charge for each in answer.get("ratePlanCharges") or () for charge in _read_charges(each)),
    )


def _read_charges(answer: Answer) -> list[SubscribedCharge]:
    """One for each segment; a charge without its segments is one itself."""
    return [
        SubscribedCharge(
            number=str(answer.get("number") or ""),
            product_charge_id=str(answer.get("productRatePlanChargeId") or ""),
            type=str(answer.get("type") or ""),
            model=str(answer.get("model") or ""),
            quantity=parse_amount(segment.get("quantity")),
            start=read_day(segment.get("effectiveStartDate")),
            end=read_day(segment.get("effectiveEndDate")),
            charged_through=read_day(segment.get("chargedThroughDate")),
        )
        for segment in answer.get("chargeSegments") or (answer,)
    ]


@dataclass(frozen=True, kw_only=True)
class OrderAccount:
    """An account, as `GET /v1/accounts/{key}` tells it. Contacts are Zuora's objects."""

    id: str
    number: str
    currency: str | None
    default_method_id: str | None
    bill_to: Answer
    sold_to: Answer


def read_account(answer: Answer) -> OrderAccount:
    """From `GET /v1/accounts/{key}`."""
    basics, billing = answer.get("basicInfo") or {}, answer.get("billingAndPayment") or {}
    return OrderAccount(
        id=str(basics.get("id") or ""),
        number=str(basics.get("accountNumber") or ""),
        currency=billing.get("currency"),
        default_method_id=billing.get("defaultPaymentMethodId"),
        bill_to=answer.get("billToContact") or {},
        sold_to=answer.get("soldToContact") or answer.get("billToContact") or {},
    )
