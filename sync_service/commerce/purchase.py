"""Journeys that make a subscription: a new one, and the renewal of one that has ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from sync_service.commerce.build import (
    NO_BILLING,
    Json,
    contact,
    create_subscription,
    custom,
    order_body,
    order_step,
)
from sync_service.commerce.case import Case
from sync_service.commerce.catalog import Offer, find_item, find_plan
from sync_service.commerce.offer_terms import OfferTerms, initial_terms, terms_of
from sync_service.commerce.order import OrderContact, ProblemCode, payer_of, receiver_of, refuse
from sync_service.commerce.pricing import discount_plan
from sync_service.commerce.state import ACCOUNT
from sync_service.commerce.steps import Plan

#: Zuora finds the bill cycle day by itself.
_AUTOMATIC = 0


@dataclass(frozen=True, kw_only=True)
class _Wish:
    """One subscription to make."""

    number: str
    offer: Offer
    plans: Sequence[Json]
    terms: OfferTerms


def buy(case: Case) -> Plan:
    """A new order: a subscription for each offer, or one for all of them."""
    day = case.order.start or case.today
    wishes = list(_wishes(case, day))
    currency = currency_of(case)
    on_existing = _uses_owners_account(case, currency)
    if case.order.payer_account:
        return _buy_for_partner(case, day, wishes, currency, on_existing=on_existing)
    account: Json = (
        {"existingAccountNumber": case.account.number}
        if on_existing
        else {"newAccount": new_account(case, currency, payer_of(case.order), pays=True)}
    )
    return _create(case, day, account, wishes, on_existing=on_existing)


def buy_again(case: Case, day: date) -> Plan:
    """The renewal of a subscription that has ended, or that is a gift: a new one on the same account from `day`."""
    account: Json = {"existingAccountNumber": case.subscription.payer_number}
    return _create(case, day, account, list(_wishes(case, day)), on_existing=True)


def _buy_for_partner(case: Case, day: date, wishes: Sequence[_Wish], currency: str, *, on_existing: bool) -> Plan:
    """The order of a partner that pays is placed under its account, with the customer's as the subscription's owner.

    Zuora takes no order for a subscription under another account than its invoice owner's ("Create an order").
    """
    payer = case.payer
    if payer.currency != currency:
        message = f"The partner's account is in {payer.currency}, and what it orders in {currency}."
        raise refuse("orderItems", ProblemCode.NOT_ALLOWED, message)
    owner: Json = (
        {"subscriptionOwnerAccountNumber": case.account.number}
        if on_existing
        else {"newSubscriptionOwnerAccount": _new_owner(case, currency)}
    )
    accounts = {**owner, "invoiceOwnerAccountNumber": payer.number}
    return _create(case, day, {"existingAccountNumber": payer.number}, wishes, on_existing=True, accounts=accounts)


def _new_owner(case: Case, currency: str) -> Json:
    """The customer's account. Unlike an order's own account, Zuora wants both of its contacts spelt out."""
    account = new_account(case, currency, payer_of(case.order), pays=False)
    account.pop("soldToSameAsBillTo")
    return {"soldToContact": account["billToContact"], **account}


def currency_of(case: Case) -> str:
    """The one currency of all offers of the order."""
    offers = [find_item(case.catalog, item.offer, "orderItems") for item in case.order.items]
    named = {offer.currency for offer in offers} - {None}
    if len(named) > 1:
        message = f"All offers of an order must have one currency; these have {', '.join(sorted(map(str, named)))}."
        raise refuse("orderItems", ProblemCode.INVALID, message)
    if not named:
        raise refuse("orderItems", ProblemCode.CATALOG, f"{case.offer().label} names no currency in price__limio.")
    return str(named.pop())


def new_account(case: Case, currency: str, payer: OrderContact, *, pays: bool) -> Json:
    """`newAccount` of an order; `pays`: with the order's payment method."""
    return {
        "name": account_name(payer),
        "currency": currency,
        "billCycleDay": _AUTOMATIC,
        **payment_of(case, pays=pays),
        **contacts_of(case, payer, postal_code="postalCode"),
        **crm_of(case),
        **custom(case.account_fields()),
    }


def _create(
    case: Case,
    day: date,
    account: Json,
    wishes: Sequence[_Wish],
    *,
    on_existing: bool,
    accounts: Json | None = None,
) -> Plan:
    needs_activation = any(wish.offer.needs_activation for wish in wishes)
    # A partner that pays is sent its invoices by the bill run.
    is_left = needs_activation or case.order.payer_account is not None
    processing = NO_BILLING if is_left else case.processing(day, on_existing_account=on_existing)
    subscriptions = [
        {
            **custom(case.subscription_fields()),
            "orderActions": [
                create_subscription(
                    day,
                    wish.number,
                    initial_terms(wish.terms),
                    wish.plans,
                    case.options,
                    profile=case.profile(),
                    needs_activation=wish.offer.needs_activation,
                    accounts=accounts,
                )
            ],
        }
        for wish in wishes
    ]
    body = order_body(case.names.reference, case.today, account, processing, subscriptions, case.order_fields())
    before = case.association() if on_existing and not case.order.payer_account else []
    return Plan(steps=(*before, order_step("order", body)))


