"""The stream of what happened: every entry once, in order of time, whatever filters and places are given."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync_service.queue.claims import claim
from sync_service.queue.requests import Cause, Kind, Priority, enqueue, finish
from sync_service.queue.stream import branches
from sync_service.queue.stream import page as stream
from sync_service.queue.stream.branches import EntryFilter, EntryKind, Spot, read_spot
from sync_service.queue.stream.details import read_entries
from sync_service.store.audit import record_action
from sync_service.store.engine import Database
from sync_service.store.reads import record_alias
from sync_service.store.tables import AdminActionRow, CalloutRow, OrderWorkRow
from sync_service.subscription.trigger import Trigger
from tests.integration.web.admin import SHARE, make_run, put_subscription

pytestmark = pytest.mark.either_database

T = 1_790_000_000_000


def order(number: str, at: int, subscription: str = "A-S1", **values: object) -> OrderWorkRow:
    known = {"order_type": "change_offer", "names": {}, "payload": "{}", "lane": number, "seq": 1, "client": "shop"}
    return OrderWorkRow(
        order_id=f"order-{number}",
        number=number,
        subscription_number=subscription,
        state="complete",
        submitted_at=at,
        ended_at=at + 10,
        **{**known, **values},
    )


def callout(key: str, at: int, **values: object) -> CalloutRow:
    return CalloutRow(**{"received_at": at, "key": key, "verdict": "accepted", **values})


def fill(database: Database) -> None:
    """Two of A-S1's kinds at one moment, the others apart; one entry of another subscription between them."""
    put_subscription(database, "A-S1")
    put_subscription(database, "A-S2", name="Bob")
    with database.transaction() as session:
        record_alias(session, "8ad0", "A-S1")
        session.add_all(
            [
                callout("A-S1", T, order_number="O-1", created_by="shop user"),
                make_run("A-S1", "changed", seq=1, ended_at=T, touched=" dates ", actor="ada", change_count=1),
                callout("8ad0", T + 1, verdict="ignored"),
                make_run("A-S2", "changed", ended_at=T + 2, touched=" amounts ", change_count=1),
                order("R-1", T + 3),
                AdminActionRow(at=T + 4, actor="ada", action="sync", target="A-S1"),
                make_run("A-S1", "failed", seq=2, ended_at=T + 5, error="no"),
                callout("sub-A-S1", T + 6),
            ]
        )


def words(page: stream.EntryPage) -> list[str]:
    return [f"{spot.kind.value}+{spot.at - T}" for spot in page.spots]


WHOLE = ["callout+6", "run+5", "act+4", "order+3", "callout+1", "run+0", "callout+0"]


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_the_stream_of_a_subscription_has_each_of_its_entries_once(database: Database, limit: int) -> None:
    fill(database)
    found: list[str] = []
    with database.reading() as session:
        wanted = EntryFilter(whose=stream.whose(session, ["A-S1"]))
        page = stream.read_page(session, wanted, None, limit)
        found += words(page)
        while page.before is not None:
            assert read_spot(str(page.before)) == page.before
            page = stream.read_page(session, wanted, page.before, limit)
            found += words(page)

    assert found == WHOLE


def test_the_stream_of_everything_has_the_others_too(database: Database) -> None:
    fill(database)
    with database.reading() as session:
        page = stream.read_page(session, EntryFilter(kinds=frozenset(EntryKind) - {EntryKind.ACT}))

    assert words(page) == ["callout+6", "run+5", "order+3", "run+2", "callout+1", "run+0", "callout+0"]


def test_each_filter_leaves_what_fits_it(database: Database) -> None:
    fill(database)
    expected = (
        (EntryFilter(touch="dates"), ["run+0"]),
        (EntryFilter(outcome="failed"), ["run+5"]),
        (EntryFilter(verdict="ignored"), ["callout+1"]),
        (EntryFilter(order="O-1"), ["callout+0"]),
        (EntryFilter(order="R-1"), ["order+3"]),
        (EntryFilter(actor="ada"), ["act+4", "run+0"]),
        (EntryFilter(actor="shop user"), ["callout+0"]),
        (EntryFilter(trigger="sweep"), []),
        (EntryFilter(kinds=frozenset({EntryKind.ORDER})), ["order+3"]),
        (EntryFilter(since=T + 3, until=T + 5, kinds=frozenset({EntryKind.ORDER, EntryKind.RUN})), ["order+3"]),
    )
    with database.reading() as session:
        for wanted, entries in expected:
            assert words(stream.read_page(session, wanted)) == entries, wanted
            mine = replace(wanted, whose=stream.whose(session, ["A-S2"]))
            assert words(stream.read_page(session, mine)) == [], wanted


