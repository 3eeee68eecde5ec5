"""What people do with customer, subscription, history and inbox, in a real browser on a store with a story."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from sync_service.access.users import Role, put_user
from sync_service.app import create_app
from sync_service.queue.claims import claim
from sync_service.queue.requests import Cause, Kind, Priority, enqueue, finish
from sync_service.queue.status.findings import Finding, Severity, as_progress
from sync_service.queue.status.heartbeats import GONE_MS, Heartbeat, ProcessRole
from sync_service.settings import Settings
from sync_service.store.engine import Database, connect
from sync_service.store.tables import CalloutRow, JobRow, OauthClientRow, WebhookEndpointRow
from sync_service.subscription.trigger import Trigger
from tests.browser.conftest import EMAIL, PASSWORD, Visitor
from tests.databases import new_sqlite
from tests.integration.web.admin import SHARE, make_run, put_failure, put_subscription

Windows = Callable[..., Visitor]
FOLDER = os.environ.get("SCREENSHOTS", "")
_MONTHS = ("2026-12", "2027-01", "2027-02")
_ENTRIES = tuple((f"{month}-21", "9.99", "pending-external") for month in _MONTHS)


SETTINGS = Settings(
    secret_key="k" * 40,
    environment_name="Production",
    environment_colour="green",
    zuora_base_url="https://rest.eu.zuora.com",
    zuora_client_id="id",
    zuora_client_secret="secret",
    callout_username="zuora",
    callout_password="correct horse battery",
)


def take(visitor: Visitor, name: str) -> None:
    """A picture for the documentation, where one is wanted."""
    if FOLDER:
        visitor.page.screenshot(path=str(Path(FOLDER) / f"{name}.png"))


def _payment(day: str, amount: str) -> dict[str, Any]:
    return {"data": {"date": f"{day}T00:00:00.000", "amount": amount, "currency": "GBP"}}


def _moved() -> dict[str, Any]:
    changes: list[dict[str, Any]] = []
    for month in _MONTHS:
        created = _payment(f"{month}-21", "9.99")
        changes.append({"change": "create", "record_type": "schedule", "document": created, "reason": "Due in Zuora."})
        gone = {"id": f"p-{month}", "document": _payment(f"{month}-25", "9.99")}
        changes.append({"change": "cancel", "record_type": "schedule", "reason": "Nothing is due any more.", **gone})
    return {"number": "A-S1", "changes": changes, "notes": []}


def _cancelled(number: str) -> dict[str, Any]:
    fields = [{"path": "status", "before": "active", "after": "cancelled"}]
    status = {"change": "update", "record_type": "subscription", "id": "s", "fields": fields, "reason": "Cancelled."}
    gone = [
        {"change": "cancel", "record_type": "schedule", "id": day, "document": _payment(day, "4.99"), "reason": "Gone."}
        for day in ("2027-01-01", "2027-02-01")
    ]
    return {"number": number, "changes": [status, *gone], "notes": []}


def _put_story(database: Database) -> None:
    """An order in Zuora moved Jürgen's payments; thirty cancellations are held; one sync failed."""
    put_subscription(database, "A-S1", name="Jürgen Quentin Müller", email="jm@example.com", entries=_ENTRIES)
    with database.transaction() as session:
        now = session.now()
        told = CalloutRow(received_at=now - 5_000, key="A-S1", verdict="accepted", order_number="O-00000747")
        told.created_by, told.source = "Agent Seven", "ui"
        session.add(told)
        session.flush()
        cause = Cause(Trigger.CALLOUT, callout_id=told.id)
        enqueue(session, Kind.SUBSCRIPTION, "A-S1", cause, priority=Priority.EVENT)
    (claimed,) = claim(database, 1, SHARE)
    with database.transaction() as session:
        finish(session, claimed)
        values = {"plan": _moved(), "change_count": 6, "touched": " dates ", "calls": 2}
        session.add(make_run("A-S1", "changed", seq=claimed.seen, began_at=now - 4_200, ended_at=now - 3_800, **values))
        for index in range(30):
            values = {"plan": _cancelled(f"HELD-{index:02}"), "change_count": 3, "touched": " dates status "}
            times = {"began_at": now - 60_400 + index, "ended_at": now - 60_000 + index}
            session.add(make_run(f"HELD-{index:02}", "held", drastic=True, **times, **values))
    for index in range(30):
        put_subscription(database, f"HELD-{index:02}", name=f"Holder {index:02}", email=f"holder{index}@example.com")
    put_subscription(database, "A-S2", name="Ada Lovelace", email="ada@example.com")
    put_failure(database, "A-S2")


