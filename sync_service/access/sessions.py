"""Log-ins: a row for each, a cookie that proves it, form tokens, and forms that arrived after the log-in had ended.

Such a form is kept for an hour until its person has logged in again and decides. What was typed may be long and
personal, so it is stored encrypted, for one browser and one person.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections import Counter
from dataclasses import dataclass

from sqlmodel import col, delete, or_, select

from sync_service.access.cipher import TextCipher
from sync_service.access.users import Role
from sync_service.store.audit import record_action
from sync_service.store.engine import Database, Session
from sync_service.store.tables import AdminDraftRow, AdminSessionRow

#: A log-in ends so long after it began, whatever happens, and so long after the last page.
LIFETIME_MS = 12 * 3_600_000
IDLE_MS = 3_600_000
#: How long an ended log-in is remembered, so that a form sent too late still finds its person.
_REMEMBERED_MS = 24 * 3_600_000
#: How exactly the last page is remembered.
SEEN_EVERY_MS = 60_000

_FIND = """
SELECT person.email, person.role, person.disabled_at, person.password_until,
  held.signed_on, held.began_at, held.seen_at, {now} AS now
FROM admin_session AS held JOIN admin_user AS person ON person.email = held.email WHERE held.token_hash = :token_hash
"""


@dataclass(frozen=True)
class Person:
    """A user who is logged in."""

    email: str
    role: Role
    #: Came in with a temporary password and has to choose another before anything else.
    must_choose: bool = False

    @property
    def may_act(self) -> bool:
        """Whether changes are allowed."""
        return self.role is Role.OPERATOR


class Sessions:
    """The log-ins of all processes, in the database; those by a password count while there are `passwords`."""

    def __init__(self, database: Database, *, passwords: bool = True) -> None:
        self._database = database
        self._passwords = passwords

    def open(self, email: str, *, signed_on: bool = False, note: str | None = None) -> str:
        """A new log-in; returns what its cookie holds. Ended ones are swept away on the occasion."""
        token = secrets.token_urlsafe(32)
        with self._database.transaction() as session:
            now = session.now()
            ended = or_(
                col(AdminSessionRow.began_at) <= now - LIFETIME_MS - _REMEMBERED_MS,
                col(AdminSessionRow.seen_at) <= now - IDLE_MS - _REMEMBERED_MS,
            )
            session.exec(delete(AdminSessionRow).where(ended))
            row = AdminSessionRow(
                token_hash=hash_token(token), email=email, signed_on=signed_on, began_at=now, seen_at=now
            )
            session.add(row)
            record_action(session, email, "log in", note)
        return token

    def find(self, token: str, *, is_sign: bool = True) -> Person | None:
        """Who holds this cookie; None where the log-in ended, or the person was disabled.

        The request at hand is a sign of the person and keeps the log-in alive, if it `is_sign`.
        """
        with self._database.reading() as session:
            row = session.run(_FIND, {"token_hash": hash_token(token)}).first()
        if row is None or row.disabled_at is not None or is_over(row.began_at, row.seen_at, row.now):
            return None
        if not self._passwords and not row.signed_on:
            return None
        if is_sign and row.now - row.seen_at > SEEN_EVERY_MS:
            self._note_seen(hash_token(token), row.now)
        return Person(row.email, Role(row.role), must_choose=not row.signed_on and row.password_until is not None)

    def find_owner(self, token: str) -> str | None:
        """Whose log-in this was, also after it has ended; None if it was closed or is forgotten."""
        with self._database.reading() as session:
            row = session.get(AdminSessionRow, hash_token(token))
        return row.email if row else None

    def close(self, token: str) -> None:
        """End the log-in. Repeatable."""
        with self._database.transaction() as session:
            session.exec(delete(AdminSessionRow).where(col(AdminSessionRow.token_hash) == hash_token(token)))

    def count(self) -> dict[str, int]:
        """How many log-ins are alive, by email address."""
        with self._database.reading() as session:
            now = session.now()
            alive = (
                col(AdminSessionRow.began_at) > now - LIFETIME_MS,
                col(AdminSessionRow.seen_at) > now - IDLE_MS,
            )
            emails = session.exec(select(AdminSessionRow.email).where(*alive)).all()
        return dict(Counter(emails))

    def _note_seen(self, token_hash: str, now: int) -> None:
        with self._database.transaction(lock_timeout_ms=2000) as session:
            _touch(session, token_hash, now)


class FormTokens:
    """Proves that a form was made for the browser that sends it: a MAC of what its cookie holds."""

    def __init__(self, secret_keys: tuple[str, ...], purpose: str = "admin form") -> None:
        """The first of `secret_keys` makes tokens; those of each are right.

        `purpose`: a form of one kind of pages is none of another's.
        """
        self._keys = [hashlib.sha256(f"{purpose}\0{each}".encode()).digest() for each in secret_keys]

    def make(self, cookie: str) -> str:
        """The token for forms of the browser that holds `cookie`."""
        return _form_token(self._keys[0], cookie)

    def is_right(self, cookie: str, token: str) -> bool:
        """Whether `token` was made for `cookie`."""
        given = token.encode("utf-8", "replace")
        return bool(cookie) and any(hmac.compare_digest(_form_token(key, cookie).encode(), given) for key in self._keys)


def _form_token(key: bytes, cookie: str) -> str:
    return hmac.new(key, cookie.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def _touch(session: Session, token_hash: str, now: int) -> None:
    row = session.get(AdminSessionRow, token_hash)
    if row is not None:
        row.seen_at = max(row.seen_at, now)


def is_over(began_at: int, seen_at: int, now: int) -> bool:
    """Whether a log-in of that beginning and that last page has ended `now`, all in ms since 1970."""
    return now - began_at >= LIFETIME_MS or now - seen_at >= IDLE_MS


def hash_token(token: str) -> str:
    """What is kept of a random text that a browser holds."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


