"""kill -9, wherever it hits, loses nothing and leaves nothing stale."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.acceptance.first import postgresql_first
from tests.acceptance.killing import POINTS, run_kills
from tests.acceptance.service import Service


@postgresql_first
@pytest.mark.timeout(400)
def test_whatever_was_acknowledged_is_reconciled_wherever_somebody_is_killed(
    open_service: Callable[..., Service],
) -> None:
    service = open_service(subscriptions=40, accounts=10)
    service.start_all(workers=2, held=True)
    service.tenant.send_callouts_to(service.url)

    report = run_kills(service, seed=1, count=len(POINTS))

    assert report.stale == []
    assert report.lost == set()
    assert report.given_up == []
    assert set(report.kills) == {point.name for point in POINTS}
    assert report.kills.total() == len(POINTS)
    assert report.acknowledged > 100
