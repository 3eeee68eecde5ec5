"""What stands around every page."""

import re
from zoneinfo import ZoneInfo

import pytest

from sync_service.access.users import Role
from sync_service.errors import RateLimited
from sync_service.queue.limit import Share, note_success, note_tenant_error
from sync_service.queue.requests import Cause, Kind, Priority, enqueue
from sync_service.queue.status.heartbeats import Heartbeat, ProcessRole
from sync_service.store.engine import Database
from sync_service.store.tables import AdminSessionRow, CalloutRow, HeartbeatRow, JobRow, SyncRequestRow
from sync_service.subscription.trigger import Trigger
from tests.integration.web.admin import (
    Visitor,
    make_run,
    put_failure,
    put_rows,
    put_subscription,
    visit,
)

pytestmark = pytest.mark.either_database

ZUORA = {"zuora_base_url": "https://rest.eu.zuora.com", "zuora_client_id": "id", "zuora_client_secret": "secret"}
MINUTE_MS, DAY_MS = 60_000, 86_400_000


def now(database: Database) -> int:
    with database.reading() as session:
        return session.now()


def put_well(database: Database) -> None:
    """Everything seen just now."""
    for role in (ProcessRole.WORKER, ProcessRole.SCHEDULER):
        Heartbeat(database, role).beat()
    note_success(database, Share(8))
    at = now(database)
    put_rows(database, CalloutRow(received_at=at, key="A-S1", verdict="accepted"))
    sweeps = ("sweep delta", "sweep full")
    put_rows(database, *(JobRow(name=name, due_at=at + DAY_MS, last_ended=at) for name in sweeps))


def lights(visitor: Visitor) -> dict[str, tuple[str, str]]:
    """Each light with its tone and what its title says."""
    shown = visitor.get("/frame").text
    found = re.findall(r'class="light (\w+)" href="[^"]+" title="([^"]*)"><span class="name">(\w+)', shown)
    return {name: (tone, says) for tone, says, name in found}


def change(database: Database, table: str, values: str) -> None:
    with database.transaction() as session:
        session.run(f"UPDATE {table} SET {values}")


def test_all_five_lights_are_green_where_all_was_seen_lately(database: Database) -> None:
    put_well(database)

    shown = lights(visit(database, Role.VIEWER, **ZUORA))

    assert list(shown) == ["Callouts", "Queue", "Workers", "Zuora", "Sweeps"]
    assert {tone for tone, _ in shown.values()} == {"good"}


def test_no_light_of_a_new_service_is_green_but_that_of_the_empty_queue(sqlite_database: Database) -> None:
    shown = lights(visit(sqlite_database, Role.VIEWER))

    assert {name for name, (tone, _) in shown.items() if tone == "good"} == {"Queue"}
    assert shown["Callouts"][1] == "No callout has ever arrived."
    assert shown["Zuora"] == ("bad", "The tenant&#39;s address or credentials are not set.")


@pytest.mark.parametrize(
    ("table", "values", "light", "tone", "says"),
    [
        ("callout", f"received_at = received_at - {2 * DAY_MS}", "Callouts", "warn", "The last callout came 2 d"),
        ("callout", "verdict = 'rejected'", "Callouts", "warn", "No callout has ever arrived."),
        ("heartbeat", f"seen_at = seen_at - {3 * MINUTE_MS}", "Workers", "bad", "No worker runs: the last"),
        ("heartbeat", f"seen_at = seen_at - {3 * MINUTE_MS}", "Sweeps", "bad", "No scheduler runs: the last"),
        ("job", "paused = TRUE", "Sweeps", "warn", "Sweep delta: It is paused."),
        ("job", "last_error = 'Zuora refused.'", "Sweeps", "warn", "Sweep delta: Its last run failed: Zuora refused."),
        ("job", f"due_at = due_at - {2 * DAY_MS}", "Sweeps", "warn", "Sweep delta: It has been due for 1 d"),
        ("zuora_limit", f"answered_at = answered_at - {DAY_MS}", "Zuora", "warn", "Zuora last answered 1 d"),
    ],
)
def test_each_light_turns_when_its_fact_does(
    sqlite_database: Database, table: str, values: str, light: str, tone: str, says: str
) -> None:
    put_well(sqlite_database)
    change(sqlite_database, table, values)

    shown = lights(visit(sqlite_database, Role.VIEWER, **ZUORA))

    assert shown[light][0] == tone
    assert shown[light][1].startswith(says)


