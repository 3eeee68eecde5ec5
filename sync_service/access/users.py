"""The users of the admin pages and their roles. Every change is logged in the transaction that makes it."""

from __future__ import annotations

import re
from enum import StrEnum

from sqlmodel import col, delete, select

from sync_service.access.passwords import (
    TEMPORARY_MS,
    UserInvalid,
    hash_password,
    is_plausible,
    make_password,
    normalise_email,
)
from sync_service.errors import SyncServiceError
from sync_service.store.audit import record_action
from sync_service.store.engine import Database, Session
from sync_service.store.tables import AdminSessionRow, AdminUserRow


class Role(StrEnum):
    """What a person may do."""

    #: Sees everything, changes nothing.
    VIEWER = "viewer"
    #: Syncs, retries, decides what is held, manages API clients and people.
    OPERATOR = "operator"


class UserUnknown(SyncServiceError):
    """There is no such user."""

    code = "user unknown"


class UserKnown(SyncServiceError):
    """There is such a user already: change the role or the password in the list."""

    code = "user known"


class LastOperator(SyncServiceError):
    """This is the last operator: make another user an operator first."""

    code = "last operator"


def put_user(database: Database, email: str, role: Role, password: str | None = None, *, actor: str) -> str:
    """Let `email` log in as `role`, also where it was disabled; returns the password, made here where none is given.

    Repeatable; ends the sessions that the person has and forgets the account at the identity provider. Raises
    UserInvalid, LastOperator.
    """
    email = _checked_email(email)
    password = make_password() if password is None else password
    password_hash = hash_password(password)
    with database.transaction() as session:
        if role is not Role.OPERATOR:
            _spare_the_last_operator(session, email)
        row = session.get(AdminUserRow, email) or _new_user(session, email)
        row.password_hash, row.password_until = password_hash, None
        row.role, row.disabled_at, row.issuer, row.subject = role.value, None, None, None
        session.add(row)
        _end_sessions(session, email)
        record_action(session, actor, "user added", f"{email} as {role.value}")
    return password


def add_user(database: Database, email: str, role: Role, *, with_password: bool, actor: str) -> str | None:
    """A new person, with a temporary password, which is returned, or for single sign-on alone.

    Raises UserInvalid, UserKnown.
    """
    email = _checked_email(email)
    password = make_password() if with_password else None
    password_hash = hash_password(password) if password else None
    with database.transaction() as session:
        if session.get(AdminUserRow, email) is not None:
            raise UserKnown
        row = _new_user(session, email)
        row.role, row.password_hash = role.value, password_hash
        row.password_until = session.now() + TEMPORARY_MS if password else None
        session.add(row)
        record_action(session, actor, "user added", f"{email} as {role.value}")
    return password


def change_role(database: Database, email: str, role: Role, *, actor: str) -> None:
    """Make `email` a `role`, from the next request on. Repeatable. Raises UserUnknown, LastOperator."""
    with database.transaction() as session:
        if role is not Role.OPERATOR:
            _spare_the_last_operator(session, normalise_email(email))
        row = _known(session, email)
        if row.role == role.value:
            return
        row.role = role.value
        record_action(session, actor, "user role changed", f"{row.email} to {role.value}")


def disable_user(database: Database, email: str, *, actor: str) -> None:
    """Let `email` in no longer, from the next request on. Repeatable. Raises UserUnknown, LastOperator."""
    with database.transaction() as session:
        _spare_the_last_operator(session, normalise_email(email))
        row = _known(session, email)
        row.disabled_at = row.disabled_at or session.now()
        _end_sessions(session, row.email)
        record_action(session, actor, "user disabled", row.email)


def enable_user(database: Database, email: str, *, actor: str) -> None:
    """Let `email` in again, with the password and role there were. Repeatable. Raises UserUnknown."""
    with database.transaction() as session:
        row = _known(session, email)
        row.disabled_at = None
        record_action(session, actor, "user enabled", row.email)


def reset_password(database: Database, email: str, *, actor: str) -> str:
    """A temporary password in place of the one there is, and the end of the person's sessions. Raises UserUnknown."""
    password = make_password()
    password_hash = hash_password(password)
    with database.transaction() as session:
        row = _known(session, email)
        row.password_hash, row.password_until = password_hash, session.now() + TEMPORARY_MS
        _end_sessions(session, row.email)
        record_action(session, actor, "user password reset", row.email)
    return password


def choose_password(database: Database, email: str, password: str) -> None:
    """The person's own new password; ends all sessions, the present one too. Raises UserInvalid, UserUnknown."""
    password_hash = hash_password(password)
    with database.transaction() as session:
        row = _known(session, email)
        row.password_hash, row.password_until = password_hash, None
        _end_sessions(session, row.email)
        record_action(session, row.email, "password changed")


def end_sessions(database: Database, email: str, *, actor: str) -> None:
    """Log `email` out everywhere. Repeatable. Raises UserUnknown."""
    with database.transaction() as session:
        row = _known(session, email)
        _end_sessions(session, row.email)
        record_action(session, actor, "user logged out", row.email)


def forget_account(database: Database, email: str, *, actor: str) -> None:
    """Let the next account of the identity provider with this address in as `email`. Repeatable. Raises UserUnknown."""
    with database.transaction() as session:
        row = _known(session, email)
        row.issuer = row.subject = None
        _end_sessions(session, row.email)
        record_action(session, actor, "user sign-on account forgotten", row.email)


def list_users(session: Session) -> list[AdminUserRow]:
    """All users, by email address."""
    return list(session.exec(select(AdminUserRow).order_by(col(AdminUserRow.email))))


def _known(session: Session, email: str) -> AdminUserRow:
    email = normalise_email(email)
    row = session.get(AdminUserRow, email, with_for_update=True) if is_plausible(email) else None
    if row is None:
        raise UserUnknown
    return row


def _new_user(session: Session, email: str) -> AdminUserRow:
    return AdminUserRow(email=email, role=Role.VIEWER.value, created_at=session.now())


def _spare_the_last_operator(session: Session, email: str) -> None:
    """Refuse a change that leaves no operator.

    The operators' rows are locked, in one order, so that two of them cannot demote each other at the same time.
    """
    able = select(AdminUserRow.email).where(
        col(AdminUserRow.role) == Role.OPERATOR.value, col(AdminUserRow.disabled_at).is_(None)
    )
    if session.exec(able.order_by(col(AdminUserRow.email)).with_for_update()).all() == [email]:
        raise LastOperator


def _checked_email(email: str) -> str:
    email = normalise_email(email)
    if not is_plausible(email) or not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
        raise UserInvalid(f"{email!r} is not an email address.")
    return email


def _end_sessions(session: Session, email: str) -> None:
    session.exec(delete(AdminSessionRow).where(col(AdminSessionRow.email) == email))
