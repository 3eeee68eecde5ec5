"""What comes in, made durable: the notification as it came, who asked, and the wish to sync, in one transaction."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from sync_service.queue.fate import Ticket, place, row_that_serves
from sync_service.queue.orders.lanes import FIND_OURS, name_our_order
from sync_service.queue.requests import Cause, Kind, Priority, enqueue
from sync_service.queue.statements import ENQUEUE_KINDS
from sync_service.store.audit import SENDER
from sync_service.store.engine import Database, Session
from sync_service.store.reads import NUMBER_OF_KEY
from sync_service.subscription.hints import Hints, Reason, ReasonCode
from sync_service.subscription.keys import LONGEST_KEY
from sync_service.subscription.trigger import Trigger
from sync_service.telemetry.traces import carry

#: How long an acknowledgement waits for a lock before it is a 503, in ms: Zuora waits 15 s in all.
LOCK_TIMEOUT_MS = 2000
#: The same for a callout and the embedded database's one writer, which all others wait for too: first the turn of this
#: process is waited for, then that of the file, so that both together are less than Zuora waits.
WRITER_TIMEOUT_MS = 7000

_RECORD = """
INSERT INTO callout (received_at, key, verdict, reason, reason_code, notification_id, request_id, source, order_number,
  created_by, body_sha256)
SELECT {now}, {key}, {verdict}
  CAST(:notification_id AS TEXT), CAST(:request_id AS TEXT), CAST(:source AS TEXT), CAST(:order_number AS TEXT),
  CAST(:created_by AS TEXT), CAST(:body_sha256 AS TEXT)
{from}
RETURNING id
"""
_NAME_SENDER = "UPDATE callout SET sender = :sender WHERE id = :id"
_SAID = "CAST(:verdict AS TEXT), CAST(:reason AS TEXT), CAST(:reason_code AS TEXT),"
_KEEP = _RECORD.replace("{key}", "CAST(:shown AS TEXT)").replace("{verdict}", _SAID).replace("{from}", "")

_SAID_OF_OURS = """CASE WHEN ours THEN 'ignored' ELSE 'accepted' END, CASE WHEN ours THEN CAST(:reason AS TEXT) END,
  CASE WHEN ours THEN CAST(:reason_code AS TEXT) END,"""

_LOOK = f"SELECT {NUMBER_OF_KEY} AS number, EXISTS ({FIND_OURS}) AS ours"

# All that taking a callout writes, as one statement for PostgreSQL: one round trip and a transaction of its own. Its
# parts see the same state, and of each other only what is handed on here. The reason is that of an order of ours.
_TAKE = f"""
WITH place AS MATERIALIZED (
  SELECT set_config('lock_timeout', CAST(:lock_timeout AS TEXT), true) AS bound,
    CASE WHEN CAST(:kind AS TEXT) = 'subscription' THEN {NUMBER_OF_KEY.replace(":key", "CAST(:key AS TEXT)")} END
    AS number, EXISTS ({FIND_OURS}) AS ours),
wish AS MATERIALIZED (
  SELECT CASE WHEN CAST(:kind AS TEXT) <> 'subscription' THEN CAST(:kind AS TEXT)
              WHEN number IS NULL THEN 'alias' ELSE 'subscription' END AS kind,
    COALESCE(number, CAST(:key AS TEXT)) AS key
  FROM place WHERE bound IS NOT NULL AND NOT ours),
record AS ({
    _RECORD.replace("{key}", "COALESCE(number, CAST(:shown AS TEXT))")
    .replace("{verdict}", _SAID_OF_OURS)
    .replace("{from}", "FROM place")
}),
request AS ({ENQUEUE_KINDS.replace("{keys}", "SELECT kind, key FROM wish")}),
cause AS (
  INSERT INTO sync_cause (kind, key, seq, trigger, actor, callout_id, trace, at)
  SELECT request.kind, request.key, request.requested_seq, CAST(:trigger AS TEXT), CAST(:actor AS TEXT), record.id,
    CAST(:trace AS TEXT), request.requested_at
  FROM request, record)
