"""A partner's subscriptions: `GET /api/partner/mma/subscriptions` and `/{id}` (Limio's partner API)."""

from __future__ import annotations

from flask import Blueprint, Response, request

from sync_service.partner.reading import NotThePartners, list_subscriptions, read_subscription
from sync_service.store.engine import Database
from sync_service.web.answers import answer, read_limit
from sync_service.web.partner.auth import PartnerAuth, partner_scope

DEFAULT_LIMIT, MAX_LIMIT = 40, 100


def mma_blueprint(database: Database, auth: PartnerAuth) -> Blueprint:
    """The list and one subscription, of the organisation that the token names."""
    blueprint = Blueprint("partner_mma", __name__, url_prefix="/api/partner/mma")

    auth.guard(blueprint)

    @blueprint.get("/subscriptions")
    def subscriptions() -> Response:
        owner, query_more = request.args.get("ownerId"), request.args.get("queryMore") or None
        limit = read_limit(DEFAULT_LIMIT, MAX_LIMIT)
        with database.reading() as session:
            page = list_subscriptions(session, partner_scope(), owner=owner, limit=limit, query_more=query_more)
        more = {} if page.query_more is None else {"queryMore": page.query_more}
        return answer(200, {"items": list(page.items), **more})

    @blueprint.get("/subscriptions/<subscription_id>")
    def subscription(subscription_id: str) -> Response:
        with database.reading() as session:
            detail = read_subscription(session, partner_scope(), subscription_id)
        if detail is None:
            return answer(404, {"message": "Subscription not found."})
        return answer(
            200,
            {
                "subscription": detail.subscription,
                "schedule": detail.schedule,
                "offers": detail.offers,
                "addOns": detail.add_ons,
            },
        )

    @blueprint.errorhandler(NotThePartners)
    def forbid(error: NotThePartners) -> Response:
        return answer(403, {"message": str(error)})

    return blueprint