#: How long a draft is kept after the form was sent.
KEPT_MS = 3_600_000
#: A longer form is not kept.
MAX_CHARACTERS = 100_000


@dataclass(frozen=True)
class Draft:
    """A form as it was sent: its address and its fields, in their order."""

    path: str
    fields: tuple[tuple[str, str], ...]


class Drafts:
    """The drafts of all processes, in the database."""

    def __init__(self, database: Database, secret_keys: tuple[str, ...]) -> None:
        self._database = database
        self._cipher = TextCipher(secret_keys, "admin draft", longest=MAX_CHARACTERS)

    def keep(self, email: str, draft: Draft) -> str | None:
        """Keep a draft of `email`; returns what the browser shows to get it back. None if it is too long."""
        text = json.dumps({"path": draft.path, "fields": draft.fields})
        if len(text) > MAX_CHARACTERS:
            return None
        token = secrets.token_urlsafe(32)
        with self._database.transaction(lock_timeout_ms=2000) as session:
            now = session.now()
            session.exec(delete(AdminDraftRow).where(col(AdminDraftRow.kept_at) < now - KEPT_MS))
            session.add(
                AdminDraftRow(token_hash=hash_token(token), email=email, form=self._cipher.encrypt(text), kept_at=now)
            )
        return token

    def read(self, token: str, email: str) -> Draft | None:
        """The draft of `email`; None if there is none, if it is another person's, or if it is too old."""
        with self._database.reading() as session:
            row, now = session.get(AdminDraftRow, hash_token(token)), session.now()
        if row is None or row.email != email or row.kept_at < now - KEPT_MS:
            return None
        try:
            kept = json.loads(self._cipher.decrypt(row.form))
        except ValueError:
            return None
        return Draft(kept["path"], tuple((name, value) for name, value in kept["fields"]))

    def forget(self, token: str) -> None:
        """Delete the draft. Repeatable."""
        with self._database.transaction(lock_timeout_ms=2000) as session:
            session.exec(delete(AdminDraftRow).where(col(AdminDraftRow.token_hash) == hash_token(token)))
