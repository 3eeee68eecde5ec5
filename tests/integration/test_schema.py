"""Migrations lead to exactly the tables that the code works with, on both databases and from several hosts at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlmodel import SQLModel

from sync_service.errors import SchemaOutdated
from sync_service.store.engine import connect
from sync_service.store.schema import alembic_config, check_schema, is_described, upgrade


def test_migrations_make_the_tables_that_the_code_describes(empty_database_url: str) -> None:
    database = connect(empty_database_url)

    upgrade(database)

    with database.reading() as session:
        context = MigrationContext.configure(
            session.connection(), opts={"compare_server_default": True, "include_name": is_described}
        )
        assert compare_metadata(context, SQLModel.metadata) == []
    check_schema(database)
    database.engine.dispose()


def test_several_hosts_may_upgrade_at_once(empty_database_url: str) -> None:
    databases = [connect(empty_database_url) for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        revisions = list(pool.map(upgrade, databases))

    assert len(set(revisions)) == 1
    check_schema(databases[0])
    for database in databases:
        database.engine.dispose()


def test_a_database_without_migrations_is_refused_with_the_remedy(empty_database_url: str) -> None:
    database = connect(empty_database_url)

    with pytest.raises(SchemaOutdated, match="sync-service db upgrade"):
        check_schema(database)
    database.engine.dispose()


def test_a_schema_of_a_newer_release_is_accepted(empty_database_url: str) -> None:
    database = connect(empty_database_url)
    upgrade(database)
    with database.transaction() as session:
        session.run("UPDATE alembic_version SET version_num = 'newer'")

    check_schema(database)
    database.engine.dispose()


def test_what_was_read_from_sentences_is_kept_in_columns_after_the_upgrade(empty_database_url: str) -> None:
    database = connect(empty_database_url)
    with database.transaction() as session:
        command.upgrade(alembic_config(session.connection()), "0005")
    callout = "INSERT INTO callout (received_at, key, verdict, reason) VALUES (1, :key, 'ignored', :reason)"
    cause = (
        "INSERT INTO sync_cause (kind, key, seq, trigger, actor, at)"
        " VALUES ('subscription', :key, 1, 'sweep', :actor, 1)"
    )
    run = (
        "INSERT INTO sync_run (kind, key, seq_from, seq_to, outcome, began_at, ended_at, calls, change_count, drastic,"
        " plan) VALUES ('account', 'A1', 0, 1, 'listed', 1, 1, 1, 0, FALSE, :plan)"
    )
    reasons = {"a": "echo: an order with source shop", "b": "impossible key: The key is empty.", "c": None}
    actors = {
        "a": "sweep full: another version",
        "b": "sweep delta: another version (echo)",
        "c": "sweep full: never read",
        "d": "sync of A-S9",
        "e": "sweep full: not in Limio",
    }
    with database.transaction() as session:
        session.run(callout, [{"key": key, "reason": reason} for key, reason in reasons.items()])
        session.run(cause, [{"key": key, "actor": actor} for key, actor in actors.items()])
        session.run(run, {"plan": '{"notes": ["17 subscriptions queued."]}'})

    upgrade(database)

    with database.reading() as session:
        codes = session.run("SELECT reason_code FROM callout ORDER BY key").scalars().all()
        found = session.run("SELECT found_as FROM sync_cause ORDER BY key").scalars().all()
        assert codes == ["echo", "impossible key", None]
        assert found == ["drift", "echo", "first_read", None, "import"]
        assert session.run("SELECT listed FROM sync_run").scalars().all() == [17]
    database.engine.dispose()
