"""Orders of all types while workers die and Zuora fails in every way: at the end both sides tell the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.acceptance.first import sqlite_first
from tests.acceptance.order_storm import TROUBLES, run_storm
from tests.acceptance.service import Service
from tests.acceptance.shop import SETTINGS


@sqlite_first
@pytest.mark.timeout(400)
def test_after_a_storm_of_orders_zuora_and_limio_agree_and_every_order_says_what_became_of_it(
    open_service: Callable[..., Service],
) -> None:
    service = open_service(**SETTINGS)

    report = run_storm(service, 1, orders=40, subscriptions=10, kills=3, workers=2)

    assert report.wrong == []
    assert report.states["complete"] > 20
    assert (report.orders + report.refused + report.repeated, report.kills) == (40, 3)
    assert report.troubles.keys() == TROUBLES.keys()
