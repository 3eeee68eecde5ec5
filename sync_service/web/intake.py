"""What comes in, made durable: the notification as it came, who asked, and the wish to sync, in one transaction."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from sync_service.queue.fate import Ticket, place
from sync_service.queue.orders.lanes import FIND_OURS, name_our_order
from sync_service.queue.requests import Cause, Kind, Priority, enqueue
from sync_service.queue.statements import ENQUEUE_WANTED
from sync_service.store.audit import SENDER
from sync_service.store.engine import Database
from sync_service.store.reads import NUMBER_OF_KEY
from sync_service.store.statement import Found
from sync_service.subscription.hints import Hints, Reason, ReasonCode
from sync_service.subscription.keys import LONGEST_KEY
from sync_service.subscription.trigger import Trigger
from sync_service.telemetry.traces import carry

#: How long an acknowledgement waits for a lock before it is a 503, in ms: Zuora waits 15 s in all.
LOCK_TIMEOUT_MS = 2000
#: The same for the embedded database's one writer, which all others wait for too, and in all: less than Zuora waits.
WRITER_TIMEOUT_MS = 7000
#: How long callouts that share a commit wait together. On PostgreSQL the lock is of one request, so each that fails
#: with the others goes on alone soon.
_TOGETHER_MS = {"sqlite": WRITER_TIMEOUT_MS, "postgresql": 200}

#: A commit looks so often, at most, whether more callouts have arrived, with so many seconds between two looks. On
#: PostgreSQL enough arrive while the one before is made, and a process that waits for more has nothing else to do.
_LOOK_SECONDS, _MOST_LOOKS = 0.0005, {"sqlite": 10, "postgresql": 0}

_ACCEPTED, _IGNORED, _REJECTED = "accepted", "ignored", "rejected"

#: What a callout brings that tells which row serves it, and what else is kept of it.
_LOOKED_AT = ("n", "kind", "key", "verdict", "order_number", "undone")
_KEPT = (
    *("shown", "reason", "reason_code", "notification_id", "request_id", "source", "created_by", "body_sha256"),
    *("sender", "trigger", "actor", "trace"),
)
_GIVEN = (*_LOOKED_AT, *_KEPT)
#: What was found out about it beside that.
_WANTED_COLUMNS = ("n", "id", "number", "key", "kind", "verdict", "order_number", *_KEPT, "times", "nth")
_NUMBERS = frozenset({"n", "id", "times", "nth"})


def _typed(columns: Iterable[str]) -> str:
    return ", ".join(f"{column} {'INTEGER' if column in _NUMBERS else 'TEXT'}" for column in columns)


# What stands before the JSON bounds the wait for locks, for this transaction.
_BOUNDED = f"""SELECT given.* FROM (SELECT set_config('lock_timeout', CAST(:timeout AS TEXT), true) AS is_set) AS bound,
  json_to_recordset(CAST(:callouts AS JSON)) AS given({_typed(_GIVEN)}) WHERE bound.is_set IS NOT NULL"""  # noqa: S608 - constant SQL, no user input

# Which row serves each callout, and whether it is the echo of an order of ours, which is its reason then. `times` is
# how many of these want the same row, `nth` the place among them.
_WANTED = f"""
WITH found AS MATERIALIZED (
  SELECT given.*,
    CASE WHEN given.kind = 'subscription' THEN {NUMBER_OF_KEY.replace(":key", "given.key")} END AS number,
    given.verdict = '{_ACCEPTED}' AND EXISTS (
      {FIND_OURS.replace(":order_number", "given.order_number").replace(":undone", "given.undone")}) AS ours
  FROM ({{given}}) AS given)
SELECT judged.*, COUNT(*) OVER (PARTITION BY verdict, kind, key) AS times,
  ROW_NUMBER() OVER (PARTITION BY verdict, kind, key ORDER BY n) AS nth
FROM (
  SELECT n, {{next_id}} AS id, number, COALESCE(number, key) AS key,
    CASE WHEN kind <> 'subscription' THEN kind WHEN number IS NULL THEN 'alias' ELSE 'subscription' END AS kind,
    CASE WHEN ours THEN '{_IGNORED}' ELSE verdict END AS verdict, order_number, {", ".join(_KEPT)}
  FROM found) AS judged
"""  # noqa: S608 - constant SQL, no user input


def _judge(given: str, next_id: str) -> str:
    """_WANTED of the relation `given`."""
    return _WANTED.replace("{given}", given).replace("{next_id}", next_id)


# What is written of them, and what their senders are told.
_RECORD = f"""
INSERT INTO callout (id, received_at, key, verdict, reason, reason_code, notification_id, request_id, source,
  order_number, created_by, body_sha256, sender)
SELECT id, {{now}}, COALESCE(number, shown), verdict, CASE WHEN verdict <> '{_ACCEPTED}' THEN reason END,
  CASE WHEN verdict <> '{_ACCEPTED}' THEN reason_code END, notification_id, request_id, source, order_number,
  created_by, body_sha256, sender
