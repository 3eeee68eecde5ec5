"""Who comes in at the partner's addresses, what all of their answers have in common, and tokens for its people.

At `POST /api/partner/code` and `/api/partner/token` a code that was sent by email, or an ID token of the partners'
identity provider, is exchanged for an access token with the scope `partner` and the organisation's claim (Limio's page
"Creating Partner-Specific Pages"; the paths are ours).
"""

from __future__ import annotations

import secrets
from typing import Any

from flask import Blueprint, Response, g, request
from marshmallow import ValidationError, validate, validates_schema
from marshmallow import fields as typed
from werkzeug.exceptions import BadRequest, Forbidden

from sync_service.access.admission import NotAdmitted, admit_partner
from sync_service.access.clients import PARTNER_SCOPE
from sync_service.access.partner_login import PartnerLogin, TooManyTries
from sync_service.access.partner_scope import NoPartner, PartnerScope, scope_of_client
from sync_service.access.partner_sessions import LIFE_MS, PartnerUser
from sync_service.access.passwords import normalise_email
from sync_service.access.sign_on.attempts import Provider, ProviderAway, SetUpWrong, SignOnFailed
from sync_service.access.tokens import LIFETIME_SECONDS, AccessTokens
from sync_service.partner.basket_rows import Agent
from sync_service.partner.baskets import SubscriptionLocked
from sync_service.queue.orders.acceptance import OtherBody
from sync_service.queue.questions import TooManyAsked
from sync_service.store.audit import record_action
from sync_service.store.cursors import CursorInvalid
from sync_service.store.engine import Database
from sync_service.telemetry.log import logger
from sync_service.web.answers import RETRY_SECONDS, answer
from sync_service.web.auth import BearerAuth, NotLetIn
from sync_service.web.partner.bodies import BodyPart, load
from sync_service.web.senders import Senders


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


_WRONG = "This code or ID token is not right, or no longer good."


class CodeBody(BodyPart):
    """Who wants a code."""

    email = typed.String(required=True, validate=validate.Length(1, 254))


class ProofBody(BodyPart):
    """A code with the log-in that it was sent for, or an ID token."""

    login = typed.String(validate=validate.Length(1, 100))
    code = typed.String(validate=validate.Length(1, 40))
    id_token = typed.String(validate=validate.Length(1, 20_000))

    @validates_schema
    def choose(self, data: dict[str, Any], **_: Any) -> None:
        """One proof."""
        if set(data) not in ({"login", "code"}, {"id_token"}):
            raise ValidationError("send login and code, or id_token")


class PersonTokens:
    """Gives them."""

    def __init__(
        self,
        database: Database,
        tokens: AccessTokens,
        login: PartnerLogin,
        provider: Provider | None,
        senders: Senders,
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._login = login
        self._provider = provider
        self._senders = senders

    def send_code(self) -> Response:
        """Send a code by email. The answer is the same for an address of no user."""
        email = load(CodeBody())["email"]
        if not self._login.sends_codes:
            raise Forbidden("Log-in by email is not set up.")
        login = secrets.token_urlsafe(24)
        self._login.send_code(email, login, self._place())
        return answer(200, {"login": login, "expires_in": LIFE_MS // 1000})

    def exchange(self) -> Response:
        """A token for who proves to be a user. Raises NotLetIn."""
        proof, place = load(ProofBody()), self._place()
        if not self._tokens.is_configured:
            raise Forbidden("SECRET_KEY is not set: without it no token can be signed.")
        if "id_token" in proof:
            user = self._read_id_token(proof["id_token"], place)
        else:
            user = self._login.redeem(proof["login"], proof["code"], place)
        if user is None:
            logger().warning("partner_token_refused", sender=place)
            raise NotLetIn(401, _WRONG, "Bearer")
        with self._database.transaction(lock_timeout_ms=2000) as session:
            record_action(session, normalise_email(user.email), "partner token", user.partner_org)
        logger().info("partner_token_issued", user=user.id)
        return answer(
            200,
            {
                "access_token": self._tokens.issue(user.id, {PARTNER_SCOPE}, user.partner_org),
                "token_type": "Bearer",
                "expires_in": LIFETIME_SECONDS,
                "scope": PARTNER_SCOPE,
            },
        )

    def _read_id_token(self, id_token: str, place: str | None) -> PartnerUser | None:
        """Raises ProviderAway, SetUpWrong, NotAdmitted."""
        if self._provider is None:
            raise BadRequest("id_token: no identity provider of partners is set up.")
        self._login.check(place)
        with self._database.reading() as session:
            now = session.now()
        try:
            return admit_partner(self._database, self._provider.prove(id_token, now / 1000))
        except (ProviderAway, SetUpWrong):
            raise
        except (SignOnFailed, NotAdmitted) as error:
            self._login.count(place)
            logger().warning("partner_id_token_refused", reason=error.code, detail=getattr(error, "detail", None))
            return None

    def _place(self) -> str | None:
        return self._senders.find_place(request)


def partner_tokens_blueprint(tokens: PersonTokens) -> Blueprint:
    """Both addresses; the caller is not logged in yet."""
    blueprint = Blueprint("partner_tokens", __name__, url_prefix="/api/partner")
    blueprint.add_url_rule("/code", "code", tokens.send_code, methods=["POST"])
    blueprint.add_url_rule("/token", "token", tokens.exchange, methods=["POST"])

    @blueprint.errorhandler(TooManyTries)
    def wait(error: TooManyTries) -> Response:
        return answer(429, {"message": str(error)}, {"Retry-After": str(error.seconds)})

    @blueprint.errorhandler(ProviderAway)
    @blueprint.errorhandler(SetUpWrong)
    def away(error: SignOnFailed) -> Response:
        logger().warning("partner_provider_away", reason=error.code, detail=getattr(error, "detail", None))
        return answer(502, {"message": str(error)})

    return blueprint
