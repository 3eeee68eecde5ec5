"""The Preview button: who may press it, what the page says meanwhile, and what it shows at the end."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sync_service.access.users import Role
from sync_service.errors import RateLimited
from sync_service.queue import questions as asks
from sync_service.queue.limit import note_tenant_error
from sync_service.store.engine import Database
from sync_service.store.tables import AdminActionRow, AskRow, SyncCauseRow, SyncRequestRow
from tests.integration.web.admin import SHARE, Visitor, plan_of, put_subscription, visit


def press(visitor: Visitor, key: str) -> str:
    sent = visitor.post(f"/subscriptions/{key}/preview")
    assert sent.status_code == 303
    return sent.location


def poll(visitor: Visitor, place: str) -> tuple[int, bool, str]:
    told: Any = visitor.get(f"/previews/{re.findall('preview=([0-9]+)', place)[0]}").json
    return told["step"], told["done"], told["text"]


def take(database: Database) -> asks.Taken:
    taken = asks.take(database, SHARE)
    assert taken is not None
    return taken


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_a_preview_shows_what_a_sync_would_change_and_queues_nothing(sqlite_database: Database, role: Role) -> None:
    database = sqlite_database
    key = put_subscription(database, "A-S1")
    visitor = visit(database, role)

    place = press(visitor, key)

    assert poll(visitor, place)[:2] == (0, False)
    taken = take(database)
    assert (taken.what, taken.key) == ("plan", "A-S1")
    assert poll(visitor, place)[:2] == (1, False)
    asks.answer(database, taken, {"plan": plan_of("A-S1"), "imports": False, "drastic": False})
    assert poll(visitor, place) == (3, True, "A sync would write 3 changes to Limio. Nothing was written.")
    shown = visitor.client.get(place).text
    assert "31 Dec 2027" in shown
    assert "data-progress" not in shown
    assert visitor.web.rows(SyncRequestRow) == visitor.web.rows(SyncCauseRow) == []
    assert ("preview", "A-S1") in [(row.action, row.target) for row in visitor.web.rows(AdminActionRow)]


def test_a_preview_works_the_same_on_each_database(database: Database) -> None:
    key = put_subscription(database, "A-S1")
    visitor = visit(database, Role.VIEWER)
    place = press(visitor, key)
    asks.answer(database, take(database), {"plan": {"number": "A-S1", "changes": [], "notes": ["A note."]}})

    assert poll(visitor, place)[2] == "Nothing would change: Zuora and Limio agree."
    assert "A note." in visitor.client.get(place).text


def test_a_preview_says_what_went_wrong_and_what_to_do(sqlite_database: Database) -> None:
    visitor = visit(sqlite_database, Role.VIEWER)
    place = press(visitor, "A-S404")
    asks.refuse(sqlite_database, take(sqlite_database), "Zuora does not know this key.", "not found in Zuora")

    shown = visitor.client.get(place)

    assert shown.status_code == 200
    assert "Zuora does not know this key." in shown.text
    assert "Check the number" in shown.text


def test_a_preview_that_no_worker_takes_up_says_why(sqlite_database: Database) -> None:
    database = sqlite_database
    visitor = visit(database, Role.VIEWER)
    place = press(visitor, put_subscription(database, "A-S1"))
    with database.transaction() as session:
        session.run("UPDATE ask SET asked_at = asked_at - 20000")
    assert "sync-service worker" in poll(visitor, place)[2]
    assert "sync-service worker" in visitor.client.get(place).text

    note_tenant_error(database, RateLimited(retry_after=100), SHARE)

    assert "Zuora cannot be used" in poll(visitor, place)[2]


def test_a_preview_is_shown_on_its_own_subscription_alone(sqlite_database: Database) -> None:
    visitor = visit(sqlite_database, Role.VIEWER)
    place = press(visitor, put_subscription(sqlite_database, "A-S1"))
    other = put_subscription(sqlite_database, "A-S2", name="Bob", email="bob@example.com")
    asked = place.partition("?")[2].partition("#")[0]

    assert 'id="preview"' in visitor.get(f"/subscriptions/sub-A-S1?{asked}").text
    assert 'id="preview"' not in visitor.get(f"/subscriptions/{other}?{asked}").text
    for nonsense in ("x", "-1", "99999999999999999999", "77"):
        assert visitor.get(f"/subscriptions/{other}?preview={nonsense}").status_code == 200
    assert visitor.get("/previews/77", headers={"Accept": "application/json"}).status_code == 404


def test_too_many_previews_at_once_are_refused_in_words(sqlite_database: Database) -> None:
    visitor = visit(sqlite_database, Role.VIEWER)
    for index in range(asks.MAX_OPEN):
        press(visitor, f"A-S{index}")

    place = press(visitor, "A-S9")

    assert len(visitor.web.rows(AskRow)) == asks.MAX_OPEN
    assert "wait for them first" in visitor.client.get("/admin").text
    assert "preview=" not in place
