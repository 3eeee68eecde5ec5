"""How much a sync asks of the database: few statements, and one short transaction that writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import text

from sync_service.queue.claims import claim, claim_one
from sync_service.queue.limit import Share
from sync_service.queue.requests import Claim, Kind
from sync_service.store.engine import Database
from sync_service.subscription.trigger import Trigger
from sync_service.sync.run import run_claim
from sync_service.web.intake import Callout, IncomingCallout, Intake
from sync_service.zuora.preview import SharedPreviews
from tests.bench.grown import Size, fill, number_of
from tests.bench.plans import Watched, watching, work_of
from tests.listening import listening
from tests.queue_world import want
from tests.sweep_world import World, open_world


@dataclass
class Counted:
    """What was sent to the database."""

    statements: list[str] = field(default_factory=list)
    #: Transactions that write.
    writing: int = 0


@contextmanager
def counting() -> Iterator[Counted]:
    counted = Counted()

    def note(_: Any, statement: str | bytes, __: Any) -> None:
        counted.statements.append(statement if isinstance(statement, str) else statement.decode())

    def note_commit(_: Any) -> None:
        counted.writing += 1

    with listening(before=note, commit=note_commit):
        yield counted


@pytest.fixture
def world(database: Database) -> Iterator[World]:
    """A subscription that Limio has, in step with Zuora."""
    with open_world(database) as world:
        world.subscribe("A-S1")
        world.sync("A-S1")
        world.sync("A-S1")
        yield world


def claimed(world: World, number: str) -> Claim:
    """A worker's claim of what a callout asks for, just after Zuora answered: that is noted now and then."""
    world.execute("UPDATE zuora_limit SET answered_at = {now}")
    want(world.database, number)
    claim = claim_one(world.database, Kind.SUBSCRIPTION, number, world.context.share)
    assert claim is not None
    return claim


def sync(world: World, number: str) -> Counted:
    claim = claimed(world, number)
    with counting() as counted:
        run_claim(world.context, claim, SharedPreviews())
    return counted


def last_outcome(world: World) -> str:
    return str(world.rows("SELECT outcome FROM sync_run ORDER BY id DESC LIMIT 1")[0][0])


def test_a_changed_sync_takes_seven_statements_and_one_transaction(world: World) -> None:
    world.do("auto_renew", key="A-S1", value=False)

    counted = sync(world, "A-S1")

    assert last_outcome(world) == "changed"
    assert len(counted.statements) <= 7, "\n".join(counted.statements)
    assert counted.writing == 1


def test_an_unchanged_sync_reads_once_and_writes_only_that_it_is_done(world: World) -> None:
    counted = sync(world, "A-S1")

    assert last_outcome(world) == "imported"
    assert world.waiting() == set()
    assert len(counted.statements) <= 2, "\n".join(counted.statements)
    assert counted.writing <= 1  # on PostgreSQL the statement is a transaction by itself
    writes = [each for each in counted.statements if "UPDATE" in each or "INSERT" in each]
    assert len(writes) == 1


def test_an_import_reads_the_store_twice_before_it_writes_it(world: World) -> None:
    world.subscribe("A-S2")

    counted = sync(world, "A-S2")

    assert last_outcome(world) == "imported"
    assert counted.writing == 1
    assert len(counted.statements) <= 17, "\n".join(counted.statements)


#: Rows of PostgreSQL, and thousands of steps of SQLite's machine.
MOST = {"postgresql": 200, "sqlite": 5}


def unbounded(database: Database, watched: Watched) -> list[tuple[str, str]]:
    """What reads too much, with its plan: as it is, and while PostgreSQL has no statistics of the tables yet."""
    found = [(asked.text, work_of(database, asked, prefer_indexes=True)) for asked in watched.asked]
    if database.dialect == "postgresql":
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("DELETE FROM pg_statistic"))
            ours = "relnamespace = 'public'::regnamespace"
            connection.execute(text(f"UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE {ours}"))
        found += [(asked.text, work_of(database, asked, prefer_indexes=True)) for asked in watched.asked]
    return [(said, work.plan) for said, work in found if not work.is_bounded(MOST[database.dialect], 500)]


@pytest.mark.timeout(300)
def test_no_statement_of_a_sync_reads_more_of_a_grown_store_than_belongs_to_it(database: Database) -> None:
    fill(database, Size(subscriptions=3_000, runs=9_000, waiting=0, failed=0, held=15, often=10))
    with open_world(database) as world:
        world.subscribe("N-S1", "N-S2")
        outcomes = []
        with watching() as watched:
            for number in ("N-S1", "N-S2", "N-S1"):
                sync(world, number)
                outcomes.append(last_outcome(world))
            world.do("auto_renew", key="N-S1", value=False)
            sync(world, "N-S1")
            outcomes.append(last_outcome(world))

    assert outcomes == ["imported", "imported", "imported", "changed"]
    assert unbounded(database, watched) == []
    assert any("limio_subscription" in asked.text for asked in watched.asked)
    assert any("AS holder" in asked.text for asked in watched.asked)


@pytest.mark.timeout(300)
def test_no_statement_of_a_callout_or_a_claim_reads_more_of_a_grown_store_than_belongs_to_it(
    database: Database,
) -> None:
    fill(database, Size(subscriptions=3_000, runs=9_000, waiting=2_000, failed=10, held=15, often=10))
    intake, share = Intake(database), Share(max_concurrency=8)
    with watching(writes=True) as watched:
        for key in ("N-unknown", number_of(5)):  # what is asked twice is looked at as it was asked first
            incoming = IncomingCallout(
                kind=Kind.SUBSCRIPTION, callout=Callout(key=key), trigger=Trigger.CALLOUT, actor=None
            )
            intake.take_callout(incoming)
        claims = claim(database, 4, share, calls_made=3)

    assert len(claims) == 4
    assert unbounded(database, watched) == []
    assert any("UPDATE sync_request" in asked.text for asked in watched.asked)
