"""The page Now: a sentence that claims no more than is known, what is to be set up, and charts that open history."""

import re
from html import unescape

import pytest

from sync_service.access.users import Role
from sync_service.queue.limit import Share, note_success
from sync_service.queue.status.figures import HOUR_MS, MINUTE_MS, Figures, write_figures
from sync_service.queue.status.findings import Finding, Severity, as_progress
from sync_service.queue.status.health import examine
from sync_service.queue.status.heartbeats import Heartbeat, ProcessRole
from sync_service.store.engine import Database
from sync_service.store.tables import CalloutRow, JobRow
from tests.integration.web.admin import put_rows, put_subscription, visit
from tests.integration.web.conftest import SETTINGS

ZUORA = {"zuora_base_url": "https://rest.eu.zuora.com", "zuora_client_id": "id", "zuora_client_secret": "secret"}
#: No callout can show who it is.
STRANGERS = dict.fromkeys(("callout_username", "callout_password", "callout_hmac_secret", "callout_secret"), "")


def put_figures(database: Database, *figures: tuple[int, Figures]) -> int:
    """Figures of minutes, so many ms ago; returns the database's clock."""
    with database.transaction() as session:
        now = session.now()
        minutes = {(now - ago) // MINUTE_MS * MINUTE_MS: each for ago, each in figures}
        write_figures(session, "minute", 0, now + MINUTE_MS, minutes)
        hours = {at // HOUR_MS * HOUR_MS: each for at, each in minutes.items()}
        write_figures(session, "hour", 0, now + MINUTE_MS, hours)
        session.add(JobRow(name="figures", due_at=now + HOUR_MS, progress={"counted_to": now}))
    return now


def made(drift: int = 0, took: int | None = None, **outcomes: int) -> Figures:
    figures = Figures(drift=drift)
    figures.outcomes.update(outcomes)
    if took is not None:
        figures.took[took] = 1
    return figures


def bars(text: str, chart: str) -> list[tuple[str, str]]:
    """The address and the words of each bar of a chart."""
    part = text.split(f'<h3 id="{chart}">')[1].split("</section>")[0]
    return [(unescape(href), words) for href, words in re.findall(r'<a href="([^"]+)" aria-label="([^"]+)"', part)]


@pytest.mark.parametrize("stretch", ["hour", "day", "week", "month"])
def test_each_bar_opens_the_history_of_its_stretch(sqlite_database: Database, stretch: str) -> None:
    put_figures(sqlite_database, (10 * MINUTE_MS, made(drift=2, took=8, changed=3, failed=1)))
    visitor = visit(sqlite_database, Role.VIEWER)

    shown = visitor.get(f"?range={stretch}").text

    ((address, words),) = bars(shown, "runs")
    assert words.endswith(": 3 changed, 1 failed")
    assert re.search(r"show=syncs&from=\d{4}-\d\d-\d\dT\d\d%3A\d\dZ&to=", address.replace(":", "%3A"))
    assert visitor.client.get(address).status_code == 200
    ((address, words),) = bars(shown, "drift")
    assert "trigger=sweep" in address
    assert words.endswith(": 2 drifted")
    ((_, words),) = bars(shown, "took")
    assert words.endswith(": half within 2.0 s, 95 % within 2.0 s")


def test_a_range_leaves_out_what_lies_before_it(sqlite_database: Database) -> None:
    put_figures(sqlite_database, (2 * HOUR_MS, made(changed=3)), (30 * HOUR_MS, made(failed=1)))
    visitor = visit(sqlite_database, Role.VIEWER)

    counted = {name: len(bars(visitor.get(f"?range={name}").text, "runs")) for name in ("day", "week")}

    assert counted == {"day": 1, "week": 2}
    assert "Nothing in this stretch." in visitor.get("?range=hour").text
    assert "Last day" in visitor.get("?range=century").text


def test_a_chart_without_counts_says_so_and_draws_nothing(sqlite_database: Database) -> None:
    shown = visit(sqlite_database, Role.VIEWER).get("").text

    assert "Nothing is counted yet" in shown
    assert '<svg class="chart"' not in shown


def to_do(text: str) -> list[str]:
    return re.findall(r'<li class=""><span class="dot calm">([^<]+)<', text)


def test_a_new_service_says_what_is_to_be_set_up_until_all_of_it_is_done(database: Database) -> None:
    fresh = visit(database, Role.VIEWER, **STRANGERS).get("").text
    assert to_do(fresh) == [
        "Zuora is configured",
        "Limio&#39;s objects are loaded",
        "A worker has run",
        "A scheduler has run",
        "Zuora has answered",
        "Callouts can show who they are",
        "The first callout has come",
    ]

    put_subscription(database, "A-S1")
    Heartbeat(database, ProcessRole.WORKER).beat()
    note_success(database, Share(8))
    some = visit(database, Role.VIEWER, **ZUORA, **STRANGERS).get("").text
    assert to_do(some) == ["A scheduler has run", "Callouts can show who they are", "The first callout has come"]

    Heartbeat(database, ProcessRole.SCHEDULER).beat()
    put_rows(database, CalloutRow(received_at=1, key="A-S1", verdict="rejected"))
    left = visit(database, Role.VIEWER, **ZUORA).get("").text
    assert to_do(left) == ["The first callout has come"], "a callout that was refused is none"
    put_rows(database, CalloutRow(received_at=1, key="A-S1", verdict="accepted"))
    assert "To be set up" not in visit(database, Role.VIEWER, **ZUORA).get("").text


def test_what_was_put_right_since_the_last_check_is_complained_of_nowhere(sqlite_database: Database) -> None:
    visitor = visit(sqlite_database, Role.VIEWER, **ZUORA)
    with sqlite_database.reading() as session:
        found = [*examine(session, SETTINGS), Finding("clock", Severity.FAILED, "The clocks differ by 40 s.")]
        now = session.now()
    put_rows(sqlite_database, JobRow(name="check", due_at=now + 9_000_000, progress=as_progress(found, now)))
    missing = "Nothing of Limio&#39;s was loaded"
    pages = ("/inbox", "/settings")
    assert all(missing in visitor.get(page).text for page in pages)

    put_subscription(sqlite_database, "A-S1")

    assert [page for page in ("", *pages) if missing in visitor.get(page).text] == []
    assert all("The clocks differ by 40 s." in visitor.get(page).text for page in pages)


def test_the_calls_of_the_day_stand_against_the_budget(sqlite_database: Database) -> None:
    note_success(sqlite_database, Share(8))
    with sqlite_database.transaction() as session:
        today = session.run("SELECT date('now')").scalar_one()
        session.run("UPDATE zuora_limit SET calls_today = 420, day = :today", {"today": today})

    with_budget = visit(sqlite_database, Role.VIEWER, zuora_daily_calls=1000, **ZUORA).get("").text
    without = visit(sqlite_database, Role.VIEWER, **ZUORA).get("").text

    assert re.search(r"<dd>420</dd><dd class=\"soft\">580 of 1,000 left", with_budget)
    assert "no daily limit is set" in without
