"""A customer's page, its button that syncs all, and links to the same objects in Zuora."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

import pytest

from sync_service.access.users import Role
from sync_service.queue.claims import claim
from sync_service.queue.fate import Fate, Stage, Ticket
from sync_service.queue.requests import Kind, fail, finish
from sync_service.store.engine import Database
from sync_service.store.tables import SyncCauseRow, SyncRequestRow
from sync_service.web.admin.context import ZuoraLinks
from sync_service.web.admin.customer_pages import SyncOfAll
from tests.integration.web.admin import SHARE, Visitor, make_run, put_done, put_rows, put_subscription, visit

THEIRS = ("A-S1", "A-S2", "A-S3", "A-S4")


def put_family(database: Database) -> None:
    """Ada holds four, Bob one."""
    for number in THEIRS:
        put_subscription(database, number)
    put_subscription(database, "B-S1", name="Bob", email="bob@example.com")
    with database.transaction() as session:
        statement = "UPDATE limio_subscription SET customer = 'cus-A-S1' WHERE reference LIKE 'A-%'"
        session.run(statement)


def poll(visitor: Visitor, place: str) -> Any:
    address = re.search(r'data-progress="([^"]+)"', visitor.client.get(place).text)
    assert address
    return visitor.client.get(address[1]).json


def test_all_of_a_customers_are_synced_with_progress_and_the_failed_ones_named(database: Database) -> None:
    put_family(database)
    put_done(database, "A-S2")  # what it was asked before counts for nothing
    visitor = visit(database, Role.OPERATOR)
    before = len(visitor.web.rows(SyncCauseRow))

    place = visitor.post("/customers/cus-A-S1/sync", page="/customers/cus-A-S1").location

    waiting = {row.key: row for row in visitor.web.rows(SyncRequestRow) if row.due_at is not None}
    assert sorted(waiting) == list(THEIRS)
    assert {(row.priority, row.full) for row in waiting.values()} == {(0, 1)}
    causes = visitor.web.rows(SyncCauseRow)[before:]
    assert {(row.trigger, row.actor) for row in causes} == {("admin", "operator@example.com")}
    assert poll(visitor, place)["text"].startswith("0 of 4 done.")
    claims = {each.key: each for each in claim(database, 3, SHARE)}
    assert sorted(claims) == ["A-S1", "A-S2", "A-S3"]
    with database.transaction() as session:
        finish(session, claims["A-S1"])
        session.add(make_run("A-S1", "changed", change_count=2, seq=claims["A-S1"].seen))
        finish(session, claims["A-S2"])
        fail(session, claims["A-S3"], error="Zuora had a problem <of> its own.")
        values = {"error_code": "zuora failed", "error": "Zuora had a problem <of> its own."}
        session.add(make_run("A-S3", "failed", seq=claims["A-S3"].seen, **values))
    told = poll(visitor, place)
    assert (told["value"], told["max"], told["done"]) == (3, 4, False)
    put_rows(database, make_run("A-S4", "held", seq=waiting["A-S4"].requested_seq))

    shown = visitor.client.get(place).text

    assert "All 4 done: 1 changed, 1 already up to date, 2 did not work." in shown
    failed = shown.partition("These did not work")[2].partition("</section>")[0]
    assert re.findall(r'<a class="key" [^>]+><bdi>([^<]+)', failed) == ["A-S3", "A-S4"]
    assert "Zuora had a problem &lt;of&gt; its own." in failed
    assert "Retry later" in failed
    assert "B-S1" not in shown


def test_what_ended_otherwise_is_not_called_up_to_date() -> None:
    def ended(number: str, outcome: str) -> Fate:
        return Fate(
            ticket=Ticket(Kind.SUBSCRIPTION, number, 1), stage=Stage.ENDED, since=0, run=make_run(number, outcome)
        )

    fates = (ended("A-S1", "not in zuora"), ended("A-S2", "left out"), ended("A-S3", "unchanged"))

    assert SyncOfAll(first_cause=1, fates=fates).text == (
        "All 3 done: 1 left out, 1 not in Zuora, 1 already up to date."
    )


def test_a_page_that_shows_a_part_says_so_beside_its_sums(sqlite_database: Database) -> None:
    entries = tuple((str(date(2096, 1, 1) + timedelta(days=day)), "9.99", "pending-external") for day in range(401))
    key = put_subscription(sqlite_database, "A-S00", entries=entries)
    for number in range(1, 26):
        put_subscription(sqlite_database, f"A-S{number:02}")
    visitor = visit(sqlite_database, Role.VIEWER)
    alone, whole = visitor.get("/customers/cus-A-S00").text, visitor.get("/subscriptions/sub-A-S01").text
    assert "of the first" not in alone
    assert "payments, those around today" not in whole
    with sqlite_database.transaction() as session:
        session.run("UPDATE limio_subscription SET customer = 'cus-A-S00'")

    many, long = visitor.get("/customers/cus-A-S00").text, visitor.get(f"/subscriptions/{key}").text

    assert '£9.99 on 01 Jan 2096 <span class="soft">of the first 25 subscriptions</span>' in many
    assert "40 of 401 payments, those around today; the sums are of all." in long
    assert long.count('data-label="Date"') == 40
    assert "£4,005.99" in long
    assert visitor.get(f"/subscriptions/{key}?schedule=all").text.count('data-label="Date"') == 401
    assert "The next 40 to come" in alone
    assert "The line ends on 09 Feb 2096; later payments are left out." in alone
    assert 'The first 20; <a href="/admin/customers/cus-A-S00">' in long


def test_only_operators_sync_all_and_no_other_customer_is_found(sqlite_database: Database) -> None:
    put_family(sqlite_database)
    visitor = visit(sqlite_database, Role.VIEWER)

    assert "Sync all" not in visitor.get("/customers/cus-A-S1").text
    assert visitor.post("/customers/cus-A-S1/sync").status_code == 403
    for path in ("/customers/cus-none", "/customers/%00", "/customers/cus-A-S1/progress/1"):
        assert visitor.get(path, headers={"Accept": "application/json"}).status_code == 404
    assert visitor.get("/customers/cus-A-S1?asked=7").status_code == 200
    assert visitor.get("/customers/cus-A-S1?asked=x").status_code == 200


@pytest.mark.parametrize(
    ("rest", "app"),
    [
        ("https://rest.zuora.com", "https://www.zuora.com"),
        ("https://rest.na.zuora.com/", "https://na.zuora.com"),
        ("https://REST.sandbox.eu.zuora.com", "https://sandbox.eu.zuora.com"),
        ("https://rest.apisandbox.zuora.com", "https://apisandbox.zuora.com"),
        ("https://rest.test.ap.zuora.com", "https://test.ap.zuora.com"),
    ],
)
def test_links_lead_to_the_pages_of_the_tenants_data_centre(rest: str, app: str) -> None:
    links = ZuoraLinks(rest)

    assert links.subscription("8ad0") == f"{app}/apps/Subscription.do?method=view&id=8ad0"
    assert links.account("2c92") == f"{app}/apps/CustomerAccount.do?method=view&id=2c92"


def test_where_the_pages_are_not_known_there_is_no_link_unless_a_setting_says(sqlite_database: Database) -> None:
    key = put_subscription(sqlite_database, "A-S1")
    at = {"zuora_base_url": "http://127.0.0.1:9000"}
    assert "Open in Zuora" not in visit(sqlite_database, Role.VIEWER, **at).get(f"/subscriptions/{key}").text

    known = visit(sqlite_database, Role.VIEWER, **at, zuora_app_url="https://zuora.example.com/")

    link = '<a href="https://zuora.example.com/apps/Subscription.do?method=view&amp;id=z-A-S1" target="_blank"'
    assert f'{link} rel="noopener noreferrer">' in known.get(f"/subscriptions/{key}").text
    assert ZuoraLinks("https://rest.zuora.com").subscription(None) is None
    assert ZuoraLinks("").account("x&y") is None
    assert (ZuoraLinks("", "https://z.example").account("x&y/z") or "").endswith("id=x%26y%2Fz")


def test_an_external_subscription_says_what_cannot_be_done_with_it(sqlite_database: Database) -> None:
    external, ours = (
        put_subscription(sqlite_database, "A-S1", external=True),
        put_subscription(sqlite_database, "A-S2"),
    )
    visitor = visit(sqlite_database, Role.VIEWER)

    assert "Made outside of Limio" in visitor.get(f"/subscriptions/{external}").text
    assert "Made outside of Limio" not in visitor.get(f"/subscriptions/{ours}").text
