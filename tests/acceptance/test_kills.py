"""kill -9, wherever it hits, loses nothing and leaves nothing stale."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from tests.acceptance.first import shared_out
from tests.acceptance.killing import POINTS, choose_points, run_kills
from tests.acceptance.service import Service
from tests.acceptance.sudden import kill_suddenly


@shared_out
@pytest.mark.timeout(400)
def test_whatever_was_acknowledged_is_reconciled_wherever_a_process_is_killed(
    open_service: Callable[..., Service], part: slice
) -> None:
    points = list(choose_points(Random(1), len(POINTS)))[part]
    service = open_service(subscriptions=40, accounts=10)
    service.start_all(workers=2, held=True)
    service.tenant.send_callouts_to(service.url)

    report = run_kills(service, 1, points)

    assert report.stale == []
    assert report.lost == set()
    assert report.given_up == []
    assert set(report.kills) == {point.name for point in points}
    assert report.kills.total() == len(points)
    assert report.acknowledged > 6 * len(points)


@pytest.mark.long  # its short brother is above
@pytest.mark.timeout(400)
def test_nothing_is_lost_or_written_twice_whenever_processes_are_killed(open_service: Callable[..., Service]) -> None:
    service = open_service(subscriptions=40, accounts=10, zuora_max_concurrency=40)

    report = kill_suddenly(service, 3, 200)

    assert report.stale == []
    assert report.lost == set()
    assert report.given_up == []
    assert report.twice == []
    assert report.kills.total() == 200
