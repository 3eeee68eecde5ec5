"""What all pages that order share: who acts, and what people are told where something is refused."""

from __future__ import annotations

import json
from collections.abc import Callable

from flask import Blueprint, Response, request

from sync_service.commerce.order import CannotBePlacedError
from sync_service.partner.basket_rows import Agent, BasketUnknown
from sync_service.partner.baskets import SubscriptionLocked
from sync_service.partner.holdings import SubscriptionUnknown
from sync_service.queue.questions import TooManyAsked
from sync_service.queue.submission import OrderRequest
from sync_service.store.cursors import CursorInvalid
from sync_service.web.partner.portal.session import person, scope

#: The same whether there was none or it is another's.
NO_SUBSCRIPTION = "You have no subscription by this id."
NO_BASKET = "There is no such basket, or it has expired. Open the subscription and begin again."


def agent() -> Agent:
    """The person who is logged in, as who acts for the organisation."""
    return Agent(scope(), person().user_id)


def asked_by_form(payload: object) -> OrderRequest:
    """A form is one order however often it is sent: it names a basket, or carries a key of its own."""
    key = request.form.get("key", "")[:60]
    body = json.dumps(payload, sort_keys=True).encode()
    return OrderRequest(client=person().user_id, key=f"portal {key}" if key else None, body=body)


def attach_refusals(blueprint: Blueprint, say: Callable[[int, str, str], Response]) -> None:
    """Let `say` show what keeps a page or an order from being had."""

    @blueprint.errorhandler(SubscriptionLocked)
    def locked(error: SubscriptionLocked) -> Response:
        return say(423, "It cannot be changed now", str(error))

    @blueprint.errorhandler(SubscriptionUnknown)
    def no_subscription(_: SubscriptionUnknown) -> Response:
        return say(404, "Not Found", NO_SUBSCRIPTION)

    @blueprint.errorhandler(BasketUnknown)
    def no_basket(_: BasketUnknown) -> Response:
        return say(404, "Not Found", NO_BASKET)

    @blueprint.errorhandler(CannotBePlacedError)
    def refused(error: CannotBePlacedError) -> Response:
        return say(400, "It cannot be changed", str(error))

    @blueprint.errorhandler(CursorInvalid)
    def no_cursor(error: CursorInvalid) -> Response:
        return say(400, "Bad Request", str(error))

    @blueprint.errorhandler(TooManyAsked)
    def too_many(_: TooManyAsked) -> Response:
        return say(
            503, "Not just now", "Several of your questions to Zuora are not answered yet. Please wait a moment."
        )
