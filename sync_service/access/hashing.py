"""Hashes of passwords and client secrets: argon2id, a few at a time."""

from __future__ import annotations

import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

#: Hashings at the same time in one process: each takes tens of milliseconds and 19 MiB.
_HASHINGS = 2
_turns = threading.BoundedSemaphore(_HASHINGS)


def hash_secret(secret: str) -> str:
    """The hash to keep in place of `secret`."""
    return _hasher().hash(_encodable(secret))


def fits(secret_hash: str, secret: str) -> bool:
    """Whether `secret` is the one of the hash."""
    try:
        with _turns:
            return _hasher().verify(secret_hash, _encodable(secret))
    except (VerificationError, InvalidHashError):
        return False


def _hasher() -> PasswordHasher:
    """OWASP's profile for argon2id; memory in KiB."""
    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


def _encodable(secret: str) -> bytes:
    return secret.encode("utf-8", "surrogatepass")
