"""Changing, cancelling and ordering at the portal, after the worked examples of the partner API."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
from sqlmodel import select
from werkzeug.test import TestResponse

from sync_service.commerce.fields import read_json
from sync_service.queue.limit import Share, lock_limit
from sync_service.store.engine import Database
from sync_service.store.tables import BasketRow, OrderWorkRow, SubscriptionRow
from tests.integration.web.portal import Portal, PortalVisitor, open_portal, text_of
from tests.partner_catalog import item
from tests.partner_world import stop_clock

SHARE = Share(8)


@pytest.fixture
def portal(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> Portal:
    stop_clock(monkeypatch)
    return open_portal(sqlite_database)


@pytest.fixture
def ann(portal: Portal) -> PortalVisitor:
    return portal.visit("N")


def open_basket(visitor: PortalVisitor, subscription_id: str = "sub-1") -> str:
    """The page of a new basket."""
    page = f"/subscriptions/{subscription_id}"
    answer = visitor.post(f"{page}/change", page=page)
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"].removeprefix("/partner")


def choose(visitor: PortalVisitor, basket: str, **form: object) -> TestResponse:
    """Send the form of the basket with these fields (`_` for `-`), and look at what it leads to."""
    fields = {name.replace("_", "-"): value for name, value in form.items()}
    answer = visitor.post(basket, fields, page=basket)
    return visitor.client.get(answer.headers["Location"]) if answer.status_code == 303 else answer


def works(portal: Portal) -> list[OrderWorkRow]:
    with portal.database.reading() as session:
        return list(session.exec(select(OrderWorkRow)))


def test_the_plans_stand_in_order_with_the_current_one_between_and_its_own_price(ann: PortalVisitor) -> None:
    page = text_of(ann.get(open_basket(ann)))

    places = [page.index(words) for words in ("Solo", "Team What there is now", "Business Upgrade, at once")]
    assert places == sorted(places)
    assert "£18.00 each" in page
    assert "PR" in page
    assert "AU" in page
    assert "BusinessC" not in page
    assert "Unpublished" not in page
    assert "What it costs" not in page


def test_an_upgrade_shows_what_it_costs_and_from_when_and_becomes_one_order(portal: Portal, ann: PortalVisitor) -> None:
    """Example 14: Business for five seats on 26 November, four of 30 days left of November and the last."""
    basket = open_basket(ann)

    page = text_of(choose(ann, basket, offer="business", quantity_business=5, add_on_pr=5, add_on_au=0))

    assert "Add Business × 5 At once £90.00" in page
    assert "Remove Team × 5 At once" in page
    assert "Remove PR × 5 At once" in page
    assert "Total a period £90.00" in page
    assert "Due today £2.50" in page
    first = ann.post(f"{basket}/order", page=basket)
    token = {"form_token": form_token_of(ann)}
    second = ann.client.post(f"/partner{basket}/order", data=token)
    assert (first.status_code, second.status_code) == (303, 303)
    assert first.headers["Location"] == second.headers["Location"]
    [work] = works(portal)
    assert first.headers["Location"] == f"/partner/orders/{work.order_id}"
    updates = read_json(work.payload)["updates"]
    assert [(each["type"], each["id"], each["quantity"]) for each in updates] == [
        ("add", "business", 5),
        ("remove", "subscription_offer-team-1", 5),
        ("remove", "add_on-pr-1", 5),
    ]
    assert work.client == "ann@north.example"
    assert ann.get(basket).headers["Location"] == first.headers["Location"]
    assert "is being placed" in ann.get(f"/orders/{work.order_id}").text


def form_token_of(visitor: PortalVisitor) -> str:
    found = re.search(r'name="form_token" value="([0-9a-f]*)"', visitor.get().text)
    assert found
    return found[1]


def test_a_downgrade_waits_for_the_end_of_the_term_and_costs_nothing_today(ann: PortalVisitor) -> None:
    """Example 21."""
    basket = open_basket(ann, "sub-2")

    page = text_of(choose(ann, basket, offer="team", quantity_team=2, add_on_au=2))

    assert "Add Team × 2 01 Dec 2026 £24.00" in page
    assert "Remove Business × 2 01 Dec 2026" in page
    assert "Due today £0.00" in page


def test_seats_and_add_ons_change_by_their_numbers_and_what_is_left_alone_stays(ann: PortalVisitor) -> None:
    basket = open_basket(ann)

    more = text_of(choose(ann, basket, offer="keep", quantity_team=7, add_on_pr=5, add_on_au=0))
    assert "Add Team × 7 At once £84.00" in more
    bought = text_of(choose(ann, basket, offer="keep", quantity_team=5, add_on_pr=5, add_on_au=5))
    assert "Add AU × 5 At once £10.00" in bought
    assert "Due today £1.67" in bought
    assert "Add Team" not in bought
    dropped = text_of(choose(ann, basket, offer="keep", quantity_team=5, add_on_pr=0))
    assert "Remove PR × 5" in dropped
    again = ann.get(basket).text
    assert 'name="add-on-pr" value="0"' in again
    nothing = choose(ann, basket, offer="keep", quantity_team=5, add_on_pr=5)
    assert (nothing.status_code, "Nothing is chosen yet" in nothing.text) == (400, True)
    assert ann.get(f"{basket}/review").headers["Location"] == f"/partner{basket}"


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"offer": "business", "quantity_business": 11}, "quantities of 1 to 10"),
        ({"offer": "business", "quantity_business": "five"}, "A quantity must be a whole number."),
        ({"offer": "business", "quantity_business": "1.5"}, "A quantity must be a whole number."),
        ({"offer": "elsewhere", "quantity_elsewhere": 1}, "elsewhere"),
        ({"offer": "keep", "add_on_none": 3}, "none"),
    ],
)
def test_what_cannot_be_bought_is_refused_in_words_and_the_basket_is_as_before(
    ann: PortalVisitor, form: dict[str, object], said: str
) -> None:
    basket = open_basket(ann)
    choose(ann, basket, offer="business", quantity_business=5)

    refused = choose(ann, basket, **form)

    assert refused.status_code == 400
    assert said.lower() in text_of(refused).lower()
    assert "Add Business × 5" in text_of(ann.get(f"{basket}/review"))


def test_a_locked_subscription_says_until_when_and_offers_no_change(
    portal: Portal, ann: PortalVisitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Example 11: sub-4 becomes Team on 10 December."""
    page = ann.get("/subscriptions/sub-4")
    assert "It can be changed again from 10 Dec 2026." in text_of(page)
    assert "Change plan" not in page.text
    locked = ann.post("/subscriptions/sub-4/change", page="")
    assert locked.status_code == 423
    assert "from 2026-12-10" in locked.text
    assert "cannot be cancelled now" in ann.get("/subscriptions/sub-4/cancel").text

    stop_clock(monkeypatch, date(2026, 12, 10))
    later = portal.visit("N")

    assert "Change plan" in later.get("/subscriptions/sub-4").text
    assert open_basket(later, "sub-4").startswith("/baskets/")


