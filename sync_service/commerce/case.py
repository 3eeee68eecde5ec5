"""One order with everything that decides how it is placed, and what every journey asks of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sync_service.commerce.build import NO_BILLING, Json, bill, segment
from sync_service.commerce.catalog import Catalog, Offer, find_item, resolve
from sync_service.commerce.order import Names, Order, ProblemCode, refuse
from sync_service.commerce.pricing import plans_of
from sync_service.commerce.state import ACCOUNT, GATEWAYS, PAYER, Options, State
from sync_service.commerce.steps import Step
from sync_service.commerce.subscribed import OrderAccount, SubscribedPlan, charged_through, live_plans, read_account
from sync_service.subscription.limio.documents import data_of, read_day
from sync_service.subscription.zuora import ZuoraSubscription

#: Zuora's custom fields take no longer texts.
_MAX_FIELD = 255


@dataclass(frozen=True, kw_only=True)
class Case:
    """The order, what it meets, and the day in the tenant's zone."""

    order: Order
    state: State
    catalog: Catalog
    options: Options
    today: date

    @property
    def names(self) -> Names:
        """What the order and its new objects are called."""
        return self.order.named

    @property
    def subscription(self) -> ZuoraSubscription:
        """The subscription in Zuora. Raises CannotBePlacedError where Zuora knows none."""
        if self.state.subscription is None:
            raise refuse("forSubscription", ProblemCode.UNKNOWN, "Zuora knows no such subscription.")
        return self.state.subscription

    @property
    def account(self) -> OrderAccount:
        """The account in Zuora. Raises CannotBePlacedError where Zuora knows none."""
        answer = self.state.zuora.get(ACCOUNT)
        if not answer:
            raise refuse("", ProblemCode.UNKNOWN, "Zuora knows no account for this order.")
        return read_account(answer)

    @property
    def payer(self) -> OrderAccount:
        """The account of the partner that pays. Raises CannotBePlacedError where Zuora knows none."""
        answer = self.state.zuora.get(PAYER)
        if not answer:
            message = f"Zuora knows no account {self.order.payer_account} of the partner."
            raise refuse("forPartner", ProblemCode.NOT_ALLOWED, message)
        return read_account(answer)

    def offer(self, index: int = 0) -> Offer:
        """The offer of one of the order's items."""
        if index >= len(self.order.items):
            raise refuse("orderItems", ProblemCode.MISSING, "Name the offer.")
        return find_item(self.catalog, self.order.items[index].offer, "offer")

    def plans(self, offer: Offer, day: date, quantity: Decimal, *, free: bool = False) -> list[Json]:
        """The rate plans that an offer or add-on puts into a subscription from `day`."""
        entries = plans_of(offer, resolve(offer, self.catalog, day), quantity, free=free)
        if offer.path and "RatePlan.lmo_offer__c" in self.options.custom_fields:
            for entry in entries:
                entry["customFields"] = {"lmo_offer__c": offer.path[:_MAX_FIELD]}
        return entries

    def order_fields(self) -> Json:
        """The order's custom fields. Limio crosses the two sources ("Recommended custom fields")."""
        given = {"Source__c": self.order.initiated_source, "InitiatedSource__c": self.order.source}
        return self._existing("Order", given)

    def subscription_fields(self) -> Json:
        """The subscription's custom fields: why it changes, and how it is paid where Zuora is told so there."""
        fields = self._existing("Subscription", {"CancellationReason__c": self.order.reason})
        return {**fields, **self.payment_fields()}

    def account_fields(self) -> Json:
        """A new account's custom fields."""
        return self._existing("Account", {})

    def payment_fields(self) -> Json:
        """What the Advanced Payment Manager reads on a subscription."""
        payment = self.order.payment
        if not self.options.advanced_payment_manager or payment is None or not payment.method_id:
            return {}
        gateway = {"PaymentGateway__c": payment.gateway} if payment.gateway else {}
        return {"PaymentMethodId__c": payment.method_id, **gateway}

    def profile(self) -> Json | None:
        """The payment profile of the order's payment method, where profiles are used."""
        payment = self.order.payment
        if not self.options.payment_profiles or payment is None or not payment.method_id:
            return None
        if not payment.gateway:
            return {"paymentMethodId": payment.method_id}
        answer = self.state.zuora.get(GATEWAYS) or {}
        found = [each for each in answer.get("paymentgateways") or () if each.get("name") == payment.gateway]
        if not found:
            message = f"Zuora has no payment gateway “{payment.gateway}”."
            raise refuse("payment.zuora.paymentGateway", ProblemCode.UNKNOWN, message)
        return {"paymentMethodId": payment.method_id, "paymentGatewayId": found[0]["id"]}

    @property
    def is_paid_by_invoice(self) -> bool:
        """Nothing is collected: the customer pays an invoice."""
        payment = self.order.payment
        return payment is not None and "invoice" in (payment.type, payment.payment_type)

    @property
    def brings_method(self) -> bool:
        """The order pays an existing account's charges with a method that is not its default."""
        payment = self.order.payment
        return bool(payment and payment.method_id and payment.method_id != self.account.default_method_id)

    def association(self) -> list[Step]:
        """The step that gives a payment method of the hosted page, which belongs to no account yet, to the account.

        Zuora refuses a method of another account. Repeating it changes nothing.
        """
        payment = self.order.payment
        if payment is None or not payment.method_id or not self.brings_method:
            return []
        path = f"/v1/payment-methods/{segment(payment.method_id)}"
        return [Step(name="associate", method="PUT", path=path, body={"accountKey": self.account.number})]

    def processing(self, day: date, *, on_existing_account: bool) -> Json:
        """How an order that takes effect on `day` is billed: New, Switch and Renew collect where the setting says so.

        What begins later is left to the bill run.
        """
        payment = self.order.payment
        pays = bool(payment and payment.method_id)
        if on_existing_account:
            pays = pays or bool(self.account.default_method_id)
        if not self.options.collect_payment or not pays or self.is_paid_by_invoice or day > self.today:
            return NO_BILLING
        processing = bill(self.today, collect=True)
        profile = self.profile()
        if on_existing_account and payment and payment.method_id and (profile or self.brings_method):
            processing["electronicPaymentOptions"] = profile or {"paymentMethodId": payment.method_id}
        return processing

    def next_payment(self, plans: Sequence[SubscribedPlan] | None = None) -> date:
        """The end of the current billing period: when a change takes effect that is not at once.

        That of `plans`, where the change is of these; else the last of all plans that go on.
        """
        subscription = self.subscription
        billed = charged_through(plans or live_plans(subscription, self.today), self.today)
        if billed:
            return billed
        live = ("active", "pending", "pending-external")
        due = (
            read_day(data_of(entry).get("date")) for entry in self.state.store.schedule if entry.get("status") in live
        )
        return min((day for day in due if day and day > self.today), default=subscription.term_end or self.today)

    def _existing(self, name: str, given: Mapping[str, Any]) -> Json:
        """Of `given` and the tracking fields those that the tenant has on the object `name`."""
        tracked = {f"{key}__c": value for key, value in self.order.tracking.items() if str(key).startswith("ltm_")}
        return {
            key: value[:_MAX_FIELD] if isinstance(value, str) else value
            for key, value in {**given, **tracked}.items()
            if f"{name}.{key}" in self.options.custom_fields
            and isinstance(value, str | int | Decimal)
            and value not in ("", None)
        }
