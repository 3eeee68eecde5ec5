"""What a partner's user sees at the portal of customers and subscriptions."""

from __future__ import annotations

import pytest

from sync_service.store.engine import Database
from sync_service.store.tables import AddOnRow, ScheduleRow, SubscriptionOfferRow, SubscriptionRow
from tests.integration.web.portal import Portal, PortalVisitor, open_portal, text_of


@pytest.fixture
def portal(sqlite_database: Database) -> Portal:
    return open_portal(sqlite_database)


@pytest.fixture
def ann(portal: Portal) -> PortalVisitor:
    return portal.visit("N")


def test_customers_are_found_by_any_part_of_name_or_address_whatever_the_case(ann: PortalVisitor) -> None:
    everyone = text_of(ann.get())
    assert all(f"id-{name}" in everyone for name in ("ada", "bea", "eve"))

    found = ann.post("/search", {"wanted": " ADA@NORTH "})

    assert "ada" not in found.headers["Location"].lower()
    page = text_of(ann.client.get(found.headers["Location"]))
    assert "1 customer with ADA@NORTH" in page
    assert "id-ada" in page
    assert "id-bea" not in page
    nobody = ann.client.get(ann.post("/search", {"wanted": "zoe"}).headers["Location"])
    assert "None of your customers" in nobody.text
    assert ann.post("/search", {"wanted": " "}).headers["Location"] == "/partner"


def test_a_customer_has_a_page_with_her_subscriptions(ann: PortalVisitor) -> None:
    page = ann.get("/customers/cus-bea")

    assert "bea@north.example" in page.text
    assert all(f'href="/partner/subscriptions/{each}"' in page.text for each in ("sub-2", "sub-4"))
    assert "sub-1" not in page.text
    assert "pm-" not in page.text


def test_a_subscription_shows_what_it_holds_and_pays(portal: Portal, ann: PortalVisitor) -> None:
    fill_subscription(portal.database)

    page = text_of(ann.get("/subscriptions/sub-1"))

    assert "1TEAM Active" in page
    assert "01 Nov 2026 – 01 Dec 2099" in page
    assert "Renews Yes" in page
    assert "Next payment 01 Dec 2098" in page
    assert "Team × 5 until 01 Dec 2098 Business × 5 from 01 Dec 2098" in page
    assert "Premium × 2" in page
    assert "01 Dec 2098 Team per seat £60.00 Pending-external" in page


def test_an_imported_subscription_says_that_it_cannot_be_changed(portal: Portal, ann: PortalVisitor) -> None:
    with portal.database.transaction() as session:
        row = session.get(SubscriptionRow, "sub-6")
        assert row is not None
        row.document = {**row.document, "data": {"attributes": {"external": True}}}

    assert "cannot be changed or cancelled from here" in ann.get("/subscriptions/sub-6").text


def test_a_page_that_is_not_there_says_so_in_the_portals_own_look(ann: PortalVisitor) -> None:
    page = ann.get("/nowhere")

    assert page.status_code == 404
    assert "Back to your customers" in page.text


def fill_subscription(database: Database) -> None:
    """Sub-1 with Team until its term ends in 2098, Business from then on, an add-on and a payment."""
    with database.transaction() as session:
        subscription = session.get(SubscriptionRow, "sub-1")
        assert subscription is not None
        data = {"termStartDate": "2026-11-01", "termEndDate": "2099-12-01", "attributes": {"autoRenew": True}}
        subscription.document = {**subscription.document, "reference": "1TEAM", "status": "active", "data": data}
        for row_class, id, held in (
            (SubscriptionOfferRow, "subscription_offer-1", ("Team", 5, "2026-11-01", "2098-12-01")),
            (SubscriptionOfferRow, "subscription_offer-1b", ("Business", 5, "2098-12-01", None)),
            (AddOnRow, "add_on-1", ("Premium", 2, "2026-11-01", None)),
        ):
            name, quantity, start, end = held
            inside = {"name": name, "data": {"name": name, "attributes": {}}}
            key = "offer" if row_class is SubscriptionOfferRow else "add_on"
            kept = {key: inside, "quantity": quantity, "start": start, "end": end}
            document = {"id": id, "status": "active", "record_type": row_class.record_type_name, "data": kept}
            session.merge(row_class(id=id, owner="id-ada", subscription_id="sub-1", document=document))
        payment = {"date": "2098-12-01T00:00:00.000", "amount": "60.00", "currency": "GBP", "type": "payment"}
        payment["lineItems"] = [{"chargeName": "Team per seat", "amount": "60.00"}]  # type: ignore[assignment]
        document = {"id": "schedule-1", "status": "pending-external", "record_type": "schedule", "data": payment}
        session.merge(ScheduleRow(id="schedule-1", owner="id-ada", subscription_id="sub-1", document=document))