def test_an_order_on_its_way_locks_without_a_day(portal: Portal, ann: PortalVisitor) -> None:
    """Example 25."""
    basket = open_basket(ann)
    choose(ann, basket, offer="business", quantity_business=5)
    ann.post(f"{basket}/order", page=basket)
    [work] = works(portal)

    locked = ann.post("/subscriptions/sub-1/change", page="")

    assert locked.status_code == 423
    assert f"Try again when {work.order_id} is done." in locked.text


def test_a_subscription_whose_first_order_failed_has_nothing_to_change(portal: Portal, ann: PortalVisitor) -> None:
    with portal.database.transaction() as session:
        row = session.get_one(SubscriptionRow, "sub-1")
        row.document = {**row.document, "status": "initial"}
        session.add(row)

    page = ann.get("/subscriptions/sub-1").text
    assert "was not placed" in page
    assert "Change plan" not in page
    assert "/sub-1/cancel" not in page
    refused = ann.post("/subscriptions/sub-1/change", page="")
    assert refused.status_code == 400
    assert "only an active one can be changed" in refused.text


def test_an_imported_subscription_cannot_be_changed(ann: PortalVisitor) -> None:
    page = ann.get("/subscriptions/sub-6").text
    assert "Change plan" not in page
    assert "cannot be changed or cancelled from here" in page
    assert ann.post("/subscriptions/sub-6/change", page="").status_code == 400


