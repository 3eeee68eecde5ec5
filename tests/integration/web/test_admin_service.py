"""What needs a person, what happened, and the pages of those who run the service."""

from __future__ import annotations

import re

from sync_service.access.users import Role
from sync_service.errors import RateLimited
from sync_service.operations.check.everything import check_everything
from sync_service.queue.jobs import ensure_job
from sync_service.queue.limit import Share, note_success, note_tenant_error
from sync_service.queue.requests import Cause, Kind, Priority, enqueue
from sync_service.queue.status.findings import Finding, Severity, as_progress
from sync_service.queue.status.heartbeats import Heartbeat, ProcessRole
from sync_service.queue.status.summary import read_status
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.store.tables import (
    AdminActionRow,
    CalloutRow,
    JobRow,
    OauthClientRow,
)
from sync_service.subscription.trigger import Trigger
from tests.integration.web.admin import (
    Visitor,
    put_done,
    put_failure,
    put_rows,
    put_subscription,
    visit,
)
from tests.queue_world import execute

ZUORA = {"zuora_base_url": "http://127.0.0.1:9", "zuora_client_id": "client", "zuora_client_secret": "secret"}


def actions(visitor: Visitor) -> list[tuple[str, str | None]]:
    rows = sorted(visitor.web.rows(AdminActionRow), key=lambda row: row.id)
    return [(row.action, row.target) for row in rows][2:]


def test_the_overview_says_whether_everything_is_in_step(database: Database) -> None:
    visitor = visit(database, Role.VIEWER, zuora_daily_calls=1000, **ZUORA)
    for role in (ProcessRole.WORKER, ProcessRole.SCHEDULER):
        Heartbeat(database, role).beat()
    note_success(database, Share(8))
    put_subscription(database, "A-S0")
    checked = as_progress([Finding("clock", Severity.OK, "They agree.")], _now(database))
    put_rows(
        database,
        JobRow(name="check", due_at=_now(database) + 9_000_000, progress=checked),
        CalloutRow(received_at=_now(database), key="A-S1", verdict="accepted"),
    )
    assert "Everything is in step" in visitor.get("").text
    put_done(database, "A-S1")
    put_failure(database, "A-S2")
    with database.transaction() as session:
        session.add(CalloutRow(received_at=session.now(), key="A-S1", verdict="ignored", reason_code="echo"))

    shown = visitor.get("").text

    assert "Something needs a look" in shown
    assert "Given up: 1." in shown
    assert "1,000 of 1,000 left" in shown


def test_the_overview_says_in_words_that_zuora_is_paused(database: Database) -> None:
    note_tenant_error(database, RateLimited(retry_after=100), Share(8))
    with database.transaction() as session:
        enqueue(session, Kind.SUBSCRIPTION, "A-S1", Cause(Trigger.CALLOUT), priority=Priority.EVENT)

    shown = visit(database, Role.VIEWER, **ZUORA).get("").text

    assert "Waiting for Zuora" in shown
    assert "we call too often or too much at once" in shown
    assert ".." not in re.sub(r"<[^>]+>", "", shown)


def test_the_overview_of_a_new_installation_is_not_green(sqlite_database: Database) -> None:
    shown = visit(sqlite_database, Role.VIEWER).get("").text

    assert "Everything is in step" not in shown
    assert "Zuora answered" not in shown
    assert 'class="hero card bad"' in shown
    for words in ("No worker has run yet.", "No scheduler has run yet.", "address or credentials are not set"):
        assert words in shown


def test_the_overview_turns_red_when_the_processes_are_gone(sqlite_database: Database) -> None:
    for role in (ProcessRole.WORKER, ProcessRole.SCHEDULER):
        Heartbeat(sqlite_database, role).beat()
    execute(sqlite_database, "UPDATE heartbeat SET seen_at = seen_at - 3 * 86400000")

    shown = visit(sqlite_database, Role.VIEWER, **ZUORA).get("").text

    assert 'class="hero card bad"' in shown
    assert "No worker runs: the last one was seen 3 d ago. No scheduler runs: the last one was seen 3 d ago." in shown


