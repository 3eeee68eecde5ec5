"""Where an order stands, and cancelling a subscription."""

from __future__ import annotations

import secrets

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from sync_service.commerce.order import CannotBePlacedError, OrderType
from sync_service.partner.holdings import SubscriptionUnknown, find_own, look_at
from sync_service.partner.orders import PartnerOrders, PlacedOrder, read_placed
from sync_service.queue.order_lanes import OrderState
from sync_service.queue.submission import OtherBody
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.web.answers import answer
from sync_service.web.partner.portal.acting import agent, asked_by_form
from sync_service.web.partner.portal.session import person, scope
from sync_service.web.partner.portal.subscriptions import find_customer_of

NO_ORDER = "You have no order by this id."


def attach(blueprint: Blueprint, settings: Settings, database: Database, orders: PartnerOrders) -> None:
    """Add the pages."""

    @blueprint.get("/orders/<order_id>")
    def order(order_id: str) -> Response | str:
        with database.reading() as session:
            placed = read_placed(session, scope(), settings, order_id)
        if placed is None:
            raise NotFound(NO_ORDER)
        if request.headers.get("Accept", "").startswith("application/json"):
            return answer(200, {"step": 0, "text": tell(placed), "done": is_over(placed)})
        return render_template("partner/order.html", order=placed, text=tell(placed), is_over=is_over(placed))

    @blueprint.get("/subscriptions/<subscription_id>/cancel")
    def ask_cancel(subscription_id: str) -> str:
        return _cancel_page(subscription_id)

    @blueprint.post("/subscriptions/<subscription_id>/cancel")
    def cancel(subscription_id: str) -> AnyResponse | str:
        payload = {"order_type": OrderType.CANCEL_SUBSCRIPTION.value, "forSubscription": {"id": subscription_id}}
        try:
            with database.reading() as session:
                if find_own(session, scope(), id=subscription_id) is None:
                    raise SubscriptionUnknown
            work = orders.place(agent(), payload, asked_by_form(payload), client=person().email)
        except (CannotBePlacedError, OtherBody) as error:
            return make_response(_cancel_page(subscription_id, str(error)), 400)
        return redirect(url_for("portal.order", order_id=work.order_id), 303)

    def _cancel_page(subscription_id: str, problem: str = "") -> str:
        with database.reading() as session:
            today = settings.day_at(session.now())
            held = look_at(session, scope(), subscription_id, today, settings.tenant_time_zone)
            customer = find_customer_of(session, held)
        return render_template(
            "partner/cancel.html",
            held=held.holding,
            customer=customer,
            lock=held.lock,
            key=secrets.token_urlsafe(16),
            problem=problem,
        )


def is_over(order: PlacedOrder) -> bool:
    """Whether there is nothing more to wait for."""
    return order.state in (OrderState.COMPLETE, OrderState.FAILED)


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
