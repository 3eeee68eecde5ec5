"""Moving the embedded store to PostgreSQL: every row, compared by count and hash, or nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import create_engine
from sqlmodel import SQLModel

from sync_service.cli.main import main
from sync_service.operations.copies import MoveRefused, move_store
from sync_service.queue.limit import check_tenant
from sync_service.store.engine import Database, connect
from sync_service.store.reads import resolve_key
from sync_service.store.tables import ThrottleRow
from tests.sweep_world import open_world


@pytest.fixture
def file(tmp_path: Path, sqlite_url: str) -> Path:
    """A store in which syncs ran: objects, runs, causes, accounts, a trouble, JSON's null beside nothing."""
    database = connect(sqlite_url)
    with open_world(database) as world:
        world.do("create_account", number="A-ADA", first_name="Ada", last_name="Ørsted", city="London")
        world.subscribe("A-S1", "A-S2", account="A-ADA")
        world.sync("A-S1", "A-S2")
        world.do("auto_renew", key="A-S1", value="off")
        world.sync("A-S1", "A-MISSING")
        with database.transaction() as session:
            check_tenant(session, "tenant.19")
            session.run("UPDATE sync_run SET plan = NULL WHERE id = (SELECT min(id) FROM sync_run)")
            session.run("UPDATE sync_run SET plan = 'null' WHERE id = (SELECT max(id) FROM sync_run)")
    database.engine.dispose()
    return tmp_path / "store.db"


def test_every_table_is_there_with_the_same_rows(file: Path, postgres: Database) -> None:
    moved = {each.table: each.rows for each in move_store(file, postgres)}

    assert moved.keys() == SQLModel.metadata.tables.keys()
    assert moved["limio_subscription"] == 2
    assert min(moved[name] for name in ("sync_run", "sync_cause", "zuora_link", "limio_schedule", "search_entry")) > 0
    old = create_engine(f"sqlite:///{file}")
    with old.connect() as before, postgres.reading() as after:
        for name in moved:
            count = f"SELECT count(*) FROM {name}"
            assert before.exec_driver_sql(count).scalar() == after.run(count).scalar_one() == moved[name], name
        nothing = "SELECT plan IS NULL FROM sync_run ORDER BY id"
        assert after.run(nothing).scalars() == [bool(row[0]) for row in before.exec_driver_sql(nothing)]
    old.dispose()


def test_the_service_goes_on_where_it_stopped(file: Path, postgres: Database) -> None:
    move_store(file, postgres)

    with postgres.reading() as session:
        assert resolve_key(session, "A-S1") == "A-S1"
        highest = session.run("SELECT max(id) FROM sync_cause").scalar_one()
    with open_world(postgres) as world:
        world.subscribe("A-S9")
        world.sync("A-S9")
        assert world.rows("SELECT min(id) FROM sync_cause WHERE key = 'A-S9'") == [(highest + 1,)]


def test_what_is_open_elsewhere_is_not_moved(file: Path, postgres: Database) -> None:
    web = connect(f"sqlite:///{file}")
    with web.reading() as session:
        session.now()

    with pytest.raises(MoveRefused, match="is in use: stop web, worker and scheduler first"):
        move_store(file, postgres)

    web.engine.dispose()


def test_a_store_moves_into_an_empty_database_only(file: Path, postgres: Database) -> None:
    with postgres.transaction() as session:
        session.add(ThrottleRow(name="a", window_began=0))

    with pytest.raises(MoveRefused, match=r"holds rows already \(throttle\)"):
        move_store(file, postgres)


def test_a_row_that_arrives_otherwise_than_it_left_moves_nothing(file: Path, postgres: Database) -> None:
    with postgres.transaction() as session:
        session.run(
            "CREATE FUNCTION blot() RETURNS trigger AS 'BEGIN NEW.name := ''?''; RETURN NEW; END' LANGUAGE plpgsql"
        )
        session.run("CREATE TRIGGER blot BEFORE INSERT ON limio_customer FOR EACH ROW EXECUTE FUNCTION blot()")

    with pytest.raises(MoveRefused, match=r"limio_customer: 1 rows with hash .* Nothing was moved"):
        move_store(file, postgres)

    with postgres.transaction() as session:
        assert session.run("SELECT count(*) FROM sync_cause").scalar_one() == 0
        session.run("DROP FUNCTION blot() CASCADE")  # the next test gets this database


def test_the_command_names_the_tables_and_the_key_that_goes_on(file: Path, postgres_url: str) -> None:
    file.with_name("store.db.secret-key").write_text("k" * 40)
    runner = CliRunner()

    done = runner.invoke(main, ["db", "move", str(file)], env={"DATABASE_URL": postgres_url})

    assert done.exit_code == 0, done.output
    assert "limio_subscription" in done.output
    assert f"SECRET_KEY_FILE={file}.secret-key" in done.output

    again = runner.invoke(main, ["db", "move", str(file), "--json"], env={"DATABASE_URL": postgres_url})
    assert again.exit_code == 1
    assert json.loads(again.output)["error"]["code"] == "move refused"


def test_an_embedded_store_does_not_move_into_another_one(file: Path, tmp_path: Path) -> None:
    other = connect(f"sqlite:///{tmp_path / 'other.db'}")

    with pytest.raises(MoveRefused, match="DATABASE_URL must name the PostgreSQL database"):
        move_store(file, other)

    other.engine.dispose()
