"""What processes count is added up over all of them: those that run, those that ended, those that were silent."""

from __future__ import annotations

from functools import partial

import pytest

from sync_service.queue.status import heartbeats
from sync_service.queue.status.heartbeats import Heartbeat, ProcessRole, forget_heartbeats, read_last_seen, read_samples
from sync_service.store.engine import Database
from sync_service.telemetry.measures import add_up, as_families
from tests.queue_world import execute, rows

A_WEEK_MS = 7 * 86_400_000


@pytest.fixture
def process(database: Database, monkeypatch: pytest.MonkeyPatch) -> Heartbeat:
    """A process that has counted nothing else."""
    monkeypatch.setattr(heartbeats, "take_samples", lambda: [("runs_total", (), SEEN["runs"]), *GAUGES])
    SEEN["runs"] = 0.0
    return Heartbeat(database, ProcessRole.WORKER)


SEEN = {"runs": 0.0}
GAUGES = [("sync_service_database_connections", (("role", "worker"),), 3.0)]


def count(process: Heartbeat, more: int) -> None:
    """So many runs, and a beat."""
    SEEN["runs"] += more
    process.beat(at_once=True)


def total(database: Database, name: str = "runs_total") -> float | None:
    with database.reading() as session:
        return {each[0]: each[2] for each in read_samples(session)}.get(name)


def go_away(database: Database, ms: int = heartbeats.GONE_MS + 1) -> None:
    """No process is heard of for so long, and the daily tidying comes by."""
    execute(database, "UPDATE heartbeat SET seen_at = seen_at - :ms WHERE role <> 'gone'", ms=ms)
    with database.transaction() as session:
        forget_heartbeats(session)


def test_all_processes_are_added_up(database: Database, process: Heartbeat) -> None:
    count(process, 2)
    SEEN["runs"] = 0.0
    count(Heartbeat(database, ProcessRole.WEB), 5)

    assert total(database) == 7.0


def test_a_beat_before_its_time_writes_nothing(database: Database, process: Heartbeat) -> None:
    count(process, 1)
    SEEN["runs"] = 9.0
    process.beat()

    assert total(database) == 1.0


def test_what_a_process_counted_stays_when_it_is_gone_and_its_row_too(database: Database, process: Heartbeat) -> None:
    count(process, 4)

    go_away(database)
    assert total(database) == 4.0
    go_away(database)
    assert total(database) == 4.0, "the gone are added once"
    go_away(database, A_WEEK_MS)
    assert total(database) == 4.0
    assert rows(database, "SELECT id, role FROM heartbeat") == [("gone", "gone")]


def test_one_process_that_holds_its_connections_is_seen_among_many(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, labels = "sync_service_database_connections", (("role", "worker"),)
    for in_use in (0.0, 20.0, 1.0):
        monkeypatch.setattr(heartbeats, "take_samples", partial(list, [(name, labels, in_use)]))
        Heartbeat(sqlite_database, ProcessRole.WORKER).beat(at_once=True)

    assert total(sqlite_database, name) == 20.0


def test_what_is_so_only_while_a_process_lives_goes_with_it(database: Database, process: Heartbeat) -> None:
    count(process, 1)
    name = "sync_service_database_connections"
    assert total(database, name) == 3.0

    execute(database, "UPDATE heartbeat SET seen_at = seen_at - :ms", ms=heartbeats.GONE_MS + 1)
    assert total(database, name) is None
    go_away(database)
    assert total(database, name) is None


def test_a_process_that_was_only_silent_is_not_counted_twice(database: Database, process: Heartbeat) -> None:
    count(process, 4)
    go_away(database)

    count(process, 3)
    assert total(database) == 7.0
    count(process, 1)
    assert total(database) == 8.0

    go_away(database, A_WEEK_MS)
    count(process, 2)
    assert total(database) == 10.0
    with database.reading() as session:
        assert read_last_seen(session, ProcessRole.WORKER) is not None


def test_a_histogram_of_several_processes_has_its_buckets_in_order() -> None:
    bounds = [("le", each) for each in ("10.0", "0.5", "+Inf", "1.0")]
    one = [("sync_service_written_seconds_bucket", (("asked_by", "event"), bound), 1.0) for bound in bounds]
    families = {each.name: each for each in as_families(add_up(one + one))}

    found = [(each.labels["le"], each.value) for each in families["sync_service_written_seconds"].samples]

    assert found == [("0.5", 2.0), ("1.0", 2.0), ("10.0", 2.0), ("+Inf", 2.0)]
