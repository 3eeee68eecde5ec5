"""A partner's baskets of new subscriptions: `/api/partner/checkout/initiate`, `/update` and `/validate`.

Source: Limio's page "Partner checkout". The last one's path is our inference; it takes baskets of either kind.
"""

from __future__ import annotations

from flask import Blueprint, Response, request

from sync_service.partner.basket_rows import BasketUnknown
from sync_service.partner.orders import PartnerOrders
from sync_service.partner.purchases import Purchases
from sync_service.web.answers import answer
from sync_service.web.partner.bodies import ChangedPurchase, Named, Purchase, load
from sync_service.web.partner.checkout import COOKIE, answer_refusals, set_landing_cookie
from sync_service.web.partner.gate import PartnerAuth, agent


def purchase_blueprint(purchases: Purchases, orders: PartnerOrders, gate: PartnerAuth) -> Blueprint:
    """Baskets of the organisation that the token names."""
    blueprint = Blueprint("partner_purchases", __name__, url_prefix="/api/partner/checkout")

    gate.guard(blueprint)

    @blueprint.post("/initiate")
    def initiate() -> Response:
        order = load(Purchase())["order"]
        row = purchases.open(agent(), order["items"], country=order["country"], external_id=order.get("external_id"))
        return set_landing_cookie(answer(200, {"id": row.id}), row.id)

    @blueprint.put("/update")
    def update() -> Response:
        order = load(ChangedPurchase())["order"]
        row = purchases.change(agent(), _find_id(order.get("checkout_id")), order["items"])
        return answer(200, {"id": row.id, **row.document})

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
    if not named or not named.isprintable():
        raise BasketUnknown
    return named
