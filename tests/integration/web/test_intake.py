"""Many callouts at once: each is durable when it is accepted, and one that cannot be does not take others with it."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlmodel import select

from sync_service.queue.fate import Ticket
from sync_service.queue.requests import Kind
from sync_service.store.engine import Database
from sync_service.store.tables import CalloutRow, SyncCauseRow, SyncRequestRow
from sync_service.subscription.trigger import Trigger
from sync_service.web.intake import Callout, IncomingCallout, Intake
from tests.acceptance.processes import wait_until
from tests.listening import listening

#: More than one, and fewer than the connections of the fixtures' pools.
SENDERS = 6


#: A key whose callout no database keeps: its row would have no trigger.
BROKEN = "A-BROKEN"


def accept(intake: Intake, key: str) -> Ticket:
    trigger: Any = None if key == BROKEN else Trigger.CALLOUT
    wish = IncomingCallout(kind=Kind.SUBSCRIPTION, callout=Callout(key=key), trigger=trigger, actor=None)
    intake.take_callout(wish)
    assert wish.ticket
    return wish.ticket


def accept_at_once(database: Database, keys: list[str]) -> list[Future[Ticket]]:
    """All of them wait for a commit that goes on, and then share one."""
    intake = Intake(database)
    with ThreadPoolExecutor(len(keys)) as pool:
        intake._is_committing = True
        accepted = [pool.submit(accept, intake, key) for key in keys]
        while len(intake._waiting) < len(keys):
            time.sleep(0.001)
        intake._pass_on()
    return accepted


def test_callouts_of_one_key_at_once_are_one_request_with_a_cause_each(database: Database) -> None:
    accepted = accept_at_once(database, ["A-1"] * SENDERS)

    tickets = sorted(each.result().seq for each in accepted)
    with database.reading() as session:
        request = session.exec(select(SyncRequestRow)).one()
        causes = sorted(cause.seq for cause in session.exec(select(SyncCauseRow)))
        callouts = session.exec(select(CalloutRow)).all()
    assert tickets == causes == [1, 2, 3, 4, 5, 6]
    assert (request.kind, request.key, request.requested_seq, request.done_seq) == ("alias", "A-1", 6, 0)
    assert [callout.key for callout in callouts] == ["A-1"] * SENDERS


def test_callouts_that_wait_for_the_embedded_database_share_a_commit(sqlite_database: Database) -> None:
    commits: list[object] = []

    with listening(commit=commits.append):
        accepted = accept_at_once(sqlite_database, [f"A-{place}" for place in range(SENDERS)])

    assert sorted(each.result().key for each in accepted) == [f"A-{place}" for place in range(SENDERS)]
    assert len(commits) == 1


def test_callouts_that_wait_for_postgresql_share_a_transaction(postgres: Database) -> None:
    accepted = accept_at_once(postgres, [f"A-{place}" for place in range(SENDERS)])

    assert sorted(each.result().key for each in accepted) == [f"A-{place}" for place in range(SENDERS)]
    with postgres.reading() as session:
        assert session.run("SELECT count(DISTINCT CAST(xmin AS TEXT)) FROM callout").scalar_one() == 1


def test_a_callout_that_waits_for_its_row_keeps_no_other_waiting(postgres: Database) -> None:
    def kept() -> set[str]:
        with postgres.reading() as session:
            return set(session.run("SELECT key FROM callout").scalars())

    accept(Intake(postgres), "A-0")
    with ThreadPoolExecutor(1) as pool, postgres.transaction() as session:
        session.run("UPDATE sync_request SET attempts = 1 WHERE key = 'A-0'")
        accepting = pool.submit(accept_at_once, postgres, ["A-0", "A-1", "A-2"])
        wait_until(lambda: kept() == {"A-0", "A-1", "A-2"}, "the others are kept")
        waits = not accepting.done()
        session.commit()

    assert waits
    assert accepting.result()[0].result() == Ticket(Kind.ALIAS, "A-0", 2)


def test_a_callout_that_cannot_be_kept_fails_alone(database: Database) -> None:
    accepted = accept_at_once(database, ["A-0", BROKEN, "A-2", "A-3", "A-4", "A-5"])

    assert [type(each.exception()) for each in accepted] == [type(None), IntegrityError, *[type(None)] * 4]
    with database.reading() as session:
        kept = sorted(callout.key for callout in session.exec(select(CalloutRow)))
        queued = sorted(request.key for request in session.exec(select(SyncRequestRow)))
    assert kept == queued == ["A-0", "A-2", "A-3", "A-4", "A-5"]


def test_a_commit_that_fails_accepts_none_of_those_that_share_it(sqlite_database: Database) -> None:
    def refuse(_: object) -> None:
        raise SQLAlchemyError("the disk is full")

    intake = Intake(sqlite_database)
    with listening(commit=refuse), ThreadPoolExecutor(SENDERS) as pool:
        accepted = [pool.submit(accept, intake, f"A-{place}") for place in range(SENDERS)]

    assert [str(each.exception()) for each in accepted] == ["the disk is full"] * SENDERS
    with sqlite_database.reading() as session:
        assert session.exec(select(CalloutRow)).all() == []


def test_a_callout_that_waits_too_long_for_the_commit_of_others_is_not_accepted(sqlite_database: Database) -> None:
    intake = Intake(sqlite_database)
    intake._is_committing = True

    with pytest.raises(TimeoutError):
        accept(intake, "A-1")
    intake._pass_on()
    accept(intake, "A-2")

    with sqlite_database.reading() as session:
        assert [callout.key for callout in session.exec(select(CalloutRow))] == ["A-2"]
