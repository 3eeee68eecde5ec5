"""A preview that a user asks for on the admin pages: a worker answers it, and nothing else is written."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sync_service.errors import LeaseLost, RateLimited
from sync_service.queue import questions as asks
from sync_service.queue.limit import Share, note_tenant_error, read_limit
from sync_service.store.engine import Database
from sync_service.store.tables import AskRow, ZuoraLeaseRow
from sync_service.sync.forecast import answer_ask
from tests.sweep_world import World, open_world

ADA = "ada@example.com"
SHARE = Share(2)


def leave(database: Database, key: str, actor: str = ADA) -> int:
    with database.transaction() as session:
        return asks.leave(session, asks.PLAN, key, actor)


def read(database: Database, ask_id: int) -> AskRow:
    with database.reading() as session:
        row = session.get(AskRow, ask_id)
    assert row is not None
    return row


def live(database: Database) -> int:
    with database.reading() as session:
        return read_limit(session, SHARE).live


def expire(database: Database) -> None:
    """The worker that had it is dead, and its lease ran out."""
    with database.transaction() as session:
        for row_class in (AskRow, ZuoraLeaseRow):
            table = row_class.__tablename__
            session.run(f"UPDATE {table} SET lease_until = {{now}} - 1")


@pytest.fixture
def world(sqlite_database: Database) -> Iterator[World]:
    with open_world(sqlite_database) as world:
        yield world


def counts(world: World) -> list[tuple[int, ...]]:
    tables = ("limio_subscription", "limio_schedule", "sync_run", "sync_cause", "sync_request", "zuora_link")
    return [world.rows(f"SELECT count(*) FROM {table}")[0] for table in tables]


def test_a_worker_answers_with_the_plan_and_writes_nothing_else(world: World) -> None:
    world.subscribe("A-S1", "A-S2")
    world.sync("A-S1", "A-S2")
    world.do("renew", key="A-S1")
    before = counts(world)
    changed, agrees = leave(world.database, "A-S1"), leave(world.database, "A-S2")

    for _ in range(2):
        world.work()

    answers = [read(world.database, each) for each in (changed, agrees)]
    assert counts(world) == before
    assert live(world.database) == 0
    plan = (answers[0].answer or {})["plan"]
    (field,) = [
        field for change in plan["changes"] for field in change.get("fields", ()) if field["path"] == "data.termEndDate"
    ]
    assert field["after"] > field["before"]
    assert (answers[1].answer or {})["plan"]["changes"] == []
    assert [each.error for each in answers] == [None, None]


def test_what_went_wrong_is_the_answer(world: World) -> None:
    unknown = leave(world.database, "UNKNOWN")

    world.work()

    row = read(world.database, unknown)
    assert (row.error_code, row.answer) == ("unknown key", None)
    assert row.answered_at is not None
    assert live(world.database) == 0


def test_a_question_in_a_workers_hands_counts_among_the_calls_and_is_no_others(database: Database) -> None:
    leave(database, "A-S1")

    taken = asks.take(database, SHARE)

    assert taken is not None
    assert (taken.key, live(database)) == ("A-S1", 1)
    assert asks.take(database, SHARE) is None
    assert live(database) == 1
    assert not asks.is_anything_asked(database)


def test_the_question_of_a_killed_worker_is_answered_by_another_and_never_by_both(database: Database) -> None:
    ask_id = leave(database, "A-S1")
    dead = asks.take(database, SHARE)
    expire(database)

    other = asks.take(database, SHARE)

    assert dead is not None
    assert other is not None
    with pytest.raises(LeaseLost):
        asks.answer(database, dead, {"plan": "stale"})
    asks.answer(database, other, {"plan": None})
    other.place.give_back()
    assert read(database, ask_id).answer == {"plan": None}
    with pytest.raises(LeaseLost):
        asks.refuse(database, other, "twice", "twice")


def test_a_question_that_kills_every_worker_is_given_up(database: Database) -> None:
    ask_id = leave(database, "A-S1")
    for _ in range(asks.MAX_CLAIMS):
        assert asks.take(database, SHARE) is not None
        expire(database)

    assert asks.take(database, SHARE) is None

    assert "without an answer" in (read(database, ask_id).error or "")
    assert live(database) == 0


def test_nothing_is_taken_while_zuora_is_paused_or_all_calls_are_in_use(database: Database) -> None:
    leave(database, "A-S1")
    first = asks.take(database, Share(1))
    assert first is not None
    leave(database, "A-S2")
    assert asks.take(database, Share(1)) is None
    asks.put_back(database, first)
    first.place.give_back()
    note_tenant_error(database, RateLimited(retry_after=100), SHARE)

    assert asks.take(database, SHARE) is None
    assert asks.is_anything_asked(database)


def test_one_person_has_few_questions_waiting_and_each_once(database: Database) -> None:
    ids = {leave(database, f"A-S{index}") for index in range(asks.MAX_OPEN)}

    assert leave(database, "A-S0") in ids
    with pytest.raises(asks.TooManyAsked):
        leave(database, "A-S9")
    assert leave(database, "A-S9", "bob@example.com") not in ids


def test_answers_are_forgotten_after_a_day(database: Database) -> None:
    old, new = leave(database, "A-S1"), leave(database, "A-S2")
    with database.transaction() as session:
        statement = "UPDATE ask SET asked_at = asked_at - 86400001 WHERE id = :id"
        session.run(statement, {"id": old})

    assert asks.forget_answers(database) == 1

    assert read(database, new).key == "A-S2"


def test_trouble_of_the_tenant_pauses_everything_and_is_told(world: World) -> None:
    world.subscribe("A-S1")
    ask_id = leave(world.database, "A-S1")
    taken = asks.take(world.database, world.context.share)
    assert taken is not None
    world.do("fault", kind="rate_limit")

    answer_ask(world.context, taken)

    assert read(world.database, ask_id).error_code == "rate limited"
    with world.database.reading() as session:
        assert read_limit(session, world.context.share).is_paused
