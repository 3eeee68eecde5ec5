"""A partner's front end, for tests of the checkout: it has the cookie, and checks answers by the specification."""

from __future__ import annotations

from typing import Any

from werkzeug.test import TestResponse

from tests.integration.web.conftest import Web
from tests.partner_openapi.validating import check_answer, documented_statuses

LANDING = "/api/partner/checkout/subscription"
MMA = "/api/partner/mma/checkout"
CAPTCHA = {"X-Limio-Recaptcha": "a token"}


class Shop:
    """A partner's front end: it remembers the cookie, and holds every answer against Limio's specification."""

    def __init__(self, web: Web, headers: dict[str, str], place: str = LANDING) -> None:
        self.web, self.headers, self.place = web, headers, place
        self.cookie: str | None = None
        self.client = web.client.application.test_client(use_cookies=False)

    def ask(self, method: str, body: Any = None, *, captcha: bool = True, **headers: str) -> TestResponse:
        sent = {**self.headers, **(CAPTCHA if captcha else {}), **headers}
        if self.cookie:
            sent["Cookie"] = f"limio_state={self.cookie}"
        answer = self.client.open(self.place, method=method, json=body, headers=sent)
        path = self.place.removeprefix("/api")
        if answer.status_code in documented_statuses(method, path):
            check_answer(method, path, answer.status_code, answer.json)
        return answer

    def open(self, id: str = "sub-1", **order: Any) -> TestResponse:
        answer = self.ask("POST", opening(id, **order))
        if answer.status_code == 200:
            self.cookie = answer.json["order"]["checkoutId"]
        return answer

    def put(self, *items: dict[str, Any], id: str = "sub-1", **order: Any) -> TestResponse:
        return self.ask("PUT", opening(id, orderItems=list(items), **order))

    def order(self, *items: dict[str, Any], **named: Any) -> Any:
        answer = self.put(*items, **named)
        assert answer.status_code == 200, answer.text
        return answer.json


def opening(id: str, **order: Any) -> dict[str, Any]:
    return {"order": {"forSubscription": {"id": id}, "order_type": "update_subscription", **order}}


def add(name: str, quantity: Any = None, **more: Any) -> dict[str, Any]:
    kind = "addon" if name in ("AU", "PR") else "offer"
    counted = {} if quantity is None else {"quantity": quantity}
    return {"orderItemActionType": "add", "type": kind, "offerId": name.lower(), **counted, **more}


def remove(name: str, quantity: Any = None) -> dict[str, Any]:
    return {**add(name, quantity), "orderItemActionType": "remove"}


def shown(answer: Any) -> list[tuple[str, str, int, Any, str]]:
    """Action, offer, quantity, price and day of each item."""
    return [
        (
            each["orderItemActionType"],
            each["offerId"],
            each["quantity"],
            each["price"]["amount"],
            each["effective_date"][:10],
        )
        for each in answer["order"]["orderItems"]
    ]


def ids(offers: list[dict[str, Any]]) -> list[str]:
    return [each["id"] for each in offers]
