"""Who comes in at the partner's addresses, and what all of their answers have in common."""

from __future__ import annotations

from flask import Blueprint, Response, g, request

from sync_service.access.clients import PARTNER_SCOPE
from sync_service.access.partner_scope import NoPartner, PartnerScope, scope_of_client
from sync_service.partner.basket_rows import Agent
from sync_service.partner.baskets import SubscriptionLocked
from sync_service.queue.questions import TooManyAsked
from sync_service.queue.submission import OtherBody
from sync_service.store.cursors import CursorInvalid
from sync_service.web.answers import RETRY_SECONDS, answer
from sync_service.web.auth import BearerAuth, NotLetIn


class PartnerAuth:
    """Lets in who holds a token of ours with the scope `partner` and the claim of an organisation."""

    def __init__(self, bearer: BearerAuth) -> None:
        self._bearer = bearer

    def guard(self, blueprint: Blueprint) -> None:
        """Admit only partners at the addresses of `blueprint`, and let no cache on the way keep an answer."""
        blueprint.before_request(self._admit)
        blueprint.after_request(_keep_private)
        _answer_refusals(blueprint)

    def _admit(self) -> None:
        client = self._bearer.admit(request, PARTNER_SCOPE)
        try:
            g.agent = Agent(scope_of_client(client), client.client_id)
            g.client_name = client.name
        except NoPartner as error:
            text = str(error)
            raise NotLetIn(403, text, "Bearer", error="insufficient_scope", error_description=text) from None


def agent() -> Agent:
    """Who acts, as the auth noted it for this request."""
    acting: Agent = g.agent
    return acting


def partner_scope() -> PartnerScope:
    """The scope of this request."""
    return agent().scope


def client_name() -> str:
    """What the operators call the client of this request."""
    name: str = g.client_name
    return name


def _answer_refusals(blueprint: Blueprint) -> None:
    """What may keep any of these addresses from being served."""

    @blueprint.errorhandler(CursorInvalid)
    def no_cursor(error: CursorInvalid) -> Response:
        return answer(400, {"message": str(error)})

    @blueprint.errorhandler(OtherBody)
    def other_body(error: OtherBody) -> Response:
        return answer(422, {"message": str(error)})

    @blueprint.errorhandler(SubscriptionLocked)
    def locked(error: SubscriptionLocked) -> Response:
        return answer(423, {"status": 423, "message": str(error)})

    @blueprint.errorhandler(TooManyAsked)
    def too_many(error: TooManyAsked) -> Response:
        return answer(429, {"message": str(error)}, {"Retry-After": str(RETRY_SECONDS)})


def _keep_private(response: Response) -> Response:
    response.headers["Cache-Control"] = "private, no-store"
    return response
