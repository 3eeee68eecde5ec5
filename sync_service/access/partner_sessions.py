"""The portal's log-ins: a code by email, and the session that it opens.

A code has six digits and is good once, for ten minutes, in the browser that asked. What is done and answered is the
same for an address of no user, down to the row, so that no stranger learns whose addresses are known.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlmodel import col, delete, or_, select

from sync_service.access.mail import Mailer
from sync_service.access.passwords import is_plausible, normalise_email
from sync_service.access.sessions import IDLE_MS, LIFETIME_MS, SEEN_EVERY_MS, hash_token, is_over
from sync_service.store.audit import record_action
from sync_service.store.engine import Database, Session
from sync_service.store.tables import PartnerCodeRow, PartnerOrgRow, PartnerSessionRow, PartnerUserRow
from sync_service.telemetry.log import logger


@dataclass(frozen=True, kw_only=True)
class PartnerPerson:
    """A user of a partner organisation who is logged in."""

    user_id: str
    email: str
    partner_org: str
    organisation: str
    #: The https address of the organisation's logo.
    logo: str | None


class PartnerSessions:
    """The log-ins of all processes, in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, user: PartnerUser, note: str) -> str:
        """A new log-in; returns what its cookie holds. Ended ones are swept away on the occasion."""
        token = secrets.token_urlsafe(32)
        with self._database.transaction(lock_timeout_ms=2000) as session:
            now = session.now()
            ended = or_(
                col(PartnerSessionRow.began_at) <= now - LIFETIME_MS, col(PartnerSessionRow.seen_at) <= now - IDLE_MS
            )
            session.exec(delete(PartnerSessionRow).where(ended))
            session.add(PartnerSessionRow(token_hash=hash_token(token), user_id=user.id, began_at=now, seen_at=now))
            record_action(session, normalise_email(user.email), "partner log in", f"{user.partner_org}, {note}")
        return token

    def find(self, token: str) -> PartnerPerson | None:
        """Who holds this cookie; None where the log-in has ended, or the user or the organisation was disabled.

        Read from the database at every request, so that disabling ends a log-in with the next one.
        """
        with self._database.reading() as session:
            row, now = session.get(PartnerSessionRow, hash_token(token)), session.now()
            user = session.get(PartnerUserRow, row.user_id) if row else None
            org = session.get(PartnerOrgRow, user.partner_org) if user else None
            if row is None or user is None or org is None or not is_admitted(session, user):
                return None
        if is_over(row.began_at, row.seen_at, now):
            return None
        if now - row.seen_at > SEEN_EVERY_MS:
            self._note_seen(row.token_hash, now)
        return PartnerPerson(
            user_id=user.id, email=user.email, partner_org=org.id, organisation=org.name, logo=org.logo
        )

    def close(self, token: str) -> None:
        """End the log-in. Repeatable."""
        with self._database.transaction(lock_timeout_ms=2000) as session:
            session.exec(delete(PartnerSessionRow).where(col(PartnerSessionRow.token_hash) == hash_token(token)))

    def _note_seen(self, token_hash: str, now: int) -> None:
        with self._database.transaction(lock_timeout_ms=2000) as session:
            row = session.get(PartnerSessionRow, token_hash)
            if row is not None:
                row.seen_at = max(row.seen_at, now)


def end_sessions(session: Session, user_ids: Sequence[str]) -> None:
    """Log these users out everywhere. Repeatable."""
    session.exec(delete(PartnerSessionRow).where(col(PartnerSessionRow.user_id).in_(user_ids)))


#: How long a code is good, and how often one may be guessed at.
LIFE_MS = 10 * 60_000
MAX_TRIES = 5
_DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class PartnerUser:
    """A person who acts for one partner organisation."""

    id: str
    email: str
    partner_org: str


class CodeSender(Protocol):
    """How a code reaches its person."""

    def send_code(self, user: PartnerUser, code: str) -> None:
        """Send it, without letting the caller wait."""


class CodesByMail:
    """By email."""

    def __init__(self, mailer: Mailer, address: str) -> None:
        """`address`: where our pages are, for people who got a code that they did not ask for."""
        self._mailer = mailer
        self._address = address

    def send_code(self, user: PartnerUser, code: str) -> None:
        """Mail it."""
        text = (
            f"Your code is {code}. It is good for {LIFE_MS // 60_000} minutes, in the browser window where you asked "
            f"for it{f' ({self._address})' if self._address else ''}.\n\n"
            "If you did not ask for a code, you need not do anything: a log-in needs this code. Never tell it to "
            "anyone.\n"
        )
        self._mailer.send(user.email, "Your log-in code", text)


class CodesInLog:
    """Into this process's log: for a trial on one machine, where there is no mail server."""

    def send_code(self, user: PartnerUser, code: str) -> None:
        """Log it."""
        logger().warning("partner_code_in_log", user=user.id, code=code)


class LoginCodes:
    """The codes of all processes, in the database."""

    def __init__(self, database: Database, secret_key: str, sender: CodeSender) -> None:
        self._database = database
        self._key = hashlib.sha256(b"partner code\0" + secret_key.encode()).digest()
        self._sender = sender

    def send(self, email: str, browser: str) -> None:
        """Send a new code to the user of this address, if there is one, in place of the one that `browser` had."""
        code = f"{secrets.randbelow(10**_DIGITS):0{_DIGITS}}"
        with self._database.transaction(lock_timeout_ms=2000) as session:
            now = session.now()
            user = _find_user(session, email)
            session.exec(delete(PartnerCodeRow).where(col(PartnerCodeRow.expires_at) <= now))
            session.merge(
                PartnerCodeRow(
                    browser_hash=hash_token(browser),
                    code_hash=self._hash(browser, code),
                    user_id=user.id if user else None,
                    expires_at=now + LIFE_MS,
                    tries=0,
                )
            )
        if user is not None:
            self._sender.send_code(user, code)

    def redeem(self, browser: str, code: str) -> PartnerUser | None:
        """The user whose code this is, which is thereby used up; None for a wrong, late or worn-out one.

        The try is counted before the code is looked at, in the same transaction.
        """
        with self._database.transaction(lock_timeout_ms=2000) as session:
            row = session.get(PartnerCodeRow, hash_token(browser), with_for_update=True)
            if row is None or row.expires_at <= session.now() or row.tries >= MAX_TRIES:
                return None
            row.tries += 1
            if not hmac.compare_digest(row.code_hash, self._hash(browser, "".join(code.split()))):
                return None
            user = session.get(PartnerUserRow, row.user_id) if row.user_id else None
            session.delete(row)
            return as_user(user) if user and is_admitted(session, user) else None

    def _hash(self, browser: str, code: str) -> str:
        return hmac.new(self._key, f"{browser}\0{code}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def is_admitted(session: Session, user: PartnerUserRow) -> bool:
    """Whether neither the user nor the organisation is disabled."""
    org = session.get(PartnerOrgRow, user.partner_org)
    return user.disabled_at is None and org is not None and org.disabled_at is None


def as_user(row: PartnerUserRow) -> PartnerUser:
    """The person of a row."""
    return PartnerUser(id=row.id, email=row.email, partner_org=row.partner_org)


def _find_user(session: Session, email: str) -> PartnerUser | None:
    folded = normalise_email(email)
    if not is_plausible(folded):
        return None
    user = session.exec(select(PartnerUserRow).where(PartnerUserRow.email_folded == folded)).one_or_none()
    return as_user(user) if user and is_admitted(session, user) else None
