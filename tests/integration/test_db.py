"""Transactions mean the same on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError

from sync_service.db import Database, connect
from sync_service.tables import ThrottleRow


def names(database: Database) -> list[str]:
    with database.reading() as session:
        return list(session.connection().execute(text("SELECT name FROM throttle ORDER BY name")).scalars())


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


def test_the_clock_is_the_databases_and_in_milliseconds(database: Database) -> None:
    with database.reading() as session:
        first, second = database.now(session), database.now(session)

    assert 1_700_000_000_000 < first <= second


def test_an_open_request_must_be_due(database: Database) -> None:
    with pytest.raises(IntegrityError), database.transaction() as session:
        session.connection().execute(
            text(
                "INSERT INTO sync_request (kind, key, requested_seq, priority, requested_at)"
                " VALUES ('subscription', 'A-1', 1, 1, 0)"
            )
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
