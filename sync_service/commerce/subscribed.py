"""What an order asks of a subscription in Zuora, and the account as its answer tells it. Total."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any

from sync_service.subscription.zuora import ChargeSegment, ZuoraSubscription

Answer = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class SubscribedPlan:
    """A rate plan of the subscription: its number stays over all versions."""

    number: str
    plan_id: str
    product_id: str
    name: str
    segments: tuple[ChargeSegment, ...]

    def is_live_on(self, day: date) -> bool:
        """Whether it goes on after `day`: dead plans stay in Zuora's answers for ever."""
        return any(
            (each.effective_end is None or each.effective_end > day)
            and each.effective_start != each.effective_end
            and each.type != "OneTime"
            for each in self.segments
        )


def live_plans(subscription: ZuoraSubscription, day: date) -> tuple[SubscribedPlan, ...]:
    """What is subscribed to after `day`, discounts too."""
    plans = (
        SubscribedPlan(number=number, plan_id=plan_id, product_id=product_id, name=name, segments=tuple(segments))
        for (number, plan_id, product_id, name), segments in groupby(
            subscription.segments, key=lambda each: (each.plan_number, each.plan_id, each.product_id, each.plan_name)
        )
    )
    return tuple(plan for plan in plans if plan.is_live_on(day))


def charged_through(plans: Iterable[SubscribedPlan], day: date) -> date | None:
    """The end of what is billed of these plans, where it lies after `day`: the end of the current billing period."""
    ends = (segment.charged_through for plan in plans for segment in plan.segments if not segment.is_discount)
    return max((end for end in ends if end and end > day), default=None)


def has_ended(subscription: ZuoraSubscription, today: date) -> bool:
    """Whether it is cancelled by now, or lapsed: its term is over and nothing renewed it or will renew it today."""
    cancelled_from, term_end = subscription.cancelled_from, subscription.term_end
    cancelled = subscription.status == "Cancelled" or (cancelled_from is not None and cancelled_from <= today)
    if cancelled or term_end is None:
        return cancelled
    return term_end < today or (term_end == today and not subscription.auto_renew)


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