def test_the_light_of_zuora_is_red_while_all_waits_for_it(sqlite_database: Database) -> None:
    put_well(sqlite_database)
    note_tenant_error(sqlite_database, RateLimited(), Share(8))

    tone, says = lights(visit(sqlite_database, Role.VIEWER, **ZUORA))["Zuora"]

    assert tone == "bad"
    assert "Everything waits" in says


@pytest.mark.parametrize(("minutes", "tone"), [(0, "good"), (2, "warn"), (40, "bad")])
def test_the_light_of_the_queue_goes_by_the_oldest_that_is_due(database: Database, minutes: int, tone: str) -> None:
    with database.transaction() as session:
        enqueue(session, Kind.SUBSCRIPTION, "A-S1", Cause(Trigger.CALLOUT), priority=Priority.EVENT)
        enqueue(session, Kind.SUBSCRIPTION, "A-S2", Cause(Trigger.CALLOUT), priority=Priority.EVENT)
    ago = minutes * MINUTE_MS
    change(database, "sync_request", f"due_at = due_at - {ago}, waiting_since = waiting_since - {ago}")

    shown = lights(visit(database, Role.VIEWER))["Queue"]

    assert shown[0] == tone
    assert shown[1].startswith("2 waiting or running; the oldest has waited")


def test_what_waits_for_its_next_try_is_not_late(sqlite_database: Database) -> None:
    with sqlite_database.transaction() as session:
        enqueue(session, Kind.SUBSCRIPTION, "A-S1", Cause(Trigger.CALLOUT), priority=Priority.EVENT)
    change(sqlite_database, "sync_request", f"due_at = due_at + {DAY_MS}, waiting_since = waiting_since - {DAY_MS}")

    assert lights(visit(sqlite_database, Role.VIEWER))["Queue"] == ("good", "1 waiting or running; nothing is due.")


def test_the_environment_has_the_name_and_the_colour_of_the_settings(sqlite_database: Database) -> None:
    named = visit(sqlite_database, Role.VIEWER, environment_name="Production", environment_colour="red").get("/history")
    unnamed = visit(sqlite_database, Role.VIEWER, **ZUORA).get("/history")

    assert re.search(r'class="environment red"><span class="hide">Environment: </span>Production<', named.text)
    assert "<title>History · Production</title>" in named.text
    assert re.search(r'class="environment grey">.*rest\.eu\.zuora\.com<', unnamed.text)


def test_the_menu_counts_what_waits_for_people(database: Database) -> None:
    visitor = visit(database, Role.OPERATOR, **ZUORA)
    assert 'class="count"' not in visitor.get("/settings").text
    put_failure(database, "A-S1")
    put_rows(database, make_run("A-S2", "held"), make_run("A-S3", "held"))
    visitor.post("/zone", {"zone": "utc"}, page="/settings")

    shown = visitor.get("/settings").text

    assert re.search(r'>Inbox <span class="count">3<', shown)


def test_times_are_in_the_zone_that_the_person_chose_and_name_it(sqlite_database: Database) -> None:
    visitor = visit(sqlite_database, Role.VIEWER, tenant_time_zone=ZoneInfo("America/New_York"))
    put_rows(sqlite_database, make_run("A-S1", "changed", ended_at=1_767_225_600_000))  # 2026-01-01T00:00Z

    def shown(zone: str, mine: str = "") -> str:
        answer = visitor.post("/zone", {"zone": zone, "mine": mine, "next": "/admin/history"}, page="/history")
        assert answer.headers["Location"] == "/admin/history"
        return re.findall(r"<time [^>]*>(\d\d \w+ 202\d[^<]*)</time>", visitor.get("/history").text)[0]

    assert shown("utc") == "01 Jan 2026, 00:00 UTC"
    assert shown("tenant") == "31 Dec 2025, 19:00 EST"
    assert shown("mine", "Europe/Berlin") == "01 Jan 2026, 01:00 CET"
    assert shown("mine", "Asia/Kathmandu") == "01 Jan 2026, 05:45 UTC+05:45"


