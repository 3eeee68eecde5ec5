"""`catalog refresh` and `catalog check`, and the daily job, against the emulator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sync_service.cli.main import main
from sync_service.cli.sweeping import callout_reader
from sync_service.jobs.scheduler import Scheduler, zuora_jobs
from sync_service.operations.check.everything import check_story
from sync_service.store.engine import Database
from sync_service.store.load_lines import load_objects
from sync_service.store.offers import read_whole_catalog
from tests.sweep_world import World, open_world
from tests.unit.commerce.world import a_price, an_offer_document, months
from zuora_emulator.zuora_api import CLIENT_ID, CLIENT_SECRET

MONTHLY = an_offer_document("1", "M", price__limio=a_price("17.50"), term__limio=months(1))


@pytest.fixture
def world(sqlite_database: Database) -> Iterator[World]:
    """A Zuora that sells “Plan M” of one product; Limio's product leads to it."""
    with open_world(sqlite_database) as world:
        made = world.do("product", product="Digital", plan="Plan M", charge="Monthly", price="12")
        product = {"record_type": "product", "path": "/products/M", "syncedFrom": made["product"]}
        load(world, MONTHLY, product)
        yield world


def load(world: World, *documents: Any) -> None:
    assert load_objects(world.database, [json.dumps(each) for each in documents]).problems == []


def run(world: World, *words: str, status: int = 0) -> Result:
    url = world.database.engine.url.render_as_string(hide_password=False)
    environ = {
        "DATABASE_URL": url,
        "ZUORA_BASE_URL": world.zuora.url,
        "ZUORA_CLIENT_ID": CLIENT_ID,
        "ZUORA_CLIENT_SECRET": CLIENT_SECRET,
    }
    result = CliRunner(env=environ).invoke(main, list(words), catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result


def test_the_rate_plans_of_zuora_are_kept_with_their_charges_and_prices(world: World) -> None:
    result = run(world, "catalog", "refresh", "--json")

    with world.database.reading() as session:
        [plan] = next(iter(read_whole_catalog(session).rate_plans.values()))
    [charge] = plan.charges
    assert json.loads(result.stdout)["rate_plans"] >= 1
    assert (plan.name, plan.product_name) == ("Plan M", "Digital")
    assert (charge.name, charge.type, charge.model) == ("Monthly", "Recurring", "FlatFee")
    assert charge.prices["GBP"] == 12


def test_an_offer_that_can_be_ordered_is_no_fault(world: World) -> None:
    run(world, "catalog", "refresh")

    assert json.loads(run(world, "catalog", "check", "--json").stdout)["faulty"] == []


def test_an_offer_whose_plan_was_renamed_is_listed_with_product_and_plan(world: World) -> None:
    run(world, "catalog", "refresh")
    other = an_offer_document("2", "M", price__limio=a_price("9"))
    other["data"]["productBundles"][0]["rate_plan"] = "Plan renamed"
    load(world, other)

    checked = run(world, "catalog", "check", status=1)

    assert "Plan renamed" in checked.output
    assert "/products/M" in checked.output
    assert "set term__limio" in checked.output
    assert "1 could not be ordered" in checked.output


def test_two_plans_of_one_name_are_both_named(world: World) -> None:
    world.do("product", product="Digital", plan="Plan M", plan_id="f" * 32, charge="Other", price="9")
    run(world, "catalog", "refresh")

    checked = run(world, "catalog", "check", status=1)

    assert "several rate plans" in checked.output
    assert f"PRP-{'f' * 8}" in checked.output


def test_the_scheduler_reads_the_catalog_daily(world: World) -> None:
    jobs = {job.name: job for job in zuora_jobs(world.context, callout_reader(world.context.settings), check_story)}
    clock = Scheduler(world.database, world.context.settings, tuple(jobs.values()))

    assert clock.tick(jobs["catalog"])

    (progress, due_in) = world.rows("SELECT progress, due_at - last_ended FROM job WHERE name = 'catalog'")[0]
    assert json.loads(progress)["rate_plans"] >= 1
    assert due_in == 24 * 3_600_000
