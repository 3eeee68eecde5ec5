"""Our token endpoint: client credentials (RFC 6749, 4.4) in the form body or as HTTP Basic; Zuora tries both."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from urllib.parse import unquote_plus

from flask import Blueprint, Response, request

from sync_service.access.clients import Client, ClientDirectory
from sync_service.access.throttle import Throttle, counter_name
from sync_service.access.tokens import LIFETIME_SECONDS, AccessTokens
from sync_service.telemetry.log import logger
from sync_service.web.answers import answer
from sync_service.web.auth import REALM, authorization
from sync_service.web.connections import HOLD_SECONDS, hold_answer
from sync_service.web.senders import Senders

_NO_KEY = (
    "SECRET_KEY is not set: without it no token can be signed. Set it to at least 32 characters, alike on all hosts."
)


@dataclass(frozen=True)
class _Credentials:
    client_id: str
    secret: str
    by_basic: bool


class _Refused(Exception):
    """An error answer of RFC 6749, 5.2."""

    def __init__(self, error: str, description: str, status: int = 400, headers: dict[str, str] | None = None) -> None:
        super().__init__(error)
        self.error, self.description, self.status, self.headers = error, description, status, headers or {}


def oauth_blueprint(tokens: AccessTokens, clients: ClientDirectory, throttle: Throttle, senders: Senders) -> Blueprint:
    """`POST /oauth2/token`."""
    blueprint = Blueprint("oauth", __name__)

    @blueprint.post("/oauth2/token", provide_automatic_options=False)
    def token() -> Response:
        if not tokens.is_configured:
            return answer(503, {"error": "server_error", "error_description": _NO_KEY, "message": _NO_KEY})
        try:
            grant = request.form.get("grant_type")
            credentials = _credentials()
            if grant != "client_credentials":
                error = "unsupported_grant_type" if grant else "invalid_request"
                raise _Refused(error, "grant_type must be client_credentials.")
            client = _prove(credentials, clients, throttle, senders)
            scopes = _scopes(client)
        except _Refused as refused:
            body = {"error": refused.error, "error_description": refused.description, "message": refused.description}
            return answer(refused.status, body, {"Pragma": "no-cache", **refused.headers})
        logger().info("token_issued", client=client.name)
        return answer(
            200,
            {
                "access_token": tokens.issue(client.client_id, scopes, client.partner_org),
                "token_type": "Bearer",
                "expires_in": LIFETIME_SECONDS,
                "scope": " ".join(sorted(scopes)),
            },
            {"Pragma": "no-cache"},
        )

    return blueprint


def _credentials() -> _Credentials:
    form_id, form_secret = request.form.get("client_id"), request.form.get("client_secret")
    kind, value = authorization(request)
    if kind == "basic":
        if form_secret is not None:
            raise _Refused("invalid_request", "Send the client's secret in one way, not in two.")
        try:
            pair = base64.b64decode(value, validate=True).decode()
        except ValueError:
            pair = ""
        client_id, _, secret = pair.partition(":")
        return _Credentials(unquote_plus(client_id), unquote_plus(secret), by_basic=True)
    if form_id is None or form_secret is None:
        raise _Refused(
            "invalid_client",
            "Send client_id and client_secret in the form body or as HTTP Basic.",
            401,
            {"WWW-Authenticate": f'Basic realm="{REALM}"'},
        )
    return _Credentials(form_id, form_secret, by_basic=False)


def _prove(credentials: _Credentials, clients: ClientDirectory, throttle: Throttle, senders: Senders) -> Client:
    """Over the limit of a client at a place only a secret that was right before is looked at."""
    place = senders.find_place(request)
    counter = counter_name("token", "", credentials.client_id, place or "")
    seconds = throttle.seconds_left(counter)
    client = clients.prove(credentials.client_id, credentials.secret, known_only=seconds is not None)
    if client is not None:
        return client
    seconds = seconds or throttle.count_failure(counter)
    logger().warning("token_refused", known=clients.exists(credentials.client_id), sender=place)
    if seconds is not None:
        hold_answer(request.environ, HOLD_SECONDS)
        raise _Refused("invalid_client", "Too many wrong secrets; please wait.", 429, {"Retry-After": str(seconds)})
    challenge = {"WWW-Authenticate": f'Basic realm="{REALM}"'} if credentials.by_basic else {}
    raise _Refused("invalid_client", "There is no such client, or its secret is another.", 401, challenge)


def _scopes(client: Client) -> frozenset[str]:
    """What is asked for, by default all that the client may; Zuora's settings allow commas between scopes."""
    asked = frozenset(request.form.get("scope", "").replace(",", " ").split())
    if asked - client.scopes:
        raise _Refused("invalid_scope", f"This client may have: {' '.join(sorted(client.scopes))}.")
    return asked or client.scopes
