"""The places of worker processes among those that may call Zuora, and what they claim ahead."""

from __future__ import annotations

import pytest

from sync_service.errors import RateLimited
from sync_service.queue.claims import claim
from sync_service.queue.limit import Share, note_tenant_error, read_limit
from sync_service.queue.places import Load, Places, Throughput
from sync_service.queue.requests import Claim, Priority
from sync_service.queue.story_lease import hold_story_lease, take_story_lease
from sync_service.store.engine import Database
from tests.queue_world import at_once, execute, expire_leases, finish, release, rows, take, want

FOUR = Share(max_concurrency=4)


class Process:
    """A worker process as the queue sees it: its places, the runs in them, and what it has claimed besides."""

    def __init__(self, database: Database, share: Share = FOUR) -> None:
        self.database, self.share, self.places = database, share, Places()
        self.calling: list[Claim] = []
        self.waiting: list[Claim] = []

    def claim(self, free_threads: int, *, begin_soon: int = 0) -> list[str]:
        """Claim, and begin what may begin; the keys that were claimed."""
        load = Load(places=self.places, calling=len(self.calling), waiting=len(self.waiting), begin_soon=begin_soon)
        claims = claim(self.database, free_threads, self.share, load=load)
        self.waiting += claims
        while self.waiting and len(self.calling) < self.places.granted - self.places.yielded:
            self.calling.append(self.waiting.pop(0))
        return [each.key for each in claims]

    def go_on(self) -> Claim:
        """The oldest run makes its last call; another that waits begins in its place."""
        read = self.calling.pop(0)
        if self.waiting and len(self.calling) < self.places.granted - self.places.yielded:
            self.calling.append(self.waiting.pop(0))
        return read


@pytest.fixture(autouse=True)
def _ten_wait(database: Database) -> None:
    for n in range(10):
        want(database, f"N-{n}")


def live(database: Database, share: Share = FOUR) -> int:
    with database.reading() as session:
        return read_limit(session, share).live


def test_a_place_is_the_process_own_until_it_says_otherwise(database: Database) -> None:
    process = Process(database)
    process.claim(4)
    assert take(database, 9, FOUR) == []

    for run in [process.go_on() for _ in range(4)]:
        finish(database, run)

    assert take(database, 9, FOUR) == []  # the process may be about to begin others
    process.claim(0)
    assert len(take(database, 9, FOUR)) == 4


def test_a_process_that_may_begin_no_more_claims_half_as_many_ahead(database: Database) -> None:
    process = Process(database)

    assert [len(process.claim(4)), len(process.claim(8)), len(process.claim(8))] == [4, 2, 0]
    assert (len(process.calling), len(process.waiting), live(database)) == (4, 2, 4)


def test_a_process_whose_runs_are_fast_claims_what_begins_in_the_next_moment(database: Database) -> None:
    process = Process(database)
    process.claim(4)

    assert len(process.claim(4, begin_soon=5)) == 5
    assert process.claim(4, begin_soon=5) == []


def test_as_many_begin_soon_as_ended_in_as_long_a_time_and_none_before_there_is_a_pace() -> None:
    throughput = Throughput()
    for n in range(31):
        throughput.note_end(10 + n / 128)
    assert throughput.begin_soon(10.25) == 0

    throughput.note_end(10 + 31 / 128)

    assert throughput.begin_soon(10.25) == 12  # 32 in a quarter of a second
    assert throughput.begin_soon(14.0) == 0


def test_what_begins_in_the_place_of_another_takes_none_from_others(database: Database) -> None:
    ours, theirs = Process(database), Process(database)
    ours.claim(2)
    ours.claim(0)
    assert len(ours.waiting) == 1

    read = ours.go_on()

    assert len(theirs.claim(9)) == 2
    finish(database, read)
    theirs.claim(9)
    assert (len(ours.calling), len(theirs.calling), live(database)) == (2, 2, 4)


def test_processes_that_claim_at_once_stay_within_what_the_tenant_permits(database: Database) -> None:
    processes = [Process(database) for _ in range(5)]

    for _ in range(3):
        at_once([lambda each=each: each.claim(3) for each in processes])
        for each in processes:
            if each.calling:
                finish(database, each.go_on())
        assert sum(len(each.calling) for each in processes) <= 4

    at_once([lambda each=each: each.claim(3) for each in processes])
    assert sum(len(each.calling) for each in processes) == live(database) <= 4


