"""Reading an ID token (OpenID Connect Core 1.0, 3.1.3.7): whose, made for whom, for how long, for which attempt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet

from sync_service.access.sign_on.attempts import AnswerInvalid

#: Only what a public key can prove: neither `none` nor the HMACs, whose key would be public.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
#: How far the provider's clock may differ from the database's, in seconds.
LEEWAY_SECONDS = 60
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
    token: str, keys: KeySet, *, issuer: str, client_id: str, nonce: str, now: float
) -> Mapping[str, Any]:
    """The claims of a token that `issuer` signed, for `client_id` and this `nonce`, valid `now` (seconds since 1970).

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
        nonce={"essential": True, "value": nonce},
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
