"""What comes in, made durable: the notification as it came, who asked, and the wish to sync, in one transaction."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from sqlmodel import Session

from sync_service.db import Database
from sync_service.keys import LONGEST_KEY
from sync_service.queue import Cause, Kind, Priority, enqueue
from sync_service.queue_sql import ENQUEUE_KINDS
from sync_service.store import NUMBER_OF_KEY, resolve_key
from sync_service.subscription import Trigger
from sync_service.web.hints import Hints

#: How long an acknowledgement waits for a lock before it is a 503, in ms: Zuora waits 15 s in all.
LOCK_TIMEOUT_MS = 2000

_RECORD = """
INSERT INTO callout (received_at, key, verdict, reason, notification_id, request_id, source, order_number, created_by,
  body_sha256)
SELECT {now}, {key}, CAST(:verdict AS TEXT), CAST(:reason AS TEXT), CAST(:notification_id AS TEXT),
  CAST(:request_id AS TEXT), CAST(:source AS TEXT), CAST(:order_number AS TEXT), CAST(:created_by AS TEXT),
  CAST(:body_sha256 AS TEXT)
{from}
RETURNING id
"""
_KEEP = _RECORD.replace("{key}", "CAST(:key AS TEXT)").replace("{from}", "")

# PostgreSQL takes all of `accept_callout` as one statement, which is one round trip and a transaction of its own. Its
# parts see the same state; they do nothing that one of them would have to see of another but what is handed on.
_ACCEPT = f"""
WITH place AS MATERIALIZED (
  SELECT set_config('lock_timeout', CAST(:lock_timeout AS TEXT), true) AS bound,
    CASE WHEN CAST(:kind AS TEXT) = 'subscription' THEN {NUMBER_OF_KEY.replace(":key", "CAST(:key AS TEXT)")} END
    AS number),
wish AS MATERIALIZED (
  SELECT CASE WHEN CAST(:kind AS TEXT) <> 'subscription' THEN CAST(:kind AS TEXT)
              WHEN number IS NULL THEN 'alias' ELSE 'subscription' END AS kind,
    COALESCE(number, CAST(:key AS TEXT)) AS key
  FROM place WHERE bound IS NOT NULL),
record AS ({_RECORD.replace("{key}", "wish.key").replace("{from}", "FROM wish")}),
request AS ({ENQUEUE_KINDS.replace("{keys}", "SELECT kind, key FROM wish")}),
cause AS (
  INSERT INTO sync_cause (kind, key, seq, trigger, actor, callout_id, at)
  SELECT request.kind, request.key, request.requested_seq, CAST(:trigger AS TEXT), CAST(:actor AS TEXT), record.id,
    request.requested_at
  FROM request, record)
SELECT kind, key, requested_seq FROM request
"""  # noqa: S608 - no value of anybody's goes in


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
    full = kind is Kind.ACCOUNT
    if database.dialect == "postgresql":
        wish = {"kind": kind, "trigger": trigger, "actor": actor, "priority": int(Priority.EVENT), "full": int(full)}
        bound = {"lock_timeout": str(LOCK_TIMEOUT_MS)}
        row = database.run_alone(_ACCEPT, _values_of(callout, callout.key, "accepted", None) | wish | bound)
        return Ticket(Kind(row.kind), row.key, row.requested_seq)
    with database.transaction(lock_timeout_ms=LOCK_TIMEOUT_MS) as session:
        kind, key = _place(session, kind, callout.key)
        cause = Cause(trigger, actor, _record(database, session, callout, key, "accepted", None))
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
    values = _values_of(callout, key, verdict, reason)
    return int(session.connection().exec_driver_sql(database.driver_sql(_KEEP), values).scalar_one())


def _values_of(callout: Callout, key: str, verdict: str, reason: str | None) -> dict[str, object]:
    return {
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


def _plain(text: str | None) -> str | None:
    """Text that every database takes: no control characters, no halves of characters, not endless."""
    if text is None or (text.isprintable() and len(text) <= LONGEST_KEY):
        return text
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)[
        :LONGEST_KEY
    ]
