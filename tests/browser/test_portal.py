"""The partner portal in a real browser: from the log-in to the order in Zuora, for everybody, and on a phone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from itertools import count

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.axe import find_violations
from tests.browser.conftest import Visitor
from tests.browser.portal_stage import LOGO, PortalStage, open_portal_stage

Windows = Callable[..., Visitor]
_SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="30"><rect width="90" height="30" fill="#0a5"/></svg>'
#: What Zuora does for a swapped plan, in its order.
_SWAP = ["TermsAndConditions", "RemoveProduct", "RemoveProduct", "AddProduct"]


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalStage]:
    """One for all tests of this file, which change different subscriptions."""
    with open_portal_stage(tmp_path_factory.mktemp("portal")) as stage:
        yield stage


def open_change(page: Page, portal: PortalStage, subscription: str) -> None:
    page.goto(f"{portal.home}/partner/subscriptions/{subscription}")
    page.get_by_role("button", name="Change plan or add-ons").click()
    page.get_by_role("heading", name="Change", exact=False).first.wait_for()


def place(page: Page) -> str:
    """Place the order that the page shows, wait until it is in Zuora, and return its number there."""
    page.get_by_role("button", name="Place the order").click()
    expect(page.locator(".progress-text")).to_have_text("The order is complete.", timeout=60_000)
    return page.get_by_role("heading", level=1).inner_text().removeprefix("Order ")


@pytest.mark.timeout(600)
def test_axe_finds_nothing_and_no_page_is_wider_than_the_window(
    windows: Windows, portal: PortalStage, in_every_look: bool
) -> None:
    visitor = windows(portal.home)
    page, found, turns = visitor.page, [], count()

    def look() -> None:
        for again, width in enumerate(visitor.looks(1280, 390, turn=None if in_every_look else next(turns))):
            found.extend(f"{page.url} at {width}: {line}" for line in find_violations(page, again=again > 0))
            if page.evaluate("document.documentElement.scrollWidth") > width:
                found.append(f"{page.url}: too wide for {width}")

    page.goto(f"{portal.home}/partner/login")
    look()
    page.goto(f"{portal.home}/partner/login/code")
    look()
    portal.log_in(page)
    for path in (
        *("", "/customers/cus-ada", "/subscriptions/sub-1", "/subscriptions/sub-4", "/subscriptions/sub-6"),
        *("/subscriptions/sub-1/cancel", "/subscriptions/sub-4/cancel", "/new", "/new/team?customer=cus-ada"),
        *("/invoices", "/subscriptions/sub-1/invoices", "/customers/cus-ada/invoices", "/nowhere"),
    ):
        page.goto(f"{portal.home}/partner{path}")
        look()
    open_change(page, portal, "sub-1")
    look()
    page.get_by_role("radio", name="Business").check()
    page.get_by_role("button", name="Show what it costs").click()
    page.get_by_role("heading", name="Your order").wait_for()
    look()
    visitor.complaints[:] = [said for said in visitor.complaints if "404" not in said]  # nowhere
    assert not found, "\n".join(found)


@pytest.mark.timeout(300)
def test_a_partner_upgrades_a_customer_and_the_order_stands_in_zuora(windows: Windows, portal: PortalStage) -> None:
    page = windows(portal.home).page
    portal.log_in(page)
    page.get_by_role("searchbox").fill("ada")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="ada", exact=True).click()
    page.get_by_role("link", name="N1TEAM000001").click()
    page.get_by_role("button", name="Change plan or add-ons").click()
    page.get_by_role("radio", name="Business").check()
    page.get_by_role("button", name="Show what it costs").click()
    expect(page.get_by_role("region", name="Items of the order")).to_contain_text("£90.00")
    expect(page.get_by_role("main")).to_contain_text("Due today is what Zuora says it will bill for this order.")

    number = place(page)

    account, actions = portal.reselling.in_zuora(number)
    assert (account, [kind for kind, _ in actions]) == ("A-N", _SWAP)
    page.get_by_role("link", name="N1TEAM000001").click()
    expect(page.get_by_role("main")).to_contain_text("Business × 5")
    page.get_by_role("main").get_by_role("link", name="Invoices").click()
    page.get_by_role("heading", name="Invoices of N1TEAM000001").wait_for()
    with page.expect_response(lambda answer: answer.url.endswith("/pdf")) as pdf:
        page.evaluate("fetch(document.querySelector('main table a').href)")
    assert pdf.value.headers["content-type"] == "application/pdf"


@pytest.mark.timeout(300)
def test_on_a_phone_without_javascript_a_downgrade_locks_until_its_day(windows: Windows, portal: PortalStage) -> None:
    page = windows(portal.home, 390, 844, script=False).page
    portal.log_in(page)
    open_change(page, portal, "sub-2")
    page.get_by_role("radio", name="Team").check()
    page.get_by_label("Quantity of Team").fill("2")
    page.get_by_role("button", name="Show what it costs").click()
    expect(page.get_by_role("region", name="Items of the order")).to_contain_text("01 Dec 2026")

    number = place(page)

    _, actions = portal.reselling.in_zuora(number)
    assert ("AddProduct", date(2026, 12, 1).isoformat()) in actions
    page.goto(f"{portal.home}/partner/subscriptions/sub-2")
    expect(page.get_by_role("main")).to_contain_text("It can be changed again from 01 Dec 2026.")
    assert page.get_by_role("button", name="Change plan or add-ons").count() == 0


@pytest.mark.timeout(300)
def test_a_partner_sells_to_a_new_customer_and_finds_her_among_its_customers(
    windows: Windows, portal: PortalStage
) -> None:
    page = windows(portal.home).page
    portal.log_in(page)
    page.get_by_role("link", name="New order").click()
    page.get_by_role("link", name="Choose Team").click()
    page.get_by_label("Quantity").fill("3")
    for label, value in (
        ("First name", "Grace"),
        ("Last name", "Hopper"),
        ("Email address", "grace@example.com"),
        ("Address", "1 Harbour Way"),
        ("City", "London"),
        ("Postal code", "SE1 3ER"),
    ):
        page.get_by_label(label, exact=label == "Address").fill(value)
    page.get_by_label("Country").select_option("GB")
    page.get_by_role("button", name="Show what it costs").click()
    expect(page.get_by_role("region", name="Items of the order")).to_contain_text("£36.00")

    number = place(page)

    order = portal.reselling.zuora.ask(f"/v1/orders/{number}")["order"]
    assert order["existingAccountNumber"] == "A-N"
    page.get_by_role("link", name="Customers").first.click()
    page.get_by_role("searchbox").fill("grace")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("region", name="Customers")).to_contain_text("grace@example.com")


@pytest.mark.timeout(200)
def test_the_logo_is_shown_although_it_comes_from_another_host(windows: Windows, portal: PortalStage) -> None:
    portal.show_logo()
    visitor = windows(portal.home)
    page = visitor.page

    def serve(route: Route) -> None:
        route.fulfill(body=_SVG, content_type="image/svg+xml")

    page.route("https://cdn.north.example/**", serve)
    portal.log_in(page)

    picture = page.get_by_role("img", name="North")
    picture.wait_for()
    assert picture.evaluate("(each) => each.naturalWidth") == 90
    visitor.complaints[:] = [said for said in visitor.complaints if said != LOGO]