def test_page_status_and_check_say_the_same_of_the_same_fact(sqlite_database: Database) -> None:
    note_tenant_error(sqlite_database, RateLimited("Zuora said 429", retry_after=100), Share(8))
    settings = Settings(**ZUORA)
    with sqlite_database.reading() as session:
        status = read_status(session, settings)
    checked = {each.name: each.says for each in check_everything(sqlite_database, settings, None)}

    words = "Zuora cannot be used: Zuora said 429. Everything waits; the next try is in 1 min"
    assert words in status.zuora.words
    assert words in checked["zuora"]
    assert words in visit(sqlite_database, Role.VIEWER, **ZUORA).get("").text


def _now(database: Database) -> int:
    with database.reading() as session:
        return session.now()


def test_a_client_is_made_with_a_secret_shown_once_and_revoked(database: Database) -> None:
    visitor = visit(database, Role.OPERATOR)
    form = {"name": "Salesforce <b>", "scope": "api/objects:read"}

    made = visitor.post("/clients", form)
    shown = visitor.get("/clients").text

    assert (made.status_code, made.location) == (303, "/admin/clients")
    secret = re.search(r'client_secret</dt><dd class="key">([^<]+)', shown)
    (client,) = visitor.web.rows(OauthClientRow)
    assert secret
    login = {"grant_type": "client_credentials", "client_id": client.client_id, "client_secret": secret[1]}
    assert visitor.client.post("/oauth2/token", data=login).status_code == 200
    reloaded = visitor.get("/clients").text
    assert secret[1] not in reloaded
    assert "was shown once and is not shown again" in reloaded
    assert visitor.post("/clients", form).status_code == 422
    assert visitor.post("/clients", {"name": "x", "scope": "everything"}).status_code == 400
    visitor.decide(f"/clients/{client.client_id}/rotate")
    rotated = visitor.get("/clients").text
    assert visitor.client.post("/oauth2/token", data=login).status_code == 200
    assert "client_secret" in rotated
    assert "The old secret works too, until" in rotated
    visitor.decide(f"/clients/{client.client_id}/end")
    assert visitor.client.post("/oauth2/token", data=login).status_code == 401
    assert "The old secret works too" not in visitor.get("/clients").text
    assert visitor.decide(f"/clients/{client.client_id}/revoke").status_code == 303
    assert "Revoked" in visitor.get("/clients").text
    assert visitor.post("/clients/client-none/revoke").status_code == 404
    assert [action for action, _ in actions(visitor)] == [
        *("client added", "client secret rotated", "client secret ended", "client revoked")
    ]


def test_jobs_are_paused_resumed_and_started(database: Database) -> None:
    ensure_job(database, "delta sweep", first_due_in_ms=9_000_000)
    visitor = visit(database, Role.OPERATOR)

    visitor.post("/jobs/delta%20sweep/pause", page="/jobs")
    assert visitor.web.rows(JobRow)[0].paused
    assert "Paused" in visitor.get("/jobs").text
    visitor.post("/jobs/delta%20sweep/resume", page="/jobs")
    visitor.post("/jobs/delta%20sweep/run", page="/jobs")

    assert not visitor.web.rows(JobRow)[0].paused
    assert "Due now" in visitor.get("/jobs").text
    assert visitor.post("/jobs/none/run", page="/jobs").status_code == 404


def test_settings_show_no_secret(sqlite_database: Database) -> None:
    visitor = visit(
        sqlite_database,
        Role.VIEWER,
        zuora_client_secret="top-secret-1",
        database_url="postgresql://u:top-secret-2@db/x",
    )

    shown = visitor.get("/settings").text

    assert "top-secret" not in shown
    assert "k" * 40 not in shown
    assert "correct horse" not in shown
    assert "ZUORA_CLIENT_SECRET" in shown


def test_a_page_waits_for_no_writer(sqlite_database: Database) -> None:
    key = put_subscription(sqlite_database, "A-S1")
    visitor = visit(sqlite_database, Role.VIEWER)
    with sqlite_database.transaction():
        for page in ("", "/subscriptions", f"/subscriptions/{key}", "/history"):
            assert visitor.get(page).status_code == 200
