"""The durable queue: a row says that a number is wanted and how far it has been served.

A caller enqueues a request; a worker claims it for a lease (queue/claims.py), and the first statement of its writing
transaction is `finish`, which is fence, row lock and completion in one. If a worker dies, its lease expires and
another takes over. The statements and their reasons stand in queue/statements.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from sync_service.errors import LeaseLost
from sync_service.queue import statements as sql
from sync_service.queue.runs.history import Covered, FoundAs, strongest_cause
from sync_service.store.engine import Database, Session
from sync_service.store.statement import in_batches
from sync_service.subscription.trigger import Trigger, read_triggers
from sync_service.telemetry.traces import carry

#: A run's deadline is 60 s; what it has not finished by then is another's.
LEASE_MS = 90_000


class Kind(StrEnum):
    """What a row's key names."""

    SUBSCRIPTION = "subscription"
    #: A key that the store does not know yet; its run learns the number.
    ALIAS = "alias"
    #: An account; its run lists the subscriptions.
    ACCOUNT = "account"
    #: A lane of orders; its run places the oldest of them.
    ORDER = "order"


class Priority(IntEnum):
    """Who is served first."""

    PERSON = 0
    #: A callout or an API caller.
    EVENT = 1
    #: A sweep, a backfill, the calendar.
    JOB = 2


@dataclass(frozen=True)
class Cause:
    """Who asked for a sync."""

    trigger: Trigger
    actor: str | None = None
    callout_id: int | None = None
    #: How a sweep counts what it found.
    found_as: FoundAs | None = None
    #: The span in which it was made (`telemetry.traces`).
    trace: str | None = field(default_factory=carry)


@dataclass(frozen=True)
class Claim:
    """A row for the time of a lease. The run covers the requests after `done_before` up to `seen`."""

    kind: Kind
    key: str
    #: The fence: a later claim of the same row has a higher one.
    token: int
    seen: int
    done_before: int
    attempts: int
    full: bool
    priority: Priority
    #: The database's clock when the claim was made, in ms: every read of this run began later.
    claimed_at: int
    #: When the first request that it serves came in, by the same clock.
    waiting_since: int


def enqueue(session: Session, kind: Kind, key: str, cause: Cause, *, priority: Priority, full: bool = False) -> int:
    """Want `key` synced, durable with the caller's transaction; returns the sequence that a run must cover.

    Two statements. Any number of requests before the next claim are one run; one during a run leaves one follow-up.
    """
    values = {"kind": kind, "key": key, "priority": int(priority), "full": int(full)}
    _, _, seq, at = session.run(sql.ENQUEUE_ONE, values).one()
    session.run(sql.ADD_CAUSE, {"kind": kind, "key": key, "seq": seq, "at": at, **vars(cause)})
    return int(seq)


def enqueue_many(
    database: Database, kind: Kind, keys: Iterable[str], cause: Cause, *, priority: Priority, full: bool = False
) -> int:
    """Want all `keys` synced, in transactions of its own of at most BATCH keys; returns how many there were.

    In key order, so that two of these at the same time cannot deadlock. Repeatable: what is marked twice runs once.
    """
    wanted = sorted(set(keys))
    request_sql, causes_sql = sql.for_many(sql.ENQUEUE, database), sql.for_many(sql.ADD_CAUSES, database)
    for some in in_batches(wanted):
        keys = json.dumps(some)
        values = {"kind": kind, "keys": keys, "priority": int(priority), "full": int(full)}
        with database.transaction() as session:
            session.run(request_sql, values).all()
            session.run(causes_sql, {"kind": kind, "keys": keys, **vars(cause)})
    return len(wanted)


def enqueue_again(session: Session, claim: Claim) -> int:
    """Want the claim's key synced once more for the same reason, in the transaction that finished it.

    Everything is read then: the fingerprint that this run leaves behind would let the next one skip the very
    answer that has to be compared again.
    """
    return enqueue(session, claim.kind, claim.key, read_cause(session, claim), priority=claim.priority, full=True)


def note_read(database: Database, claim: Claim) -> None:
    """Note that the run has read all that it needs, so that the page shows the progress. Raises LeaseLost.

    Only if a person asked: for others it would be a transaction for nothing.
    """
    if claim.priority is Priority.PERSON:
        with database.transaction() as session:
            _own(session, sql.NOTE_READ, claim)


