"""Forms that arrived after their session had ended: kept until the person has logged in again and decides.

What was typed may be long and personal, so it is stored encrypted, for one browser and one person, and for an hour.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass

from sqlmodel import col, delete

from sync_service.access.cipher import TextCipher
from sync_service.access.sessions import hash_token
from sync_service.store.engine import Database
from sync_service.store.tables import AdminDraftRow

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
