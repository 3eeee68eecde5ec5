"""Secrets and signatures of Standard Webhooks (its specification, "Signature scheme"): HMAC-SHA256, version v1."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable

from sync_service.errors import SyncServiceError

_PREFIX = "whsec_"
#: The specification asks for 24 to 64 bytes.
_SHORTEST, _LONGEST, _OURS = 24, 64, 32


class SecretInvalid(SyncServiceError):
    """A signing secret is `whsec_` and 24 to 64 bytes in base64."""

    code = "secret invalid"


def make_secret() -> str:
    """A new signing secret."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_OURS)).decode()


def read_secret(secret: str) -> bytes:
    """The key of a secret, with or without its prefix. Raises SecretInvalid."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise SecretInvalid from None
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise SecretInvalid
    return key


def sign(message_id: str, at: int, body: str, valid: Iterable[str]) -> str:
    """The header `webhook-signature`: one signature for each of the `valid` secrets; `at` in seconds since 1970."""
    text = f"{message_id}.{at}.{body}".encode()
    digests = (hmac.digest(read_secret(secret), text, hashlib.sha256) for secret in valid)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)