SELECT request.kind, request.key, request.requested_seq FROM record LEFT JOIN request ON true
"""  # noqa: S608 - constant SQL, no user input


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


@dataclass(kw_only=True)
class IncomingCallout:
    """A callout on its way into the database; with a ticket or a reason once that is committed."""

    kind: Kind
    callout: Callout
    trigger: Trigger
    actor: str | None
    #: Why nothing is to be done; the callout is kept all the same.
    reason: Reason | None = None
    trace: str | None = field(default_factory=carry)
    ticket: Ticket | None = None

    @property
    def is_kept(self) -> bool:
        """What becomes of it is committed."""
        return self.ticket is not None or self.reason is not None


class Intake:
    """Makes durable what comes in. On SQLite callouts that wait for a turn share a commit, one wait for the disk."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[IncomingCallout] = deque()
        self._turn = threading.Lock()

    def take_callout(self, wish: IncomingCallout) -> None:
        """Keep the callout and, unless there is a reason not to, want its key synced; committed when this returns."""
        if wish.reason is not None:
            self.keep_callout(wish.callout, "ignored", wish.reason)
        elif self._database.dialect == "postgresql":
            self._take_alone(wish)
        else:
            self._take_in_turn(wish)

    def take_together(self, wishes: Sequence[IncomingCallout]) -> None:
        """The same for several callouts in one transaction."""
        self._commit(wishes, LOCK_TIMEOUT_MS)

    def keep_callout(self, callout: Callout, verdict: str, reason: Reason) -> None:
        """Keep a callout that leads to nothing, and why; committed when this returns."""
        with self._database.transaction(lock_timeout_ms=LOCK_TIMEOUT_MS) as session:
            callout_id = _record(session, callout, callout.key, verdict, reason)
            if verdict == "rejected":
                session.run(_NAME_SENDER, {"id": callout_id, "sender": SENDER.get()})

    def accept_request(self, kind: Kind, key: str, actor: str | None) -> Ticket:
        """An API caller's wish; everything is read for it. Committed when this returns."""
        with self._database.transaction(lock_timeout_ms=LOCK_TIMEOUT_MS) as session:
            kind, key = place(session, key, kind)
            cause = Cause(Trigger.API, actor)
            seq = enqueue(session, kind, key, cause, priority=Priority.EVENT, full=True)
        return Ticket(kind, key, seq)

    def _take_alone(self, wish: IncomingCallout) -> None:
        ours = _ours(wish.callout.hints)
        values = _values_of(wish.callout, wish.callout.key, "", ours) | {
            "kind": wish.kind,
            "key": wish.callout.key,
            "trigger": wish.trigger,
            "actor": wish.actor,
            "trace": wish.trace,
            "priority": int(Priority.EVENT),
            "full": int(wish.kind is Kind.ACCOUNT),
            "lock_timeout": str(LOCK_TIMEOUT_MS),
            "undone": name_our_order(wish.callout.hints.order_number)["undone"],
        }
        kind, key, seq = self._database.run_alone(_TAKE, values)
        if seq is None:
            wish.reason = ours
        else:
            wish.ticket = Ticket(Kind(kind), key, seq)

    def _take_in_turn(self, wish: IncomingCallout) -> None:
        self._waiting.append(wish)
        until = time.monotonic() + WRITER_TIMEOUT_MS / 1000
        if not self._turn.acquire(timeout=WRITER_TIMEOUT_MS / 1000):
            with suppress(ValueError):  # another thread may be committing it, which does no harm
                self._waiting.remove(wish)
            raise TimeoutError("the database is busy")
        try:
            if not wish.is_kept:
                self._take_waiting(wish, until)
        finally:
            self._turn.release()

    def _take_waiting(self, wish: IncomingCallout, until: float) -> None:
        """Commit `wish` and all that wait with it; where that fails, each is committed in a turn of its own."""
        together = [wish]
        while self._waiting:
            other = self._waiting.popleft()
            if other is not wish:
                together.append(other)
        try:
            self._commit(together, _left_ms(until))
        except SQLAlchemyError:
            if len(together) == 1:
                raise
            self._commit([wish], _left_ms(until))

    def _commit(self, wishes: Sequence[IncomingCallout], timeout_ms: int) -> None:
        ends: list[tuple[IncomingCallout, Ticket | Reason]] = []
        with self._database.transaction(lock_timeout_ms=timeout_ms) as session:
            wanted = []
            for wish in wishes:
                found = wish.reason or _look(session, wish)
                if isinstance(found, Reason):
                    _record(session, wish.callout, wish.callout.key, "ignored", found)
                    ends.append((wish, found))
                else:
                    wanted.append((found, wish))
            # In one order, so that two of these never wait for each other.
            for row, wish in sorted(wanted, key=lambda each: each[0]):
                ends.append((wish, _accept(session, wish, row)))
        for wish, end in ends:
            if isinstance(end, Reason):
                wish.reason = end
            else:
                wish.ticket = end


def _left_ms(until: float) -> int:
    return max(1, int((until - time.monotonic()) * 1000))


def _look(session: Session, wish: IncomingCallout) -> tuple[Kind, str] | Reason:
    """The row that serves it; why there is nothing to do where the order is ours."""
    key, hints = wish.callout.key, wish.callout.hints
    found = session.run(_LOOK, {"key": key, **name_our_order(hints.order_number)}).one()
    return _ours(hints) if found.ours else row_that_serves(wish.kind, key, found.number)


def _ours(hints: Hints) -> Reason:
    return Reason(ReasonCode.ECHO, f"the order {hints.order_number} is ours")


def _accept(session: Session, wish: IncomingCallout, row: tuple[Kind, str]) -> Ticket:
    kind, key = row
    callout_id = _record(session, wish.callout, key, "accepted", None)
    cause = Cause(wish.trigger, wish.actor, callout_id, trace=wish.trace)
    full = kind is Kind.ACCOUNT
    return Ticket(kind, key, enqueue(session, kind, key, cause, priority=Priority.EVENT, full=full))


def _record(session: Session, callout: Callout, key: str, verdict: str, reason: Reason | None) -> int:
    values = _values_of(callout, key, verdict, reason)
    return int(session.run(_KEEP, values).scalar_one())


def _values_of(callout: Callout, key: str, verdict: str, reason: Reason | None) -> dict[str, object]:
    return {
        "shown": _plain(key) or "",
        "verdict": verdict,
        "reason": reason and str(reason),
        "reason_code": reason and reason.code.value,
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
