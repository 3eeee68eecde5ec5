"""What the portal's pages work with: the store, who acts, how an order is placed, and what is said of a refusal."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask import Blueprint, Response, make_response, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from sync_service.commerce.order import CannotBePlacedError
from sync_service.partner.basket_rows import Agent, BasketUnknown
from sync_service.partner.baskets import Baskets, SubscriptionLocked
from sync_service.partner.holdings import OwnSubscription, SubscriptionUnknown, look_at
from sync_service.partner.orders import PartnerOrders
from sync_service.queue.orders.acceptance import OrderRequest, OtherBody
from sync_service.queue.questions import TooManyAsked
from sync_service.settings import Settings
from sync_service.store.cursors import CursorInvalid
from sync_service.store.engine import Database, Session
from sync_service.web.page_parts import Pages
from sync_service.web.partner.portal.session import person, scope
from sync_service.web.waiting import Questions

#: The same whether there was none or it is another's.
NO_SUBSCRIPTION = "You have no subscription by this id."
NO_BASKET = "There is no such basket, or it has expired. Open the subscription and begin again."


def agent() -> Agent:
    """The person who is logged in, as who acts for the organisation."""
    return Agent(scope(), person().user_id)


@dataclass(frozen=True, kw_only=True)
class PortalContext:
    """The store, the settings, and the way to orders. There is no way to Zuora from here but by questions."""

    settings: Settings
    database: Database
    questions: Questions
    baskets: Baskets
    orders: PartnerOrders

    def today(self, session: Session) -> date:
        """The tenant's calendar day."""
        return self.settings.day_at(session.now())

    def look_at(self, session: Session, subscription_id: str) -> OwnSubscription:
        """The partner's subscription as it stands today. Raises SubscriptionUnknown."""
        return look_at(session, scope(), subscription_id, self.today(session), self.settings.tenant_time_zone)

    def place(self, payload: Mapping[str, Any], refuse: Callable[[str], str]) -> AnyResponse:
        """Place the order and lead to its page; else the page that `refuse` makes of the reason.

        A form is one order however often it is sent: it names a basket, or carries a key of its own.
        """
        key = request.form.get("key", "")[:60]
        body = json.dumps(payload, sort_keys=True).encode()
        asked = OrderRequest(client=person().user_id, key=f"portal {key}" if key else None, body=body)
        try:
            work = self.orders.place(agent(), payload, asked, client=person().email)
        except (CannotBePlacedError, OtherBody) as error:
            return make_response(refuse(str(error)), 400)
        return redirect(url_for("portal.order", order_id=work.order_id), 303)


class PortalPages(Pages):
    """Views of the portal."""

    def __init__(self, context: PortalContext) -> None:
        self._context, self._database = context, context.database


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
