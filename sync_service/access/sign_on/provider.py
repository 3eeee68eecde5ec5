"""Asking an OpenID provider: its discovery document, its keys, and who brought a code.

The authorization code flow with PKCE (OpenID Connect Core 1.0, 3.1; RFC 7636), as RFC 9700 wants it.
"""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import BoundedSemaphore
from typing import Any, Generic, TypeVar
from urllib.parse import quote_plus, urlencode, urlsplit

from joserfc.jwk import KeySet

from sync_service.access.sign_on.attempts import (
    AnswerInvalid,
    CodeRefused,
    KeyUnknown,
    ProviderAway,
    SetUpWrong,
    SignOnAttempt,
    read_id_token,
    read_keys,
)
from sync_service.access.tokens import PARTNER_CLAIM
from sync_service.errors import PayloadInvalid, ZuoraUnavailable
from sync_service.settings import Settings
from sync_service.zuora.transport import Deadline, RawAnswer, Transport

BACK = "/admin/sign-on/back"
PARTNERS_BACK = "/partner/sign-on/back"
#: For all that one page asks of the provider.
_SECONDS = 8.0
#: Threads of one web process that may wait for the provider at the same time; callouts need the others.
_WAITING = 4
_LARGEST_BODY = 1024 * 1024
#: How long the discovery document and the keys are believed.
_FRESH_SECONDS = 3600.0
#: How often an unknown key makes us look again, and how long a provider that did not answer is left alone.
_KEYS_AGAIN_SECONDS, _AWAY_SECONDS = 10.0, 3.0
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True)
class OpenidClient:
    """What we are to a provider."""

    #: As the provider's discovery document calls itself.
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...]
    #: Where it sends people back to.
    back: str
    #: Claims that decide who comes in: asked of the userinfo endpoint where the ID token lacks one.
    needed: tuple[str, ...]


def client_for_admins(settings: Settings) -> OpenidClient:
    """For people at the admin pages."""
    claims = ("email", settings.oidc_verified_claim, settings.oidc_role_claim)
    return OpenidClient(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=settings.oidc_client_secret,
        scopes=settings.oidc_scopes,
        back=f"{settings.public_url.rstrip('/')}{BACK}",
        needed=tuple(name for name in claims if name),
    )


def client_for_partners(settings: Settings) -> OpenidClient:
    """For partners' people at the portal."""
    return OpenidClient(
        issuer=settings.partner_oidc_issuer,
        client_id=settings.partner_oidc_client_id,
        client_secret=settings.partner_oidc_client_secret,
        scopes=settings.partner_oidc_scopes,
        back=f"{settings.public_url.rstrip('/')}{PARTNERS_BACK}",
        needed=("email", "email_verified", PARTNER_CLAIM),
    )


