"""kill -9 at the steps of orders, with real processes: everything once, and nothing half."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from tests.acceptance.first import shared_out
from tests.acceptance.order_kills import OF_CALLS, OF_ORDERS, OrderKills, choose_kills
from tests.acceptance.service import Service
from tests.acceptance.shop import SETTINGS


@shared_out
@pytest.mark.timeout(400)
def test_wherever_a_worker_is_killed_zuora_has_each_order_payment_and_refund_once(
    open_service: Callable[..., Service], part: slice
) -> None:
    chosen = list(choose_kills(Random(1), len(OF_ORDERS) + len(OF_CALLS)))[part]
    service = open_service(**SETTINGS)
    kills = OrderKills(service)
    service.start_all(workers=1, held=True)

    report = kills.run(chosen)

    assert report.wrong == []
    assert set(report.kills) == {kill.point.name for kill in chosen}
