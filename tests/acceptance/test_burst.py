"""A burst of callouts costs Zuora little, workers share it, and the death of one costs no more than its lease."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.acceptance.bursting import IN_HAND, RUNNING, TIMES, WORKERS, run_burst
from tests.acceptance.first import postgresql_first
from tests.acceptance.senders import TRANSFER_SECONDS
from tests.acceptance.service import Service

COUNT = 80


@postgresql_first
@pytest.mark.timeout(300)
def test_a_burst_is_taken_whole_read_once_and_shared_by_the_workers(open_service: Callable[..., Service]) -> None:
    service = open_service(subscriptions=COUNT, accounts=20, zuora_max_concurrency=24)
    service.start_all(workers=WORKERS)

    report = run_burst(service, seed=7)

    assert report.sent.statuses == {200: COUNT * TIMES + RUNNING}
    assert report.sent.slowest < TRANSFER_SECONDS
    assert (report.stale, report.lost, report.given_up) == ([], set(), [])
    assert 0 < len(report.orphans) <= IN_HAND
    assert min(report.shares) > 0
    for key, claims in report.claims.items():
        # At most two for the whole burst beyond the running one; one more where a worker died of it.
        assert claims <= 2 + (key in report.running) + (key in report.orphans), key
    assert report.fetches < COUNT * TIMES
