"""Migrations lead to exactly the tables that the code works with, on both databases and from several hosts at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect
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
        codes = session.run("SELECT reason_code FROM callout ORDER BY key").scalars()
        found = session.run("SELECT found_as FROM sync_cause ORDER BY key").scalars()
        assert codes == ["echo", "impossible key", None]
        assert found == ["drift", "echo", "first_read", None, "import"]
        assert session.run("SELECT listed FROM sync_run").scalars() == [17]
    database.engine.dispose()


#: The schema of 0.2.0. Every release after it runs beside the next one.
_FIRST_BESIDE = "0019"


def test_what_a_release_reads_and_writes_the_next_migration_leaves_as_it_is(tmp_path: Path) -> None:
    """Hosts follow one after another: the old code works on the new schema until the last of them has changed."""
    database = connect(f"sqlite:///{tmp_path / 'store.db'}")
    steps = [each for each in _steps() if each >= _FIRST_BESIDE]
    described = []
    for step in steps:
        with database.transaction() as session:
            command.upgrade(alembic_config(session.connection()), step)
        with database.reading() as session:
            described.append(_describe(session.connection()))
    database.engine.dispose()

    for step, before, after in zip(steps[1:], described, described[1:], strict=False):
        for table, columns in before.items():
            assert table in after, f"{step} takes away {table}"
            for name, form in columns.items():
                assert after[table].get(name) == form, f"{step} changes {table}.{name}"
            for name in set(after[table]) - set(columns):
                assert after[table][name].may_be_left_out, f"{step}: {table}.{name} needs a server_default or NULL"


@dataclass(frozen=True)
class _Form:
    kind: str
    may_be_left_out: bool


def _describe(connection: Connection) -> dict[str, dict[str, _Form]]:
    found = inspect(connection)
    return {
        table: {
            each["name"]: _Form(str(each["type"]), each["nullable"] or each["default"] is not None)
            for each in found.get_columns(table)
        }
        for table in found.get_table_names()
    }


def _steps() -> list[str]:
    script = ScriptDirectory.from_config(alembic_config(None))
    return [each.revision for each in reversed(list(script.walk_revisions()))]
