"""No way across at the portal: every page, asked by N's user for what is C's, a direct customer's, and unknown."""

from __future__ import annotations

import re

import pytest

from sync_service.store.engine import Database
from tests.integration.web.portal import Portal, PortalVisitor, open_portal, text_of
from tests.partner_world import CANARY, SUBSCRIPTIONS

#: Every page behind the log-in, with what its address takes: kind of id by its name there, and a form for those that
#: change something.
PAGES: dict[tuple[str, str], tuple[str, ...]] = {
    ("GET", "/partner"): (),
    ("POST", "/partner/search"): (),
    ("POST", "/partner/logout"): (),
    ("GET", "/partner/customers/<customer_id>"): ("customer",),
    ("GET", "/partner/subscriptions/<subscription_id>"): ("subscription",),
    ("POST", "/partner/subscriptions/<subscription_id>/change"): ("subscription",),
    ("GET", "/partner/subscriptions/<subscription_id>/cancel"): ("subscription",),
    ("POST", "/partner/subscriptions/<subscription_id>/cancel"): ("subscription",),
    ("GET", "/partner/subscriptions/<subscription_id>/invoices"): ("subscription",),
    ("GET", "/partner/baskets/<basket_id>"): ("basket",),
    ("POST", "/partner/baskets/<basket_id>"): ("basket",),
    ("GET", "/partner/baskets/<basket_id>/review"): ("basket",),
    ("POST", "/partner/baskets/<basket_id>/order"): ("basket",),
    ("GET", "/partner/orders/<order_id>"): ("order",),
    ("GET", "/partner/new"): (),
    ("GET", "/partner/new/<offer_id>"): ("offer",),
    ("POST", "/partner/new/<offer_id>"): ("offer",),
    ("POST", "/partner/new/<offer_id>/again"): ("offer",),
    ("POST", "/partner/new/<offer_id>/order"): ("offer",),
    ("GET", "/partner/customers/<customer_id>/invoices"): ("customer",),
    ("GET", "/partner/invoices"): (),
    ("GET", "/partner/invoices/<invoice_id>/pdf"): ("invoice",),
}
#: Of these a worker asks Zuora; what it finds for another's invoice is tried where there is a Zuora.
_OF_ZUORA = frozenset({"/partner/invoices/<invoice_id>/pdf"})
#: For everyone: the log-in, and what looks the same to all.
OPEN = {
    ("GET", "/partner/login"),
    ("POST", "/partner/login"),
    ("GET", "/partner/login/code"),
    ("POST", "/partner/login/code"),
    ("GET", "/partner/assets/<version>/<path:name>"),
    ("GET", "/partner/<path:_rest>"),
    ("POST", "/partner/<path:_rest>"),
}
#: Ids of C's and of a direct customer's, of every kind, and an unknown one.
UNKNOWN = {kind: f"{kind}-none" for kind in ("subscription", "customer", "basket", "order", "offer", "invoice")}
FOREIGN = [
    *(name for name, _, partner in SUBSCRIPTIONS if partner != "N"),
    "cus-bob",
    "cus-dan",
    "id-bob",
    "order-3",
    "schedule-3",
    "pm-3",
    f"{CANARY}3TEAM",
]


@pytest.fixture
def portal(sqlite_database: Database) -> Portal:
    return open_portal(sqlite_database)


def test_every_page_of_the_portal_is_in_the_table(portal: Portal) -> None:
    found = {
        (method, rule.rule)
        for rule in portal.visit().client.application.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule == "/partner" or rule.rule.startswith("/partner/")
    }

    assert found == set(PAGES) | OPEN


@pytest.mark.parametrize(("method", "rule"), PAGES)
def test_no_page_is_open_to_who_is_not_logged_in(portal: Portal, method: str, rule: str) -> None:
    stranger = portal.visit().client
    place = fill(rule, "sub-1")
    for headers in ({}, portal.world.headers["N"]):
        answer = stranger.open(place, method=method, headers=headers)
        assert answer.status_code == 303
        assert answer.headers["Location"].startswith("/partner/login")