class OpenidProvider:
    """One provider. For many threads."""

    def __init__(self, client: OpenidClient) -> None:
        self._issuer = client.issuer
        self._client_id = client.client_id
        self._secret = client.client_secret
        self._scope = " ".join(client.scopes)
        self._back = client.back
        self._needed = client.needed
        self._transport = Transport(_WAITING, {"Accept": "application/json"})
        self._turns = BoundedSemaphore(_WAITING)
        self._away_until = 0.0
        self._document: _Kept[Mapping[str, Any]] = _Kept()
        self._keys: _Kept[KeySet] = _Kept()

    def make_address(self, attempt: SignOnAttempt) -> str:
        """Where to send the browser. Raises ProviderAway, SetUpWrong."""
        with self._turn() as deadline:
            place: str = self._discover(deadline)["authorization_endpoint"]
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self._back,
            "scope": self._scope,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        return f"{place}{'&' if urlsplit(place).query else '?'}{urlencode(asked)}"

    def identify(self, attempt: SignOnAttempt, answer: Mapping[str, str], now: float) -> Mapping[str, Any]:
        """Who came back with `answer`, the parameters of the redirect: the claims, proved. Raises SignOnFailed."""
        with self._turn() as deadline:
            document = self._discover(deadline)
            named = answer.get("iss")
            if named not in (None, self._issuer) or (
                named is None and document.get("authorization_response_iss_parameter_supported")
            ):
                raise AnswerInvalid("the redirect comes from another issuer (RFC 9207)")
            tokens = self._redeem(document, attempt, answer.get("code", ""), deadline)
            claims = self._read(str(tokens.get("id_token", "")), attempt.nonce, now, document, deadline)
            return self._complete(claims, tokens, document, deadline)

    def prove(self, id_token: str, now: float) -> Mapping[str, Any]:
        """The claims of an ID token that another application of the same client was given. Raises SignOnFailed."""
        with self._turn() as deadline:
            return self._read(id_token, None, now, self._discover(deadline), deadline)

    def look(self) -> None:
        """Check the provider as far as possible without a sign-on. Raises SignOnFailed."""
        with self._turn() as deadline:
            self._fetch_keys(self._discover(deadline), deadline)

    @contextmanager
    def _turn(self) -> Iterator[Deadline]:
        """A place among the few who may wait for the provider, and until when."""
        if time.monotonic() < self._away_until or not self._turns.acquire(blocking=False):
            raise ProviderAway
        try:
            yield Deadline(_SECONDS)
        except (ZuoraUnavailable, PayloadInvalid):  # what the transport calls every host that does not answer
            self._away_until = time.monotonic() + _AWAY_SECONDS
            raise ProviderAway from None
        finally:
            self._turns.release()

    def _discover(self, deadline: Deadline) -> Mapping[str, Any]:
        return self._document.get(lambda: self._read_document(deadline))

    def _read_document(self, deadline: Deadline) -> Mapping[str, Any]:
        document = self._ask("GET", f"{self._issuer.rstrip('/')}/.well-known/openid-configuration", deadline)
        if document.get("issuer") != self._issuer:
            raise SetUpWrong(f"OIDC_ISSUER is {self._issuer}, but the provider calls itself {document.get('issuer')!r}")
        for name in _ENDPOINTS:
            self._check_place(name, document.get(name))
        return document

    def _check_place(self, name: str, place: Any) -> None:
        """Our secret and the codes go over https; over http only to a provider on this machine."""
        secure = isinstance(place, str) and place.startswith("https://")
        if not secure and (not isinstance(place, str) or urlsplit(place)[:2] != urlsplit(self._issuer)[:2]):
            raise SetUpWrong(f"the provider's {name} is no https address: {place!r}")

    def _redeem(
        self, document: Mapping[str, Any], attempt: SignOnAttempt, code: str, deadline: Deadline
    ) -> Mapping[str, Any]:
        """Trade the code for tokens, which it is good for once."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._back,
            "code_verifier": attempt.verifier,
        }
        methods = document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        headers = {}
        if "client_secret_basic" in methods:
            proof = f"{quote_plus(self._client_id)}:{quote_plus(self._secret)}"  # RFC 6749, 2.3.1
            headers["Authorization"] = f"Basic {b64encode(proof.encode()).decode()}"
        else:
            form |= {"client_id": self._client_id, "client_secret": self._secret}
        return self._ask("POST", document["token_endpoint"], deadline, form=form, headers=headers)

    def _read(
        self, token: str, nonce: str | None, now: float, document: Mapping[str, Any], deadline: Deadline
    ) -> Mapping[str, Any]:
        def fetch() -> KeySet:
            return self._fetch_keys(document, deadline)

        expected: dict[str, Any] = {"issuer": self._issuer, "client_id": self._client_id, "nonce": nonce}
        try:
            return read_id_token(token, self._keys.get(fetch), now=now, **expected)
        except KeyUnknown:
            return read_id_token(token, self._keys.get(fetch, _KEYS_AGAIN_SECONDS), now=now, **expected)

    def _fetch_keys(self, document: Mapping[str, Any], deadline: Deadline) -> KeySet:
        return read_keys(self._ask("GET", document["jwks_uri"], deadline))

    def _complete(
        self, claims: Mapping[str, Any], tokens: Mapping[str, Any], document: Mapping[str, Any], deadline: Deadline
    ) -> Mapping[str, Any]:
        """Some providers tell the email address and groups only when asked for them."""
        place, token = document.get("userinfo_endpoint"), tokens.get("access_token")
        if not isinstance(token, str) or place is None or all(name in claims for name in self._needed):
            return claims
        self._check_place("userinfo_endpoint", place)
        bearer = {"Authorization": f"Bearer {token}"}
        told = self._ask("GET", place, deadline, headers=bearer)
        if told.get("sub") != claims["sub"]:
            raise AnswerInvalid("userinfo: sub differs")
        return {**told, **claims}

    def _ask(self, method: str, place: str, deadline: Deadline, **request: Any) -> Mapping[str, Any]:
        return _read_answer(self._transport.send(method, place, deadline, **request), place)


class _Kept(Generic[Found]):
    """Something that is fetched when it is wanted and too old."""

    def __init__(self) -> None:
        self._found: Found | None = None
        self._since = float("-inf")

    def get(self, fetch: Callable[[], Found], seconds: float = _FRESH_SECONDS) -> Found:
        """What was fetched less than `seconds` ago, else what `fetch` gives now."""
        if self._found is None or time.monotonic() - self._since >= seconds:
            self._found = fetch()
            self._since = time.monotonic()
        return self._found


def _read_answer(answer: RawAnswer, place: str) -> Mapping[str, Any]:
    where = urlsplit(place).path
    if answer.status >= 500 or answer.status == 429:
        raise ProviderAway
    try:
        body = json.loads(answer.body) if len(answer.body) <= _LARGEST_BODY else None
    except (ValueError, RecursionError):
        body = None
    body = body if isinstance(body, dict) else None
    problem = str((body or {}).get("error", ""))
    if problem == "invalid_grant":
        raise CodeRefused
    if problem in ("invalid_client", "unauthorized_client", "redirect_uri_mismatch") or answer.status in (401, 404):
        raise SetUpWrong(f"the provider refuses us at {where}: {answer.status} {problem[:60]}".strip())
    if answer.status != 200 or body is None:
        raise AnswerInvalid(f"{where}: {answer.status} {problem[:60]}".strip())
    return body
