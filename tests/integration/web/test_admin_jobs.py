"""Sweeps and backfills: starting, watching, pausing, and asking before everything is imported."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Any

import pytest

from sync_service.access.users import Role
from sync_service.queue import jobs
from sync_service.queue.backfills import read_wishes
from sync_service.queue.status.findings import Finding, Severity, as_progress
from sync_service.store.engine import Database
from sync_service.store.tables import AdminActionRow, JobRow
from tests.integration.web.admin import Visitor, make_run, plan_of, put_rows, put_subscription, visit

pytestmark = pytest.mark.either_database

REPORT = {
    "looked_at": {"subscriptions": 1200},
    "pages": 12,
    "marked": 5,
    "drift": 3,
    "echo": 2,
    "drift_numbers": ["A-S1", "A-S2", "A/S3"],
    "missing_from_load": ["L-9"],
}


def wishes(visitor: Visitor) -> list[tuple[str, str, str]]:
    with visitor.web.database.reading() as session:
        return [(row.source, row.value, row.actor) for row in read_wishes(session)]


def put_job(database: Database, name: str, *, due_in: int = 9_000_000, lease: int | None = None, **values: Any) -> None:
    with database.transaction() as session:
        now = session.now()
        session.add(
            JobRow(name=name, due_at=now + due_in, lease_until=lease and now + lease, last_began=now - 1000, **values)
        )


def test_a_backfill_is_asked_for_by_an_operator_and_not_begun_by_the_web(database: Database) -> None:
    put_subscription(database, "A-S1")
    visitor = visit(database, Role.OPERATOR)

    sent = visitor.post("/jobs/backfill", {"source": "list", "list": "A-S1\r\nA-S2\r\n", "account": "x"}, page="/jobs")

    assert sent.status_code == 303
    assert wishes(visitor) == [("list", "A-S1\nA-S2", "operator@example.com")]
    (row,) = visitor.web.rows(JobRow)
    assert row.name.startswith("backfill list ")
    assert ("backfill", row.name) in [(each.action, each.target) for each in visitor.web.rows(AdminActionRow)]
    shown = visitor.get("/jobs").text
    assert "A scheduler takes it up within a few seconds." in shown
    assert "Pause: Backfill list" in shown


def test_what_cannot_be_backfilled_is_named_and_kept_in_the_form(sqlite_database: Database) -> None:
    put_subscription(sqlite_database, "A-S1")
    visitor = visit(sqlite_database, Role.OPERATOR)

    shown = visitor.post("/jobs/backfill", {"source": "list", "list": "A-S1\n<b>"}, page="/jobs")

    assert shown.status_code == 422
    assert "List, key 2:" in shown.text
    assert "A-S1\n&lt;b&gt;</textarea>" in shown.text.replace("\r", "")
    assert visitor.post("/jobs/backfill", {"source": "everything"}, page="/jobs").status_code == 400
    assert wishes(visitor) == []


def test_a_store_without_limios_objects_is_filled_only_when_an_operator_says_so_twice(database: Database) -> None:
    put_subscription(database, "A-S1", external=True)
    visitor = visit(database, Role.OPERATOR)

    asked = visitor.post("/jobs/backfill", {"source": "account", "account": "A1"}, page="/jobs")

    assert "Import everything?" in asked.text
    assert wishes(visitor) == []
    assert visitor.web.rows(JobRow) == []
    visitor.post("/jobs/backfill", {"source": "account", "account": "A1", "consent": "yes"}, page="/jobs")
    assert wishes(visitor) == [("account", "A1", "operator@example.com")]


def test_viewers_watch_and_start_nothing(sqlite_database: Database) -> None:
    put_job(sqlite_database, "sweep delta", progress=REPORT)
    visitor = visit(sqlite_database, Role.VIEWER)

    shown = visitor.get("/jobs").text

    assert "Start a backfill" not in shown
    assert "Run now" not in shown
    for path in ("/jobs/backfill", "/jobs/sweep%20delta/run"):
        assert visitor.post(path, {"source": "tenant"}).status_code == 403


def test_a_sweep_tells_drift_and_echo_apart_and_names_what_it_found(database: Database) -> None:
    put_job(database, "sweep delta", progress=REPORT, last_ended=1_790_000_000_000)
    put_rows(database, JobRow(name="sweep full", due_at=1, paused=True))
    visitor = visit(database, Role.VIEWER)

    shown = visitor.get("/jobs").text

    counts = dict(re.findall(r"<dt>([^<]+)</dt><dd><b[^>]*>([\d,]+)</b>", shown))
    assert (counts["Drift"], counts["Echo"]) == ("3", "2")
    assert "Drift: 3" in shown
    assert re.findall(r'<a class="key" [^>]+><bdi>([^<]+)', shown) == ["A-S1", "A-S2", "L-9"]
    assert "Paused" in shown


def test_a_backfill_under_way_tells_how_far_how_fast_and_how_long_yet(database: Database) -> None:
    progress = {"asked": 400, "done": 299, "failed": 1, "total": 900, "per_second": 5.0, "obstacle": None}
    put_job(database, "backfill account A1", due_in=-1000, lease=60_000, progress=progress, cursor={"actor": "x"})
    visitor = visit(database, Role.OPERATOR)

    shown = visitor.get("/jobs").text

    assert "300 of 900 done, 1 failed, 5.0 a second, about 2 min left." in shown
    assert 'max="900" value="300"' in shown
    address = re.search(r'data-progress="([^"]+)"', shown)
    assert address
    told: Any = visitor.client.get(address[1]).json
    assert (told["done"], told["value"], told["max"]) == (False, 300, 900)
    visitor.post("/jobs/backfill%20account%20A1/pause", page="/jobs")
    assert visitor.client.get(address[1]).json["done"] is True  # type: ignore[index]
    assert "Resume: Backfill account A1" in visitor.get("/jobs").text


def test_a_backfill_that_ended_names_what_failed(sqlite_database: Database) -> None:
    failures = [{"key": "A-S1", "reason": "Zuora <had> a problem."}, {"key": "line 2: a/b", "reason": "no key"}]
    progress = {"asked": 3, "done": 2, "failed": 1, "total": 3, "outcomes": {"changed": 2}, "failures": failures}
    put_job(sqlite_database, "backfill", due_in=10**13, progress=progress, last_ended=1)

    shown = visit(sqlite_database, Role.VIEWER).get("/jobs").text

    assert "3 of 3 done, 1 failed." in shown
    assert "Done, with failures" in shown
    assert "Zuora &lt;had&gt; a problem." in shown
    assert "data-progress" not in shown


def test_a_job_that_no_process_takes_up_says_so(sqlite_database: Database) -> None:
    put_job(sqlite_database, "backfill", due_in=-60_000)

    assert "no scheduler that reaches Zuora has taken it up" in visit(sqlite_database, Role.VIEWER).get("/jobs").text


def test_a_backfill_behind_another_says_for_which_it_waits(sqlite_database: Database) -> None:
    put_job(sqlite_database, "backfill", due_in=-90_000, lease=60_000)
    put_job(sqlite_database, "backfill account A1", due_in=-60_000)

    shown = visit(sqlite_database, Role.VIEWER).get("/jobs").text

    assert "Waits for “Backfill of the whole tenant” to end." in shown
    assert "no scheduler" not in shown


def test_a_backfill_whose_rest_is_retried_promises_no_end(sqlite_database: Database) -> None:
    with sqlite_database.reading() as session:
        next_try = session.now() + 600_500
    progress = {"asked": 363, "done": 359, "failed": 0, "total": 363, "per_second": 7.6, "backing_off": 4}
    put_job(sqlite_database, "backfill", due_in=-9, lease=60_000, progress=progress | {"next_try_at": next_try})

    shown = visit(sqlite_database, Role.VIEWER).get("/jobs").text

    assert re.search(
        r"359 of 363 done, 4 to be tried again, the next in (10 min|9 min \d+ s), none failed, 7.6 a second\.", shown
    )


def test_a_backfill_of_a_file_is_paused_whatever_its_path(sqlite_database: Database) -> None:
    name = "backfill file /srv/keys/all.txt"
    jobs.ensure_job(sqlite_database, name)
    visitor = visit(sqlite_database, Role.OPERATOR)
    address = re.search(r'action="([^"]+/pause)"', visitor.get("/jobs").text)
    assert address

    visitor.post(address[1].removeprefix("/admin"), page="/jobs")

    assert [row.paused for row in visitor.web.rows(JobRow)] == [True]
    assert visitor.get("/jobs/none/progress", headers={"Accept": "application/json"}).status_code == 404


def test_checks_are_shown_with_remedies_worst_first_and_run_when_an_operator_asks(database: Database) -> None:
    findings = [
        Finding("clock", Severity.OK, "This machine and the database agree."),
        Finding("time zone", Severity.WARNING, "200 <wait>.", "Start more workers."),
        Finding("credentials", Severity.FAILED, "Zuora refused our OAuth client.", "Check ZUORA_CLIENT_SECRET."),
    ]
    put_job(database, "check", progress=as_progress(findings, 1_790_000_000_000), last_ended=1_790_000_000_000)
    visitor = visit(database, Role.OPERATOR, zuora_client_secret="hush hush")

    shown = visitor.get("/settings").text

    assert [
        shown.index(text) for text in ("Check ZUORA_CLIENT_SECRET.", "200 &lt;wait&gt;.", "This machine")
    ] == sorted(shown.index(text) for text in ("Check ZUORA_CLIENT_SECRET.", "200 &lt;wait&gt;.", "This machine"))
    assert "Start more workers." in shown
    assert "hush hush" not in shown
    overview = visitor.get("").text
    assert "Something is wrong" in overview
    assert "Zuora refused our OAuth client." in overview
    sent = visitor.post("/jobs/check/run", page="/settings")
    assert sent.location.endswith("/admin/settings")
    assert "data-progress" in visitor.get("/settings").text
    (row,) = visitor.web.rows(JobRow)
    assert jobs.take(database, "check") is not None
    assert row.progress["verdict"] == "failed"


def test_the_settings_show_networks(sqlite_database: Database) -> None:
    networks = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))

    shown = visit(sqlite_database, Role.VIEWER, trusted_proxies=networks).get("/settings").text

    assert "10.0.0.0/8, fd00::/8" in shown


def test_the_overview_tells_the_last_sweeps_drift_and_echo_apart(sqlite_database: Database) -> None:
    put_job(sqlite_database, "sweep delta", progress=REPORT, last_ended=1_790_000_000_000)

    shown = visit(sqlite_database, Role.VIEWER).get("").text

    assert re.search(r'Delta sweep</th>.*?<td class="right"[^>]*>3</td><td class="right"[^>]*>2</td>', shown, re.DOTALL)
    assert "Checks</dt><dd><a" in shown
    assert "Nothing was checked yet." in shown


def test_the_estimate_of_a_backfill_waits_for_the_tries_that_are_known_of(sqlite_database: Database) -> None:
    with sqlite_database.reading() as session:
        now = session.now()
    progress = {"asked": 400, "done": 396, "failed": 0, "changed": 12, "total": 400, "per_second": 8.0}
    retried = {"backing_off": 4, "next_try_at": now + 60_500, "last_try_at": now + 600_500}
    put_job(sqlite_database, "backfill", due_in=-9, lease=60_000, progress=progress | retried)

    shown = visit(sqlite_database, Role.VIEWER).get("/jobs").text

    assert "396 of 400 done, 12 changed, 4 to be tried again, the next in" in shown
    assert re.search(r"8\.0 a second, about (10 min|9 min \d+ s) left if the next tries succeed\.", shown)


def test_a_dry_run_is_wanted_shown_and_started_for_real(sqlite_database: Database) -> None:
    put_subscription(sqlite_database, "A-S1")
    visitor = visit(sqlite_database, Role.OPERATOR)
    visitor.post("/jobs/backfill", {"source": "account", "account": "A1", "dry": "yes"}, page="/jobs")
    (row,) = visitor.web.rows(JobRow)
    assert row.name == "dry run account A1"
    assert "A scheduler takes it up within a few seconds." in visitor.get("/jobs").text
    told = {
        "looked": 1000,
        "changed": 41,
        "imported": 0,
        "failed": 1,
        "drastic": 3,
        "up_to_date": 958,
        "complete": False,
    }
    told |= {
        "changes": {"payments added": 80},
        "would_change": [["A-S1", "2 payments added"]],
        "most": 1000,
        "total": 9000,
    }
    told |= {"source": "account", "value": "A1", "failures": [{"key": "A-S7", "reason": "payload <invalid>"}]}
    with sqlite_database.transaction() as session:
        kept = session.get(JobRow, row.name)
        assert kept is not None
        kept.due_at, kept.progress, kept.last_ended = session.now() + 10**13, told, session.now()

    shown = visitor.get("/jobs").text

    assert (
        "The first 1,000 were looked at, there are more: 41 would change, 1 cannot be told. Nothing was written."
        in shown
    )
    assert "2 payments added" in shown
    assert "payload &lt;invalid&gt;" in shown
    assert "lose all coming payments" in shown
    form = shown.split("Start this backfill")[0].rsplit("<form", 1)[1]
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))
    visitor.client.post("/admin/jobs/backfill", data=fields)
    assert {("account", "A1", "operator@example.com")} <= set(wishes(visitor))
    assert {row.name for row in visitor.web.rows(JobRow)} == {"dry run account A1", "backfill account A1"}


def test_what_a_job_changed_is_one_link_away(sqlite_database: Database) -> None:
    actor = "ada@example.com (backfill account A1 12ab34cd)"
    put_job(sqlite_database, "backfill account A1", due_in=10**13, progress={"asked": 1, "done": 1, "actor": actor})
    put_job(sqlite_database, "sweep delta", progress=REPORT)
    with sqlite_database.reading() as session:
        now = session.now()
    rows = [("A-S1", actor, "backfill"), ("A-S2", "other@example.com", "backfill"), ("A-S3", None, "sweep")]
    for number, by, why in rows:
        run = make_run(number, "changed", actor=by, trigger=why, began_at=now, ended_at=now + 5, plan=plan_of(number))
        put_rows(sqlite_database, run)
    visitor = visit(sqlite_database, Role.VIEWER)
    links = re.findall(r'<a href="/admin(/history[^"]+)">What it changed', visitor.get("/jobs").text)

    shown = [visitor.get(link.replace("&amp;", "&")).text for link in links]

    found = [re.findall(r'class="key" href="/admin/subscriptions/([^"]+)"', text) for text in shown]
    assert sorted(found) == [["A-S1"], ["A-S3"]]
    assert "ada@example.com" not in "".join(links)
