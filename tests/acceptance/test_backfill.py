"""`sync-service backfill` as people run it: killed, interrupted and begun again in real processes."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from functools import partial

from tests.acceptance.processes import Child, wait_until
from tests.acceptance.service import Service
from tests.queue_world import execute

COUNT = 60


def backfill(service: Service, *words: str) -> Child:
    command = [sys.executable, "-m", "sync_service.cli.main", "backfill", *words]
    return Child("backfill", command, service.environ, service.folder)


def has_synced(service: Service, count: int) -> bool:
    return int(service.rows("SELECT count(*) FROM zuora_link")[0][0]) >= count


def test_killed_three_times_it_ends_complete_and_nothing_is_there_twice(
    open_service: Callable[..., Service],
) -> None:
    service = open_service(subscriptions=COUNT, accounts=20)
    service.start("worker")
    for part in (1, 2, 3):
        child = backfill(service, "--yes")
        wait_until(partial(has_synced, service, part * 10), f"{part * 10} synced")
        child.kill()
        execute(service.database, "UPDATE job SET lease_until = {now} - 1 WHERE name = 'backfill'")  # time passes

    last = backfill(service, "--yes", "--json")

    assert last.wait() == 0
    told = json.loads("\n".join(last.lines[last.lines.index("{") :]))
    assert (told["asked"], told["done"], told["failed"], told["failures"]) == (COUNT, COUNT, 0, [])
    assert service.rows("SELECT count(*), count(DISTINCT reference) FROM limio_subscription") == [(COUNT, COUNT)]
    assert service.rows("SELECT count(*) FROM limio_customer") == [(20,)]
    assert service.rows("SELECT count(*), count(DISTINCT key) FROM sync_run WHERE outcome = 'imported'") == [
        (COUNT, COUNT)
    ]


def test_interrupted_it_says_that_the_same_command_goes_on(open_service: Callable[..., Service]) -> None:
    service = open_service(subscriptions=5, accounts=5)  # and no worker, so that it waits
    child = backfill(service, "--yes")
    wait_until(lambda: service.rows("SELECT count(*) FROM sync_request")[0][0] == 5, "all asked for")

    child.process.send_signal(signal.SIGINT)

    assert child.wait() == 130
    assert "The same command goes on." in child.tail()
    service.start("worker")
    again = backfill(service)  # it had its consent
    assert again.wait() == 0
    assert service.rows("SELECT max(requested_seq) FROM sync_request") == [(1,)]