@pytest.mark.parametrize(("method", "rule"), [each for each in PAGES if each[0] == "POST"])
def test_no_form_counts_that_was_not_made_for_this_browser(portal: Portal, method: str, rule: str) -> None:
    ann, carl = portal.visit("N"), portal.visit("C")
    place = fill(rule, "sub-1")
    foreign = carl.get().text.partition('name="form_token" value="')[2][:64]

    for token in ("", foreign):
        assert ann.client.open(place, method=method, data={"form_token": token}).status_code == 403


@pytest.mark.parametrize(
    ("method", "rule"), [each for each, kinds in PAGES.items() if kinds and each[1] not in _OF_ZUORA]
)
def test_an_id_that_is_not_the_partners_is_answered_exactly_like_an_unknown_one(
    portal: Portal, method: str, rule: str, capfd: pytest.CaptureFixture[str]
) -> None:
    ann = portal.visit("N")
    kinds = PAGES[method, rule]
    expected = ask(ann, method, fill(rule, UNKNOWN[kinds[-1]]))
    assert expected[0] == 404

    for id in [*FOREIGN, *made_by_c(portal)]:
        assert ask(ann, method, fill(rule, id)) == expected, id
    captured = capfd.readouterr()
    assert CANARY not in captured.out + captured.err


def test_lists_show_ones_own_alone_whatever_is_asked(portal: Portal) -> None:
    ann = portal.visit("N")
    for wanted in ("", "bob", "dan", CANARY, "%", "_"):
        found = ann.client.get(ann.post("/search", {"wanted": wanted}).headers["Location"])
        assert CANARY not in found.text.replace(f'value="{wanted}"', "").replace(f"<bdi>{wanted}</bdi>", "")
        assert "cus-bob" not in found.text
    assert "ada@north.example" in text_of(ann.get())
    for query in ("partner_org=", "ownerId=id-bob&x=", "queryMore="):
        answer = ann.get(f"?{query}{portal.world.orgs['C']}")
        assert answer.status_code == (400 if query == "queryMore=" else 200)
        assert CANARY not in answer.text


def made_by_c(portal: Portal) -> list[str]:
    """A basket and an order of C's, and an offer that is sold to C alone."""
    carl = portal.visit("C")
    basket = carl.post("/subscriptions/sub-3/change").headers["Location"]
    form = {"offer": "keep", "quantity-team": "2"}
    assert carl.post(basket.removeprefix("/partner"), form).status_code == 303
    order = carl.post(f"{basket.removeprefix('/partner')}/order").headers["Location"]
    coasts = next(each["id"] for name, each in portal.world.catalog.items() if name.startswith("BusinessC"))
    return [basket.rpartition("/")[2], order.rpartition("/")[2], coasts]


def test_no_form_takes_what_is_anothers(portal: Portal) -> None:
    ann = portal.visit("N")
    for customer in ("cus-bob", "cus-dan"):
        for place in ("/new/team", "/new/team/order"):
            assert ann.post(place, {"customer": customer, "quantity": "1"}).status_code == 404
        assert ann.get(f"/new?customer={customer}").text == ann.get("/new?customer=cus-none").text
    basket = ann.post("/subscriptions/sub-1/change").headers["Location"].removeprefix("/partner")
    coasts = made_by_c(portal)[-1]
    for form in ({"offer": coasts, f"quantity-{coasts}": "1"}, {"offer": "keep", f"add-on-{coasts}": "1"}):
        refused = ann.post(basket, form)
        assert refused.status_code == 400
        assert CANARY not in refused.text.replace(coasts, "")


def fill(rule: str, id: str) -> str:
    """The rule's address, with the id in every place."""
    return re.sub("<[a-z_]+>", id, rule)


def ask(visitor: PortalVisitor, method: str, place: str) -> tuple[int, str, list[tuple[str, str]]]:
    """The status and all that the answer says."""
    token = visitor.get().text.partition('name="form_token" value="')[2][:64]
    answer = visitor.client.open(place, method=method, data={"form_token": token} if method == "POST" else None)
    return answer.status_code, answer.text, sorted(answer.headers)