@pytest.mark.parametrize(("zone", "mine"), [("", ""), ("mine", ""), ("mine", "../../etc/passwd"), ("mine", "No/Where")])
def test_a_zone_that_is_none_is_refused(sqlite_database: Database, zone: str, mine: str) -> None:
    visitor = visit(sqlite_database, Role.VIEWER)

    assert visitor.post("/zone", {"zone": zone, "mine": mine}, page="/history").status_code == 400
    visitor.client.set_cookie("sync_zone", mine or "x\0y", path="/admin")
    assert visitor.get("/history").status_code == 200


def test_a_moment_of_today_is_told_by_its_age_with_the_exact_one_in_the_title(sqlite_database: Database) -> None:
    visitor = visit(sqlite_database, Role.VIEWER)
    at = now(sqlite_database) - 3 * 3_600_000 - 5 * MINUTE_MS
    put_rows(sqlite_database, make_run("A-S1", "changed", ended_at=at))

    shown = visitor.get("/history").text
    found = re.search(rf'<time datetime="[^"]+Z" title="([^"]+)" data-at="{at}">([^<]+)</time>', shown)

    assert found
    assert re.fullmatch(r"\d\d \w{3} \d{4}, \d\d:\d\d:\d\d UTC", found[1])
    assert found[2] == "3 h ago"


def test_a_page_that_keeps_itself_fresh_keeps_no_one_logged_in(sqlite_database: Database) -> None:
    visitor = visit(sqlite_database, Role.VIEWER)
    half = 30 * MINUTE_MS
    change(sqlite_database, "admin_session", f"seen_at = seen_at - {half}")

    assert visitor.get("/frame", headers={"X-Live": "1"}).status_code == 200
    assert visitor.get("", headers={"X-Live": "1"}).status_code == 200
    (row,) = visitor.web.rows(AdminSessionRow)
    assert now(sqlite_database) - row.seen_at >= half

    change(sqlite_database, "admin_session", f"seen_at = seen_at - {half}")
    assert visitor.get("/frame", headers={"X-Live": "1"}).status_code == 401


def found(visitor: Visitor, text: str) -> str:
    """The page that a search leads to."""
    answer = visitor.post("/search", {"text": text}, page="/history")
    assert text not in answer.headers["Location"]
    return visitor.client.get(answer.headers["Location"], follow_redirects=False).text


def put_people(database: Database) -> None:
    for index, (name, email) in enumerate(
        (
            ("Emma Anne Smith", "emma@example.org"),
            ("Björk Guðmundsdóttir", "bjork@example.com"),
            ("田中 健司", "tanaka@example.co.jp"),
            ("Jürgen Müller", "jm@example.net"),
        )
    ):
        put_subscription(database, f"4F7K2M9QH0B{index}", name=name, email=email)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("anne", "customers/cus-4F7K2M9QH0B0"),
        ("SMITH", "customers/cus-4F7K2M9QH0B0"),
        ("gudmund", "customers/cus-4F7K2M9QH0B1"),
        ("健司", "customers/cus-4F7K2M9QH0B2"),
        ("muller jurgen", "customers/cus-4F7K2M9QH0B3"),
        ("example.net", "customers/cus-4F7K2M9QH0B3"),
        ("cus-4F7K2M9QH0B1", "customers/cus-4F7K2M9QH0B1"),
        ("id-4F7K2M9QH0B2", "subscriptions/sub-4F7K2M9QH0B2"),
        ("sub-4F7K2M9QH0B0", "subscriptions/sub-4F7K2M9QH0B0"),
        ("4f7k2m9qh0b3", "subscriptions/sub-4F7K2M9QH0B3"),
        ("qh0b3", "subscriptions/sub-4F7K2M9QH0B3"),
        ("address-4F7K2M9QH0B3", "subscriptions/sub-4F7K2M9QH0B3"),
        ("O-00000747", "subscriptions/sub-4F7K2M9QH0B1"),
    ],
)
def test_what_is_one_thing_is_opened_at_once(database: Database, text: str, place: str) -> None:
    put_people(database)
    callout = CalloutRow(received_at=1, key="4F7K2M9QH0B1", verdict="accepted", order_number="O-00000747")
    put_rows(database, callout)

    answer = visit(database, Role.VIEWER).post("/search", {"text": text}, page="/history")

    assert answer.headers["Location"] == f"/admin/{place}"