FROM {{wanted}} AS wanted WHERE 1 = 1
"""  # noqa: S608 - constant SQL, no user input
_ROWS = f"""
SELECT kind, key, times, CASE WHEN kind = 'account' THEN 1 ELSE 0 END AS "full"
FROM {{wanted}} AS wanted WHERE verdict = '{_ACCEPTED}' AND nth = 1
"""  # noqa: S608 - constant SQL, no user input
_REQUEST = ENQUEUE_WANTED.replace("{wanted}", _ROWS)
_CAUSE = f"""
INSERT INTO sync_cause (kind, key, seq, trigger, actor, callout_id, trace, at)
SELECT wanted.kind, wanted.key, request.requested_seq - wanted.times + wanted.nth, wanted.trigger, wanted.actor,
  wanted.id, wanted.trace, request.requested_at
FROM {{wanted}} AS wanted JOIN {{request}} AS request ON request.kind = wanted.kind AND request.key = wanted.key
WHERE wanted.verdict = '{_ACCEPTED}'
"""  # noqa: S608 - constant SQL, no user input
_TELL = f"""
SELECT wanted.n, request.kind, request.key, request.requested_seq - wanted.times + wanted.nth AS seq
FROM {{wanted}} AS wanted LEFT JOIN {{request}} AS request
  ON wanted.verdict = '{_ACCEPTED}' AND request.kind = wanted.kind AND request.key = wanted.key
"""  # noqa: S608 - constant SQL, no user input

# PostgreSQL takes all of it as one statement, which is one round trip and a transaction of its own.
_AT_ONCE = f"""
WITH wanted AS MATERIALIZED (
  {_judge(_BOUNDED, "nextval('callout_id_seq')")}),
