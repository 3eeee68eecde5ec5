"""Hashes of passwords and client secrets: argon2id, a few at a time."""

from __future__ import annotations

import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from sync_service.errors import SyncServiceError

#: Checks at the same time in one process: each takes tens of milliseconds of a processor and 19 MiB.
_CHECKS = 1
_turns = threading.BoundedSemaphore(_CHECKS)
#: How long a check waits for its turn, in seconds.
_TURN_SECONDS = 0.25


class HashingBusy(SyncServiceError):
    """Too many passwords are being checked just now. Please try again."""

    code = "hashing busy"


def hash_secret(secret: str) -> str:
    """The hash to keep in place of `secret`."""
    return _hasher().hash(_encodable(secret))


def fits(secret_hash: str, secret: str) -> bool:
    """Whether `secret` is the one of the hash. Raises HashingBusy instead of waiting long for its turn."""
    if not _turns.acquire(timeout=_TURN_SECONDS):
        raise HashingBusy
    try:
        return _hasher().verify(secret_hash, _encodable(secret))
    except (VerificationError, InvalidHashError):
        return False
    finally:
        _turns.release()


def _hasher() -> PasswordHasher:
    """OWASP's profile for argon2id; memory in KiB."""
    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


def _encodable(secret: str) -> bytes:
    return secret.encode("utf-8", "surrogatepass")