def _wishes(case: Case, day: date) -> Iterator[_Wish]:
    """What the items of the order make; an order discount goes to each, an amount to the first only."""
    offers = [case.offer(index) for index in range(max(len(case.order.items), 1))]
    bought = list(zip(case.order.items, offers, strict=True))
    each_plans: list[list[Json]] = []
    for item, offer in bought:
        plans = case.plans(offer, day, item.quantity)
        for ref in item.add_ons:
            plans += case.plans(find_item(case.catalog, ref, "orderItems.addOns"), day, Decimal(1))
        each_plans.append(plans)
    names = case.names.subscriptions
    if case.options.one_subscription_per_order and len(bought) > 1:
        terms = _common_terms(case, offers)
        plans = [plan for plans in each_plans for plan in plans] + _discount(case, day)
        yield _Wish(number=names[0].reference, offer=offers[0], plans=plans, terms=terms)
        return
    for index, (name, offer) in enumerate(zip(names, offers, strict=True)):
        gets_discount = index == 0 or case.order.discount is None or case.order.discount.amount is None
        plans = each_plans[index] + (_discount(case, day) if gets_discount else [])
        yield _Wish(number=name.reference, offer=offer, plans=plans, terms=terms_of(offer, case.order.auto_renew))


def _common_terms(case: Case, offers: Sequence[Offer]) -> OfferTerms:
    """Several offers in one subscription need equal terms; those that are paid once have no say.

    Source: "How to acquire multiple offers in a single subscription".
    """
    termed = [offer for offer in offers if not offer.is_one_time] or offers
    terms = [terms_of(offer, case.order.auto_renew) for offer in termed]
    for offer, other in zip(termed, terms, strict=True):
        if replace(other, auto_renew=terms[0].auto_renew) != terms[0]:
            message = f"{termed[0].label} and {offer.label} have different terms: they cannot share a subscription."
            raise refuse("orderItems", ProblemCode.INVALID, message)
    return terms[0]


def _discount(case: Case, day: date) -> list[Json]:
    discount = case.order.discount
    if discount is None:
        return []
    plan = find_plan(case.catalog, discount.product_path, discount.rate_plan, day, "The order discount")
    return [discount_plan(plan, discount, "The order discount")]


def _uses_owners_account(case: Case, currency: str) -> bool:
    known = case.options.one_account_per_owner and case.state.zuora.get(ACCOUNT)
    return bool(known) and case.account.currency == currency


def account_name(person: OrderContact) -> str:
    """What the account of a person is called. Raises CannotBePlacedError without first and last name."""
    if not person.first_name or not person.last_name:
        message = "First and last name are required: Zuora makes no contact without."
        raise refuse("customerDetails", ProblemCode.MISSING, message)
    return person.company or f"{person.first_name} {person.last_name}"


def payment_of(case: Case, *, pays: bool) -> Json:
    """How a new account pays: by the order's method, by invoice, or not at all."""
    payment = case.order.payment
    if pays and case.is_paid_by_invoice:
        method = case.options.invoice_payment_method_id
        return {"autoPay": False, **({"hpmCreditCardPaymentMethodId": method} if method else {})}
    if not pays or payment is None or not payment.method_id:
        return {"autoPay": False}
    gateway = {"paymentGateway": payment.gateway} if payment.gateway else {}
    return {"autoPay": True, "hpmCreditCardPaymentMethodId": payment.method_id, **gateway}


def contacts_of(case: Case, payer: OrderContact, *, postal_code: str) -> Json:
    """Bill To, and Sold To where the order is delivered elsewhere."""
    bill_to = contact(payer, postal_code=postal_code)
    receiver = receiver_of(case.order)
    sold_to = contact(receiver, postal_code=postal_code) if receiver else bill_to
    if sold_to == bill_to:
        return {"billToContact": bill_to, "soldToSameAsBillTo": True}
    return {"billToContact": bill_to, "soldToContact": sold_to, "soldToSameAsBillTo": False}


def crm_of(case: Case) -> Json:
    """The account's id in Salesforce, where the order was made there."""
    crm = case.order.tracking.get("accountId")
    return {"crmId": crm} if isinstance(crm, str) and crm else {}
