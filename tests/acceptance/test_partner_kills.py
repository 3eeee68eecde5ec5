"""kill -9 of the web process in the middle of a partner's submit: nothing lost, nothing twice, with real processes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import requests

from tests.acceptance.service import Service
from tests.integration.web.conftest import build
from tests.integration.web.partner_shop import MMA, Shop, add
from tests.partner_world import open_partner_world

ORDER = "/api/partner/order"
#: Where the process stops for good, and how many orders there are once it is dead.
POINTS = {
    "the order is written and the transaction open": ("after", "INSERT INTO order_work", 0),
    "the order is committed and nothing answered": ("committed", "INSERT INTO order_work", 1),
}


@pytest.mark.long  # its short brother stops a submit in its own process: test_partner_in_zuora.py
@pytest.mark.timeout(300)
def test_whenever_the_web_dies_a_submitted_basket_is_one_order(open_service: Callable[..., Service]) -> None:
    service = open_service()
    web = build(service.database, secret_key=service.environ["SECRET_KEY"], public_url="")
    world = open_partner_world(service.database, web.client)
    service.start("web", held=True)
    service.wait_until_ready()

    for subscription, (point, (where, pattern, kept)) in zip(("sub-1", "sub-2"), POINTS.items(), strict=True):
        shop = Shop(web, world.headers["N"], MMA)
        shop.open(subscription)
        shop.order(add("Team", 7), id=subscription)
        payload = {"order_type": "update_subscription", "checkoutId": shop.cookie}

        def submit(payload: dict[str, str | None] = payload) -> requests.Response:
            return requests.post(f"{service.url}{ORDER}", json=payload, headers=world.headers["N"], timeout=60)

        def count(basket: str | None = shop.cookie) -> int:
            return int(service.one("SELECT count(*) FROM order_work WHERE payload LIKE :named", named=f"%{basket}%"))

        service.hold(where, pattern)
        with ThreadPoolExecutor(1) as threads:
            lost = threads.submit(submit)
            child, _ = service.wait_until_held("web")
            child.kill()
            with suppress(requests.RequestException):
                pytest.fail(f"{point}: it was answered {lost.result().status_code}")
        assert count() == kept, point

        service.start("web", held=True)
        service.wait_until_ready()
        first, second = submit(), submit()
        assert (first.status_code, first.json()["status"]) == (200, "submitted"), first.text
        assert first.json() == second.json()
        assert count() == 1, point
