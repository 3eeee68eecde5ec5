"""The durable queue: a row says that a number is wanted and how far it has been served.

A caller enqueues a request; a worker claims it for a lease, and the first statement of its writing
transaction is `finish`, which is fence, row lock and completion in one. If a worker dies, its lease expires and
another takes over. The statements and their reasons stand in queue/statements.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

from sync_service.errors import LeaseLost, RateLimited
from sync_service.queue import statements as sql
from sync_service.queue.limit import Limit, Share, lock_limit
from sync_service.queue.runs.history import (
    Covered,
    FoundAs,
    Outcome,
    open_run,
    read_covered_causes,
    record_run,
    strongest_cause,
)
from sync_service.store.engine import Database, Session
from sync_service.store.statement import in_batches
from sync_service.subscription.trigger import Trigger, read_triggers
from sync_service.telemetry.traces import carry

#: A run's deadline is 60 s; what it has not finished by then is another's.
LEASE_MS = 90_000
#: Claims of one row without a good end; more than any number of retries: this many workers died of it.
MAX_CLAIMS = 10
EXHAUSTED = f"{MAX_CLAIMS} attempts ended without a result: the worker died or was stopped in each."
#: One claim in so many takes the longest waiting row whatever its class, so that no class starves.
TURNS = 8


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


def claim(
    database: Database,
    free_threads: int,
    share: Share,
    *,
    calls_made: int = 0,
    ended: Iterable[Claim] = (),
    look_first: bool = True,
    lease_ms: int = LEASE_MS,
) -> list[Claim]:
    """Take due rows for `lease_ms`, committed before this returns: at most `free_threads`, and what the tenant allows.

    1. Look without a lock, so that an idle worker writes nothing; who has just found rows need not `look_first`.
    2. Lock the limit's row: counting leases and then claiming without it overshoots.
    3. Take one row in TURNS by age, the others by class; near the end of the day's budget only what people asked for.
    4. End the rows whose workers keep dying; their number is not tried again until a new request.
    `calls_made` since the last claim are added to the day's. `ended` are the caller's claims whose runs make no more
    calls: others may call in their place while they compare and write.
    """
    if not calls_made and (free_threads < 1 or (look_first and not _anything_due(database))):
        return []
    with database.transaction() as session:
        limit = lock_limit(session, share, [(each.kind, each.key, each.token) for each in ended])
        limit.count_calls(calls_made)
        room = min(free_threads, limit.room)
        claims = _take(session, limit, room, lease_ms) if room > 0 else []
        limit.keep(session)
        for each in claims:
            if _is_exhausted(each):
                _end_exhausted(session, each)
    return [each for each in claims if not _is_exhausted(each)]


def claim_one(database: Database, kind: Kind, key: str, share: Share, *, lease_ms: int = LEASE_MS) -> Claim | None:
    """Take this very row for a person who waits; None where another has it or nothing may be called just now.

    While claims are paused a person may probe alone, but for a pause that Zuora itself asked for.
    """
    with database.transaction() as session:
        limit = lock_limit(session, share)
        probes = limit.live == 0 and limit.row.trouble_code != RateLimited.code
        if limit.room < 1 and not (limit.is_paused and probes):
            return None
        row = session.run(sql.CLAIM_ONE, {"kind": kind, "key": key, "now": limit.now, "lease": lease_ms}).one_or_none()
        return _as_claim(row, limit.now) if row else None


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


def _anything_due(database: Database) -> bool:
    with database.reading() as session:
        return session.run(sql.ANYTHING_DUE).first() is not None


def _take(session: Session, limit: Limit, room: int, lease_ms: int) -> list[Claim]:
    if limit.row.trouble > 0 and limit.row.doubtful:
        return _take_probe(session, limit, lease_ms)
    taken = limit.row.claims
    by_age = (taken + room) // TURNS - taken // TURNS
    return sorted(_claim_due(session, limit, lease_ms, room - by_age, by_age=by_age), key=lambda each: each.priority)


def _take_probe(session: Session, limit: Limit, lease_ms: int) -> list[Claim]:
    """One row of a number that is not in doubt; where none waits, one that is, beside which others may probe."""
    which = sql.for_many(sql.NOT_IN_DOUBT, session.database)
    probe = _claim_due(session, limit, lease_ms, 1, which=which, keys=json.dumps(limit.row.doubtful))
    return probe or ([] if limit.aside else _claim_due(session, limit, lease_ms, 1))


def _claim_due(
    session: Session, limit: Limit, lease_ms: int, by_turn: int, *, by_age: int = 0, which: str = "", **values: str
) -> list[Claim]:
    """Claim due rows and count them in the limit."""
    lowest = Priority.PERSON if limit.is_kept_for_people else Priority.JOB
    named = {"now": limit.now, "lease": lease_ms, "by_turn": by_turn, "by_age": by_age, "lowest": int(lowest), **values}
    counted = {"calls_today": limit.row.calls_today, "day": limit.row.day}
    rows = session.run(sql.claim_due(session.database, which), named | counted).all()
    limit.row.claims += len(rows)
    if session.database.dialect == "postgresql":
        limit.note_kept()
    return [_as_claim(row, limit.now) for row in rows]


def _as_claim(row: Any, claimed_at: int) -> Claim:
    return Claim(
        kind=Kind(row.kind),
        key=row.key,
        token=row.token,
        seen=row.claimed_seq,
        done_before=row.done_seq,
        attempts=row.attempts,
        full=bool(row.full),
        priority=Priority(row.priority),
        claimed_at=claimed_at,
        waiting_since=row.waiting_since,
    )


def _own(session: Session, statement: str, claim: Claim, **values: object) -> None:
    """Run a fenced statement: it changes the claim's row or nothing at all."""
    if session.run(statement, {**_fence(claim), **values}).rowcount != 1:
        raise LeaseLost


def _fence(claim: Claim) -> dict[str, object]:
    return {"kind": claim.kind, "key": claim.key, "token": claim.token}


def _is_exhausted(claim: Claim) -> bool:
    """An order's own run ends it: what it may have done to Zuora is for a person to decide."""
    return claim.attempts > MAX_CLAIMS and claim.kind is not Kind.ORDER


def _end_exhausted(session: Session, claim: Claim) -> None:
    """Fail a row whose runs never ended by themselves, and say so in the history."""
    run = open_run(claim, read_covered_causes(session, claim), calls=0)
    run.error, run.error_code = EXHAUSTED, "attempts exhausted"
    fail(session, claim, error=EXHAUSTED, code=run.error_code)
    record_run(session, run, outcome=Outcome.FAILED, plan=None, ended_at=claim.claimed_at)