def renew(session: Session, claim: Claim, *, lease_ms: int = LEASE_MS) -> int:
    """Keep the claim for another lease from now on, and hold its row until the transaction ends.

    Returns the database's clock. Raises LeaseLost.
    """
    now: int | None = session.run(sql.RENEW, {**_fence(claim), "lease": lease_ms}).scalar_one_or_none()
    if now is None:
        raise LeaseLost
    return now


@dataclass(frozen=True, kw_only=True)
class Shared:
    """The rows that a run compared and others may write: locked when it finishes."""

    subscription: str | None = None
    #: Whose owner decides whose the subscription is.
    account: str | None = None
    customer: str | None = None
    #: Whom the subscription leaves.
    customer_left: str | None = None


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """What the request's row remembers of a run that ended well."""

    #: When its reading began, if it found the store equal to Zuora.
    equal_from: int | None = None
    #: It compared the customer.
    compared: bool = False

    def end(self, claim: Claim) -> dict[str, object]:
        """For the statements that end a claim."""
        return {**_fence(claim), "seen": claim.seen, "equal_from": self.equal_from, "compared": int(self.compared)}


NOTHING = Remembered()


def finish(session: Session, claim: Claim, *, remembered: Remembered = NOTHING, shared: Shared | None = None) -> int:
    """The run is done up to what its claim saw: the FIRST statement of the transaction that writes its results.

    Returns the database's clock; from now on no other writes the `shared` rows. Raises LeaseLost when another claim
    has taken over: the caller's transaction must then roll back.
    """
    values = remembered.end(claim)
    holds = shared is not None and session.database.dialect == "postgresql"
    statement, values = (sql.FINISH_AND_HOLD, values | vars(shared)) if holds else (sql.FINISH, values)
    now: int | None = session.run(statement, values).scalar_one_or_none()
    if now is None:
        raise LeaseLost
    return now


def finish_alone(database: Database, claim: Claim, remembered: Remembered, customer: tuple[str, str] | None) -> bool:
    """The same for a run that has nothing else to write, in one statement; whether it was done.

    Not done where another claim has taken over, and where the document of the `customer`, given with its id as it was
    compared, is another by now.
    """
    compared = dict(zip(("customer", "customer_document"), customer or (None, None), strict=True))
    return database.run_alone(sql.FINISH_ALONE, remembered.end(claim) | compared).first() is not None


def retry_later(session: Session, claim: Claim, *, error: str, delay_ms: int, counts: bool) -> None:
    """Run it again in `delay_ms`, at once where a person asked meanwhile; `counts=False` gives the attempt back.

    Raises LeaseLost.
    """
    _own(session, sql.RETRY, claim, seen=claim.seen, error=error, delay=delay_ms, counts=int(counts))


def fail(session: Session, claim: Claim, *, error: str, code: str | None = None) -> None:
    """Give up what the claim saw; a request since then, or any later one, starts afresh. Raises LeaseLost."""
    _own(session, sql.FAIL, claim, seen=claim.seen, error=error, code=code)


def release(session: Session, claim: Claim) -> None:
    """Put it back untouched, due at once, its attempt given back: a graceful stop. Raises LeaseLost."""
    _own(session, sql.RETRY, claim, seen=claim.seen, error=None, delay=0, counts=0)


def read_cause(session: Session, claim: Covered) -> Cause:
    """The strongest of the causes that a run of `claim` covers; a sweep's where none is kept."""
    row = strongest_cause(session, claim)
    triggers = read_triggers([row.trigger]) if row else ()
    return next((Cause(trigger, row.actor, row.callout_id) for trigger in triggers if row), Cause(Trigger.SWEEP))


def _own(session: Session, statement: str, claim: Claim, **values: object) -> None:
    """Run a fenced statement: it changes the claim's row or nothing at all."""
    if session.run(statement, {**_fence(claim), **values}).rowcount != 1:
        raise LeaseLost


def _fence(claim: Claim) -> dict[str, object]:
    return {"kind": claim.kind, "key": claim.key, "token": claim.token}
