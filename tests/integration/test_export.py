"""What a customer is told who asks for everything that is kept of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from sync_service.cli.main import main
from sync_service.errors import UnknownKey
from sync_service.operations.export import export_customer
from sync_service.operations.scrub import scrub
from sync_service.store.engine import Database
from sync_service.store.tables import CalloutRow
from tests.integration.test_scrub import TELLING, world
from tests.sweep_world import World

pytestmark = pytest.mark.either_database

__all__ = ["world"]


def test_everything_of_the_customer_is_in_it_and_nothing_of_another(world: World) -> None:
    with world.database.transaction() as session:
        session.add(CalloutRow(received_at=1, key="A-S1", verdict="accepted"))
        session.add(CalloutRow(received_at=2, key="A-S3", verdict="accepted"))

    found = export_customer(world.database, "A-S2")

    assert [link["number"] for link in found["zuora"]] == ["A-S1", "A-S2"]
    kinds = {each["record_type"] for each in found["objects"]}
    assert kinds >= {"subscription", "customer", "identity", "address", "schedule", "event"}
    assert {run["key"] for run in found["history"]} == {"A-S1", "A-S2"}
    assert [callout["key"] for callout in found["callouts"]] == ["A-S1"]
    assert len(found["webhooks"]) == 1
    assert [basket["id"] for basket in found["baskets"]] == ["basket-ada"]
    told = json.dumps(found).lower()
    assert [word for word in TELLING if word not in told] == []
    assert "hopper" not in told
    assert "navy way" not in told


def test_any_name_of_the_customers_leads_to_the_same(world: World) -> None:
    ((customer, owner),) = world.rows("SELECT customer, owner FROM limio_subscription WHERE reference = 'A-S1'")

    objects = [export_customer(world.database, key)["objects"] for key in (customer, owner, "A-S1", "A-S2")]

    assert objects[1:] == objects[:-1]


def test_after_an_erasure_it_tells_of_the_erasure_and_of_no_person(world: World) -> None:
    scrub(world.database, "A-S1", actor="olga")

    found = export_customer(world.database, "A-S1")

    assert len(found["erased"]) == 2
    assert [word for word in TELLING if word in json.dumps(found).lower()] == []
    assert found["history"][-1]["outcome"] == "scrubbed"


def test_an_unknown_name_is_refused(sqlite_database: Database) -> None:
    with pytest.raises(UnknownKey):
        export_customer(sqlite_database, "A-UNKNOWN")


def test_the_command_writes_a_new_file_for_its_user_alone(sqlite_url: str, tmp_path: Path) -> None:
    environ, file = {"DATABASE_URL": sqlite_url}, tmp_path / "ada.json"
    runner = CliRunner()
    line = {"id": f"cus-{'a' * 32}", "record_type": "customer", "data": {"name": "Ada Byron"}}
    assert runner.invoke(main, ["load", "-"], input=json.dumps(line), env=environ).exit_code == 0

    done = runner.invoke(main, ["export", line["id"], str(file)], env=environ)

    assert done.exit_code == 0, done.output
    assert json.loads(file.read_text())["objects"][0]["data"]["name"] == "Ada Byron"
    assert file.stat().st_mode & 0o077 == 0
    assert "there already" in runner.invoke(main, ["export", line["id"], str(file)], env=environ).output


def test_a_file_that_cannot_be_made_is_named_in_one_line(sqlite_url: str, tmp_path: Path) -> None:
    file = tmp_path / "no such folder" / "store.db"

    done = CliRunner().invoke(main, ["db", "backup", str(file)], env={"DATABASE_URL": sqlite_url})

    assert done.exit_code == 1
    assert done.output.splitlines() == [f"{file}.part: No such file or directory."]
