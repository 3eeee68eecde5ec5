"""An operator's commands, on both databases: what they show and what they set off."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sync_service.cli.main import main
from sync_service.errors import RateLimited
from sync_service.queue.limit import Share, note_success, note_tenant_error
from sync_service.queue.requests import Cause, Kind, Priority
from sync_service.queue.runs.decisions import retry_all
from sync_service.store.engine import Database, connect
from sync_service.store.tables import CalloutRow, CustomerRow, JobRow, SubscriptionRow, SyncRunRow
from sync_service.subscription.plan import FieldChange, SyncPlan, Update
from sync_service.subscription.trigger import Trigger
from tests.integration.test_cli import COMMANDS, documented
from tests.queue_world import execute, fail, finish, row, rows, take, want

pytestmark = pytest.mark.either_database

#: 2026-03-01 12:00 UTC: date -u -d '2026-03-01 12:00' +%s
NOON = 1_772_366_400_000
TENANT = {"ZUORA_BASE_URL": "http://127.0.0.1:1", "ZUORA_CLIENT_ID": "client", "ZUORA_CLIENT_SECRET": "secret"}


@dataclass
class Console:
    """A terminal on a machine where the service is installed."""

    database: Database
    url: str

    def run(self, *words: str, status: int = 0, typed: str | None = None, **settings: str) -> Result:
        """Run one command; its exit status is `status`."""
        environ = {"DATABASE_URL": self.url, "COLUMNS": "200", **settings}
        result = CliRunner(env=environ).invoke(main, list(words), input=typed, catch_exceptions=False)
        assert result.exit_code == status, result.output
        return result

    def json(self, *words: str, status: int = 0, **settings: str) -> Any:
        """The same with --json; what it prints."""
        value = json.loads(self.run(*words, "--json", status=status, **settings).stdout)
        first = value[0] if isinstance(value, list) and value else value
        if first and list(first) != ["error"]:
            name = next(name for length in (3, 2, 1) if (name := " ".join(words[:length])) in COMMANDS)
            assert list(first) == documented(name)
        return value


@contextmanager
def installed(url: str) -> Iterator[Console]:
    database = connect(url)
    yield Console(database, url)
    database.engine.dispose()


@pytest.fixture
def console(sqlite_url: str) -> Iterator[Console]:
    """With the embedded database."""
    with installed(sqlite_url) as console:
        yield console


@pytest.fixture
def any_console(database_url: str) -> Iterator[Console]:
    """With a database of each kind, where the command has statements of its own."""
    with installed(database_url) as console:
        yield console


def give_up(database: Database, key: str, *, kind: Kind = Kind.SUBSCRIPTION, cause: Cause | None = None) -> None:
    want(database, key, kind=kind, cause=cause or Cause(Trigger.CALLOUT))
    for claim in take(database, 100):
        fail(database, claim)


def keep_run(database: Database, key: str, **fields: Any) -> None:
    values = {
        "kind": "subscription",
        "key": key,
        "seq_from": 0,
        "seq_to": 1,
        "outcome": "changed",
        "trigger": "callout",
    }
    with database.transaction() as session:
        session.add(SyncRunRow(**(values | {"began_at": NOON, "ended_at": NOON + 150, "calls": 3} | fields)))


def renewal(number: str) -> dict[str, Any]:
    change = FieldChange(path="data.termEndDate", before="2026-03-01", after="2027-03-01")
    update = Update(record_type="subscription", id="sub-1", fields=(change,), reason="Version 2 in Zuora differs.")
    return SyncPlan(number=number, changes=(update,)).as_json()


# --- status ---------------------------------------------------------------------------------------------------------


def test_a_list_without_orders_says_that_there_are_none_or_none_in_that_state(console: Console) -> None:
    assert console.run("orders", "list").output == "No order was submitted yet.\n"
    assert (
        console.run("orders", "list", "--state", "held", "--state", "failed").output == "No order is held or failed.\n"
    )


def test_status_counts_what_waits_runs_and_failed(any_console: Console) -> None:
    console = any_console
    give_up(console.database, "A-S1")
    want(console.database, "A-S2")
    want(console.database, "A-S3")
    take(console.database, 1)
    keep_run(console.database, "A-S9", outcome="held")

    told = console.json("status")

    queue = {name: told["queue"][name] for name in ("waiting", "running", "failed", "held")}
    assert queue == {"waiting": 1, "running": 1, "failed": 1, "held": 1}
    assert told["zuora"]["live"] == 1
    assert told["zuora"]["calls_left"] is None


def test_status_says_in_plain_words_how_zuora_does(console: Console) -> None:
    assert "not set" in console.json("status")["zuora"]["words"]
    assert console.json("status", **TENANT)["zuora"]["words"] == "Zuora was not asked yet."
    note_success(console.database, Share(8))
    assert console.json("status", **TENANT)["zuora"]["words"] == "Zuora answered 0 s ago."

    note_tenant_error(console.database, RateLimited("Zuora said 429.", retry_after=120), Share(8))

    told = console.json("status", **TENANT)["zuora"]
    assert told["paused"]
    words = "Zuora cannot be used: Zuora said 429. Everything waits; the next try is in [12] min"
    assert re.match(words, told["words"])
    assert "Zuora said 429." in console.run("status", **TENANT).stdout

    execute(console.database, "UPDATE zuora_limit SET open_until = {now} - 1")
    assert "One request at a time" in console.json("status", **TENANT)["zuora"]["words"]
    execute(console.database, "UPDATE zuora_limit SET trouble = 0")
    assert "slow down: 4 of 8" in console.json("status", **TENANT)["zuora"]["words"]


def test_status_tells_the_budget_that_is_left(console: Console) -> None:
    note_tenant_error(console.database, RateLimited("x"), Share(8))
    execute(
        console.database, "UPDATE zuora_limit SET trouble = 0, open_until = NULL, calls_today = 95, day = CURRENT_DATE"
    )

    told = console.json("status", ZUORA_DAILY_CALLS="100")["zuora"]

    assert (told["calls_today"], told["calls_left"], told["kept_for_people"]) == (95, 5, True)


def test_status_lists_the_jobs_with_their_next_run(console: Console) -> None:
    with console.database.transaction() as session:
        now = session.now()
        ended = {"token": 1, "last_ended": now - 2 * 3_600_000}
        session.add(JobRow(name="prune", due_at=now + 3_690_000, progress={"runs": 7}, **ended))
        session.add(JobRow(name="backfill", due_at=now + 10**13, **ended))
        session.add(JobRow(name="sweep", due_at=now, paused=True, **ended))

    shown = console.run("status").stdout

    assert [line.split() for line in shown.splitlines() if line.startswith(("prune", "backfill", "sweep"))] == [
        ["backfill", "2", "h", "ago", "when", "asked"],
        ["prune", "2", "h", "ago", "in", "1", "h", "1", "min", "runs", "7"],
        ["sweep", "2", "h", "ago", "paused"],
    ]
    assert [each["name"] for each in console.json("status")["jobs"]] == ["backfill", "prune", "sweep"]


# --- failed ---------------------------------------------------------------------------------------------------------


def test_failed_list_names_each_with_its_reason(console: Console) -> None:
    give_up(console.database, "A-S1")

    assert "A-S1" in console.run("failed", "list").stdout
    ((told,),) = [console.json("failed", "list")]
    assert (told["kind"], told["key"], told["last_error"]) == ("subscription", "A-S1", "no hope")


def test_failed_retry_asks_as_a_person(console: Console) -> None:
    give_up(console.database, "A-S1")

    console.run("failed", "retry", " A-S1 ")

    request = row(console.database, "A-S1")
    assert (request.requested_seq, request.priority, request.full) == (2, Priority.PERSON, 1)
    assert request.due_at is not None
    assert rows(console.database, "SELECT trigger FROM sync_cause WHERE seq = 2") == [("cli",)]
    assert console.run("failed", "list").stdout == "Nothing was given up.\n"


def test_failed_retry_finds_a_subscription_by_its_limio_id(console: Console) -> None:
    with console.database.transaction() as session:
        session.add(SubscriptionRow(id="sub-1", reference="A-S1", document={}))
    give_up(console.database, "A-S1")

    assert "A-S1" in console.run("failed", "retry", "sub-1").stdout


def test_failed_retry_of_what_did_not_fail_is_refused(console: Console) -> None:
    want(console.database, "A-S1")

    refused = console.run("failed", "retry", "A-S1", status=1)

    assert "was not given up" in refused.stderr
    assert row(console.database, "A-S1").requested_seq == 1


@pytest.mark.parametrize("words", [[], ["A-S1", "--all"]])
def test_failed_retry_needs_one_key_or_all(console: Console, words: list[str]) -> None:
    console.run("failed", "retry", *words, status=2)


def test_failed_retry_all_asks_behind_callouts_for_the_reason_of_before(any_console: Console) -> None:
    console = any_console
    give_up(console.database, "A-S1", cause=Cause(Trigger.SWEEP))
    give_up(console.database, "A-S2", cause=Cause(Trigger.CLI, actor="ada"))
    give_up(console.database, "odd", kind=Kind.ALIAS, cause=Cause(Trigger.CALLOUT))

    assert console.run("failed", "retry", "--all").stdout == "Queued 3 for another sync.\n"

    again = rows(console.database, "SELECT key, trigger FROM sync_cause WHERE seq = 2 ORDER BY key")
    assert again == [("A-S1", "sweep"), ("A-S2", "backfill"), ("odd", "callout")]
    assert rows(console.database, "SELECT DISTINCT priority FROM sync_request") == [(Priority.JOB,)]
    assert rows(console.database, "SELECT action, target FROM admin_action") == [("retry all", "3 of any cause")]
    assert retry_all(console.database, Cause(Trigger.CLI, actor="olga")) == 0


def test_failed_retry_all_takes_more_than_one_page(console: Console) -> None:
    for begin in range(0, 1100, 100):
        for place in range(begin, begin + 100):
            want(console.database, f"A-S{place:04}")
        for claim in take(console.database, 100):
            fail(console.database, claim)

    assert console.run("failed", "retry", "--all").stdout == "Queued 1100 for another sync.\n"


def test_a_mistyped_key_is_dismissed_and_a_known_one_is_not(any_console: Console) -> None:
    console = any_console
    give_up(console.database, "NOPE", kind=Kind.ALIAS)
    want(console.database, "A-S1")
    for claim in take(console.database, 1):
        finish(console.database, claim)
    give_up(console.database, "A-S1")

    assert console.json("failed", "dismiss", "NOPE") == {"key": "NOPE", "dismissed": True}
    refused = console.json("failed", "dismiss", "A-S1", status=1)

    assert refused["error"]["code"] == "decision refused"
    assert [each["key"] for each in console.json("failed", "list")] == ["A-S1"]
    assert rows(console.database, "SELECT key FROM sync_cause WHERE key = 'NOPE'") == []
    assert console.json("failed", "dismiss", "NOPE", status=1)["error"]["code"] == "unknown key"


# --- held -----------------------------------------------------------------------------------------------------------


def test_held_list_shows_the_plans(console: Console) -> None:
    keep_run(console.database, "A-S1", outcome="held", plan=renewal("A-S1"))

    assert "term end date: 2026-03-01 → 2027-03-01" in console.run("held", "list").stdout
    assert [each["key"] for each in console.json("held", "list")] == ["A-S1"]


def test_held_release_wants_a_full_sync_that_passes_the_stop(any_console: Console) -> None:
    console = any_console
    keep_run(console.database, "A-S1", outcome="held", plan=renewal("A-S1"))

    console.run("held", "release", "A-S1")

    request = row(console.database, "A-S1")
    assert (request.priority, request.full) == (Priority.PERSON, 1)
    ((trigger, actor),) = rows(console.database, "SELECT trigger, actor FROM sync_cause")
    assert trigger == "cli"
    assert actor


def test_held_drop_closes_the_plan_and_syncs_nothing(console: Console) -> None:
    keep_run(console.database, "A-S1", outcome="held", plan=renewal("A-S1"))

    console.run("held", "drop", "A-S1")

    assert rows(console.database, "SELECT outcome FROM sync_run") == [("dropped",)]
    assert rows(console.database, "SELECT count(*) FROM sync_request") == [(0,)]
    assert console.run("held", "list").stdout == "Nothing is held.\n"


@pytest.mark.parametrize("decision", ["release", "drop"])
def test_a_decision_on_what_is_not_held_is_refused(console: Console, decision: str) -> None:
    assert "Nothing of A-S1 is held" in console.run("held", decision, "A-S1", status=1).stderr


# --- history and callouts -------------------------------------------------------------------------------------------


def test_history_shows_every_run_with_its_values_before_and_after(any_console: Console) -> None:
    console = any_console
    with console.database.transaction() as session:
        session.add(SubscriptionRow(id="sub-1", reference="A-S1", document={}))
    keep_run(console.database, "A-S1", plan=renewal("A-S1"), actor="Zuora")
    keep_run(console.database, "A-S1", outcome="failed", error="no luck", error_code="preview incomplete")
    keep_run(console.database, "A-S2")

    lines = console.run("history", "sub-1").stdout.splitlines()

    assert lines == [
        "2026-03-01 12:00:00Z  A-S1  failed  (callout; 150 ms, 3 calls to Zuora)",
        "  preview incomplete: no luck",
        "2026-03-01 12:00:00Z  A-S1  changed  (callout by Zuora; 150 ms, 3 calls to Zuora)",
        "  ~ subscription  term end date: 2026-03-01 → 2027-03-01  (Version 2 in Zuora differs.)",
    ]
    assert [each["outcome"] for each in console.json("history", "A-S1")] == ["failed", "changed"]
    assert len(console.json("history", "A-S1", "--limit", "1")) == 1


def test_history_of_a_key_in_neither_system_shows_how_it_was_looked_for(console: Console) -> None:
    keep_run(
        console.database, "odd", kind="alias", outcome="failed", error="Neither knows it.", error_code="unknown key"
    )

    assert "Neither knows it." in console.run("history", "odd").stdout
    assert "why other" in console.run("history", "other", status=1).stderr
    assert "why other" in console.json("history", "other", status=1)["error"]["message"]


def test_history_refuses_a_key_that_zuora_could_never_have_made(console: Console) -> None:
    assert "The key is empty" in console.run("history", "", status=2).stderr
    assert console.json("history", "a/b", status=2)["error"]["code"] == "usage"


def test_callouts_log_tells_what_came_and_what_was_made_of_it(any_console: Console) -> None:
    console = any_console
    with console.database.transaction() as session:
        for key, verdict, reason in (
            ("A-S1", "accepted", None),
            ("A-S1", "ignored", "echo: shop"),
            ("A-S2", "rejected", "wrong credentials"),
        ):
            session.add(CalloutRow(received_at=NOON, key=key, verdict=verdict, reason=reason, order_number="O-1"))

    shown = console.run("callouts", "log").stdout
    assert [line.split()[:4] for line in shown.splitlines()[1:]] == [
        ["2026-03-01", "12:00:00Z", "rejected", "A-S2"],
        ["2026-03-01", "12:00:00Z", "ignored", "A-S1"],
        ["2026-03-01", "12:00:00Z", "accepted", "A-S1"],
    ]
    assert [each["verdict"] for each in console.json("callouts", "log", "--key", "A-S1")] == ["ignored", "accepted"]
    assert [each["key"] for each in console.json("callouts", "log", "--verdict", "rejected")] == ["A-S2"]
    console.run("callouts", "log", "--verdict", "lost", status=2)


def test_callouts_log_fits_a_narrow_terminal_whatever_the_key(
    console: Console, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with console.database.transaction() as session:
        session.add(
            CalloutRow(
                received_at=NOON,
                key="K" * 255,
                verdict="accepted",
                order_number="O-00001234",
                source="crm",
                created_by="2c92c0f972a852360172bbe22ac551b6",
                notification_id="402892c74c9193cd014c91d35b0a0132",
            )
        )
    for name, value in {"DATABASE_URL": console.url, "COLUMNS": "80", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    main(["callouts", "log"], standalone_mode=False)

    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines) <= 80
    assert any("2026-03-01 12:00:00Z  accepted  KKKK" in line for line in lines), "date and verdict are not broken"


@pytest.mark.parametrize("kind", list(Kind))
def test_why_finds_a_key_that_the_store_lacks_whatever_it_is(console: Console, kind: Kind) -> None:
    give_up(console.database, "A-S9", kind=kind)

    assert "the last request failed for good" in console.run("why", "A-S9").stdout


def test_why_says_what_is_in_the_way_of_a_number_that_waits(any_console: Console) -> None:
    console = any_console
    want(console.database, "A-S1", cause=Cause(Trigger.CALLOUT))
    assert "waiting for:" not in console.run("why", "A-S1").stdout

    note_tenant_error(console.database, RateLimited("Zuora said 429."), Share(8))

    assert "waiting for: Zuora cannot be used: Zuora said 429." in console.run("why", "A-S1").stdout
    assert console.json("why", "A-S1")["obstacle"].startswith("Zuora cannot be used")


def test_why_says_that_all_places_are_in_use(console: Console) -> None:
    for key in ("A-S1", "A-S2"):
        want(console.database, key, cause=Cause(Trigger.CALLOUT))
    (running,) = take(console.database, 1)
    (waiting,) = {"A-S1", "A-S2"} - {running.key}

    assert "All 1 call slots are in use" in console.run("why", waiting, ZUORA_MAX_CONCURRENCY="1").stdout
    assert "waiting for:" not in console.run("why", running.key, ZUORA_MAX_CONCURRENCY="1").stdout


# --- where something is missing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["status"], ["db", "upgrade"], ["worker"], ["failed", "list"], ["why", "A-S1"]])
@pytest.mark.parametrize("url", ["postgresql://sync:hush@127.0.0.1:1/none", "sqlite:////dev/null/store.db"])
def test_a_database_that_is_away_is_told_in_one_line_without_the_password(words: list[str], url: str) -> None:
    told = CliRunner(env={"DATABASE_URL": url, **TENANT}).invoke(main, words)

    assert told.exit_code in (1, 2)
    assert "DATABASE_URL" in told.stderr
    assert len(told.stderr.splitlines()) <= 2
    assert "hush" not in told.output
    assert isinstance(told.exception, SystemExit)


def test_lists_of_nothing_say_so(console: Console) -> None:
    assert "client add" in console.run("client", "list").stdout
    assert "user add" in console.run("user", "list").stdout


def test_a_port_that_cannot_be_is_refused(console: Console) -> None:
    assert "99999" in console.run("web", "--port", "99999", status=2).stderr


# --- scrub, check, backfill -----------------------------------------------------------------------------------------


def a_customer(database: Database) -> None:
    with database.transaction() as session:
        session.add(CustomerRow(id="cus-1", document={"id": "cus-1", "data": {"name": "Ada Byron"}}))
        session.flush()
        session.add(SubscriptionRow(id="sub-1", reference="A-S1", customer="cus-1", document={"id": "sub-1"}))


def test_scrub_asks_first_and_erases_nothing_without_a_yes(any_console: Console) -> None:
    console = any_console
    a_customer(console.database)

    asked = console.run("scrub", "A-S1", typed="n\n", status=1)
    assert "Ada Byron <no email> (cus-1)" in asked.output
    assert "A-S1" in asked.output
    assert "Ada" in str(rows(console.database, "SELECT document FROM limio_customer"))

    console.run("scrub", "A-S1", typed="y\n")
    assert "Ada" not in str(rows(console.database, "SELECT document FROM limio_customer"))
    assert console.json("scrub", "A-S1", "--yes")["objects"] == 0


def test_scrub_does_not_ask_about_an_unknown_customer(console: Console) -> None:
    asked = console.run("scrub", "NOPE", status=1)

    assert "no subscription, customer or identity" in asked.output
    assert "?" not in asked.output


def test_check_leaves_with_1_where_anything_fails(any_console: Console) -> None:
    console = any_console
    key = {"SECRET_KEY": "k" * 40}
    shown = console.run("check", status=1, **key)

    assert "The tenant's address or credentials are not set." in shown.stdout
    found = json.loads(console.run("check", "--json", status=1, **key).stdout)["findings"]
    assert {each["name"] for each in found if each["verdict"] == "failed"} == {"zuora"}
    assert console.json("status")["jobs"][0]["progress"]["verdict"] == "failed"


ZUORA = {"ZUORA_BASE_URL": "http://127.0.0.1:9", "ZUORA_CLIENT_ID": "c" * 36, "ZUORA_CLIENT_SECRET": "secret"}


def test_backfill_into_a_store_without_limios_objects_needs_a_yes(console: Console) -> None:
    refused = console.run("backfill", status=1, **ZUORA)

    assert "--yes" in refused.stderr
    assert rows(console.database, "SELECT count(*) FROM job") == [(0,)]


@pytest.mark.parametrize(
    "words",
    [["--account", "A", "--since", "2026-01-01"], ["--limit", "3"], ["--since", "yesterday"], ["--account", "A/B"]],
)
def test_backfill_says_what_cannot_be_meant(console: Console, words: list[str]) -> None:
    console.run("backfill", *words, status=2, **ZUORA)


def test_a_group_of_commands_says_what_it_has(console: Console) -> None:
    assert "retry" in console.run("failed", "--help").stdout
    assert "log" in console.run("callouts", "--help").stdout


#: A name that turns a terminal red, renames its window, writes its clipboard, and one that turns round what follows.
EVIL = "Grace\x1b[31m \x1b]0;pwn\x07 \x9b1m \x1b]52;c;cHdu\x1b\\ \u202eHopper\r"


def test_no_name_makes_the_terminal_do_anything(console: Console) -> None:
    field = {"path": "data.name", "before": "Grace Hopper", "after": EVIL}
    change = {"change": "update", "record_type": "customer", "id": "c", "fields": [field], "reason": EVIL}
    plan = {"number": "A-S1", "changes": [change], "notes": [EVIL]}
    run = SyncRunRow(
        kind="subscription",
        key="A-S1",
        seq_from=0,
        seq_to=1,
        outcome="failed",
        trigger="cli",
        actor=EVIL,
        began_at=NOON,
        ended_at=NOON,
        plan=plan,
        error_code="x",
        error=EVIL,
    )
    callout = CalloutRow(received_at=NOON, key=EVIL, verdict="ignored", reason=EVIL, source=EVIL)
    with console.database.transaction() as session:
        session.add_all([run, callout])

    printed = [console.run("history", "A-S1"), console.run("why", "A-S1"), console.run("callouts", "log")]

    for result in printed:
        assert "Grace" in result.output
        assert not set("\x1b\x07\x9b\u202e\r") & set(result.output)
    told = console.json("callouts", "log")
    assert told[0]["reason"] == EVIL
