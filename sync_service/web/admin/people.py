"""Who may log in to the admin pages, and whether a password is theirs."""

from __future__ import annotations

import re
import secrets
from enum import StrEnum

from sqlmodel import Session, col, delete, select

from sync_service.db import Database
from sync_service.errors import SyncServiceError
from sync_service.tables import AdminSessionRow, AdminUserRow
from sync_service.web.admin.actions import record_action
from sync_service.web.hashing import fits, hash_secret

#: The shortest and longest password that is taken (NIST SP 800-63B asks for 8 and 64 at the least).
SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 200
_LONGEST_EMAIL = 254


class Role(StrEnum):
    """What a person may do."""

    #: Sees everything, changes nothing.
    VIEWER = "viewer"
    #: Syncs, retries, decides what is held, manages API clients.
    OPERATOR = "operator"


class UserUnknown(SyncServiceError):
    """There is no such user."""

    code = "user unknown"


class UserInvalid(SyncServiceError):
    """The email address or the password cannot be used."""

    code = "user invalid"


def put_user(database: Database, email: str, role: Role, password: str | None = None, *, actor: str) -> str:
    """Let `email` log in as `role`, also where it was disabled; returns the password, made here where none is given.

    Repeatable; ends the sessions that the person has. Raises UserInvalid.
    """
    email = _checked_email(email)
    password = secrets.token_urlsafe(15) if password is None else password
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise UserInvalid(f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.")
    password_hash = hash_secret(password)
    with database.transaction() as session:
        row = session.get(AdminUserRow, email)
        if row is None:
            row = AdminUserRow(
                email=email, password_hash=password_hash, role=role.value, created_at=database.now(session)
            )
        row.password_hash, row.role, row.disabled_at = password_hash, role.value, None
        session.add(row)
        _end_sessions(session, email)
        record_action(database, session, actor, "user added", f"{email} as {role.value}")
    return password


def disable_user(database: Database, email: str, *, actor: str) -> None:
    """Let `email` in no longer, from the next request on. Repeatable. Raises UserUnknown."""
    with database.transaction() as session:
        row = session.get(AdminUserRow, normalise_email(email))
        if row is None:
            raise UserUnknown
        row.disabled_at = row.disabled_at or database.now(session)
        _end_sessions(session, row.email)
        record_action(database, session, actor, "user disabled", row.email)


def list_users(session: Session) -> list[AdminUserRow]:
    """Everybody, by email address."""
    return list(session.exec(select(AdminUserRow).order_by(col(AdminUserRow.email))))


def prove_user(database: Database, email: str, password: str) -> AdminUserRow | None:
    """The user whose email address and password these are; takes as long for an unknown one as for a wrong password."""
    email = normalise_email(email)
    with database.reading() as session:
        row = session.get(AdminUserRow, email) if _is_plausible(email) else None
    right = fits(row.password_hash if row else _nobodys_hash(), password[: LONGEST_PASSWORD + 1])
    return row if row is not None and right and row.disabled_at is None else None


def normalise_email(email: str) -> str:
    """As it is stored and compared."""
    return email.strip().lower()


def _checked_email(email: str) -> str:
    email = normalise_email(email)
    if not _is_plausible(email) or not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
        raise UserInvalid(f"{email!r} is not an email address.")
    return email


def _is_plausible(email: str) -> bool:
    return 0 < len(email) <= _LONGEST_EMAIL and email.isprintable()


def _end_sessions(session: Session, email: str) -> None:
    session.exec(delete(AdminSessionRow).where(col(AdminSessionRow.email) == email))


def _nobodys_hash() -> str:
    """A hash, made with our profile, of a password that nobody knows."""
    return "$argon2id$v=19$m=19456,t=2,p=1$xyZJ8F+PqIx6HRYH8kRaTw$VdY/HgMaQTKbf9qGw/qI9dx5b9yS3di6tIk+DBM31ME"
