"""The values of a sign-on: the attempt, its proofs, and how it can fail."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet

from sync_service.errors import SyncServiceError

#: How long a person may take at the provider.
ATTEMPT_MS = 10 * 60_000


class SignOnFailed(SyncServiceError):
    """The sign-on did not succeed."""

    code = "sign-on failed"


class ProviderAway(SignOnFailed):
    """The identity provider does not answer just now. Please try again in a moment."""

    code = "provider away"


class SetUpWrong(SignOnFailed):
    """Sign-on is not set up correctly. An administrator can repair it; the log says what is wrong."""

    code = "sign-on set up wrong"

    def __init__(self, detail: str) -> None:
        super().__init__()
        #: For the log.
        self.detail = detail


class CodeRefused(SignOnFailed):
    """The identity provider calls this sign-on used or too old. Please sign in again."""

    code = "code refused"


class AnswerInvalid(SignOnFailed):
    """What the identity provider answered cannot be trusted. Please sign in again."""

    code = "answer invalid"

    def __init__(self, detail: str) -> None:
        super().__init__()
        #: For the log.
        self.detail = detail


@dataclass(frozen=True, kw_only=True)
class SignOnAttempt:
    """One sign-on on its way: it stays in the browser that began it, sealed, until that comes back."""

    #: Proves that the browser that comes back is the one that left.
    state: str
    #: Proves that the ID token was made for this attempt.
    nonce: str
    #: Proves that the code is redeemed by the client that requested it (PKCE, RFC 7636).
    verifier: str
    #: The page that was asked for.
    wanted: str
    began_at: int

    @property
    def challenge(self) -> str:
        """What is told of the verifier beforehand (method S256)."""
        return base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()

    def to_text(self) -> str:
        """As it is sealed."""
        return json.dumps(asdict(self))


def begin_attempt(wanted: str, now: int) -> SignOnAttempt:
    """A new attempt with unguessable parts."""
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    return SignOnAttempt(state=state, nonce=nonce, verifier=verifier, wanted=wanted, began_at=now)


def read_attempt(text: str, now: int) -> SignOnAttempt | None:
    """The attempt of `to_text`; None for anything else, and for one that is too old."""
    try:
        attempt = SignOnAttempt(**json.loads(text))
    except (ValueError, TypeError):
        return None
    return attempt if 0 <= now - attempt.began_at < ATTEMPT_MS else None


class Provider(Protocol):
    """An OpenID provider."""

    def make_address(self, attempt: SignOnAttempt) -> str:
        """Where to send the browser. Raises ProviderAway, SetUpWrong."""

    def identify(self, attempt: SignOnAttempt, answer: Mapping[str, str], now: float) -> Mapping[str, Any]:
        """Who came back with `answer`, the parameters of the redirect: the claims, proved. `now`: seconds since 1970.

        Raises SignOnFailed.
        """

    def prove(self, id_token: str, now: float) -> Mapping[str, Any]:
        """The claims of an ID token that another application of the same client was given, fresh `now`.

        Raises SignOnFailed.
        """


#: Only what a public key can prove: neither `none` nor the HMACs, whose key would be public.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
#: How far the provider's clock may differ from the database's, in seconds.
LEEWAY_SECONDS = 60
#: How old a token may be that was not made for an attempt of ours, in seconds.
MAX_AGE_SECONDS = 600
_LONGEST_SUBJECT = 255


class KeyUnknown(AnswerInvalid):
    """The token names a key that is not among these."""


def read_keys(document: Mapping[str, Any]) -> KeySet:
    """The keys of a JWK set that signatures can be checked with; others are left out. Raises AnswerInvalid."""
    keys: list[Key] = []
    listed = document.get("keys")
    for each in listed if isinstance(listed, list) else []:
        if not isinstance(each, dict) or each.get("kty") == "oct" or each.get("use", "sig") != "sig":
            continue
        try:
            keys.append(JWKRegistry.import_key(each))
        except (JoseError, ValueError, TypeError, KeyError):
            continue
    if not keys:
        raise AnswerInvalid("the provider's key set has no key for signatures")
    return KeySet(keys)


def read_id_token(
    token: str, keys: KeySet, *, issuer: str, client_id: str, nonce: str | None, now: float
) -> Mapping[str, Any]:
    """The claims of a token that `issuer` signed, for `client_id` and this `nonce`, valid `now` (seconds since 1970).

    Without a nonce the attempt was another application's: such a token must have been issued within MAX_AGE_SECONDS.
    Raises AnswerInvalid; KeyUnknown where newer keys may help.
    """
    rules = jwt.JWTClaimsRegistry(
        now=int(now),
        leeway=LEEWAY_SECONDS,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": client_id},
        exp={"essential": True},
        iat={"essential": True},
        sub={"essential": True},
        nonce={"essential": False} if nonce is None else {"essential": True, "value": nonce},
    )
    try:
        claims: dict[str, Any] = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
        rules.validate(claims)
    except InvalidKeyIdError:
        raise KeyUnknown("the ID token names a key that the provider does not publish") from None
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        # The error's own text may quote claims.
        raise AnswerInvalid(f"ID token: {type(error).__name__} {getattr(error, 'claim', '')}".strip()) from None
    _check_party(claims, client_id)
    if nonce is None and not now - claims["iat"] <= MAX_AGE_SECONDS:
        raise AnswerInvalid("ID token: it was issued too long ago")
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT or not subject.isprintable():
        raise AnswerInvalid("ID token: sub is no plain text of at most 255 characters")
    return claims


def _check_party(claims: Mapping[str, Any], client_id: str) -> None:
    """A token for several is ours only where it says that we asked for it."""
    audience, party = claims["aud"], claims.get("azp")
    several = isinstance(audience, list) and len(audience) > 1
    if (several or party is not None) and party != client_id:
        raise AnswerInvalid("ID token: azp is another client")
