"""Migrations lead to exactly the tables that the code works with, on both databases and from several hosts at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlmodel import SQLModel

from sync_service.errors import SchemaOutdated
from sync_service.store.engine import connect
from sync_service.store.schema import check_schema, upgrade


def test_migrations_make_the_tables_that_the_code_describes(empty_database_url: str) -> None:
    database = connect(empty_database_url)

    upgrade(database)

    with database.reading() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_server_default": True})
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