def _put_upkeep(database: Database) -> None:
    """A backfill under way after its dry run, a check that complains, a webhook endpoint that was tested, a client."""
    for role in ProcessRole:
        Heartbeat(database, role).beat()
    looked = {"looked": 363, "changed": 41, "imported": 2, "failed": 1, "up_to_date": 319, "complete": True}
    looked |= {"changes": {"payments added": 80, "term end dates changed": 12}, "source": "account", "most": 1000}
    looked |= {"would_change": [["A-S1", "2 payments added"]], "value": "A00000001", "total": 363}
    running = {"asked": 400, "done": 300, "changed": 12, "failed": 1, "total": 900, "per_second": 5.0, "backing_off": 4}
    found = [
        Finding("time zone", Severity.FAILED, "Zuora's times fit Europe/London and not UTC.", "Set TENANT_TIME_ZONE."),
        Finding("credentials", Severity.OK, "Zuora accepts our OAuth client; the tenant is 1234."),
    ]
    with database.transaction() as session:
        now = session.now()
        running |= {
            "next_try_at": now + 60_000,
            "last_try_at": now + 600_000,
            "actor": "ada (backfill account A00000001)",
        }
        times = {"last_began": now - 90_000, "last_ended": now - 30_000}
        session.add_all(
            [
                JobRow(name="dry run account A00000001", due_at=now + 10**13, progress=looked, **times),
                JobRow(
                    name="backfill account A00000001",
                    due_at=now - 1_000,
                    lease_until=now + 600_000,
                    last_began=now - 60_000,
                    progress=running,
                ),
                JobRow(name="backfill since 2026-11-01", due_at=now - 500),
                JobRow(name="check", due_at=now + 3_000_000, progress=as_progress(found, now - 600_000), **times),
                WebhookEndpointRow(
                    id="ep_1", url="https://crm.example.com/limio", created_at=now, tested_at=now, test_status=200
                ),
                OauthClientRow(
                    client_id="client-0123456789abcdef01234567",
                    name="Salesforce",
                    secret_hash="-",
                    scope="api/subscription:sync",
                    created_at=now - 10**9,
                    used_at=now - 120_000,
                ),
            ]
        )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    """A store with the story."""
    database = connect(new_sqlite(tmp_path / "story.db"))
    put_user(database, EMAIL, Role.OPERATOR, PASSWORD, actor="test")
    _put_story(database)
    _put_upkeep(database)
    yield database
    database.engine.dispose()


@pytest.fixture
def home(store: Database) -> Iterator[str]:
    """The pages in a thread."""
    database = store
    app = create_app(SETTINGS, database, check=lambda _: None)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.timeout(300)
def test_a_customer_is_found_by_a_middle_word_without_accents_by_account_and_by_order(
    windows: Windows, home: str
) -> None:
    visitor = windows(home)
    visitor.log_in()
    for typed in ("quentin", "jurgen muller", "O-00000747", "A-S1"):
        visitor.open("/history")
        visitor.page.get_by_role("searchbox").first.fill(typed)
        visitor.page.keyboard.press("Enter")
        visitor.page.locator("main h1", has_text="Jürgen Quentin Müller").wait_for()
    take(visitor, "customer")
    visitor.open("/history")
    visitor.page.get_by_role("searchbox").first.fill("A00000001")
    visitor.page.keyboard.press("Enter")
    visitor.page.locator("main", has_text="A00000001").wait_for()


@pytest.mark.timeout(300)
def test_why_a_payment_moved_and_who_caused_it_is_told_in_two_clicks_and_the_way_back(
    windows: Windows, home: str
) -> None:
    visitor = windows(home)
    visitor.log_in()
    page = visitor.page
    visitor.open("/subscriptions/A-S1")
    entry = page.locator("#stream li.run").first
    assert "3 payments of £9.99 moved, 25 Dec 2026 → 21 Dec 2026 and 2 more" in entry.inner_text()
    assert "Agent Seven in Zuora" in entry.inner_text()
    take(visitor, "subscription-story")

    entry.locator("summary.sentence").click()
    assert "25 Dec 2026" in entry.locator(".diff del").first.inner_text()
    entry.scroll_into_view_if_needed()
    take(visitor, "why")
    entry.get_by_role("link", name="Zuora reported order O-00000747").click()

    page.get_by_role("heading", name=re.compile("^Callout")).wait_for()
    assert "Agent Seven" in page.locator("main").inner_text()
    take(visitor, "callout")
    page.get_by_role("link", name="the sync").first.click()
    page.get_by_role("heading", name=re.compile("^Sync")).wait_for()
    page.go_back()
    page.get_by_role("heading", name=re.compile("^Callout")).wait_for()


