"""What a subscription holds: its offers and add-ons in our store, and which rate plans in Zuora are theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sync_service.commerce.case import Case
from sync_service.commerce.catalog import Offer, read_offer
from sync_service.commerce.order import ItemUpdate, ProblemCode, refuse
from sync_service.commerce.state import goes_on, is_discount
from sync_service.commerce.subscribed import SubscribedPlan, live_plans
from sync_service.subscription.limio.documents import data_of, part_of
from sync_service.subscription.zuora import ZuoraSubscription


def current_offers(case: Case) -> list[tuple[Mapping[str, Any], Offer]]:
    """The subscription's base offers that have not ended, with the catalog's offer of each."""
    return [
        (document, _sold(case, document, "offer"))
        for document in case.state.store.offers
        if not is_discount(document) and goes_on(document, case.today)
    ]


def current_add_ons(case: Case) -> list[tuple[Mapping[str, Any], Offer]]:
    """The subscription's add-ons that have not ended."""
    return [
        (document, _sold(case, document, "add_on"))
        for document in case.state.store.add_ons
        if goes_on(document, case.today)
    ]


def _sold(case: Case, document: Mapping[str, Any], key: str) -> Offer:
    """The catalog item of a subscription's offer or add-on: as stored inside it, in full from the catalog."""
    offer = read_offer(part_of(data_of(document), key))
    return offer if offer.bundles else case.catalog.items.get(offer.ref, offer)


def base_plans(case: Case, subscription: ZuoraSubscription) -> list[SubscribedPlan]:
    """The rate plans of the present offers; without knowing those, the only one that is no add-on and no discount."""
    live = live_plans(subscription, case.today)
    found = [plan for plan in live if any(_sells(case, offer, plan) for _, offer in current_offers(case))]
    if found:
        return found
    add_ons = [add_on for _, add_on in current_add_ons(case)]
    rest = [
        plan
        for plan in live
        if not any(_sells(case, add_on, plan) for add_on in add_ons)
        and not all(segment.is_discount for segment in plan.segments)
    ]
    if len(rest) == 1:
        return rest
    names = ", ".join(f"“{plan.name}” ({plan.number})" for plan in rest) or "none"
    message = f"Which rate plan is the present offer's cannot be told; candidates: {names}."
    raise refuse("forSubscription", ProblemCode.CATALOG, message)


def unfit_add_ons(case: Case, subscription: ZuoraSubscription, offer: Offer) -> list[SubscribedPlan]:
    """The rate plans of add-ons that do not go with `offer`."""
    unfit = [add_on for _, add_on in current_add_ons(case) if not offer.goes_with(add_on)]
    live = live_plans(subscription, case.today)
    return [plan for plan in live if any(_sells(case, add_on, plan) for add_on in unfit)]


def _sells(case: Case, offer: Offer, plan: SubscribedPlan) -> bool:
    """Whether the offer has led to this rate plan of the subscription: what was sold may be sold no longer."""
    catalog = case.catalog
    for bundle in offer.bundles:
        product_id = catalog.products.get(bundle.product_path)
        if product_id is not None and (plan.product_id, plan.name) == (product_id, bundle.rate_plan):
            return True
        named = (each for each in catalog.rate_plans.get(product_id or "", ()) if each.name == bundle.rate_plan)
        if any(each.id == plan.plan_id for each in named):
            return True
    return False


def held_item(case: Case, update_: ItemUpdate) -> Offer | None:
    """The offer or add-on of the subscription that an update names: by its own id or by the catalog's."""
    held = current_offers(case) if update_.record_type == "offer" else current_add_ons(case)
    return next((offer for document, offer in held if update_.item.id in (document.get("id"), offer.ref.id)), None)


def plans_to_remove(case: Case, subscription: ZuoraSubscription, update_: ItemUpdate) -> list[SubscribedPlan]:
    """The rate plans in Zuora of what an update names. Raises CannotBePlacedError where there are none."""
    held = held_item(case, update_)
    if held is None:
        message = f"The subscription holds no {update_.record_type} {update_.item.id}."
        raise refuse("updates", ProblemCode.UNKNOWN, message)
    found = [plan for plan in live_plans(subscription, case.today) if _sells(case, held, plan)]
    if not found:
        message = f"{held.label}: Zuora has no rate plan of it in the subscription."
        raise refuse("updates", ProblemCode.CATALOG, message)
    if len(found) > len(held.bundles):
        numbers = " and ".join(plan.number for plan in found)
        message = f"{held.label} is in the subscription several times, as {numbers}: which one is meant cannot be told."
        raise refuse("updates", ProblemCode.CATALOG, message)
    return found
