"""Figures over time: counted once from the history, and never from what may still change."""

from __future__ import annotations

import pytest

from sync_service.jobs.upkeep import SETTLED_MS, count_figures
from sync_service.queue.jobs import JobLease
from sync_service.queue.status.figures import BOUNDS_MS, DAY_MS, HOUR_MS, MINUTE_MS, Figures, add_up, read_figures
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.store.tables import SyncCauseRow, SyncRunRow


def now(database: Database) -> int:
    with database.reading() as session:
        return session.now()


def put_run(
    database: Database,
    ended_at: int,
    outcome: str = "changed",
    *,
    key: str = "A-S1",
    trigger: str = "callout",
    waited: tuple[int, ...] = (),
    found_as: str | None = None,
    seq: int = 1,
) -> None:
    """A run that ended, and for each of `waited` a cause that long before, in ms."""
    with database.transaction() as session:
        known = {"kind": "subscription", "key": key, "trigger": trigger}
        at = {"began_at": ended_at - 100, "ended_at": ended_at}
        session.add(SyncRunRow(**known, **at, seq_from=seq - 1, seq_to=seq + 9, outcome=outcome))
        for place, each in enumerate(waited or ((0,) if found_as else ())):
            session.add(SyncCauseRow(**known, seq=seq + place, at=ended_at - each, found_as=found_as))


def count(database: Database, counted_to: int | None = None) -> int:
    progress = {} if counted_to is None else {"counted_to": counted_to}
    lease = JobLease(name="figures", token=1, cursor={}, progress=progress, taken_at=0)
    return int(count_figures(database, Settings(), lease)["counted_to"])


def read(database: Database, span: str) -> dict[int, Figures]:
    with database.reading() as session:
        return dict(read_figures(session, span, 0, 2**62))


def test_a_minute_is_counted_by_outcome_with_its_drift_and_its_durations(database: Database) -> None:
    minute = now(database) // HOUR_MS * HOUR_MS - 3 * HOUR_MS + 7 * MINUTE_MS
    put_run(database, minute + 1, waited=(900, 100))  # the first of two callouts has waited longest
    put_run(database, minute + 59_999, "failed", key="A-S2", waited=(5_000,))
    put_run(database, minute + 5, key="A-S3", trigger="sweep", found_as="drift")
    put_run(database, minute + 5, key="A-S4", trigger="sweep", found_as="echo")
    put_run(database, minute + MINUTE_MS, "unchanged", key="A-S5", trigger="admin")

    count(database)

    minutes = read(database, "minute")
    assert list(minutes) == [minute, minute + MINUTE_MS]
    assert minutes[minute].outcomes == {"changed": 3, "failed": 1}
    assert minutes[minute].drift == 1
    assert [(BOUNDS_MS[place], count) for place, count in minutes[minute].took.items()] == [(1000, 1)]
    (hour,) = read(database, "hour").values()
    assert hour.outcomes == {"changed": 3, "failed": 1, "unchanged": 1}
    assert hour.drift == 1


def test_what_may_still_be_committed_is_counted_later_and_nothing_twice(database: Database) -> None:
    at = now(database)
    put_run(database, at - 10 * MINUTE_MS)
    put_run(database, at - 1_000, key="A-S2")

    counted_to = count(database)
    assert at - SETTLED_MS - MINUTE_MS < counted_to <= at - SETTLED_MS
    for _ in range(2):
        count(database, counted_to - 20 * MINUTE_MS)

    assert sum(each.runs for each in read(database, "minute").values()) == 1
    assert sum(each.runs for each in read(database, "hour").values()) == 1


def test_an_hour_that_is_counted_in_parts_is_whole_at_the_end(sqlite_database: Database) -> None:
    hour = now(sqlite_database) // HOUR_MS * HOUR_MS - 2 * HOUR_MS
    put_run(sqlite_database, hour + 5 * MINUTE_MS)
    put_run(sqlite_database, hour + 50 * MINUTE_MS, key="A-S2")
    count(sqlite_database)

    count(sqlite_database, hour + 30 * MINUTE_MS)

    assert read(sqlite_database, "hour")[hour].runs == 2


def test_a_history_from_before_is_counted_for_a_month_and_minutes_are_kept_for_days(sqlite_database: Database) -> None:
    at = now(sqlite_database)
    for days in (40, 30, 1):
        put_run(sqlite_database, at - days * DAY_MS, key=f"A-S{days}")

    count(sqlite_database, count(sqlite_database))

    assert sum(each.runs for each in read(sqlite_database, "hour").values()) == 2
    assert sum(each.runs for each in read(sqlite_database, "minute").values()) == 1


def test_an_empty_history_is_counted_up_to_now(sqlite_database: Database) -> None:
    assert count(sqlite_database) <= now(sqlite_database)
    assert read(sqlite_database, "minute") == {}


@pytest.mark.parametrize(
    ("took", "half", "most"),
    [
        ({}, None, None),
        ({6: 1}, 1000, 1000),
        ({6: 1, 8: 1}, 1000, 2000),  # half of two is one
        ({6: 95, 20: 5}, 1000, 1000),
        ({6: 94, 20: 6}, 1000, 128_000),
        ({39: 2}, BOUNDS_MS[-1], BOUNDS_MS[-1]),
    ],
)
def test_a_share_of_the_callouts_was_written_within_a_bound(
    took: dict[int, int], half: int | None, most: int | None
) -> None:
    figures = Figures()
    figures.took.update(took)

    assert (figures.within(0.5), figures.within(0.95)) == (half, most)


def test_stretches_are_sums_of_what_lies_in_them() -> None:
    one, two = Figures(drift=1), Figures(drift=2)

    sums = add_up([(0, one), (HOUR_MS - 1, two), (HOUR_MS, one)], HOUR_MS)

    assert {at: each.drift for at, each in sums.items()} == {0: 3, HOUR_MS: 1}