def test_an_account_is_found_with_all_that_it_pays_for(sqlite_database: Database) -> None:
    put_people(sqlite_database)

    shown = found(visit(sqlite_database, Role.VIEWER), "a0000000")

    assert re.search(r"A00000001</bdi></span> <span class=\"soft\">4 subscriptions below", shown)
    assert re.findall(r'<a class="key" href="[^"]+"><bdi>([^<]+)', shown) == [f"4F7K2M9QH0B{n}" for n in range(4)]


def test_a_run_is_found_by_its_number_and_by_a_key_that_no_store_knows(sqlite_database: Database) -> None:
    put_rows(sqlite_database, make_run("A-S404", "failed", error_code="unknown key", error="No system knows it."))
    visitor = visit(sqlite_database, Role.VIEWER)

    assert "No system knows it." in found(visitor, "run 1")
    assert "No system knows it." in found(visitor, "A-S404")
    assert "Nothing found" in found(visitor, "run 99")


def test_who_may_act_is_offered_to_ask_zuora_for_what_looks_like_a_key(sqlite_database: Database) -> None:
    operator, viewer = visit(sqlite_database, Role.OPERATOR), visit(sqlite_database, Role.VIEWER)

    assert "Ask Zuora for" in found(operator, "A-S77777")
    assert "Ask Zuora for" not in found(viewer, "A-S77777")
    for words in ("emma smith", "emma@example.com", "a/b"):
        assert "Ask Zuora for" not in found(operator, words)
    assert operator.web.rows(SyncRequestRow) == []


def test_an_address_of_findings_that_we_did_not_seal_finds_nothing(sqlite_database: Database) -> None:
    put_people(sqlite_database)

    assert "Nothing found" in visit(sqlite_database, Role.VIEWER).get("/search?q=emma").text


def test_a_page_without_a_database_says_so_without_lights(sqlite_database: Database) -> None:
    visitor = visit(sqlite_database, Role.VIEWER)
    with sqlite_database.transaction() as session:
        session.run("ALTER TABLE heartbeat RENAME TO elsewhere")

    shown = visitor.get("/history")

    assert shown.status_code == 503
    assert "The database does not answer just now" in shown.text
    assert 'class="lights"' not in shown.text


def test_heartbeats_of_many_processes_count_by_the_latest(sqlite_database: Database) -> None:
    put_well(sqlite_database)
    old = now(sqlite_database) - DAY_MS
    put_rows(sqlite_database, HeartbeatRow(id="old", role="worker", started_at=old, seen_at=old))  # type: ignore[arg-type]

    assert lights(visit(sqlite_database, Role.VIEWER, **ZUORA))["Workers"][0] == "good"


def test_the_inbox_is_counted_with_the_dead_processes_that_it_lists(sqlite_database: Database) -> None:
    def counted() -> str:
        shown = visit(sqlite_database, Role.VIEWER, **ZUORA).get("/frame").text
        return "".join(re.findall(r'id="menu-count"[^>]*>.*?class="count"[^>]*>([\d,]+)', shown))

    put_well(sqlite_database)
    assert counted() == ""
    put_failure(sqlite_database, "A-S1")
    assert counted() == "1"

    change(sqlite_database, "heartbeat", f"seen_at = seen_at - {3 * MINUTE_MS}")

    assert counted() == "3"
    listed = visit(sqlite_database, Role.VIEWER, **ZUORA).get("/inbox").text
    assert listed.count('<section class="card bad"') == 3