def test_a_run_of_an_earlier_release_is_found_by_what_it_may_touch(database: Database) -> None:
    with database.transaction() as session:
        session.add(make_run("A-S1", "changed", change_count=2, touched=None))
        session.add(make_run("A-S2", "unchanged", change_count=0, touched=None))
    with database.reading() as session:
        assert len(stream.read_page(session, EntryFilter(touch="dates")).spots) == 1


def test_a_rare_entry_is_found_by_looking_on_and_the_page_says_how_far_it_looked(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(branches, "STRETCH", 4)
    with database.transaction() as session:
        session.add(make_run("A-S1", "changed", ended_at=T, trigger="sweep"))
        session.add_all(make_run("A-S1", "changed", ended_at=T + n, seq=n + 1) for n in range(1, 10))
    looks, before = [], None
    with database.reading() as session:
        while True:
            page = stream.read_page(session, EntryFilter(trigger="sweep"), before)
            looks.append((words(page), page.looked_to and page.looked_to - T))
            before = page.before
            if before is None:
                break

    assert looks == [([], 6), ([], 3), ([], 0), (["run+0"], None)]


def test_a_page_never_passes_over_entries_at_the_moment_where_its_look_ended(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(branches, "STRETCH", 3)
    with database.transaction() as session:
        for n, at in enumerate((0, 0, 1, 1, 2, 2)):
            session.add(make_run("A-S1", "changed", ended_at=T + at, seq=n + 1, trigger="sweep"))
    found, before = list[str](), None
    with database.reading() as session:
        while True:
            page = stream.read_page(session, EntryFilter(trigger="sweep"), before)
            found += [spot.id for spot in page.spots]
            before = page.before
            if before is None:
                break

    assert found == ["6", "5", "4", "3", "2", "1"]


def test_entries_are_counted_by_kind_up_to_a_bound(database: Database) -> None:
    fill(database)
    with database.reading() as session:
        wanted = EntryFilter(whose=stream.whose(session, ["A-S1"]))
        assert stream.count(session, wanted, 100) == {"run": 2, "act": 1, "order": 1, "callout": 3}
        assert stream.count(session, wanted, 1)["callout"] == 1


def test_a_callout_leads_to_its_run_and_the_run_to_its_callouts(database: Database) -> None:
    with database.transaction() as session:
        session.add(callout("A-S1", T, order_number="O-1", created_by="user 7"))
        session.add(callout("A-S1", T + 1))
        session.flush()
        cause = Cause(Trigger.CALLOUT, callout_id=1)
        enqueue(session, Kind.SUBSCRIPTION, "A-S1", cause, priority=Priority.EVENT)
    (claimed,) = claim(database, 1, SHARE)
    with database.transaction() as session:
        finish(session, claimed)
        session.add(make_run("A-S1", "changed", seq=claimed.seen, ended_at=T + 5))

    spots = [Spot(at=0, kind=EntryKind.CALLOUT, id="1"), Spot(at=0, kind=EntryKind.CALLOUT, id="2")]
    with database.reading() as session:
        told, untold, run = read_entries(session, [*spots, Spot(at=0, kind=EntryKind.RUN, id="1")]).entries

    assert told.came is not None
    assert (told.came.run_id, told.came.outcome) == (1, "changed")
    assert untold.came is None
    assert [(each.order_number, each.created_by) for each in run.callouts] == [("O-1", "user 7")]
    assert run.spot.at == T + 5


def test_a_callout_without_a_run_is_served_or_waits(database: Database) -> None:
    with database.transaction() as session:
        session.add(callout("A-S1", T))
        session.flush()
        enqueue(session, Kind.SUBSCRIPTION, "A-S1", Cause(Trigger.CALLOUT, callout_id=1), priority=Priority.EVENT)
    spot = Spot(at=0, kind=EntryKind.CALLOUT, id="1")
    with database.reading() as session:
        (waits,) = read_entries(session, [spot]).entries
    (claimed,) = claim(database, 1, SHARE)
    with database.transaction() as session:
        finish(session, claimed)
    with database.reading() as session:
        (served,) = read_entries(session, [spot]).entries

    assert waits.came is not None
    assert served.came is not None
    assert (waits.came.run_id, waits.came.is_served) == (None, False)
    assert (served.came.run_id, served.came.is_served) == (None, True)


@pytest.mark.parametrize("text", ["", "x", "1-run", "1-run-x", "1-none-1", "-1-run-1", "1" * 20 + "-run-1", "1-run-²"])
def test_a_place_that_is_none_counts_as_none(text: str) -> None:
    assert read_spot(text) is None


def test_acts_are_found_by_what_they_were_done_to(sqlite_database: Database) -> None:
    with sqlite_database.transaction() as session:
        record_action(session, "ada", "release held", "A-S1")
        record_action(session, "ada", "log in")
    with sqlite_database.reading() as session:
        wanted = EntryFilter(whose=stream.whose(session, ["A-S1"]))
        assert [spot.kind for spot in stream.read_page(session, wanted).spots] == [EntryKind.ACT]
