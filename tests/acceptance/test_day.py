"""A day with lost callouts ends, after one delta sweep, with a store that equals Zuora and a report that is exact."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.acceptance.day import run_day, run_outage
from tests.acceptance.first import sqlite_first
from tests.acceptance.processes import PATIENCE
from tests.acceptance.service import Service

COUNT = 100


@sqlite_first
@pytest.mark.timeout(500)
def test_after_a_day_of_lost_callouts_one_sweep_names_each_drift_and_repairs_it(
    open_service: Callable[..., Service],
) -> None:
    service = open_service(subscriptions=COUNT, accounts=25)
    service.start_all(workers=1)
    service.tenant.send_callouts_to(service.url)
    service.tell("backfill", "--yes", seconds=4 * PATIENCE)

    report = run_day(service, seed=1)

    assert report.stale == []
    assert report.given_up == []
    assert report.unexplained == set()
    assert report.named_drift == report.drift
    assert report.named_echoes - report.named_drift == report.echoes
    assert report.again.get("marked", 0) == 0
    # Otherwise nothing was proved.
    assert report.dropped > report.callouts / 5
    assert report.by_calendar > 0
    assert min(len(report.drift), len(report.echoes), len(report.unknown)) > 0


@pytest.mark.timeout(500)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # the kind of database makes no difference
def test_after_hours_in_which_no_callout_arrived_zuoras_history_repairs_the_store_alone(
    open_service: Callable[..., Service],
) -> None:
    service = open_service(subscriptions=60, accounts=20)
    service.start_all(workers=1)
    service.tell("backfill", "--yes", seconds=4 * PATIENCE)

    report = run_outage(service, seed=2)

    assert report.behind == set()
    assert report.stale == []
    assert report.named_drift == set()
    assert report.named_echoes == report.echoes
    # Otherwise nothing was proved.
    assert report.failed >= 20
    assert report.recovery["marked"] >= 10
    assert len(report.echoes) > 0
