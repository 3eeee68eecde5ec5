"""`sync-service backfill` as people run it: killed, interrupted and begun again in real processes."""

from __future__ import annotations

import signal
from collections.abc import Callable

from tests.acceptance.backfilling import run_killed_backfill
from tests.acceptance.first import postgresql_first, sqlite_first
from tests.acceptance.processes import wait_until
from tests.acceptance.service import Service

COUNT = 60


@postgresql_first
def test_killed_three_times_it_ends_complete_and_nothing_is_there_twice(
    open_service: Callable[..., Service],
) -> None:
    service = open_service(subscriptions=COUNT, accounts=20)

    report = run_killed_backfill(service, kills=3)

    told = report.told
    assert (told["asked"], told["done"], told["failed"], told["failures"]) == (COUNT, COUNT, 0, [])
    assert report.stored == (COUNT, COUNT)
    assert report.customers == 20
    assert report.imported == (COUNT, COUNT)


@sqlite_first
def test_interrupted_it_says_that_the_same_command_goes_on(open_service: Callable[..., Service]) -> None:
    service = open_service(subscriptions=5, accounts=5)  # and no worker, so that it waits
    child = service.start("backfill", "--yes")
    wait_until(lambda: service.rows("SELECT count(*) FROM sync_request")[0][0] == 5, "all asked for")

    child.process.send_signal(signal.SIGINT)

    assert child.wait() == 130
    assert "The same command goes on." in child.tail()
    service.start("worker")
    again = service.start("backfill")  # it had its consent
    assert again.wait() == 0
    assert service.rows("SELECT max(requested_seq) FROM sync_request") == [(1,)]
