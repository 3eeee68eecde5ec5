"""Zuora's OAuth client, and the database's role, is replaced by a second one, as the hardening guide says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from sync_service.errors import TokenRefused
from sync_service.queue.claims import claim
from sync_service.queue.limit import Share
from sync_service.queue.requests import Cause, Kind, Priority, enqueue
from sync_service.store.engine import Database, connect
from sync_service.store.schema import upgrade
from sync_service.store.tables import CalloutRow
from sync_service.subscription.trigger import Trigger
from sync_service.zuora.client import ZuoraClient
from tests.acceptance.postgres import Postgres
from tests.databases import PostgresDatabases
from tests.integration.web.conftest import SYNC, ZUORA, build
from tests.sweep_world import World, open_world

_SECOND = ("5f1d0c64-7d0e-4c8e-9f0b-3a54c1a9e002", "the second client's secret")


def test_zuoras_client_is_replaced_by_a_second_one_without_a_failed_sync(sqlite_database: Database) -> None:
    with open_world(sqlite_database) as world:
        world.subscribe("A-1")
        world.sync("A-1")
        access = world.zuora.emulator.api.access
        access.others = dict([_SECOND])
        restarted = World(world.zuora, replace(world.context, zuora=ZuoraClient(world.zuora.url, *_SECOND)))

        world.sync("A-1")
        restarted.sync("A-1")
        assert _failures(world) == []

        access.client_id, access.tokens = "d" * 36, {}
        restarted.sync("A-1")
        assert _failures(world) == []

        # A worker that was forgotten with the first client: what it takes goes back and is no failure of the number.
        with sqlite_database.transaction() as session:
            enqueue(session, Kind.SUBSCRIPTION, "A-1", Cause(Trigger.CALLOUT), priority=Priority.EVENT)
        world.work()
        assert world.waiting() == {"A-1"}
        assert world.rows("SELECT trouble_code FROM zuora_limit") == [(TokenRefused.code,)]
        assert _failures(world) == []

        world.reopen()
        world.execute("UPDATE sync_request SET due_at = {now} WHERE due_at IS NOT NULL")
        restarted.work()
        assert world.waiting() == set()
        assert world.rows("SELECT key FROM sync_request WHERE failed_seq > 0") == []
        restarted.context.zuora.close()


def _failures(world: World) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in world.rows("SELECT key, error_code FROM sync_run WHERE error IS NOT NULL")]


def test_a_second_role_of_postgresql_takes_over_with_the_rights_of_the_first(
    postgres_databases: PostgresDatabases,
) -> None:
    name = postgres_databases.make()
    old, new = f"old_{name}", f"new_{name}"
    address = postgres_databases.address(name)
    with psycopg.connect(address, autocommit=True) as administrator:
        administrator.execute(f"CREATE ROLE {old} LOGIN")
        administrator.execute(f"ALTER DATABASE {name} OWNER TO {old}")
        first = connect(address.replace("//postgres", f"//{old}", 1))
        upgrade(first)

        administrator.execute(f"CREATE ROLE {new} LOGIN")
        administrator.execute(f"GRANT {old} TO {new}")
        second = connect(address.replace("//postgres", f"//{new}", 1))
        for place, database in enumerate((first, second)):
            with database.transaction() as session:
                enqueue(session, Kind.SUBSCRIPTION, f"A-{place}", Cause(Trigger.CALLOUT), priority=Priority.EVENT)
        first.engine.dispose()
        administrator.execute(f"ALTER ROLE {old} NOLOGIN")

        assert [each.key for each in claim(second, 4, Share(8))] == ["A-0", "A-1"]
        with second.transaction() as session:  # as a migration does
            session.run("ALTER TABLE sync_request ADD COLUMN of_a_later_release INTEGER")
        with pytest.raises(OperationalError), first.transaction():
            pass
        second.engine.dispose()
    postgres_databases.drop(name)


@pytest.fixture
def guarded() -> Iterator[Postgres]:
    """A server that asks everyone but its administrator for a password."""
    server = Postgres()
    lines = ["local all postgres trust", "host all postgres 127.0.0.1/32 trust", "local all all scram-sha-256"]
    (server.folder / "pg_hba.conf").write_text("\n".join([*lines, "host all all 127.0.0.1/32 scram-sha-256", ""]))
    server.run("SELECT pg_reload_conf()")
    yield server
    server.remove()


def test_no_callout_is_lost_while_the_password_of_the_database_is_changed(guarded: Postgres) -> None:
    passwords = {"old": "the old one: with/odd+parts", "new": "the new one @ all"}

    def connect_as(role: str, password: str) -> Database:
        return connect(f"postgresql://{role}:{quote(password, safe='')}@/postgres?host={guarded.folder}")

    def make_role(role: str) -> None:
        guarded.run(f"CREATE ROLE {role} LOGIN PASSWORD '{passwords[role]}'")

    make_role("old")
    guarded.run("ALTER DATABASE postgres OWNER TO old")
    upgrade(before := connect_as("old", passwords["old"]))
    forgotten = build(before)

    make_role("new")
    guarded.run("GRANT old TO new")
    restarted = build(connect_as("new", passwords["new"]))
    assert [web.client.post(f"{SYNC}A-S1", headers=ZUORA).status_code for web in (forgotten, restarted)] == [200, 200]

    guarded.run("ALTER ROLE old NOLOGIN")
    guarded.cut_connections()
    assert forgotten.client.post(f"{SYNC}A-S2", headers=ZUORA).status_code == 503
    assert restarted.client.post(f"{SYNC}A-S2", headers=ZUORA).status_code == 200
    assert [row.key for row in restarted.rows(CalloutRow)] == ["A-S1", "A-S1", "A-S2"]
    for role, password in (("old", passwords["old"]), ("new", passwords["old"])):
        with pytest.raises(OperationalError), connect_as(role, password).transaction():
            pass
    before.engine.dispose()
    restarted.database.engine.dispose()