def test_what_changed_since_it_was_seen_is_not_ordered(portal: Portal, ann: PortalVisitor) -> None:
    """Example 23: Business costs 19 by now."""
    basket = open_basket(ann)
    choose(ann, basket, offer="business", quantity_business=5)
    document = item("Business", "19", portal.world.orgs["N"], version="2")
    portal.world.publish(document)

    refused = ann.post(f"{basket}/order", page=basket)

    assert refused.status_code == 400
    assert "Nothing was ordered." in refused.text
    assert works(portal) == []
    assert "£95.00" in text_of(choose(ann, basket, offer="business", quantity_business=5))


def test_cancelling_asks_first_and_is_one_order_however_often_it_is_sent(portal: Portal, ann: PortalVisitor) -> None:
    """Example 29."""
    page = ann.get("/subscriptions/sub-1/cancel")
    assert "goes on until 01 Dec 2026" in text_of(page)
    assert works(portal) == []
    key = re.search(r'name="key" value="([^"]+)"', page.text)
    assert key
    form = {"form_token": form_token_of(ann), "key": key[1]}

    answers = [ann.client.post("/partner/subscriptions/sub-1/cancel", data=form) for _ in range(2)]

    [work] = works(portal)
    assert [each.headers["Location"] for each in answers] == [f"/partner/orders/{work.order_id}"] * 2
    assert work.order_type == "cancel_subscription"
    assert "cannot be cancelled now" in ann.get("/subscriptions/sub-1/cancel").text


def test_while_zuora_is_away_the_order_waits_and_the_page_says_so(portal: Portal, ann: PortalVisitor) -> None:
    """Example 38."""
    basket = open_basket(ann)
    choose(ann, basket, offer="business", quantity_business=5)
    with portal.database.transaction() as session:
        lock_limit(session, SHARE)
        session.run("UPDATE zuora_limit SET open_until = {now} + 30 * 86400000")

    placed = ann.client.get(ann.post(f"{basket}/order", page=basket).headers["Location"])

    assert "Zuora cannot be reached just now. The order is kept" in placed.text
    assert "data-progress" in placed.text
    [work] = works(portal)
    progress = ann.get(f"/orders/{work.order_id}", headers={"Accept": "application/json"})
    assert progress.json["done"] is False
    assert work.state == "submitted"


GRACE = {
    "firstName": "Grace",
    "lastName": "Hopper",
    "email": "grace@example.com",
    "companyName": "",
    "address1": "1 Harbour Way",
    "city": "London",
    "postalCode": "SE1 3ER",
    "country": "gb",
}


def test_a_new_order_is_looked_at_before_it_is_placed(portal: Portal, ann: PortalVisitor) -> None:
    """Example 27."""
    offers = text_of(ann.get("/new"))
    assert "Team £12.00 a period, each" in offers
    assert "BusinessC" not in offers

    review = ann.post("/new/team", {**GRACE, "quantity": "3", "add-on": "au"}, page="/new/team")
    said = text_of(review)
    assert "Team × 3 At once £36.00" in said
    assert "AU × 1 At once £2.00" in said
    assert "Total a period £38.00 without tax" in said
    assert "grace@example.com" in said
    assert works(portal) == []

    form = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', review.text))
    answers = [ann.client.post("/partner/new/team/order", data=form) for _ in range(2)]

    assert [each.status_code for each in answers] == [303, 303], answers[0].text
    assert answers[0].headers["Location"] == answers[1].headers["Location"]
    [work] = works(portal)
    payload = read_json(work.payload)
    assert (payload["order_type"], payload["country"], payload["payment"]) == ("new", "GB", {"type": "invoice"})
    assert payload["customerDetails"] == {"firstName": "Grace", "lastName": "Hopper", "email": "grace@example.com"}
    assert work.payer_account == "A-N"
    found = ann.client.get(ann.post("/search", {"wanted": "grace"}).headers["Location"])
    assert "1 customer" in text_of(found)


