"""Transactions mean the same on both databases."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError
from sqlmodel import select

from sync_service.store import engine
from sync_service.store.engine import Database, connect
from sync_service.store.statement import within
from sync_service.store.tables import ThrottleRow


def names(database: Database) -> list[str]:
    with database.reading() as session:
        return list(session.run("SELECT name FROM throttle ORDER BY name").scalars())


def test_a_transaction_commits_at_its_end(database: Database) -> None:
    with database.transaction() as session:
        session.add(ThrottleRow(name="a", window_began=0))

    assert names(database) == ["a"]


def test_an_exception_rolls_everything_back(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction() as session:
        session.add(ThrottleRow(name="a", window_began=0))
        session.flush()
        raise ZeroDivisionError

    assert names(database) == []


@pytest.mark.parametrize("wanted", [[], ["a"], ["c", "b", "d"]])
def test_a_list_of_any_length_is_one_value_of_one_statement(database: Database, wanted: list[str]) -> None:
    texts = select(ThrottleRow.name).where(within(ThrottleRow.name, "names"))
    numbers = select(ThrottleRow.name).where(within(ThrottleRow.failures, "numbers"))
    with database.transaction() as session:
        session.add_all(ThrottleRow(name=name, window_began=0, failures=ord(name)) for name in "abc")
    with database.reading() as session:
        found = {*wanted} - {"d"}
        assert {*session.run(texts, {"names": wanted}).scalars()} == found
        assert {*session.exec(texts, params={"names": wanted})} == found
        assert {*session.run(numbers, {"numbers": [ord(name) for name in wanted]}).scalars()} == found


def test_no_more_than_some_statements_are_kept(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_MAX_KEPT", 3)
    kept = sqlite_database.make("SELECT 1", {})
    with sqlite_database.reading() as session:
        assert [session.run(f"SELECT {number}").scalar_one() for number in range(5)] == [0, 1, 2, 3, 4]

    assert sqlite_database.make("SELECT 1", {}) is not kept


def test_the_clock_is_the_databases_and_in_milliseconds(database: Database) -> None:
    with database.reading() as session:
        first, second = session.now(), session.now()

    assert 1_700_000_000_000 < first <= second


def test_an_open_request_must_be_due(database: Database) -> None:
    with pytest.raises(IntegrityError), database.transaction() as session:
        session.run(
            "INSERT INTO sync_request (kind, key, requested_seq, priority, requested_at)"
            " VALUES ('subscription', 'A-1', 1, 1, 0)"
        )


def test_a_bounded_wait_for_another_process_ends_with_an_error(database: Database) -> None:
    other = connect(database.engine.url.render_as_string(hide_password=False).replace("+psycopg", ""))
    with database.transaction() as session:
        session.add(ThrottleRow(name="a", window_began=0))
    update = text("UPDATE throttle SET failures = 1")

    with other.transaction() as holder:
        holder.connection().execute(update)
        with pytest.raises(OperationalError), database.transaction(lock_timeout_ms=50) as session:
            session.connection().execute(update)
    other.engine.dispose()


def test_a_bounded_wait_for_another_process_that_writes_is_as_long_as_asked(sqlite_database: Database) -> None:
    other = connect(str(sqlite_database.engine.url))
    began = time.monotonic()
    with other.transaction(), pytest.raises(OperationalError), sqlite_database.transaction(lock_timeout_ms=50):
        pass
    took = time.monotonic() - began

    assert 0.05 <= took < 15  # left to itself, SQLite waits for 20 seconds
    other.engine.dispose()


def test_a_connection_whose_server_hung_up_is_replaced_before_it_is_used(postgres_url: str) -> None:
    database, other = connect(postgres_url), connect(postgres_url)
    with database.reading() as session:
        first = session.connection().exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    with other.reading() as session:
        session.connection().exec_driver_sql("SELECT pg_terminate_backend(%s, 5000)", (first,))

    with database.reading() as session:
        second = session.connection().exec_driver_sql("SELECT pg_backend_pid()").scalar_one()

    assert second != first
    database.engine.dispose()
    other.engine.dispose()


@pytest.mark.parametrize("alone", [True, False])
def test_a_connection_that_died_in_use_fails_one_transaction_and_no_more(postgres_url: str, alone: bool) -> None:
    database = connect(postgres_url)
    suicide = "SELECT pg_terminate_backend(pg_backend_pid(), 5000)"
    with pytest.raises(OperationalError):
        if alone:
            database.run_alone(suicide, {})
        else:
            with database.transaction() as session:
                session.connection().exec_driver_sql(suicide)

    assert database.run_alone("SELECT 1", {}).one() == (1,)
    with database.reading() as session:
        assert session.connection().exec_driver_sql("SELECT 2").scalar_one() == 2
    database.engine.dispose()


def test_a_statement_that_runs_alone_is_committed_with_what_it_says(postgres_url: str) -> None:
    database = connect(postgres_url)
    with database.transaction() as session:
        session.connection().exec_driver_sql("CREATE TABLE note (name TEXT NOT NULL, at BIGINT)")

    row = database.run_alone(
        "INSERT INTO note (name, at) VALUES (:name, {now}) RETURNING name, at", {"name": "50%"}
    ).one()

    with database.reading() as session:
        kept = session.connection().exec_driver_sql("SELECT name, at FROM note").one()
    assert tuple(kept) == row
    assert row[0] == "50%"
    with pytest.raises(IntegrityError):
        database.run_alone("INSERT INTO note (name) VALUES ('twice'), (CAST(NULL AS TEXT))", {})
    with pytest.raises(ZeroDivisionError), database.transaction() as session:  # its connection is an ordinary one again
        session.connection().exec_driver_sql("INSERT INTO note (name) VALUES ('rolled back')")
        raise ZeroDivisionError
    with database.reading() as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM note").scalar_one() == 1
    database.engine.dispose()


def test_a_look_by_the_orm_leaves_what_its_connection_has_prepared(postgres_url: str) -> None:
    database = connect(postgres_url)
    for _ in range(10):
        with database.reading() as session:
            session.run("SELECT 7").one()
            session.exec(select(ThrottleRow.name)).all()

    with database.reading() as session:
        assert "SELECT 7" in session.run("SELECT statement FROM pg_prepared_statements").scalars()
    database.engine.dispose()


def test_a_new_embedded_database_that_another_process_is_just_making_is_waited_for(tmp_path: Path) -> None:
    maker = sqlite3.connect(tmp_path / "store.db", isolation_level=None, check_same_thread=False)
    maker.execute("BEGIN IMMEDIATE")
    database = connect(f"sqlite:///{tmp_path}/store.db")
    Timer(0.3, maker.close).start()

    with database.transaction() as session:
        session.run("CREATE TABLE t (n INTEGER)")

    with database.reading() as session:
        assert session.run("PRAGMA journal_mode").scalar_one() == "wal"
    database.engine.dispose()


@pytest.mark.parametrize("asks", ["by the ORM", "by a session"])
def test_a_connection_that_is_gone_is_an_error_of_sqlalchemy_however_the_database_is_asked(
    postgres: Database, asks: str
) -> None:
    with postgres.reading() as lost:
        backend = lost.run("SELECT pg_backend_pid()").scalar_one()
        with postgres.reading() as other:
            other.run("SELECT pg_terminate_backend(:backend)", {"backend": backend})

        with pytest.raises(OperationalError):
            lost.exec(select(ThrottleRow)).all() if asks == "by the ORM" else lost.run("SELECT name FROM throttle")

    assert names(postgres) == []


def test_a_connection_serves_the_next_session_too_and_is_closed_with_the_engine(database: Database) -> None:
    with database.reading() as session:
        first = session.driver
    with database.transaction() as session:
        second = session.driver
        in_use = database.connections.in_use
    database.engine.dispose()
    with database.reading() as session:
        third = session.driver

    assert second is first
    assert third is not first
    assert (in_use, database.connections.in_use) == (1, 0)


def test_a_connection_in_the_middle_of_something_is_not_given_to_the_next(database: Database) -> None:
    pooled = database.connections.take()
    driver: Any = pooled.driver_connection
    driver.execute("BEGIN")
    database.connections.give_back(pooled)

    with database.reading() as session:
        assert session.driver is not driver
        assert session.run("SELECT 1").scalar_one() == 1


def test_a_process_opens_no_more_connections_than_it_may(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync_service.store.pool._PATIENCE_SECONDS", 0.01)
    database = connect(sqlite_url, pool_size=1)
    taken = [database.connections.take() for _ in range(database.connections.most)]

    with pytest.raises(SQLAlchemyError, match="all 2 connections"):
        database.connections.take()
    database.connections.give_back(taken[0])
    assert database.connections.take() is taken[0]