@pytest.mark.timeout(300)
def test_thirty_held_plans_are_decided_in_one_go(windows: Windows, home: str) -> None:
    visitor = windows(home)
    visitor.log_in()
    page = visitor.page
    visitor.open("/inbox?open=2")
    page.get_by_role("heading", name="30 held").wait_for()
    page.locator("#open").wait_for()
    take(visitor, "inbox")
    page.get_by_role("button", name="Release all 30").click()
    page.get_by_role("heading", name="Release 30 changes?").wait_for()
    assert page.get_by_text("2 payments, £9.98 would go").count() == 30
    take(visitor, "inbox-confirm")

    page.get_by_role("button", name="Release 30").click()

    page.get_by_text("30 changes are released").wait_for()
    page.get_by_role("heading", name="Released, waiting for a worker").wait_for()
    assert page.get_by_role("button", name="Drop", exact=True).count() == 0


@pytest.mark.timeout(300)
def test_the_history_is_asked_kept_under_a_name_and_exported(windows: Windows, home: str) -> None:
    visitor = windows(home)
    visitor.log_in()
    page = visitor.page
    visitor.open("/history")
    page.get_by_label("Query").fill("field:dates outcome:held")
    page.keyboard.press("Enter")
    page.locator(".totals", has_text="30 syncs").wait_for()
    take(visitor, "history")
    page.get_by_text("Keep this view").click()
    page.get_by_label("Name").fill("Held payments")
    page.get_by_role("button", name="Keep", exact=True).click()
    page.get_by_role("link", name="Held payments").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV").click()
    assert Path(download.value.path()).read_bytes().startswith(b"\xef\xbb\xbf")


@pytest.mark.timeout(300)
def test_that_a_worker_died_a_scheduler_stopped_and_no_callout_came_is_seen_while_the_page_is_open(
    windows: Windows, home: str, store: Database
) -> None:
    visitor = windows(home)
    visitor.log_in()
    page = visitor.page
    visitor.open("")
    assert page.locator("#lights .good", has_text="Workers").count() == 1
    with store.transaction() as session:  # the last sign of life is as old as 6 s before they count as gone
        session.run("UPDATE heartbeat SET seen_at = seen_at - :ago", {"ago": GONE_MS - 6_000})
        session.run("UPDATE callout SET received_at = received_at - 90000000", {})

    page.locator("#lights .bad", has_text="Workers").wait_for()

    state = page.get_by_role("region", name="State")
    state.get_by_text("No worker runs: the last one was seen").wait_for()
    state.get_by_text("No scheduler runs: the last one was seen").wait_for()
    page.locator("#lights .warn", has_text="Callouts").wait_for()
    take(visitor, "now-trouble")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("script", [True, False])
def test_the_pages_fit_a_phone_and_work_without_script(windows: Windows, home: str, script: bool) -> None:
    visitor = windows(home, 390, 844, script=script)
    visitor.log_in()
    pages = ("/subscriptions/A-S1", "/customers/cus-A-S1", "/inbox?open=2", "/history", "/account/notifications")
    upkeep = ("/subscriptions", "/jobs", "/webhooks", "/webhooks/ep_1", "/clients", "/settings", "/users")
    for path in (*pages, *upkeep):
        visitor.open(path)
        visitor.page.locator("h1").wait_for()
        if script:
            assert visitor.page.evaluate("document.documentElement.scrollWidth") <= 390, path
            assert visitor.page.evaluate(_WIDE_TABLES) == [], path
    visitor.open("/history?show=syncs")
    visitor.page.locator("ol.stream li").first.wait_for()
    assert not visitor.page.get_by_role("navigation", name="Pages").is_visible()
    visitor.page.get_by_role("button", name="Menu: History").press("Enter")
    take(visitor, "menu-phone")
    visitor.page.get_by_role("navigation", name="Pages").get_by_role("link", name="Jobs").click()
    visitor.page.get_by_role("button", name="Menu: Jobs").wait_for()
    if script:
        visitor.open("/history?show=syncs")
        take(visitor, "history-phone")
        visitor.open("/jobs")
        take(visitor, "jobs-phone")
        visitor.page.set_viewport_size({"width": 1280, "height": 900})
        for name in ("jobs", "settings", "webhooks"):
            visitor.open(f"/{name}")
            take(visitor, name)


#: Tables that are wider than their place, or whose values have no column's name beside them.
_WIDE_TABLES = """() => [...document.querySelectorAll('main table.cards')].filter((table) =>
  table.scrollWidth > table.parentElement.clientWidth + 1 ||
  [...table.querySelectorAll('tbody td')].some((cell) => !cell.dataset.label && cell.textContent.trim() &&
    !cell.querySelector('form, label') && table.querySelectorAll('thead th').length > 2)
).map((table) => table.parentElement.getAttribute('aria-label'))"""
