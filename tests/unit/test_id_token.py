"""ID tokens: only what the provider signed, for us, for this attempt and for now, is believed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from sync_service.access.sign_on.attempts import AnswerInvalid, KeyUnknown, read_id_token, read_keys

Claims = dict[str, Any]
NOW = 1_790_000_000
HONEST: Claims = {
    "iss": "https://login.example.com",
    "aud": "sync",
    "sub": "u-1",
    "exp": NOW + 300,
    "iat": NOW,
    "nonce": "n",
}
RSA = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"}, private=True)
ELLIPTIC = ECKey.generate_key("P-256", {"kid": "ec"}, private=True)
OTHER = RSAKey.generate_key(2048, {"kid": "one"}, private=True)


def sign(claims: Claims, key: Any = RSA, algorithm: str = "RS256", **header: Any) -> str:
    return jwt.encode({"alg": algorithm, "kid": key.kid, **header}, claims, key, algorithms=[algorithm])


def read(token: str, *keys: Any) -> Any:
    published = read_keys({"keys": [key.as_dict(private=False) for key in keys or (RSA, ELLIPTIC)]})
    return read_id_token(
        token, published, issuer="https://login.example.com", client_id="sync", nonce="n", now=NOW + 0.5
    )


def part(value: Claims) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def hmac_with_the_public_key() -> str:
    """HS256 under the text of the public key, which everybody knows."""
    signed = f"{part({'alg': 'HS256', 'kid': 'one'})}.{part(HONEST)}"
    digest = hmac.digest(RSA.as_pem(private=False), signed.encode(), hashlib.sha256)
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def unknown_extension() -> str:
    """RFC 7515, 4.1.11: what must be understood and is not makes a signature invalid."""
    signed = f"{part({'alg': 'RS256', 'kid': 'one', 'crit': ['odd'], 'odd': 1})}.{part(HONEST)}"
    made = RSA.private_key.sign(signed.encode(), PKCS1v15(), SHA256())
    return f"{signed}.{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}"


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"aud": ["sync"]},
        {"azp": "sync"},
        {"aud": ["sync", "another"], "azp": "sync"},
        {"exp": NOW - 30},
        {"iat": NOW + 30},
    ],
    ids=str,
)
def test_a_token_that_is_as_it_may_be_is_believed(changed: Claims) -> None:
    assert read(sign(HONEST | changed))["sub"] == "u-1"


@pytest.mark.parametrize(
    "changed",
    [
        {"nonce": "another attempt's"},
        {"nonce": None},
        {"exp": NOW - 120},
        {"exp": None},
        {"exp": "tomorrow"},
        {"iat": NOW + 3600},
        {"iat": None},
        {"nbf": NOW + 3600},
        {"iss": "https://evil.example"},
        {"iss": "https://login.example.com/"},
        {"iss": None},
        {"aud": "another"},
        {"aud": None},
        {"aud": []},
        {"aud": {"sync": 1}},
        {"aud": ["sync", "another"]},
        {"aud": ["sync", "another"], "azp": "another"},
        {"azp": "another"},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 256},
        {"sub": "a\0b"},
    ],
    ids=str,
)
def test_a_token_that_was_not_made_for_this_sign_on_is_refused(changed: Claims) -> None:
    claims = {name: value for name, value in (HONEST | changed).items() if value is not None}

    with pytest.raises(AnswerInvalid):
        read(sign(claims))


@pytest.mark.parametrize(
    "forge",
    [
        lambda: f"{part({'alg': 'none'})}.{part(HONEST)}.",
        lambda: f"{part({'alg': 'none', 'kid': 'one'})}.{part(HONEST)}.",
        hmac_with_the_public_key,
        lambda: sign(HONEST, OTHER),
        lambda: sign(HONEST, OTHER, jwk=OTHER.as_dict(private=False)),
        lambda: sign(HONEST)[:-8] + "AAAAAAAA",
        lambda: ".".join([*sign(HONEST).split(".")[:1], part(HONEST | {"sub": "u-2"}), sign(HONEST).split(".")[2]]),
        unknown_extension,
        lambda: "",
        lambda: "no.token.at-all",
        lambda: "é" * 10,
    ],
    ids=[
        "none",
        "none with a key",
        "HS256 with the public key",
        "another key",
        "key in the header",
        "signature",
        "claims",
        "crit",
        "empty",
        "no token",
        "not ascii",
    ],
)
def test_a_forged_signature_is_refused(forge: Callable[[], str]) -> None:
    with pytest.raises(AnswerInvalid):
        read(forge())


def test_elliptic_keys_do_too() -> None:
    assert read(sign(HONEST, ELLIPTIC, "ES256"))["sub"] == "u-1"


def test_a_key_that_is_not_published_may_be_a_newer_one() -> None:
    with pytest.raises(KeyUnknown):
        read(sign(HONEST), ELLIPTIC)


def test_a_token_without_a_key_id_is_read_only_where_there_is_one_key() -> None:
    token = jwt.encode({"alg": "RS256"}, HONEST, RSA)

    assert read(token, RSA)["sub"] == "u-1"
    with pytest.raises(AnswerInvalid):
        read(token, RSA, ELLIPTIC)


def test_a_secret_key_among_the_published_ones_proves_nothing() -> None:
    shared = OctKey.import_key("everybody knows this very well, really", {"kid": "shared"})
    keys = read_keys({"keys": [shared.as_dict(private=True), RSA.as_dict(private=False)]})

    assert [key.kid for key in keys] == ["one"]


def test_keys_that_we_cannot_use_are_passed_over() -> None:
    odd: list[Any] = [{"kty": "AKP", "kid": "new"}, {"kty": "RSA"}, "no key", RSA.as_dict(private=False, use="enc")]

    keys = read_keys({"keys": [*odd, ELLIPTIC.as_dict(private=False)]})

    assert [key.kid for key in keys] == ["ec"]


@pytest.mark.parametrize("keys", [[], None, {"a": 1}, [{"kty": "oct", "k": "AAAA"}]], ids=str)
def test_a_key_set_without_a_key_for_signatures_is_refused(keys: Any) -> None:
    with pytest.raises(AnswerInvalid):
        read_keys({"keys": keys})
