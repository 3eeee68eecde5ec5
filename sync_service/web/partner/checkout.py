"""A partner's checkout: `GET, POST, PUT /api/partner/checkout/subscription` and `/api/partner/mma/checkout`.

One basket and the same answers at both (Limio's partner API). The first is for browsers: it wants a captcha's token,
and finds the basket by a cookie, which names the basket and proves nothing. The second is for everything else.
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
from sync_service.web.answers import answer
from sync_service.web.partner.auth import PartnerAuth, agent
from sync_service.web.partner.bodies import Initiate, UpdateBody, load
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
