"""An OpenID provider that does whatever it is told, right or wrong, over real HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from werkzeug import Request, Response
from werkzeug.serving import make_server

CLIENT_ID, CLIENT_SECRET = "sync client", "s3cret: with/odd+parts"
Claims = dict[str, Any]


def honest_key(kid: str = "one") -> RSAKey:
    """A key as providers have it."""
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"}, private=True)


@dataclass
class Forger:
    """The provider; what is told to it counts from the next request on."""

    issuer: str
    key: RSAKey | ECKey
    #: What the person is.
    person: Claims = field(default_factory=lambda: {"sub": "u-1", "email": "ada@example.com", "email_verified": True})
    #: Told by userinfo alone.
    userinfo: Claims = field(default_factory=dict)
    #: Put over what the ID token honestly says; None leaves a claim out.
    forged: Claims = field(default_factory=dict)
    #: Makes the token in place of an honest signature.
    sign: Callable[[Claims], str] | None = None
    #: Put over the discovery document.
    document: Claims = field(default_factory=dict)
    #: What an address answers in place of what it should: a Response, by path.
    answers: dict[str, Callable[[], Response]] = field(default_factory=dict)
    published: list[Any] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    codes: dict[str, Claims] = field(default_factory=dict)
    #: The client's secrets that are good now.
    secrets: list[str] = field(default_factory=lambda: [CLIENT_SECRET])

    def authorize(self, address: str) -> dict[str, str]:
        """What the provider does with a browser that was sent to `address`: the parameters it comes back with."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = f"code {len(self.codes)}"
        self.codes[code] = asked
        return {"code": code, "state": asked["state"]}

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """The provider as a WSGI application."""
        request = Request(environ)
        self.asked.append(request.path)
        special = self.answers.get(request.path)
        return (special() if special else self._answer(request))(environ, start_response)

    def _answer(self, request: Request) -> Response:
        if request.path == "/.well-known/openid-configuration":
            return _json(
                {
                    "issuer": self.issuer,
                    "authorization_endpoint": f"{self.issuer}/authorize?tenant=1",
                    "token_endpoint": f"{self.issuer}/token",
                    "jwks_uri": f"{self.issuer}/keys",
                    "userinfo_endpoint": f"{self.issuer}/userinfo",
                }
                | self.document
            )
        if request.path == "/keys":
            return _json({"keys": self.published or [self.key.as_dict(private=False)]})
        if request.path == "/userinfo":
            assert request.headers["Authorization"] == "Bearer access"
            return _json({"sub": self.person["sub"]} | self.userinfo)
        return self._token(request)

    def _token(self, request: Request) -> Response:
        given = request.authorization
        pair = (
            (unquote_plus(given.username or ""), unquote_plus(given.password or ""))
            if given
            else (request.form.get("client_id"), request.form.get("client_secret"))
        )
        if pair not in [(CLIENT_ID, secret) for secret in self.secrets]:
            return _json({"error": "invalid_client"}, 401)
        asked = self.codes.pop(request.form["code"], None)
        challenge = _challenge(request.form["code_verifier"])
        if (
            asked is None
            or challenge != asked["code_challenge"]
            or request.form["redirect_uri"] != asked["redirect_uri"]
        ):
            return _json({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "exp": now + 300, "iat": now, "nonce": asked["nonce"]}
        claims = {name: value for name, value in (claims | self.person | self.forged).items() if value is not None}
        token = self.sign(claims) if self.sign else sign_with(self.key)(claims)
        return _json({"access_token": "access", "token_type": "Bearer", "id_token": token})


def sign_with(key: Any, algorithm: str = "RS256", **header: Any) -> Callable[[Claims], str]:
    """An honest signature by `key`."""
    head = {"alg": algorithm, "kid": key.kid, **header}
    return lambda claims: jwt.encode(head, claims, key, algorithms=[algorithm])


def unsigned(claims: Claims) -> str:
    """A token of `alg: none`."""
    return f"{_part({'alg': 'none'})}.{_part(claims)}."


def _part(value: Claims) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _json(body: Claims, status: int = 200) -> Response:
    return Response(json.dumps(body), status, content_type="application/json")


@contextmanager
def forger(key: RSAKey | ECKey) -> Iterator[Forger]:
    """The provider on a port of its own."""
    made = Forger("", key)
    server = make_server("127.0.0.1", 0, made, threaded=True)
    made.issuer = f"http://127.0.0.1:{server.port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
