"""A partner's checkout: `GET, POST, PUT /api/partner/checkout/subscription` and `/api/partner/mma/checkout`.

One basket and the same answers at both (Limio's partner API). The first is for browsers: it wants a captcha's token,
and finds the basket by a cookie, which names the basket and proves nothing. The second is for everything else.
New subscriptions have baskets under `/api/partner/checkout` and are ordered, as all is, at `/api/partner/order`
(Limio's pages "Partner checkout" and "Partner orders"). That path and that of `/validate`, which takes baskets of
either kind, are our inference.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Protocol
from uuid import uuid4

from flask import Blueprint, Response, request
from werkzeug.exceptions import BadGateway, BadRequest

from sync_service.commerce.order import CannotBePlacedError
from sync_service.partner.basket_rows import LIFE_MS, BasketUnknown
from sync_service.partner.baskets import Baskets, BasketView, Opening
from sync_service.partner.holdings import SubscriptionUnknown
from sync_service.partner.orders import PartnerOrders
from sync_service.queue.orders.acceptance import OrderRequest
from sync_service.web.answers import answer, read_body
from sync_service.web.orders import OrderIntake, answer_order, read_idempotency_key, read_payload, refuse
from sync_service.web.partner.auth import PartnerAuth, agent, client_name
from sync_service.web.partner.bodies import Initiate, Named, Purchase, UpdateBody, load
from sync_service.web.senders import Senders

COOKIE = "limio_state"
#: Limio's pages send the first, its specification names the second.
_CAPTCHA = ("X-Limio-Recaptcha", "xLimioRecaptcha")
_FORWARDED = "xForwardedFor"
#: No captcha's token is longer.
_MAX_TOKEN = 8000
#: More of a referrer is not kept.
_MAX_REFERRER = 500


class Captcha(Protocol):
    """The service that gave out captcha tokens."""

    def verify(self, token: str, address: str) -> bool | None:
        """Whether the token is a person's at `address`; None where the service does not say."""


def checkout_blueprint(
    baskets: Baskets, auth: PartnerAuth, senders: Senders, captcha: Captcha | None = None
) -> Blueprint:
    """Both checkouts of the organisation that the token names. Without `captcha` any token of one will do."""
    blueprint = Blueprint("partner_checkout", __name__, url_prefix="/api/partner")

    auth.guard(blueprint)

    def show() -> Response:
        return _answer(baskets.read(agent(), _find_id(None)), senders)

    def initiate() -> Response:
        _want_captcha(captcha, senders)
        body = load(Initiate())
        order = body["order"]
        referrer = request.headers.get("Referer", "")[:_MAX_REFERRER]
        opening = Opening(
            id=order["subscription"].get("id"),
            name=order["subscription"].get("name"),
            external_id=order.get("external_id"),
            wanted=tuple(order["items"]),
            preselected=order["target"].get("offer_id"),
            journey={**({"referrer": referrer} if referrer else {}), "tracking": body["tracking"]},
        )
        view = baskets.open(agent(), opening)
        return set_landing_cookie(_answer(view, senders), view.id)

    def update() -> Response:
        _want_captcha(captcha, senders)
        body = load(UpdateBody())
        order = body["order"]
        named = order["subscription"]
        view = baskets.change(
            agent(),
            _find_id(order.get("checkout_id")),
            order["items"],
            external_id=order.get("external_id"),
            of=Opening(id=named.get("id"), name=named.get("name")) if named else None,
            tracking=body["tracking"],
        )
        return _answer(view, senders)

    handlers: dict[str, Callable[[], Response]] = {"GET": show, "POST": initiate, "PUT": update}
    for place in ("/checkout/subscription", "/mma/checkout"):
        for method, handler in handlers.items():
            blueprint.add_url_rule(place, f"{handler.__name__}{place}", handler, methods=[method])

    answer_refusals(blueprint)
    return blueprint


def answer_refusals(blueprint: Blueprint) -> None:
    """The statuses and bodies of Limio's specification."""

    @blueprint.errorhandler(BadRequest)
    def malformed(error: BadRequest) -> Response:
        return answer(400, {"error": error.description})

    @blueprint.errorhandler(CannotBePlacedError)
    def refuse(error: CannotBePlacedError) -> Response:
        return answer(400, {"error": str(error)})

    @blueprint.errorhandler(SubscriptionUnknown)
    def no_subscription(error: SubscriptionUnknown) -> Response:
        return answer(404, {"error": str(error)})

    @blueprint.errorhandler(BasketUnknown)
    def no_basket(_: BasketUnknown) -> Response:
        found = "No basket found" if request.method == "GET" else "Basket not found"
        return answer(404, {"error": f"{found} in landing state"})


def set_landing_cookie(made: Response, basket_id: str) -> Response:
    """`made`, with the cookie that finds the basket again."""
    made.set_cookie(COOKIE, basket_id, max_age=LIFE_MS // 1000, path="/", secure=True, httponly=True, samesite="Lax")
    return made


def _is_landing() -> bool:
    """Whether the request came to the browsers' checkout."""
    return request.path.rstrip("/").endswith("/checkout/subscription")


def _want_captcha(captcha: Captcha | None, senders: Senders) -> None:
    """Raises BadRequest without a right token, and BadGateway where nothing can tell: closed, not open."""
    if not _is_landing():
        return
    token = next((text for name in _CAPTCHA if (text := request.headers.get(name, "").strip())), "")
    if not token:
        raise BadRequest(f"The header {_CAPTCHA[0]} is required.")
    verdict = True if captcha is None else captcha.verify(token[:_MAX_TOKEN], _client_ip(senders))
    if verdict is None:
        raise BadGateway("The captcha cannot be verified just now. Please try again.")
    if not verdict:
        raise BadRequest(f"The captcha's token in {_CAPTCHA[0]} is not right, or was used before: get another.")


def _find_id(checkout_id: str | None) -> str | None:
    """Which basket is meant; None: the newest one. Raises BasketUnknown."""
    cookie = request.cookies.get(COOKIE)
    if _is_landing():
        if not cookie:
            raise BasketUnknown
        return cookie
    return request.args.get("basket") or checkout_id or cookie or None


def _answer(view: BasketView, senders: Senders) -> Response:
    identity = {"identity_id": view.owner} if view.owner else {}
    context = {"client_ip": _client_ip(senders), "requestId": str(uuid4()), **identity}
    shown: dict[str, Any] = {**view.document, "completed": view.is_completed, "context": context}
    return answer(200, shown)


def _client_ip(senders: Senders) -> str:
    """Of the person, where the shop's server says it."""
    try:
        return str(ip_address(request.headers.get(_FORWARDED, "").strip()))
    except ValueError:
        return str(senders.find_address(request) or "")


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
        order = load(Purchase())["order"]
        view = baskets.change(
            agent(),
            _find_named(order.get("checkout_id")),
            order["items"],
            buys=True,
            external_id=order.get("external_id"),
            tracking=order["tracking"],
        )
        return answer(200, {"id": view.id, **view.document})

    @blueprint.post("/validate")
    def validate() -> Response:
        faults = orders.find_faults(agent(), _find_named(load(Named())["order"].get("checkout_id")))
        errors = [{"field": fault.field, "message": fault.message} for fault in faults]
        return answer(200, {"valid": not errors, "errors": errors})

    answer_refusals(blueprint)
    return blueprint


def _find_named(checkout_id: str | None) -> str:
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
