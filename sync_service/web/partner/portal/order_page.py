"""Before an order, at it, and after: what a basket costs, where an order stands, and cancelling a subscription.

A worker asks Zuora for the costs. Our estimate stands while Zuora has not answered, and the page says which it shows.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import date
from typing import Any

from flask import Response, render_template, request
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from sync_service.commerce.cost import Due, due_until
from sync_service.commerce.order import CannotBePlacedError, OrderType
from sync_service.partner.baskets import BasketView, SubscriptionLocked
from sync_service.partner.orders import PlacedOrder, is_zuora_away, read_placed
from sync_service.queue.orders.lanes import OrderState
from sync_service.queue.questions import MAX_OPEN, TooManyAsked
from sync_service.subscription.limio.documents import read_day
from sync_service.web.answers import answer
from sync_service.web.page_parts import get, post
from sync_service.web.partner.portal.acting import PortalContext, PortalPages, agent
from sync_service.web.partner.portal.customers import find_customer_of
from sync_service.web.partner.portal.session import scope

NO_ORDER = "You have no order by this id."
#: How long the page waits for Zuora's preview, in seconds.
_PATIENCE = 4.0


class PortalOrderPages(PortalPages):
    """`/partner/orders/…`, and cancelling a subscription."""

    @get("/orders/<order_id>")
    def order(self, order_id: str) -> Response | str:
        """Where it stands."""
        with self._database.reading() as session:
            placed = read_placed(session, scope(), self._context.settings, order_id)
        if placed is None:
            raise NotFound(NO_ORDER)
        text, is_over = tell(placed), placed.state in (OrderState.COMPLETE, OrderState.FAILED)
        if request.headers.get("Accept", "").startswith("application/json"):
            return answer(200, {"step": 0, "text": text, "done": is_over})
        return render_template("partner/order.html", order=placed, text=text, is_over=is_over)

    @get("/subscriptions/<subscription_id>/cancel")
    def ask_cancel(self, subscription_id: str, problem: str = "") -> str:
        """When it would end."""
        with self._database.reading() as session:
            held = self._context.look_at(session, subscription_id)
            customer = find_customer_of(session, held)
        page = {"held": held.holding, "lock": held.lock, "key": secrets.token_urlsafe(16)}
        return render_template("partner/cancel.html", customer=customer, problem=problem, **page)

    @post("/subscriptions/<subscription_id>/cancel")
    def cancel(self, subscription_id: str) -> AnyResponse:
        """The order."""
        with self._database.reading() as session:
            self._context.look_at(session, subscription_id)
        payload = {"order_type": OrderType.CANCEL_SUBSCRIPTION.value, "forSubscription": {"id": subscription_id}}
        return self._context.place(payload, lambda problem: self.ask_cancel(subscription_id, problem))


def tell(order: PlacedOrder) -> str:
    """Where an order stands, for the partner: what Zuora says of it is the operator's."""
    match order.state:
        case OrderState.COMPLETE:
            return "The order is complete."
        case OrderState.FAILED:
            return "The order was refused, and nothing was changed. Ask us, naming its reference."
        case OrderState.HELD:
            return "The order needs a decision of ours. Nothing is lost; we see to it."
    if order.is_zuora_away:
        return "Zuora cannot be reached just now. The order is kept and is placed as soon as Zuora is back."
    return "The order is accepted and is being placed."


def review(context: PortalContext, view: BasketView, payload: Mapping[str, Any], **page: Any) -> str:
    """The page of a basket, which `payload` would order."""
    order = view.document["order"]
    with context.database.reading() as session:
        today, is_away = context.today(session), is_zuora_away(session, context.settings)
    return render_template(
        "partner/review.html",
        rows=[_row(each, today) for each in order["orderItems"]],
        total=order["total"],
        due=None if is_away else _ask(context, payload, today),
        is_away=is_away,
        basket_id=view.id,
        **page,
    )


def _ask(context: PortalContext, payload: Mapping[str, Any], today: date) -> Due | None:
    """What Zuora says is due today; None where it does not say it now."""
    try:
        ask_id = context.orders.ask_preview(agent(), payload, most=MAX_OPEN)
    except (TooManyAsked, CannotBePlacedError, SubscriptionLocked):
        return None
    found = context.questions.wait(ask_id, _PATIENCE).found or {}
    return due_until(found["schedule"], today) if "schedule" in found else None


def _row(item: Mapping[str, Any], today: date) -> dict[str, Any]:
    day = read_day(item["effective_date"])
    return {
        "action": item["orderItemActionType"].capitalize(),
        "name": item["name"],
        "quantity": item["quantity"],
        "amount": item["price"].get("amount") if item["orderItemActionType"] == "add" else None,
        "day": day if day and day > today else None,
    }
