"""From an offer to rate plans, prices and terms, and everything that is in the way."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_service.commerce.catalog import (
    Bundle,
    Catalog,
    Offer,
    ProductCharge,
    Sale,
    read_offer,
    read_product_id,
    resolve,
)
from sync_service.commerce.offer_terms import initial_terms, terms_from, terms_of
from sync_service.commerce.order import CannotBePlacedError, ProblemCode
from sync_service.commerce.pricing import faults_of, plans_of
from tests.unit.commerce.world import (
    EXTERNAL,
    MONTHLY,
    PLANS,
    SEATS,
    TODAY,
    YEAR,
    a_catalog,
    a_plan,
    a_price,
    an_offer,
    months,
)
from tests.unit.test_documents import ANY_JSON

OFFER = read_offer(MONTHLY)
PLAN = PLANS[0]


def catalog(*plans: Any, **products: str | None) -> Catalog:
    return Catalog(products=products or {"/products/M": "p"}, rate_plans={"p": tuple(plans)})


def why(offer: Offer, known: Catalog) -> str:
    with pytest.raises(CannotBePlacedError) as refused:
        resolve(offer, known, TODAY)
    assert {problem.code for problem in refused.value.problems} == {ProblemCode.CATALOG}
    return str(refused.value)


def test_an_offer_leads_by_product_and_plan_name_to_one_rate_plan() -> None:
    assert [sale.plan for sale in resolve(OFFER, catalog(PLAN, a_plan("A", "FlatFee")), TODAY)] == [PLAN]


def test_what_is_not_sold_on_the_day_does_not_count() -> None:
    old = replace(PLAN, id="old", until=TODAY)
    new = replace(PLAN, id="new", since=TODAY)

    assert [sale.plan for sale in resolve(OFFER, catalog(old, new), TODAY)] == [new]
    assert [sale.plan for sale in resolve(OFFER, catalog(old, new), date(2026, 11, 30))] == [old]


def test_two_plans_of_one_name_are_refused_and_both_named() -> None:
    said = why(OFFER, catalog(replace(PLAN, number="PRP-1"), replace(PLAN, id="x", number="PRP-2")))

    assert "several rate plans “Plan M”" in said
    assert "PRP-1 and PRP-2" in said


def test_what_is_missing_is_named_with_product_and_plan() -> None:
    assert "has no rate plan “Plan M” in Zuora" in why(OFFER, catalog())
    assert "sells no rate plan “Plan M” on 2026-12-01" in why(OFFER, catalog(replace(PLAN, until=TODAY)))
    assert "/products/M is not loaded" in why(OFFER, Catalog())
    assert "/products/M was not synced from Zuora" in why(OFFER, Catalog(products={"/products/M": None}))
    assert "no product bundle" in why(replace(OFFER, bundles=()), catalog())


@pytest.mark.parametrize(
    "document",
    [
        {"syncedFrom": "p"},
        {"data": {"syncedFrom": "p"}},
        {"data": {"attributes": {"syncedFrom": "p"}}},
    ],
)
def test_a_product_says_where_it_was_synced_from(document: dict[str, Any]) -> None:
    assert read_product_id(document) == "p"
    assert read_product_id({"data": None}) is None


@given(ANY_JSON)
def test_an_offer_of_any_shape_is_read(data: Any) -> None:
    offer = read_offer({"id": "x", "data": data})

    assert offer.bundles == () or isinstance(data, dict)
    assert isinstance((offer.currency, offer.cross_sells, offer.is_discount, offer.is_one_time), tuple)


def priced(offer: Offer, *charges: ProductCharge, quantity: int = 1) -> list[dict[str, Any]]:
    sales = [Sale(bundle=bundle, plan=replace(PLAN, charges=charges)) for bundle in offer.bundles]
    return plans_of(offer, sales, Decimal(quantity))


def a_charge(name: str, kind: str = "Recurring", model: str = "FlatFee") -> ProductCharge:
    return ProductCharge(id=name, name=name, type=kind, model=model)


MONTHLY_FEE, SET_UP = a_charge("fee"), a_charge("set-up", "OneTime")


def test_a_recurring_and_a_one_time_price_go_to_their_charges() -> None:
    prices = a_price("17.50") + a_price("5", kind="onetime")

    [plan] = priced(an_offer(MONTHLY, price__limio=prices), MONTHLY_FEE, SET_UP, a_charge("used", "Usage"))

    assert plan["chargeOverrides"] == [
        {"productRatePlanChargeId": "fee", "pricing": {"recurringFlatFee": {"listPrice": Decimal("17.50")}}},
        {"productRatePlanChargeId": "set-up", "pricing": {"oneTimeFlatFee": {"listPrice": Decimal(5)}}},
    ]


def test_of_two_charges_of_a_kind_the_label_decides() -> None:
    prices = [{**a_price("3")[0], "label": "other"}]

    [plan] = priced(an_offer(MONTHLY, price__limio=prices), MONTHLY_FEE, a_charge("other"))

    assert [each["productRatePlanChargeId"] for each in plan["chargeOverrides"]] == ["other"]


@pytest.mark.parametrize(
    ("prices", "charges"),
    [
        (a_price("3"), (MONTHLY_FEE, a_charge("other"))),
        (a_price("3"), (SET_UP,)),
        (a_price("3") + a_price("4"), (MONTHLY_FEE,)),
        (a_price("3"), (a_charge("metered", model="Delivery"),)),
        (a_price("three"), (MONTHLY_FEE,)),
        (a_price("-3"), (MONTHLY_FEE,)),
        ([{**a_price("3")[0], "delay_interval": 2}], (MONTHLY_FEE,)),
    ],
)
def test_a_price_that_fits_no_charge_clearly_is_refused(prices: Any, charges: tuple[ProductCharge, ...]) -> None:
    with pytest.raises(CannotBePlacedError):
        priced(an_offer(MONTHLY, price__limio=prices), *charges)


def test_an_external_price_sends_the_quantity_only() -> None:
    offer = an_offer(SEATS, price__limio=EXTERNAL)

    [plan] = priced(offer, a_charge("seats", model="PerUnit"), quantity=5)

    assert plan["chargeOverrides"] == [
        {"productRatePlanChargeId": "seats", "pricing": {"recurringPerUnit": {"quantity": 5}}}
    ]
    assert priced(offer, MONTHLY_FEE) == [{"productRatePlanId": PLAN.id}]


def test_tiers_go_with_the_quantity() -> None:
    tiers = [
        {"startingUnit": "1", "endingUnit": "10", "price": "10", "priceFormat": "Per Unit"},
        {"startingUnit": "11", "endingUnit": "", "price": "8"},
    ]
    offer = an_offer(SEATS, price__limio=[{**a_price("")[0], "tiers": tiers}])

    [plan] = priced(offer, a_charge("seats", model="Volume"), quantity=11)

    assert plan["chargeOverrides"][0]["pricing"] == {
        "recurringVolume": {
            "quantity": 11,
            "tiers": [
                {"tier": 1, "startingUnit": 1, "endingUnit": 10, "price": 10, "priceFormat": "PerUnit"},
                {"tier": 2, "startingUnit": 11, "price": 8, "priceFormat": "PerUnit"},
            ],
        }
    }


def test_several_of_what_counts_no_units_is_refused() -> None:
    with pytest.raises(CannotBePlacedError, match="counts no units"):
        priced(OFFER, MONTHLY_FEE, quantity=2)


@given(
    price=st.decimals("0.01", "99999.99", places=2),
    shares=st.lists(st.integers(1, 98), min_size=1, max_size=4).filter(lambda each: sum(each) < 100),
)
def test_the_parts_of_a_price_sum_up_to_it(price: Decimal, shares: list[int]) -> None:
    shares = [*shares, 100 - sum(shares)]
    bundles = tuple(Bundle(product_path=f"/{index}", rate_plan="x", share=Decimal(s)) for index, s in enumerate(shares))
    offer = replace(an_offer(MONTHLY, price__limio=a_price(str(price))), bundles=bundles)

    plans = priced(offer, MONTHLY_FEE)

    parts = [plan["chargeOverrides"][0]["pricing"]["recurringFlatFee"]["listPrice"] for plan in plans]
    assert sum(parts) == price
    assert all(part >= 0 for part in parts)


def test_shares_that_are_no_whole_are_refused() -> None:
    bundles = (Bundle(product_path="/a", rate_plan="x", share=Decimal(50)), OFFER.bundles[0])

    with pytest.raises(CannotBePlacedError, match="sum up to 100"):
        priced(replace(OFFER, bundles=bundles), MONTHLY_FEE)


def test_the_first_term_and_those_after_it_may_differ() -> None:
    offer = an_offer(MONTHLY, initial_term__limio=months(3), term__limio=YEAR)

    assert initial_terms(terms_of(offer)) == {
        "initialTerm": {"termType": "TERMED", "period": 3, "periodType": "Month"},
        "renewalSetting": "RENEW_WITH_SPECIFIC_TERM",
        "renewalTerms": [{"period": 1, "periodType": "Year"}],
        "autoRenew": True,
    }


def test_with_an_external_price_one_term_is_both() -> None:
    offer = an_offer(MONTHLY, price__limio=EXTERNAL, initial_term__limio=months(3), term__limio=YEAR)

    assert initial_terms(terms_of(offer))["initialTerm"] == {"termType": "TERMED", "period": 1, "periodType": "Year"}


def test_a_term_may_go_on_without_end() -> None:
    offer = an_offer(MONTHLY, initial_term__limio=months(3), term__limio={"renewal_type": "EVERGREEN"})
    evergreen = an_offer(MONTHLY, term__limio={"renewal_type": "EVERGREEN"})

    assert initial_terms(terms_of(offer))["renewalSetting"] == "RENEW_TO_EVERGREEN"
    assert initial_terms(terms_of(evergreen)) == {"initialTerm": {"termType": "EVERGREEN"}}
    assert terms_from(TODAY, terms_of(evergreen)) == {"lastTerm": {"termType": "EVERGREEN", "startDate": "2026-12-01"}}


@pytest.mark.parametrize(
    ("attributes", "wish", "renews"),
    [
        ({"autoRenew__limio": True}, None, True),
        ({"autoRenew__limio": True}, False, False),
        ({"autoRenew__limio": False}, True, True),
        ({"autoRenew__limio": None}, None, True),
        ({"autoRenew__limio": None, "term__limio": {**months(1), "renewal_trigger": "NONE"}}, None, False),
    ],
)
def test_the_orders_wish_to_renew_outranks_the_offers(attributes: Any, wish: bool | None, renews: bool) -> None:
    assert terms_of(an_offer(MONTHLY, **attributes), wish).auto_renew is renews


@pytest.mark.parametrize("term", [None, {}, {"length": 0, "type": "months"}, {"length": 1, "type": "moons"}])
def test_an_offer_without_a_term_is_refused(term: Any) -> None:
    with pytest.raises(CannotBePlacedError, match="term__limio"):
        terms_of(an_offer(MONTHLY, term__limio=term))


def test_every_offer_of_the_examples_can_be_ordered() -> None:
    whole = a_catalog()

    assert [fault for offer in whole.items.values() for fault in faults_of(offer, whole, TODAY)] == []


def test_all_faults_of_an_offer_are_told() -> None:
    offer = an_offer(MONTHLY, term__limio=None, price__limio=a_price("free"))

    assert len(faults_of(offer, a_catalog(), TODAY)) == 2
    assert len(faults_of(replace(offer, bundles=()), a_catalog(), TODAY)) == 2


@pytest.mark.parametrize("name", ["cross_sell_addons__limio", "cross_sell_add_ons__limio"])
def test_the_add_ons_that_go_with_an_offer_are_found_under_either_name_of_the_attribute(name: str) -> None:
    offer = an_offer(MONTHLY, **{name: [{"items": [{"id": "AU", "path": "/add-ons/audio"}]}]})

    assert offer.cross_sells == {"AU", "/add-ons/audio"}
