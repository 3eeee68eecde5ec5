"""Answers that overtake each other leave nothing stale."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.acceptance.first import postgresql_first
from tests.acceptance.overlapping import run_overlap
from tests.acceptance.service import Service


@postgresql_first
@pytest.mark.timeout(300)
@pytest.mark.parametrize("rounds", [2, pytest.param(4, marks=pytest.mark.long)])
def test_answers_that_overtake_each_other_leave_no_subscription_and_no_customer_stale(
    open_service: Callable[..., Service], rounds: int
) -> None:
    service = open_service(subscriptions=40, accounts=10, zuora_max_concurrency=20)
    service.start_all(workers=3)

    report = run_overlap(service, seed=2, rounds=rounds)

    assert report.stale == []
    assert report.backwards == []
    assert report.lost == set()
    assert report.given_up == []
    assert report.overtaken > 0, "no run was overtaken: this proves nothing"