def test_a_new_order_that_lacks_something_comes_back_with_what_was_typed(portal: Portal, ann: PortalVisitor) -> None:
    refused = ann.post("/new/team", {**GRACE, "quantity": "11"}, page="/new/team")
    assert refused.status_code == 400
    assert "quantities of 1 to 10" in text_of(refused)
    assert 'value="grace@example.com"' in refused.text
    abroad = ann.post("/new/team", {**GRACE, "country": ""}, page="/new/team")
    assert abroad.status_code == 400
    assert "country is required" in abroad.text
    assert works(portal) == []


def test_an_offer_of_another_partner_is_no_offer(portal: Portal, ann: PortalVisitor) -> None:
    coasts = next(each["id"] for name, each in portal.world.catalog.items() if name.startswith("BusinessC"))
    nothing = ann.get("/new/none")

    for id in (coasts, "unpublished", "au"):
        assert (ann.get(f"/new/{id}").status_code, ann.get(f"/new/{id}").text) == (404, nothing.text)


def test_for_a_customer_of_ones_own_the_order_names_its_owner(portal: Portal, ann: PortalVisitor) -> None:
    form = {**GRACE, "customer": "cus-ada", "quantity": "1"}
    review = ann.post("/new/team", form, page="/new/team?customer=cus-ada")
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', review.text))
    assert ann.client.post("/partner/new/team/order", data=hidden).status_code == 303, text_of(review)

    [work] = works(portal)
    assert read_json(work.payload)["owner"] == "id-ada"


def test_a_basket_is_the_organisations_and_expires(portal: Portal, ann: PortalVisitor) -> None:
    basket = open_basket(ann)
    with portal.database.transaction() as session:
        for row in session.exec(select(BasketRow)):
            row.expires_at = session.now()

    gone = ann.get(basket)

    assert gone.status_code == 404
    assert "has expired" in gone.text


def test_buttons_that_are_pressed_twice_at_once_place_one_order_each(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change, a cancellation and a new order, each sent by four windows of one browser in the same moment."""
    stop_clock(monkeypatch)
    portal = open_portal(database)
    ann = portal.visit("N")
    basket = open_basket(ann)
    choose(ann, basket, offer="business", quantity_business=5)
    bought = hidden_of(ann.post("/new/team", {**GRACE, "quantity": "3"}, page="/new/team"))
    cancelled = hidden_of(ann.get("/subscriptions/sub-2/cancel"))
    forms = [
        (f"{basket}/order", {"form_token": form_token_of(ann)}),
        ("/new/team/order", bought),
        ("/subscriptions/sub-2/cancel", cancelled),
    ]
    cookie = ann.client.get_cookie("sync_partner", path="/partner")
    assert cookie

    def press(place: str, form: dict[str, str]) -> TestResponse:
        window = ann.client.application.test_client()
        window.set_cookie("sync_partner", cookie.value, path="/partner")
        return window.post(f"/partner{place}", data=form)

    for number, (place, form) in enumerate(forms, start=1):
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda _, at=place, sent=form: press(at, sent), range(4)))
        assert [each.status_code for each in answers] == [303] * 4, answers[0].text
        assert len({each.headers["Location"] for each in answers}) == 1
        assert len(works(portal)) == number


def hidden_of(page: TestResponse) -> dict[str, str]:
    """The hidden fields of the first form of a page that has a key or a basket, as a browser sends them."""
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page.text))
