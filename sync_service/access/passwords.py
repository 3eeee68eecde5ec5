"""Passwords and secrets: what a new password must be like, and hashes by argon2id, a few at a time."""

from __future__ import annotations

import secrets
import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from sync_service.errors import SyncServiceError
from sync_service.store.engine import Database
from sync_service.store.tables import AdminUserRow

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


#: The shortest and longest password that is taken (NIST SP 800-63B asks for 8 and 64 at the least).
SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 200
#: How long a temporary password waits for its person.
TEMPORARY_MS = 7 * 24 * 3_600_000
LONGEST_EMAIL = 254


class UserInvalid(SyncServiceError):
    """The email address or the password cannot be used."""

    code = "user invalid"


def make_password() -> str:
    """An unguessable password."""
    return secrets.token_urlsafe(15)


def hash_password(password: str) -> str:
    """The hash to keep of a password that may be used. Raises UserInvalid."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise UserInvalid(f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.")
    return hash_secret(password)


def prove_user(database: Database, email: str, password: str) -> AdminUserRow | None:
    """The user whose email address and password these are; takes as long for an unknown one as for a wrong password."""
    email = normalise_email(email)
    with database.reading() as session:
        row = session.get(AdminUserRow, email) if is_plausible(email) else None
        now = session.now()
    kept = row.password_hash if row else None
    right = fits(kept or _unknown_users_hash(), password[: LONGEST_PASSWORD + 1])
    if row is None or kept is None or not right or row.disabled_at is not None:
        return None
    return row if row.password_until is None or now < row.password_until else None


def normalise_email(email: str) -> str:
    """As it is stored and compared."""
    return email.strip().lower()


def is_plausible(email: str) -> bool:
    """Whether the database may be asked for it."""
    return 0 < len(email) <= LONGEST_EMAIL and email.isprintable()


def _unknown_users_hash() -> str:
    """A hash, made with our profile, of an unknown password."""
    return "$argon2id$v=19$m=19456,t=2,p=1$xyZJ8F+PqIx6HRYH8kRaTw$VdY/HgMaQTKbf9qGw/qI9dx5b9yS3di6tIk+DBM31ME"
