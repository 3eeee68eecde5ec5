"""The basket, by the worked examples of a partner's world: two partners, six subscriptions, monthly offers per seat.

Figures are computed by hand: a period of 30 days (1 November to 1 December) of which 5 are left on 26 November.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_service.commerce.basket.amounts import price_of
from sync_service.commerce.basket.holding import Holding, Lock, LockReason, pending_change, read_holding
from sync_service.commerce.basket.items import Basket, WantedItem, apply_items
from sync_service.commerce.basket.on_sale import Buyer, OffersOnSale
from sync_service.commerce.basket.placement import find_changes, lines_of, to_order
from sync_service.commerce.catalog import Offer, read_offer
from sync_service.commerce.order import Refusal, UpdateAction
from tests.partner_catalog import catalog, item, names, sold_with

TODAY = date(2026, 11, 26)
TERM_END = date(2026, 12, 1)
N, C = "partner_org-n", "partner_org-c"
CATALOG = catalog(N, C)
BY_NAME = {each["name"]: each for each in CATALOG}


def on_sale(
    partner: str | None = N, *changed: dict[str, Any], country: str = "GB", currency: str = "GBP"
) -> OffersOnSale:
    documents = {each["id"]: each for each in [*CATALOG, *changed]}
    offers = tuple(read_offer(each) for each in documents.values())
    return OffersOnSale(offers, Buyer(partner_org=partner, currency=currency, country=country))


def held(name: str, quantity: int, *, start: str = "2026-11-01", end: str | None = None, n: int = 1) -> dict[str, Any]:
    document = BY_NAME[name]
    kind = document["record_type"]
    data = {kind: document, "quantity": quantity, "start": f"{start}T00:00:00.000Z", **({"end": end} if end else {})}
    prefix = "add_on" if kind == "add_on" else "subscription_offer"
    return {"id": f"{prefix}-{name.lower()}-{n}", "status": "active", "record_type": prefix, "data": data}


def holding(
    offers: Sequence[dict[str, Any]],
    add_ons: Sequence[dict[str, Any]] = (),
    *,
    term_end: str | None = "2026-12-01",
    due: Sequence[str] = (),
    today: date = TODAY,
    zone: tzinfo = UTC,
    **changed: Any,
) -> Holding:
    data = {"purchaseCountry": "GB", "price": {"currency": "GBP"}, "termStartDate": "2026-11-01T00:00:00.000Z"}
    subscription = {
        "id": "sub-1",
        "reference": "N1TEAM000001",
        "owner": "id-ada",
        "status": "active",
        "data": {**data, **({"termEndDate": term_end} if term_end else {})},
    }
    schedule = [
        {"status": "pending-external", "data": {"type": "payment", "date": f"{day}T00:00:00.000"}} for day in due
    ]
    return replace(read_holding(subscription, offers, add_ons, schedule, today, zone), **changed)


SUB_1 = holding([held("Team", 5)], [held("PR", 5)])
SUB_2 = holding([held("Business", 2)], [held("AU", 2)])


def add(name: str, quantity: int | None = None) -> WantedItem:
    kind = BY_NAME[name]["record_type"]
    return WantedItem(action=UpdateAction.ADD, record_type=kind, item_id=name.lower(), quantity=quantity)


def remove(name: str, quantity: int | None = None) -> WantedItem:
    return replace(add(name, quantity), action=UpdateAction.REMOVE)


def basket(*wanted: WantedItem, of: Holding = SUB_1, on: OffersOnSale | None = None, today: date = TODAY) -> Basket:
    made = apply_items(of, on or on_sale(), wanted, today)
    assert isinstance(made, Basket), made
    return made


def refused(*wanted: WantedItem, of: Holding = SUB_1, on: OffersOnSale | None = None) -> str:
    made = apply_items(of, on or on_sale(), wanted, TODAY)
    assert isinstance(made, Refusal), made
    return " ".join(problem.message for problem in made.problems)


def shown(made: Basket) -> list[tuple[str, str, int, Decimal | None, date]]:
    return [
        (each.action.value, each.offer.name, each.quantity, each.price.amount, each.effect.day) for each in made.items
    ]


def offered(offers: Sequence[Offer]) -> list[str]:
    return [offer.name for offer in offers]


# --- what may follow ---


def test_the_choices_are_what_this_partner_may_buy_of_what_is_published() -> None:
    choices = basket().choices

    assert offered(choices.upgrades) == ["Business"]
    assert offered(choices.downgrades) == ["Solo"]
    assert offered(choices.cross_sells) == ["AU"]
    assert offered(choices.add_ons) == ["PR"]
    assert not choices.select_offer


def test_another_partner_sees_its_own_upgrade() -> None:
    assert offered(basket(of=holding([held("Team", 1)]), on=on_sale(C)).choices.upgrades) == ["BusinessC"]


def test_an_offer_that_names_no_partner_is_sold_to_none() -> None:
    nameless = item("Business", "18")
    assert offered(basket(on=on_sale(N, nameless)).choices.upgrades) == []
    assert "not sold to you" in refused(add("Business", 5), on=on_sale(N, nameless))


def test_the_lists_are_those_of_the_newest_published_version() -> None:
    anew = item("Team", "12", N, C, upgrade_offers__limio=names("Elsewhere"), version="2")
    assert offered(basket(on=on_sale(N, anew)).choices.upgrades) == ["Elsewhere"]


def test_a_label_names_every_published_offer_that_carries_it() -> None:
    team = item("Team", "12", N, upgrade_offers__limio="b2b")
    elsewhere = item("Elsewhere", "9", N, label__limio=["b2b"])
    assert offered(basket(on=on_sale(N, team, elsewhere)).choices.upgrades) == ["Elsewhere"]


def test_without_a_published_version_of_the_current_offer_any_offer_may_be_chosen() -> None:
    gone = item("Team", "12", N, status="draft")
    made = basket(add("Elsewhere", 1), on=on_sale(N, gone))

    assert made.choices.select_offer
    assert made.items[0].effect.at_once


@pytest.mark.parametrize(("currency", "country"), [("EUR", "GB"), ("GBP", "FR")])
def test_another_currency_or_country_is_not_offered(currency: str, country: str) -> None:
    here = item("Business", "18", N, allowed_countries__limio=["GB"])
    assert offered(basket(on=on_sale(N, here, country=country, currency=currency)).choices.upgrades) == []


# --- what happens ---


def test_an_upgrade_replaces_the_offer_today_and_removes_add_ons_that_do_not_go_with_it() -> None:
    made = basket(add("Business", 5))

    assert shown(made) == [
        ("add", "Business", 5, Decimal("90.00"), TODAY),
        ("remove", "Team", 5, Decimal("60.00"), TODAY),
        ("remove", "PR", 5, Decimal("15.00"), TODAY),
    ]
    assert (made.totals.subtotal, made.totals.discounts, made.totals.total) == (90, 0, 90)
    assert made.totals.due == Decimal("2.50")  # 15.00 - 10.00 - 2.50 for 5 of 30 days
    assert offered(made.choices.cross_sells) == ["AU"]


def test_a_basket_is_what_was_sent_last_and_nothing_before() -> None:
    made = basket(add("AU", 5))

    assert shown(made) == [("add", "AU", 5, Decimal("10.00"), TODAY)]
    assert made.totals.due == Decimal("1.67")  # 10 * 5 / 30, half up
    assert offered(made.choices.cross_sells) == []


def test_an_offer_and_its_add_on_together() -> None:
    made = basket(add("Business", 5), add("AU", 5))

    assert shown(made)[-1] == ("add", "AU", 5, Decimal("10.00"), TODAY)
    assert ("remove", "PR", 5, Decimal("15.00"), TODAY) in shown(made)
    assert made.totals.total == 100


def test_system_items_that_are_sent_back_are_not_doubled() -> None:
    assert basket(add("Business", 5), remove("Team", 5), remove("PR", 5)).items == basket(add("Business", 5)).items


def test_a_downgrade_waits_for_the_end_of_the_term_and_costs_nothing_today() -> None:
    made = basket(add("Team", 2), of=SUB_2)

    assert shown(made) == [
        ("add", "Team", 2, Decimal("24.00"), TERM_END),
        ("remove", "Business", 2, Decimal("36.00"), TERM_END),
    ]
    assert (made.totals.total, made.totals.due) == (24, 0)
    assert made.effective == TERM_END


def test_an_add_on_that_only_the_lower_offer_has_begins_with_it() -> None:
    made = basket(add("Team", 2), add("PR", 1), of=SUB_2)

    assert shown(made)[-1] == ("add", "PR", 1, Decimal("3.00"), TERM_END)
    assert made.totals.due == 0


@pytest.mark.parametrize(("quantity", "day"), [(7, TODAY), (3, TERM_END)])
def test_more_seats_come_at_once_and_fewer_at_the_end_of_the_term(quantity: int, day: date) -> None:
    made = basket(add("Team", quantity))

    assert shown(made) == [
        ("add", "Team", quantity, Decimal(12 * quantity), day),
        ("remove", "Team", 5, Decimal("60.00"), day),
    ]


def test_a_quantity_that_is_not_sent_is_the_least_that_is_sold() -> None:
    made = basket(add("Business"))

    assert made.items[0].quantity == 1
    assert made.totals.due == Decimal("-9.50")  # 3.00 - 10.00 - 2.50: a credit


def test_an_add_on_is_removed_at_the_end_of_the_term() -> None:
    assert shown(basket(remove("PR"))) == [("remove", "PR", 5, Decimal("15.00"), TERM_END)]


def test_example_36_an_evergreen_subscription_changes_with_its_next_payment() -> None:
    evergreen = holding([held("Business", 2)], term_end=None, due=["2026-11-09", "2026-12-09"])
    assert basket(add("Team", 2), of=evergreen).effective == date(2026, 12, 9)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ([add("Business", 5), add("Solo", 1)], "one offer at a time"),
        ([add("Business", 5), add("PR", 5)], "PR is not sold with Business"),
        ([remove("AU")], "does not have AU"),
        ([remove("PR", 6)], "fewer than 6"),
        ([remove("PR", 2)], "add it with 3"),
        ([remove("Team")], "cancel it"),
        ([add("Business", 11)], "1 to 10"),
        ([add("Business", 0)], "1 to 10"),
        ([add("Solo", 2)], "one at a time"),
        ([add("Team", 5)], "same quantity"),
        ([add("PR", 5)], "in this quantity already"),
        ([add("BusinessC", 5)], "not sold to you"),
        ([add("Elsewhere", 1)], "neither an upgrade nor a downgrade"),
        ([add("AU", 1), add("AU", 2)], "twice"),
    ],
)
def test_what_cannot_be_is_refused_in_words(wanted: list[WantedItem], words: str) -> None:
    assert words in refused(*wanted)


@pytest.mark.parametrize(
    "changed", [{"is_external": True}, *({"status": each} for each in ("cancelled", "expired", "initial", "suspended"))]
)
def test_a_subscription_that_takes_no_commerce_actions_takes_no_basket(changed: dict[str, Any]) -> None:
    assert refused(add("Business", 5), of=replace(SUB_1, **changed))


def test_example_36_a_day_that_cannot_be_told_refuses_the_change() -> None:
    assert "not known" in refused(add("Team", 2), of=holding([held("Business", 2)], term_end=None))


# --- what it costs ---

TIERS = [
    {"startingUnit": "1", "endingUnit": "10", "price": "10", "priceFormat": "PerUnit"},
    {"startingUnit": "11", "endingUnit": "50", "price": "8", "priceFormat": "PerUnit"},
]


def volume(*tiers: dict[str, str]) -> Offer:
    entry = {"type": "recurring", "currencyCode": "GBP", "tiers": list(tiers)}
    return read_offer(item("Volume", None, N, price__limio=[entry]))


@pytest.mark.parametrize(("quantity", "amount"), [(10, 100), (11, 88), (51, None)])
def test_example_37_a_volume_price_is_the_tiers_price_times_the_quantity(quantity: int, amount: int | None) -> None:
    price = price_of(volume(*TIERS), quantity, "GBP")

    assert (price.amount if price else None) == amount


def test_example_37_a_flat_tier_costs_its_price_and_takes_its_last_unit() -> None:
    flat = {"startingUnit": "1", "endingUnit": "10", "price": "60", "priceFormat": "FlatFee"}
    price = price_of(volume(flat), 4, "GBP")

    assert price is not None
    assert (price.quantity, price.amount) == (10, 60)


def test_an_external_price_is_unknown_and_never_zero() -> None:
    external = item("Business", None, N, price__limio=[{"use_external_price": True, "currencyCode": "GBP"}])
    made = basket(add("Business", 5), on=on_sale(N, external))

    assert made.items[0].price.amount is None
    assert made.totals.due is None


def test_an_external_price_that_zuora_told_is_used() -> None:
    external = item("Business", None, N, price__limio=[{"use_external_price": True, "currencyCode": "GBP"}])
    made = apply_items(SUB_1, on_sale(N, external), [add("Business", 5)], TODAY, {"business": Decimal("18")})

    assert isinstance(made, Basket)
    assert made.totals.due == Decimal("2.50")


@given(st.integers(1, 10), st.dates(date(2026, 11, 1), date(2026, 11, 30)))
def test_due_today_never_exceeds_the_period_and_adds_up_by_lines(quantity: int, today: date) -> None:
    made = apply_items(SUB_1, on_sale(), [add("Business", quantity)], today)

    assert isinstance(made, Basket)
    left = (TERM_END - today).days
    lines = [(each.price.amount or Decimal(0)) * left / 30 for each in made.items]
    cents = [line.quantize(Decimal("0.01"), "ROUND_HALF_UP") for line in lines]
    assert made.totals.due == cents[0] - sum(cents[1:])
    assert made.totals.due is not None
    assert made.totals.due <= made.totals.total


# --- whether it may be changed at all ---


@pytest.mark.parametrize(
    ("today", "lock"),
    [
        (TODAY, Lock(reason=LockReason.CHANGE, until=date(2026, 12, 10))),
        (date(2026, 12, 9), Lock(reason=LockReason.CHANGE, until=date(2026, 12, 10))),
        (date(2026, 12, 10), None),
    ],
)
def test_a_change_to_come_locks_the_subscription_until_its_day(today: date, lock: Lock | None) -> None:
    offers = [held("Business", 1, end="2026-12-10"), held("Team", 1, start="2026-12-10")]
    subscription = holding(offers, term_end="2027-01-01", today=today)

    assert pending_change(subscription, today) == lock
    if lock:
        assert (
            lock.message == "You have a pending change to your subscription. It can be changed again from 2026-12-10."
        )
    else:
        assert subscription.current is not None
        assert subscription.current.offer.name == "Team"


def test_what_was_bought_this_evening_is_held_today_in_the_tenants_zone() -> None:
    """1:00 UTC on the 27th is 17:00 on the 26th in Los Angeles: no change is to come."""
    bought = held("Team", 5)
    bought["data"]["start"] = "2026-11-27T01:00:00.000Z"
    there = holding([bought], zone=ZoneInfo("America/Los_Angeles"))

    assert pending_change(there, TODAY) is None
    assert there.current is not None
    assert pending_change(holding([bought]), TODAY) is not None


def test_an_order_that_runs_locks_without_a_date() -> None:
    lock = pending_change(SUB_1, TODAY, open_orders=["order-1"])

    assert lock == Lock(reason=LockReason.ORDER, order="order-1")
    assert "Try again when order-1 is done" in lock.message


def test_a_cancellation_or_a_changed_renewal_to_come_locks_it() -> None:
    assert pending_change(SUB_1, TODAY, cancelled_on=TERM_END) == Lock(reason=LockReason.CANCELLATION, until=TERM_END)
    renewing = replace(SUB_1, pending_renewal=TERM_END)
    assert pending_change(renewing, TODAY) == Lock(reason=LockReason.RENEWAL, until=TERM_END)
    assert pending_change(renewing, TERM_END) is None


def test_nothing_pending_is_no_lock() -> None:
    assert pending_change(SUB_1, TODAY) is None


# --- what it becomes ---


def test_a_basket_becomes_one_order_with_dated_updates() -> None:
    order = to_order(SUB_1, basket(add("Business", 5)))

    assert order == {
        "forSubscription": {"id": "sub-1", "name": "N1TEAM000001"},
        "owner": "id-ada",
        "country": "GB",
        "updates": [
            {
                "type": "add",
                "record_type": "offer",
                "id": "business",
                "version": "1",
                "quantity": 5,
                "effective_date": "2026-11-26",
            },
            {
                "type": "remove",
                "record_type": "offer",
                "id": "subscription_offer-team-1",
                "quantity": 5,
                "effective_date": "2026-11-26",
            },
            {
                "type": "remove",
                "record_type": "add_on",
                "id": "add_on-pr-1",
                "quantity": 5,
                "effective_date": "2026-11-26",
            },
        ],
    }


def changes(changed: dict[str, Any], *, today: date = TODAY) -> list[str]:
    seen = lines_of(basket(add("Business", 5)))
    now = apply_items(SUB_1, on_sale(N, changed), [add("Business", 5)], today)
    return [problem.message for problem in find_changes(seen, now)]


def test_a_basket_that_nothing_changed_can_be_ordered_the_next_day_too() -> None:
    assert changes(BY_NAME["Business"], today=date(2026, 11, 27)) == []


def test_what_changed_since_it_was_seen_is_named() -> None:
    dearer = item("Business", "19", N, cross_sell_addons__limio=sold_with("AU"), version="2")

    assert changes(item("Business", "18", N, status="draft")) == ["Business is not sold to you for this subscription."]
    assert changes(dearer) == ["The price of Business is now 95.00; it was 90.00."]
    assert changes(item("Business", "18", N, cross_sell_addons__limio=sold_with("AU", "PR"))) == [
        "PR is no longer part of this change."
    ]
