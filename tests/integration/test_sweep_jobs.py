"""Sweeps as jobs: by the scheduler, by hand, killed, paused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sync_service.cli.main import main
from sync_service.cli.sweeping import callout_reader
from sync_service.jobs.scheduler import Scheduler, zuora_jobs
from sync_service.operations.check.everything import check_story
from sync_service.queue.jobs import pause
from sync_service.store.engine import Database
from tests.sweep_world import World, open_world
from zuora_emulator.bulk import Bulk
from zuora_emulator.zuora_api import CLIENT_ID, CLIENT_SECRET

#: Thirty pages: more than one stretch.
MANY = Bulk(count=2_970)
SOME = Bulk(count=500)


@pytest.fixture
def world(sqlite_database: Database) -> Iterator[World]:
    with open_world(sqlite_database) as world:
        world.subscribe("A-S1", "A-S2")
        world.sync("A-S1", "A-S2")
        yield world


def scheduler(world: World) -> tuple[Scheduler, dict[str, Any]]:
    """A scheduler of the jobs that call Zuora, and these by name."""
    jobs = zuora_jobs(world.context, callout_reader(world.context.settings), check_story)
    return Scheduler(world.database, world.context.settings, jobs), {job.name: job for job in jobs}


def environ(world: World, tmp_path: Path) -> dict[str, str]:
    """What the command line needs to work on this world."""
    return {
        "DATABASE_URL": f"sqlite:///{tmp_path / 'store.db'}",
        "ZUORA_BASE_URL": world.zuora.url,
        "ZUORA_CLIENT_ID": CLIENT_ID,
        "ZUORA_CLIENT_SECRET": CLIENT_SECRET,
        "TENANT_TIME_ZONE": "Europe/London",
    }


def test_the_scheduler_sweeps_and_keeps_the_report(world: World) -> None:
    world.do("auto_renew", key="A-S1", value="off")
    clock, jobs = scheduler(world)

    assert clock.tick(jobs["sweep delta"])

    assert world.waiting() == {"A-S1"}
    (progress, due_in) = world.rows("SELECT progress, due_at - last_ended FROM job WHERE name = 'sweep delta'")[0]
    assert json.loads(progress)["drift"] == 1
    assert due_in == 15 * 60_000


def test_a_new_installation_loads_its_objects_before_the_first_full_sweep(world: World) -> None:
    clock, jobs = scheduler(world)

    assert not clock.tick(jobs["sweep full"])


def test_a_long_sweep_comes_in_stretches_between_which_anybody_may_go_on(sqlite_database: Database) -> None:
    with open_world(sqlite_database, bulk=MANY) as world:
        clock, jobs = scheduler(world)
        clock.tick(jobs["sweep full"])
        world.execute("UPDATE job SET due_at = 0")
        world.calls()

        clock.tick(jobs["sweep full"])
        first = world.calls()
        world.execute("UPDATE job SET due_at = 0")
        scheduler(world)[0].tick(jobs["sweep full"])

        assert (first, world.calls()) == (20, 10)
        assert world.rows("SELECT lease_until, cursor FROM job WHERE name = 'sweep full'") == [(None, "{}")]
        assert world.rows("SELECT count(*) FROM zuora_lease") == [(0,)]


def test_trouble_of_zuoras_is_written_beside_the_job_and_it_goes_on_later(world: World) -> None:
    world.do("fault", kind="html", path="object-query")
    clock, jobs = scheduler(world)

    clock.tick(jobs["sweep delta"])

    error, lease_until = world.rows("SELECT last_error, lease_until FROM job WHERE name = 'sweep delta'")[0]
    assert "502" in error
    assert lease_until is None


def test_one_sweep_by_hand_tells_what_it_found(world: World, tmp_path: Path) -> None:
    world.do("auto_renew", key="A-S1", value="off")
    told = CliRunner().invoke(main, ["sweep", "delta", "--json"], env=environ(world, tmp_path))
    shown = CliRunner().invoke(main, ["sweep", "full"], env=environ(world, tmp_path))

    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["drift_numbers"] == ["A-S1"]
    assert "looked at 2 subscriptions" in shown.stdout
    assert "waiting already 1" in shown.stdout


def test_a_paused_sweep_is_not_run_by_hand(world: World, tmp_path: Path) -> None:
    world.sweep()
    scheduler(world)[0].tick(scheduler(world)[1]["sweep delta"])
    with world.database.transaction() as session:
        pause(session, "sweep delta")

    told = CliRunner().invoke(main, ["sweep", "delta"], env=environ(world, tmp_path))

    assert told.exit_code == 1
    assert "paused" in told.stderr


def test_a_sweep_killed_by_the_system_is_gone_on_with_from_its_cursor(
    tmp_path: Path, sqlite_database: Database
) -> None:
    with open_world(sqlite_database, bulk=SOME) as world:
        numbers = {SOME.number(place) for place in range(SOME.count)}
        world.load(*numbers)
        world.do("fault", kind="latency", path="object-query", seconds=0.3)
        command = [sys.executable, "-m", "sync_service.cli.main", "sweep", "full"]
        process = subprocess.Popen(command, env={**os.environ, **environ(world, tmp_path)}, stderr=subprocess.PIPE)
        while process.poll() is None and len(world.rows("SELECT 1 FROM sync_request")) < 198:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        _, said = process.communicate()
        assert process.returncode == -signal.SIGKILL, said
        world.do("clear_faults")
        world.execute("UPDATE job SET lease_until = {now} - 1, due_at = 0")
        world.execute("UPDATE zuora_lease SET lease_until = {now} - 1")
        world.calls()

        clock, jobs = scheduler(world)
        assert clock.tick(jobs["sweep full"])

        assert world.calls() < 6  # not the whole list again
        assert world.waiting() == numbers
        assert world.rows("SELECT count(*) FROM sync_cause") == [(500,)]
        assert world.rows("SELECT count(*) FROM zuora_lease") == [(0,)]