record AS ({_RECORD}),
request AS ({_REQUEST}),
cause AS ({_CAUSE})
{_TELL}
""".replace("{wanted}", "wanted").replace("{request}", "request")
# SQLite's statements write one table each, so they hand on what they found in tables of the connection.
_NEXT_ID = "(SELECT COALESCE(MAX(id), 0) FROM callout) + 1 + n"
_EMPTY = (
    f"CREATE TEMP TABLE IF NOT EXISTS given ({_typed(_GIVEN)})",
    f"CREATE TEMP TABLE IF NOT EXISTS wanted ({_typed(_WANTED_COLUMNS)})",
    "DELETE FROM given",
    "DELETE FROM wanted",
)
_GIVE = f"INSERT INTO given ({', '.join(_GIVEN)}) VALUES ({', '.join(f':{column}' for column in _GIVEN)})"  # noqa: S608 - constant SQL, no user input
_STEPS = (
    f"INSERT INTO wanted ({', '.join(_WANTED_COLUMNS)}) {_judge('SELECT * FROM given', _NEXT_ID)}",  # noqa: S608 - constant SQL, no user input
    *(
        step.replace("{wanted}", "wanted").replace("{request}", "sync_request")
        for step in (_RECORD, _REQUEST, _CAUSE, _TELL)
    ),
)


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


@dataclass(kw_only=True, eq=False)
class IncomingCallout:
    """A callout on its way into the database; with a ticket or a reason once that is committed."""

    kind: Kind
    callout: Callout
    trigger: Trigger
    actor: str | None
    #: Why nothing is to be done; the callout is kept all the same.
    reason: Reason | None = None
    #: Its sender did not prove who it is.
    is_rejected: bool = False
    trace: str | None = field(default_factory=carry)
    #: The address that it came from, as far as trusted proxies say.
    sender: str | None = field(default_factory=SENDER.get)
    #: The request that it became.
    ticket: Ticket | None = None
    is_kept: bool = False
    #: A commit with others was tried.
    is_tried: bool = False
    #: Held until a commit with others was tried, or it is this one's turn to commit.
    turn: threading.Lock = field(default_factory=threading.Lock)


class Intake:
    """Makes durable what comes in. Callouts that come at once share a commit: one wait for disk and database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changing = threading.Lock()
        self._waiting: deque[IncomingCallout] = deque()
        self._is_committing = False
        #: How many shared the last commit.
        self._shared = 1

    def take_callout(self, wish: IncomingCallout) -> None:
        """Keep the callout and, unless there is a reason not to, want its key synced; committed when this returns."""
        until = time.monotonic() + WRITER_TIMEOUT_MS / 1000
        wish.turn.acquire()
        with self._changing:
            self._waiting.append(wish)
            waits = self._is_committing
            self._is_committing = True
        if waits:
            self._wait_for_turn(wish, until)
        if not wish.is_tried:
            self._take_waiting(min(_TOGETHER_MS[self._database.dialect], _left_ms(until)))
        if not wish.is_kept:
            # One of the others may be at fault.
            self.take_together([wish], min(LOCK_TIMEOUT_MS, _left_ms(until)))

    def take_together(self, wishes: Sequence[IncomingCallout], timeout_ms: int = LOCK_TIMEOUT_MS) -> None:
        """The same for several callouts in one transaction."""
        for row in self._write([_row_of(wish) | {"n": n} for n, wish in enumerate(wishes)], timeout_ms):
            wish = wishes[row.n]
            if row.seq is not None:
                wish.ticket = Ticket(Kind(row.kind), row.key, row.seq)
            elif wish.reason is None:
                wish.reason = _ours(wish.callout.hints)
            wish.is_kept = True

    def accept_request(self, kind: Kind, key: str, actor: str | None) -> Ticket:
        """An API caller's wish; everything is read for it. Committed when this returns."""
        with self._database.transaction(lock_timeout_ms=LOCK_TIMEOUT_MS) as session:
            kind, key = place(session, key, kind)
            cause = Cause(Trigger.API, actor)
            seq = enqueue(session, kind, key, cause, priority=Priority.EVENT, full=True)
        return Ticket(kind, key, seq)

    def _wait_for_turn(self, wish: IncomingCallout, until: float) -> None:
        """Until another thread has tried to commit it, or leaves the next commit to this one."""
        if wish.turn.acquire(timeout=max(0.0, until - time.monotonic())):
            return
        with self._changing:
            if wish.turn.acquire(blocking=False):
                return
            with suppress(ValueError):  # another thread is committing it, which does no harm
                self._waiting.remove(wish)
        raise TimeoutError("the database is busy")

    def _take_waiting(self, timeout_ms: int) -> None:
        self._wait_for_others()
        with self._changing:
            together = list(self._waiting)
            self._waiting.clear()
        try:
            with suppress(SQLAlchemyError, TimeoutError):  # each goes on alone, and says what is wrong with it
                self.take_together(together, timeout_ms)
        finally:
            self._shared = len(together)
            for wish in together:
                wish.is_tried = True
                wish.turn.release()
            self._pass_on()

    def _pass_on(self) -> None:
        """Leave the next commit to one who waits."""
        with self._changing:
            self._is_committing = bool(self._waiting)
            if self._waiting:
                self._waiting[0].turn.release()

    def _wait_for_others(self) -> None:
        """As long as more arrive, if any came together with this one or the last: the fewer commits, the faster all."""
        if max(self._shared, len(self._waiting)) == 1:
            return
        for _ in range(_MOST_LOOKS[self._database.dialect]):
            before = len(self._waiting)
            time.sleep(_LOOK_SECONDS)
            if len(self._waiting) == before:
                return

    def _write(self, given: Sequence[Mapping[str, object]], timeout_ms: int) -> Found:
        values: dict[str, object] = {"priority": int(Priority.EVENT)}
        if self._database.dialect == "postgresql":
            return self._database.run_alone(
                _AT_ONCE, {**values, "callouts": json.dumps(given), "timeout": str(timeout_ms)}
            )
        with self._database.transaction(lock_timeout_ms=timeout_ms) as session:
            for statement in _EMPTY:
                session.run(statement)
            session.run(_GIVE, given)
            for statement in _STEPS:
                found = session.run(statement, values)
            return found


def _left_ms(until: float) -> int:
    return max(1, int((until - time.monotonic()) * 1000))


def _ours(hints: Hints) -> Reason:
    return Reason(ReasonCode.ECHO, f"the order {hints.order_number} is ours")


def _row_of(wish: IncomingCallout) -> dict[str, object]:
    """What is written of it; the reason of one that is accepted is that of an order of ours."""
    callout, reason = wish.callout, wish.reason or _ours(wish.callout.hints)
    shown = _plain(callout.key)
    return {
        "kind": wish.kind.value,
        "key": shown if wish.reason else callout.key,
        "shown": shown,
        "verdict": _REJECTED if wish.is_rejected else _IGNORED if wish.reason else _ACCEPTED,
        "reason": str(reason),
        "reason_code": reason.code.value,
        "notification_id": _plain(callout.notification_id),
        "request_id": _plain(callout.request_id),
        "source": ", ".join(callout.hints.sources) or None,
        "created_by": ", ".join(callout.hints.created_by) or None,
        "body_sha256": hashlib.sha256(callout.body).hexdigest() if callout.body else None,
        "sender": wish.sender if wish.is_rejected else None,
        "trigger": wish.trigger,
        "actor": wish.actor,
        "trace": wish.trace,
        **name_our_order(callout.hints.order_number),
    }


def _plain(text: str | None) -> str | None:
    """Text that every database takes: no control characters, no halves of characters, not endless."""
    if text is None or (text.isprintable() and len(text) <= LONGEST_KEY):
        return text
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)[
        :LONGEST_KEY
    ]
