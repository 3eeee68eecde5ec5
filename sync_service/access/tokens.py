"""Access tokens: JSON Web Tokens that our token endpoint gives and our gates read (RFC 9068's claims, HS256)."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

#: What Limio's own token endpoint says (OAuth Bearer Token, `expires_in`), in seconds.
LIFETIME_SECONDS = 3600
#: The claim that names a partner's organisation (Limio's page "Creating Partner-Specific Pages").
PARTNER_CLAIM = "lmo:partner_org"
#: How far the clocks of two of our hosts may differ, in seconds.
_LEEWAY_SECONDS = 30
_ALGORITHM = "HS256"
_TYPE = "at+jwt"


@dataclass(frozen=True)
class Grant:
    """What a valid token says: the client, and the scopes it was given."""

    client_id: str
    scopes: frozenset[str]
    #: The partner organisation that the client acted for when the token was given.
    partner_org: str | None = None


class AccessTokens:
    """Makes and reads tokens under keys derived from SECRET_KEY, so that no other signature of ours is a token."""

    def __init__(self, secret_keys: tuple[str, ...], issuer: str) -> None:
        """The first of `secret_keys` signs; each may have signed what is read. Without any, or empty, nothing works."""
        self._issuer = issuer or "sync-service"
        digests = [hashlib.sha256(b"access token\0" + each.encode()).digest() for each in secret_keys if each]
        self._keys = [OctKey.import_key(digest) for digest in digests]

    @property
    def is_configured(self) -> bool:
        """Whether there is a key to sign with."""
        return bool(self._keys)

    def issue(self, client_id: str, scopes: Collection[str], partner_org: str | None = None) -> str:
        """A token for LIFETIME_SECONDS from now."""
        if not self._keys:
            raise ValueError("SECRET_KEY is not set")
        now = int(time.time())
        claims = {
            "iss": self._issuer,
            "aud": self._issuer,
            "sub": client_id,
            "client_id": client_id,
            "scope": " ".join(sorted(scopes)),
            "iat": now,
            "exp": now + LIFETIME_SECONDS,
            "jti": secrets.token_hex(16),
        } | ({PARTNER_CLAIM: partner_org} if partner_org else {})
        return jwt.encode({"alg": _ALGORITHM, "typ": _TYPE}, claims, self._keys[0])

    def read(self, token: str) -> Grant | None:
        """What the token grants; None for one that is forged, malformed, expired or of another kind."""
        return next((grant for key in self._keys if (grant := self._read(token, key))), None)

    def _read(self, token: str, key: OctKey) -> Grant | None:
        try:
            decoded = jwt.decode(token, key, algorithms=[_ALGORITHM])
            rules = jwt.JWTClaimsRegistry(
                leeway=_LEEWAY_SECONDS,
                exp={"essential": True},
                iss={"essential": True, "value": self._issuer},
                client_id={"essential": True},
                scope={"essential": True},
            )
            rules.validate(decoded.claims)
        except (JoseError, ValueError, TypeError):
            return None
        claims = decoded.claims
        scopes = frozenset(str(claims["scope"]).split())
        return Grant(str(claims["client_id"]), scopes, partner_org=claims.get(PARTNER_CLAIM))
