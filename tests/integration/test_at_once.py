"""One change of Zuora's that a callout, a sweep and a person's button tell of at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Thread

import pytest

from sync_service.access.users import Role
from sync_service.cli.contexts import open_ordering
from sync_service.queue.runs.history import read_causes
from sync_service.store.engine import Database
from sync_service.sync.worker import Worker
from tests.integration.web.admin import Visitor, visit
from tests.integration.web.conftest import Web, build
from tests.queue_world import at_once
from tests.sweep_world import World, open_world

NUMBERS = tuple(f"A-S{place}" for place in range(1, 7))
EARLY, LATE = NUMBERS[:3], NUMBERS[3:]


class Crowd:
    """Zuora, the scheduler and an operator, who all see the same."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._zuora: Web = build(world.database)
        self._operator: Visitor = visit(world.database, Role.OPERATOR)

    def change(self, numbers: tuple[str, ...]) -> None:
        for number in numbers:
            self.world.do("auto_renew", key=number, value="off")

    def call(self) -> None:
        for number in NUMBERS:
            assert self._zuora.callout(number, Zuora_Notification_Id=f"n-{number}").status_code == 200

    def press(self) -> None:
        for number in NUMBERS:
            assert self._operator.post(f"/subscriptions/{number}/sync").status_code == 303

    def triggers(self, number: str) -> set[str]:
        """Who asked, apart from how it first came in."""
        with self.world.database.reading() as session:
            return {cause.trigger for cause in read_causes(session, number, 50)} - {"backfill"}

    def runs_that_changed(self, number: str) -> list[tuple[int, int]]:
        """Those after the import; each with the requests that it covers."""
        rows = self.world.rows(
            "SELECT seq_from, seq_to FROM sync_run WHERE key = :number AND outcome = 'changed'", number=number
        )
        return [(first, last) for first, last in rows]

    def assert_applied_once(self) -> None:
        for number in NUMBERS:
            assert len(self.runs_that_changed(number)) == 1, number
        assert self.world.rows("SELECT DISTINCT auto_renew FROM limio_subscription") in ([(0,)], [(False,)])
        events = "SELECT count(*), count(DISTINCT subscription_id) FROM limio_event"  # one for each run that wrote
        assert self.world.rows(events) == [(len(NUMBERS), len(NUMBERS))]


@pytest.fixture
def crowd(database: Database) -> Iterator[Crowd]:
    with open_world(database) as world:
        world.subscribe(*NUMBERS)
        world.sync(*NUMBERS)
        world.execute("DELETE FROM limio_event")
        yield Crowd(world)


def test_asked_for_in_three_ways_before_anybody_works_it_is_one_run_that_names_them_all(crowd: Crowd) -> None:
    crowd.change(EARLY)
    crowd.world.sweep()
    crowd.change(LATE)

    at_once([crowd.world.sweep, crowd.call, crowd.press])
    at_once([lambda: Worker(crowd.world.context, 4, open_ordering(crowd.world.context)).run_until_idle()] * 3)

    crowd.assert_applied_once()
    for number in NUMBERS:
        ((first, last),) = crowd.runs_that_changed(number)
        covered = crowd.world.rows(
            "SELECT DISTINCT trigger FROM sync_cause WHERE key = :number AND seq > :first AND seq <= :last",
            number=number,
            first=first,
            last=last,
        )
        assert {trigger for (trigger,) in covered} == crowd.triggers(number)
        assert crowd.triggers(number) >= ({"callout", "admin", "sweep"} if number in EARLY else {"callout", "admin"})
        assert crowd.world.rows("SELECT count(*) FROM sync_run WHERE key = :n AND seq_from > 0", n=number) == [(1,)]


def test_asked_for_while_workers_are_at_it_it_is_applied_once_and_every_request_is_served(crowd: Crowd) -> None:
    workers = [Worker(crowd.world.context, 4, open_ordering(crowd.world.context)) for _ in range(3)]
    threads = [Thread(target=worker.run) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        crowd.change(NUMBERS)
        at_once([crowd.world.sweep, crowd.call, crowd.press])
    finally:
        for worker in workers:
            worker.stop()
        for thread in threads:
            thread.join(timeout=30)
    crowd.world.work()

    crowd.assert_applied_once()
    assert crowd.world.waiting() == set()
    for number in NUMBERS:
        assert crowd.triggers(number) >= {"callout", "admin"}
        assert (
            crowd.world.rows(
                "SELECT 1 FROM sync_cause AS cause WHERE cause.key = :number AND trigger = 'admin' AND NOT EXISTS"
                " (SELECT 1 FROM sync_run AS run WHERE run.key = cause.key AND seq_from < seq AND seq_to >= seq)",
                number=number,
            )
            == []
        )