def test_the_places_of_a_process_that_died_are_free_once_its_row_expires(database: Database) -> None:
    other = Process(database)
    Process(database).claim(4)
    assert other.claim(4) == []

    execute(database, "UPDATE zuora_lease SET lease_until = {now} - 1")

    assert len(other.claim(4)) == 4


def test_a_process_whose_row_expired_counts_again_when_it_claims(database: Database) -> None:
    process = Process(database)
    process.claim(2)
    expire_leases(database)
    take_story_lease(database, "sweep", FOUR)  # which deletes rows that expired

    process.claim(4)

    assert process.places.granted == len(process.calling) == 3
    assert live(database) == 4


def test_while_the_tenant_is_in_trouble_nothing_is_claimed_ahead(database: Database) -> None:
    process = Process(database)
    process.claim(4)
    process.claim(0)
    note_tenant_error(database, RateLimited(), FOUR)
    assert process.claim(4) == []
    assert not process.places.is_open
    for each in process.waiting:
        release(database, each)
    process.waiting.clear()

    execute(database, "UPDATE zuora_limit SET open_until = {now} - 1")
    assert process.claim(4) == []  # four still call: none probes beside them
    process.calling.clear()
    assert len(process.claim(4)) == 1
    assert process.claim(4) == []


def test_where_there_is_one_place_nothing_is_claimed_ahead(database: Database) -> None:
    process = Process(database, Share(max_concurrency=1))

    assert [len(process.claim(4)), len(process.claim(4))] == [1, 0]


def test_a_story_that_finds_no_place_gets_the_next_one_however_much_waits(database: Database) -> None:
    process = Process(database)
    process.claim(9)
    process.claim(9)
    assert take_story_lease(database, "sweep", FOUR) is None

    process.claim(9)
    read = process.go_on()
    process.claim(9)

    assert len(process.calling) == 3
    with hold_story_lease(database, "sweep", FOUR):
        finish(database, read)
        process.claim(9)
        assert (len(process.calling), live(database)) == (3, 4)
    process.claim(9)
    assert len(process.calling) == 4


def test_a_process_without_a_place_gets_the_next_one_however_much_another_has_to_do(database: Database) -> None:
    busy, idle = Process(database), Process(database)
    busy.claim(9)
    busy.claim(9)
    assert idle.claim(4) == []

    busy.claim(9)
    finish(database, busy.go_on())
    busy.claim(9)
    idle.claim(4)

    assert (len(busy.calling), len(idle.calling), live(database)) == (3, 1, 4)
    assert not rows(database, "SELECT 1 FROM zuora_limit WHERE wished_until > {now}")


def test_a_story_and_a_process_that_wish_for_the_only_place_take_turns(database: Database) -> None:
    one = Share(max_concurrency=1)
    process = Process(database, one)
    with hold_story_lease(database, "sweep", one):
        assert process.claim(4) == []
        assert take_story_lease(database, "check", one) is None
    assert len(process.claim(4)) == 1
    assert take_story_lease(database, "check", one) is None

    finish(database, process.go_on())
    assert process.claim(4) == []

    assert take_story_lease(database, "check", one) is not None


def test_a_story_that_waits_no_longer_keeps_no_place(database: Database) -> None:
    process = Process(database)
    process.claim(9)
    assert take_story_lease(database, "sweep", FOUR) is None
    execute(database, "UPDATE zuora_limit SET wished_until = {now} - 1")

    finish(database, process.go_on())
    process.claim(9)

    assert len(process.calling) == 4


def test_a_person_comes_first_among_what_is_claimed_ahead(database: Database) -> None:
    process = Process(database)
    process.claim(4)
    want(database, "P", Priority.PERSON)

    assert "P" in process.claim(4)


def test_the_places_go_with_their_process(database: Database) -> None:
    process = Process(database)
    process.claim(4)

    process.places.give_back(database)

    assert rows(database, "SELECT count(*) FROM zuora_lease") == [(0,)]
    assert len(Process(database).claim(4)) == 4
