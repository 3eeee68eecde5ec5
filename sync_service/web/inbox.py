"""What comes in, made durable: the notification as it came, who asked, and the wish to sync, in one transaction."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from sqlmodel import Session

from sync_service.db import Database
from sync_service.keys import LONGEST_KEY
from sync_service.queue import Cause, Kind, Priority, enqueue
from sync_service.store import resolve_key
from sync_service.subscription import Trigger
from sync_service.web.hints import Hints

#: How long an acknowledgement waits for a lock before it is a 503, in ms: Zuora waits 15 s in all.
LOCK_TIMEOUT_MS = 2000

_RECORD = """
INSERT INTO callout (received_at, key, verdict, reason, notification_id, request_id, source, order_number, created_by,
  body_sha256)
VALUES ({now}, :key, :verdict, :reason, :notification_id, :request_id, :source, :order_number, :created_by,
  :body_sha256)
RETURNING id
"""


@dataclass(frozen=True, kw_only=True)
class Callout:
    """A notification: what may be kept of it, which is never its body."""

    #: As given, or the number that it stands for.
    key: str
    #: The same on every retry; None for a Workflow's.
    notification_id: str | None = None
    request_id: str | None = None
    hints: Hints = field(default_factory=Hints)
    body: bytes = b""


@dataclass(frozen=True)
class Ticket:
    """A durable request: the row and the sequence that a run has to cover."""

    kind: Kind
    key: str
    seq: int


def accept_callout(database: Database, kind: Kind, callout: Callout, trigger: Trigger, actor: str | None) -> Ticket:
    """Keep the callout and want its key synced; committed when this returns."""
    with database.transaction(lock_timeout_ms=LOCK_TIMEOUT_MS) as session:
        kind, key = _place(session, kind, callout.key)
        callout_id = _record(database, session, callout, key, "accepted", None)
        cause = Cause(trigger, actor, callout_id)
        full = kind is Kind.ACCOUNT
        seq = enqueue(database, session, kind, key, cause, priority=Priority.EVENT, full=full)
    return Ticket(kind, key, seq)


def keep_callout(database: Database, callout: Callout, verdict: str, reason: str) -> None:
    """Keep a callout that leads to nothing, and why; committed when this returns."""
    with database.transaction(lock_timeout_ms=LOCK_TIMEOUT_MS) as session:
        _record(database, session, callout, callout.key, verdict, reason)


def accept_request(database: Database, kind: Kind, key: str, actor: str | None) -> Ticket:
    """An API caller's wish; everything is read for it. Committed when this returns."""
    with database.transaction(lock_timeout_ms=LOCK_TIMEOUT_MS) as session:
        kind, key = _place(session, kind, key)
        cause = Cause(Trigger.API, actor)
        seq = enqueue(database, session, kind, key, cause, priority=Priority.EVENT, full=True)
    return Ticket(kind, key, seq)


def _place(session: Session, kind: Kind, key: str) -> tuple[Kind, str]:
    """The row that serves `key`: the number's where the store knows it, else the alias'."""
    if kind is not Kind.SUBSCRIPTION:
        return kind, key
    number = resolve_key(session, key)
    return (Kind.ALIAS, key) if number is None else (Kind.SUBSCRIPTION, number)


def _record(database: Database, session: Session, callout: Callout, key: str, verdict: str, reason: str | None) -> int:
    values = {
        "key": _plain(key) or "",
        "verdict": verdict,
        "reason": reason,
        "notification_id": _plain(callout.notification_id),
        "request_id": _plain(callout.request_id),
        "source": ", ".join(callout.hints.sources) or None,
        "order_number": callout.hints.order_number,
        "created_by": ", ".join(callout.hints.created_by) or None,
        "body_sha256": hashlib.sha256(callout.body).hexdigest() if callout.body else None,
    }
    return int(session.connection().execute(database.sql(_RECORD), values).scalar_one())


def _plain(text: str | None) -> str | None:
    """Text that every database takes: no control characters, no halves of characters, not endless."""
    if text is None or (text.isprintable() and len(text) <= LONGEST_KEY):
        return text
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)[
        :LONGEST_KEY
    ]
