"""What a partner's user sees at the portal of customers and subscriptions."""

from __future__ import annotations

import pytest

from sync_service.store.engine import Database
from tests.integration.web.portal import Portal, PortalVisitor, open_portal, text_of
from tests.partner_world import stop_clock


@pytest.fixture
def portal(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> Portal:
    stop_clock(monkeypatch)
    return open_portal(sqlite_database)


@pytest.fixture
def ann(portal: Portal) -> PortalVisitor:
    return portal.visit("N")


def test_customers_are_found_by_any_part_of_name_or_address_whatever_the_case(ann: PortalVisitor) -> None:
    everyone = text_of(ann.get())
    assert all(f"{name}@north.example" in everyone for name in ("ada", "bea", "eve"))

    found = ann.post("/search", {"wanted": " ADA@NORTH "})

    assert "ada" not in found.headers["Location"].lower()
    page = text_of(ann.client.get(found.headers["Location"]))
    assert "1 customer with ADA@NORTH" in page
    assert "ada@north.example" in page
    assert "bea@north.example" not in page
    missing = ann.client.get(ann.post("/search", {"wanted": "zoe"}).headers["Location"])
    assert "None of your customers" in missing.text
    assert ann.post("/search", {"wanted": " "}).headers["Location"] == "/partner"


def test_a_customer_has_a_page_with_her_subscriptions(ann: PortalVisitor) -> None:
    page = ann.get("/customers/cus-bea")

    assert "bea@north.example" in page.text
    assert all(f'href="/partner/subscriptions/{each}"' in page.text for each in ("sub-2", "sub-4"))
    assert "sub-1" not in page.text
    assert "pm-" not in page.text


def test_a_subscription_shows_what_it_holds_and_pays(ann: PortalVisitor) -> None:
    page = text_of(ann.get("/subscriptions/sub-1"))

    assert "N1TEAM000001 Active" in page
    assert "01 Nov 2026 – 01 Dec 2026" in page
    assert "Team × 5" in page
    assert "PR × 5" in page
    assert "Payments" in page
    assert "pm-" not in page


def test_a_coming_change_stands_with_its_day(ann: PortalVisitor) -> None:
    page = text_of(ann.get("/subscriptions/sub-4"))

    assert "Business × 1 until 10 Dec 2026" in page
    assert "Team × 1 from 10 Dec 2026" in page


def test_an_imported_subscription_says_that_it_cannot_be_changed(ann: PortalVisitor) -> None:
    assert "cannot be changed or cancelled from here" in ann.get("/subscriptions/sub-6").text


def test_a_page_that_is_not_there_says_so_in_the_portals_own_look(ann: PortalVisitor) -> None:
    page = ann.get("/nowhere")

    assert page.status_code == 404
    assert "Back to your customers" in page.text
