"""A partner's new subscriptions: baskets under `/api/partner/checkout`, and `POST /api/partner/order`.

Sources: Limio's pages "Partner checkout" and "Partner orders". The last one's path and that of `/validate`, which takes
baskets of either kind, are our inference.
"""

from __future__ import annotations

from flask import Blueprint, Response, request

from sync_service.commerce.order import CannotBePlacedError
from sync_service.partner.basket_rows import BasketUnknown
from sync_service.partner.baskets import Baskets, Opening
from sync_service.partner.orders import PartnerOrders
from sync_service.queue.submission import OrderRequest
from sync_service.web.answers import answer, read_body
from sync_service.web.orders import OrderIntake, answer_order, read_idempotency_key, read_payload, refuse
from sync_service.web.partner.auth import PartnerAuth, agent, client_name
from sync_service.web.partner.bodies import ChangedPurchase, Named, Purchase, load
from sync_service.web.partner.checkout import COOKIE, answer_refusals, set_landing_cookie


def purchase_blueprint(baskets: Baskets, orders: PartnerOrders, auth: PartnerAuth) -> Blueprint:
    """Baskets of the organisation that the token names."""
    blueprint = Blueprint("partner_purchases", __name__, url_prefix="/api/partner/checkout")

    auth.guard(blueprint)

    @blueprint.post("/initiate")
    def initiate() -> Response:
        order = load(Purchase())["order"]
        opening = Opening(
            country=order["country"],
            external_id=order.get("external_id"),
            wanted=tuple(order["items"]),
            journey={"tracking": order["tracking"]},
        )
        view = baskets.open(agent(), opening)
        return set_landing_cookie(answer(200, {"id": view.id}), view.id)

    @blueprint.put("/update")
    def update() -> Response:
        order = load(ChangedPurchase())["order"]
        view = baskets.change(
            agent(),
            _find_id(order.get("checkout_id")),
            order["items"],
            buys=True,
            external_id=order.get("external_id"),
            tracking=order["tracking"],
        )
        return answer(200, {"id": view.id, **view.document})

    @blueprint.post("/validate")
    def validate() -> Response:
        faults = orders.find_faults(agent(), _find_id(load(Named())["order"].get("checkout_id")))
        errors = [{"field": fault.field, "message": fault.message} for fault in faults]
        return answer(200, {"valid": not errors, "errors": errors})

    answer_refusals(blueprint)
    return blueprint


def _find_id(checkout_id: str | None) -> str:
    """The basket that the body names, else the cookie. Raises BasketUnknown."""
    named = checkout_id or request.cookies.get(COOKIE)
    if not named:
        raise BasketUnknown
    return named


def partner_orders_blueprint(orders: PartnerOrders, auth: PartnerAuth, intake: OrderIntake) -> Blueprint:
    """Orders of the organisation that the token names."""
    blueprint = Blueprint("partner_orders", __name__, url_prefix="/api/partner")

    auth.guard(blueprint)

    @blueprint.post("/order")
    def order() -> Response:
        payload = read_payload()
        asked = OrderRequest(client=agent().subject, key=read_idempotency_key(), body=read_body(request))
        return answer_order(orders.place(agent(), payload, asked, client=client_name()))

    @blueprint.post("/order/preview")
    def order_preview() -> Response:
        return intake.wait_for_preview(orders.ask_preview(agent(), read_payload()))

    @blueprint.errorhandler(CannotBePlacedError)
    def cannot_be_placed(error: CannotBePlacedError) -> Response:
        return refuse(error.problems)

    return blueprint
