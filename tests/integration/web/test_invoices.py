"""Invoices: asked for by a page or a partner, read from Zuora by a worker, with their PDFs, and never another's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlmodel import select

from sync_service.access.clients import OBJECTS_SCOPE
from sync_service.access.users import Role
from sync_service.errors import NotServed
from sync_service.partner.organisations import Organisation, Partners
from sync_service.queue import questions as asks
from sync_service.store.engine import Database
from sync_service.store.object_rows import find_subscription
from sync_service.store.tables import AskRow, SubscriptionRow
from tests.integration.web.admin import Visitor, visit
from tests.integration.web.conftest import build
from tests.integration.web.portal import PortalVisitor
from tests.listening import listening
from tests.partner_world import log_in
from tests.sweep_world import World, open_world
from zuora_emulator.records import hex_id

NORTH, COAST = "A-of-N1", "A-of-C1"


@dataclass
class Billed:
    """Two partners with their own accounts in Zuora; N1 and N2 are North's, C1 is Coast's, and all were billed."""

    world: World
    orgs: dict[str, str]

    @property
    def database(self) -> Database:
        return self.world.database

    def invoices(self, account: str) -> list[str]:
        """Ids of the invoices of an account, as Zuora has them."""
        return [each.id for each in self.world.zuora.emulator.tenant.ledger.of_account(account, "Invoice")]

    @contextmanager
    def working(self) -> Iterator[None]:
        """A worker runs meanwhile."""
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                self.world.work()
                stop.wait(0.05)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(30)


@pytest.fixture
def billed(sqlite_database: Database) -> Iterator[Billed]:
    with open_world(sqlite_database) as world:
        world.subscribe("N1", "C1")
        world.subscribe("N2", account=NORTH)
        world.sync("N1", "N2", "C1")
        world.do("bill_run")
        partners = Partners(sqlite_database, "test")
        orgs = {
            name: partners.add(Organisation(name=name, zuora_account_id=account, is_invoice_owner=True)).id
            for name, account in (("North", NORTH), ("Coast", COAST))
        }
        for number, org in (("N1", "North"), ("N2", "North"), ("C1", "Coast")):
            partners.assign(number, orgs[org])
        partners.add_user(orgs["North"], "ann@north.example")
        yield Billed(world, orgs)


@pytest.fixture
def web(billed: Billed) -> Any:
    return build(billed.database, partner_code_in_log=True)


def test_a_partner_is_shown_its_own_invoices_page_by_page_and_their_pdfs(billed: Billed, web: Any) -> None:
    """Example 31."""
    headers = log_in(billed.database, web.client, billed.orgs["North"], "shop")
    other = log_in(billed.database, web.client, billed.orgs["Coast"], "other shop")
    expected = set(billed.invoices(NORTH))
    with billed.working():
        first = web.client.get("/api/partner/invoices?pageSize=40", headers=headers)
        one = web.client.get(f"/api/partner/invoices/{min(expected)}/pdf", headers=headers)
        foreign = web.client.get(f"/api/partner/invoices/{billed.invoices(COAST)[0]}/pdf", headers=headers)
        nothing = web.client.get(f"/api/partner/invoices/{'0' * 32}/pdf", headers=headers)
        coasts = web.client.get("/api/partner/invoices", headers=other)

    assert first.status_code == 200, first.text
    assert {each["id"] for each in first.json["items"]} == expected
    assert first.json["items"][0]["amount"].replace(".", "").isdigit()
    assert (one.status_code, one.content_type, one.data[:5]) == (200, "application/pdf", b"%PDF-")
    assert one.headers["Cache-Control"] == "private, no-store"
    assert (
        (foreign.status_code, foreign.json)
        == (nothing.status_code, nothing.json)
        == (404, {"message": "Invoice not found."})
    )
    assert {each["id"] for each in coasts.json["items"]} == set(billed.invoices(COAST))
    assert web.client.get("/api/partner/invoices?pageSize=101", headers=headers).status_code == 400
    with billed.database.reading() as session:
        assert session.exec(select(AskRow)).all() == []


def test_a_cursor_is_good_for_the_list_that_gave_it(billed: Billed, web: Any) -> None:
    headers = log_in(billed.database, web.client, billed.orgs["Coast"], "shop")
    for months in (1, 2):
        target = billed.world.zuora.emulator.tenant.today + timedelta(days=31 * months)
        billed.world.do("bill_run", target=target.isoformat())
    other = log_in(billed.database, web.client, billed.orgs["North"], "other shop")
    seen: list[str] = []
    cursor = ""
    with billed.working():
        while True:
            page = web.client.get(f"/api/partner/invoices?pageSize=1{cursor}", headers=headers)
            seen += [each["id"] for each in page.json["items"]]
            if "cursor" not in page.json:
                break
            cursor = f"&cursor={page.json['cursor']}"
            refused = web.client.get(f"/api/partner/invoices?pageSize=1{cursor}", headers=other)
            assert refused.status_code == 400

    assert len(seen) == 3
    assert sorted(seen) == sorted(billed.invoices(COAST))


def test_the_portal_shows_invoices_of_all_and_of_one_subscription(billed: Billed, web: Any) -> None:
    ann = PortalVisitor(web.client.application.test_client())
    ann.log_in("ann@north.example")
    with billed.database.reading() as session:
        row = find_subscription(session, "N2")
        assert row is not None
    with billed.working():
        everything = ann.get("/invoices")
        of_one = ann.get(f"/subscriptions/{row.id}/invoices")
        pdf = ann.get(f"/invoices/{billed.invoices(NORTH)[0]}/pdf")
        foreign, nothing = (ann.get(f"/invoices/{id}/pdf") for id in (billed.invoices(COAST)[0], "0" * 32))

    assert all(id in everything.text for id in billed.invoices(NORTH))
    assert not any(id in everything.text for id in billed.invoices(COAST))
    lines = billed.world.zuora.emulator.tenant.ledger.documents
    theirs = [id for id in billed.invoices(NORTH) if any(line.subscription == "N2" for line in lines[id].lines)]
    assert theirs
    assert [id for id in billed.invoices(NORTH) if id in of_one.text] == theirs
    assert pdf.data.startswith(b"%PDF-")
    assert (foreign.status_code, foreign.text) == (404, nothing.text)


def test_invoices_of_one_customer_or_subscription_are_the_partners_own_imported_or_not(
    billed: Billed, web: Any
) -> None:
    """N1 and N2 were imported; C1 is Coast's, whose ids narrow North's list to nothing."""
    north = log_in(billed.database, web.client, billed.orgs["North"], "shop")
    ann = PortalVisitor(web.client.application.test_client())
    ann.log_in("ann@north.example")
    with billed.database.reading() as session:
        one, foreign = find_subscription(session, "N2"), find_subscription(session, "C1")
        assert one is not None
        assert foreign is not None
        assert one.external
    lines = billed.world.zuora.emulator.tenant.ledger.documents

    def of(*numbers: str) -> set[str]:
        own = billed.invoices(NORTH)
        return {id for id in own if any(line.subscription in numbers for line in lines[id].lines)}

    def ids(**narrowed: str | None) -> set[str]:
        answer = web.client.get("/api/partner/invoices", query_string=narrowed, headers=north)
        assert answer.status_code == 200, answer.text
        return {each["id"] for each in answer.json["items"]}

    with billed.working():
        by_subscription, by_owner = ids(subscriptionId=one.id), ids(ownerId=one.owner)
        page = ann.get(f"/customers/{one.customer}/invoices")
        nothing = [ids(subscriptionId=foreign.id), ids(ownerId=foreign.owner), ids(ownerId="id-none"), ids(ownerId="")]
        both = ids(subscriptionId=one.id, ownerId=foreign.owner)

    with billed.database.reading() as session:
        theirs = session.exec(select(SubscriptionRow.reference).where(SubscriptionRow.owner == one.owner)).all()
    assert by_subscription == of("N2") != set()
    assert by_owner == of(*(str(each) for each in theirs))
    assert nothing == [set()] * 4
    assert both == set()
    assert page.status_code == 200
    assert {id for id in billed.invoices(NORTH) if id in page.text} == by_owner
    assert ann.get(f"/customers/{foreign.customer}/invoices").status_code == 404


def test_operators_see_invoices_of_imported_subscriptions_and_no_other_accounts_pdf(billed: Billed) -> None:
    with billed.database.reading() as session:
        row = find_subscription(session, "C1")
        assert isinstance(row, SubscriptionRow)
        assert row.external
    viewer: Visitor = visit(billed.database, Role.VIEWER)
    with billed.working():
        page = viewer.get("/subscriptions/C1/invoices")
        pdf = viewer.get(f"/subscriptions/C1/invoices/{billed.invoices(COAST)[0]}/pdf")
        foreign = viewer.get(f"/subscriptions/C1/invoices/{billed.invoices(NORTH)[0]}/pdf")

    assert all(id in page.text for id in billed.invoices(COAST))
    assert pdf.data.startswith(b"%PDF-")
    assert foreign.status_code == 404
    assert "Invoices in Zuora" in viewer.get("/subscriptions/C1").text
    assert viewer.get("/subscriptions/none/invoices").status_code == 404


def test_while_no_worker_answers_pages_say_so_and_do_not_wait_for_ever(billed: Billed) -> None:
    web = build(billed.database, partner_code_in_log=True, wait_limit_seconds=0)
    ann = PortalVisitor(web.client.application.test_client())
    ann.log_in("ann@north.example")
    headers = log_in(billed.database, web.client, billed.orgs["North"], "shop")

    page = ann.get("/invoices")

    assert page.status_code == 503
    assert "Zuora has not answered in time" in page.text
    assert web.client.get("/api/partner/invoices", headers=headers).status_code == 502
    for number in range(asks.MAX_OPEN):
        last = web.client.get(f"/api/partner/invoices/{hex_id('invoice', str(number))}/pdf", headers=headers)
    assert last.status_code == 429


def test_trouble_of_zuoras_is_never_told_to_a_partner_in_its_words(
    billed: Billed, web: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise NotServed("account 4711 of canary")

    monkeypatch.setattr("sync_service.sync.forecast.fetch_invoices", fail)
    headers = log_in(billed.database, web.client, billed.orgs["North"], "shop")
    with billed.working():
        answer = web.client.get("/api/partner/invoices", headers=headers)

    assert (answer.status_code, answer.json) == (502, {"message": "Zuora has not answered in time. Please ask again."})


def test_operators_find_an_invoice_by_its_number_and_those_of_a_customer(billed: Billed) -> None:
    ledger = billed.world.zuora.emulator.tenant.ledger
    known = ledger.of_account(COAST, "Invoice")[0]
    viewer: Visitor = visit(billed.database, Role.VIEWER)
    with billed.database.reading() as session:
        row = find_subscription(session, "C1")
    assert row is not None

    found = viewer.post("/search", {"text": known.number}, page="/history")
    assert found.location == f"/admin/invoices/{known.number}"
    with billed.working():
        page = viewer.get(f"/invoices/{known.number}")
        missing = viewer.get("/invoices/INV99999999")
        theirs = viewer.get(f"/customers/{row.customer}/invoices")

    assert f"Invoice <bdi>{known.number}</bdi>" in page.text
    assert f'href="/admin/subscriptions/{row.id}"' in page.text
    assert missing.status_code == 404
    assert known.id in theirs.text
    customer = viewer.get(f"/customers/{row.customer}").text
    assert f'href="/admin/customers/{row.customer}/invoices"' in customer
    assert "Payments to come" in customer
    assert viewer.get("/customers/none/invoices").status_code == 404


def test_other_systems_read_the_invoices_of_a_customer_account_by_account(billed: Billed, web: Any) -> None:
    headers = web.token(OBJECTS_SCOPE, name="finance")
    with billed.database.reading() as session:
        row = find_subscription(session, "C1")
        assert row is not None
    place = f"/api/customers/{row.customer}/invoices"
    with billed.working():
        found = web.client.get(place, headers=headers)
        again = web.client.get(f"{place}?account={found.json['account']}", headers=headers)
        others = web.client.get(f"{place}?account={'0' * 32}", headers=headers)

    assert found.status_code == 200, found.text
    assert {each["id"] for each in found.json["items"]} == set(billed.invoices(COAST))
    assert found.json["accounts"] == [{"id": found.json["account"], "number": COAST}]
    assert again.json == found.json
    assert others.status_code == 404
    assert web.client.get("/api/customers/cus-none/invoices", headers=headers).status_code == 404
    assert web.client.get(place).status_code == 401
    partner = log_in(billed.database, web.client, billed.orgs["Coast"], "shop")
    assert web.client.get(place, headers=partner).status_code == 403
    away = build(billed.database, wait_limit_seconds=0).client.get(place, headers=headers)
    assert away.status_code == 502


def test_the_pdf_of_anothers_invoice_costs_the_same_statements_as_an_unknown_one(billed: Billed) -> None:
    """What is asked of our database tells no clock which of the two it is; no worker answers meanwhile."""
    web = build(billed.database, partner_code_in_log=True, wait_limit_seconds=0)
    headers = log_in(billed.database, web.client, billed.orgs["North"], "shop")
    ann = PortalVisitor(web.client.application.test_client())
    ann.log_in("ann@north.example")
    said: list[str] = []

    def cost(ask: Callable[[], Any]) -> list[str]:
        said.clear()
        with listening(before=lambda _, statement, __: said.append(str(statement))):
            ask()
        return list(said)

    foreign, nothing = billed.invoices(COAST)[0], "0" * 32
    for ask in (
        lambda id: web.client.get(f"/api/partner/invoices/{id}/pdf", headers=headers),
        lambda id: ann.get(f"/invoices/{id}/pdf"),
    ):
        ask("1" * 32)  # who asks is known from now on
        assert cost(partial(ask, foreign)) == cost(partial(ask, nothing)) != []


def test_a_page_of_an_invoice_says_when_no_worker_answers(sqlite_database: Database) -> None:
    viewer = visit(sqlite_database, Role.VIEWER, wait_limit_seconds=0)

    page = viewer.get("/invoices/INV00000001")

    assert page.status_code == 503
    assert "Zuora has not answered in time" in page.text
