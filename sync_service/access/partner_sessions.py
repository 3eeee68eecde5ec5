"""The log-ins of partners' users, apart from those of the admin pages, and as long."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import col, delete, or_

from sync_service.access.partner_codes import PartnerUser, is_admitted
from sync_service.access.passwords import normalise_email
from sync_service.access.sessions import IDLE_MS, LIFETIME_MS, SEEN_EVERY_MS, hash_token, is_over
from sync_service.store.audit import record_action
from sync_service.store.engine import Database, Session
from sync_service.store.tables import PartnerOrgRow, PartnerSessionRow, PartnerUserRow


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
