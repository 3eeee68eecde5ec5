"""kill -9, wherever it hits, loses nothing and leaves nothing stale."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from tests.acceptance.first import shared_out
from tests.acceptance.killing import POINTS, choose_points, run_kills
from tests.acceptance.service import Service


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
