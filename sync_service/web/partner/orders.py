"""A partner's orders: `POST /api/partner/order` and its preview (Limio's page "Partner orders").

The paths are our inference.
"""

from __future__ import annotations

from flask import Blueprint, Response, request

from sync_service.commerce.order import CannotBePlacedError
from sync_service.partner.baskets import SubscriptionLocked
from sync_service.partner.orders import PartnerOrders
from sync_service.queue.previews import TooManyAsked
from sync_service.queue.submission import OrderRequest, OtherBody
from sync_service.web.answers import RETRY_SECONDS, answer
from sync_service.web.body import read_body
from sync_service.web.orders import OrderIntake, answer_order, read_idempotency_key, read_payload, refuse
from sync_service.web.partner.gate import PartnerAuth, agent, client_name


def partner_orders_blueprint(orders: PartnerOrders, gate: PartnerAuth, intake: OrderIntake) -> Blueprint:
    """Orders of the organisation that the token names."""
    blueprint = Blueprint("partner_orders", __name__, url_prefix="/api/partner")

    gate.guard(blueprint)

    @blueprint.post("/order")
    def order() -> Response:
        payload = read_payload()
        asked = OrderRequest(client=agent().subject, key=read_idempotency_key(), body=read_body(request))
        return answer_order(orders.place(agent(), payload, asked, client=client_name()))

    @blueprint.post("/order/preview")
    def order_preview() -> Response:
        return intake.wait_for_preview(orders.ask_preview(agent(), read_payload()))

    @blueprint.errorhandler(TooManyAsked)
    def too_many(error: TooManyAsked) -> Response:
        return answer(429, {"message": str(error)}, {"Retry-After": str(RETRY_SECONDS)})

    @blueprint.errorhandler(CannotBePlacedError)
    def cannot_be_placed(error: CannotBePlacedError) -> Response:
        return refuse(error.problems)

    @blueprint.errorhandler(SubscriptionLocked)
    def locked(error: SubscriptionLocked) -> Response:
        return answer(423, {"status": 423, "message": str(error)})

    @blueprint.errorhandler(OtherBody)
    def other_body(error: OtherBody) -> Response:
        return answer(422, {"message": str(error)})

    return blueprint
