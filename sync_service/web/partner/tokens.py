"""Tokens for a partner's people: `POST /api/partner/code` and `/api/partner/token`.

A code that was sent by email, or an ID token of the partners' identity provider, is exchanged for an access token with
the scope `partner` and the organisation's claim (Limio's page "Creating Partner-Specific Pages"; the paths are ours).
"""

from __future__ import annotations

import secrets
from typing import Any

from flask import Blueprint, Response, request
from marshmallow import ValidationError, validate, validates_schema
from marshmallow import fields as typed
from werkzeug.exceptions import BadRequest, Forbidden

from sync_service.access.admission import NotAdmitted, admit_partner
from sync_service.access.clients import PARTNER_SCOPE
from sync_service.access.partner_login import PartnerLogin, TooManyTries
from sync_service.access.partner_sessions import LIFE_MS, PartnerUser
from sync_service.access.passwords import normalise_email
from sync_service.access.sign_on.attempts import Provider, ProviderAway, SetUpWrong, SignOnFailed
from sync_service.access.tokens import LIFETIME_SECONDS, AccessTokens
from sync_service.store.audit import record_action
from sync_service.store.engine import Database
from sync_service.telemetry.log import logger
from sync_service.web.answers import answer
from sync_service.web.auth import NotLetIn
from sync_service.web.partner.bodies import BodyPart, load
from sync_service.web.senders import Senders

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
