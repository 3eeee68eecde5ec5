"""Who takes a request next, and how many may: claims of due rows, within what the tenant allows.

A row is a worker's for a lease. Counting what is under way and claiming are one transaction behind the limit's lock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sync_service.errors import RateLimited
from sync_service.queue import statements as sql
from sync_service.queue.limit import WISH_MS, Limit, Share, lock_limit
from sync_service.queue.places import Load
from sync_service.queue.requests import LEASE_MS, Claim, Kind, Priority, fail
from sync_service.queue.runs.history import Outcome, open_run, read_covered_causes, record_run
from sync_service.store.engine import Database, Session

#: Claims of one row without a good end; more than any number of retries: this many workers died of it.
MAX_CLAIMS = 10
EXHAUSTED = f"{MAX_CLAIMS} attempts ended without a result: the worker died or was stopped in each."
#: One claim in so many takes the longest waiting row whatever its class, so that no class starves.
TURNS = 8


def claim(
    database: Database,
    free_threads: int,
    share: Share,
    *,
    calls_made: int = 0,
    load: Load | None = None,
    look_first: bool = True,
    lease_ms: int = LEASE_MS,
) -> list[Claim]:
    """Take due rows for `lease_ms`, committed before this returns: at most `free_threads`, and what the tenant allows.

    1. Look without a lock, so that an idle worker writes nothing; who has just found rows need not `look_first`.
    2. Lock the limit's row: counting leases and then claiming without it overshoots.
    3. Take one row in TURNS by age, the others by class; near the end of the day's budget only what people asked for.
    4. End the rows whose workers keep dying; their number is not tried again until a new request.
    `calls_made` since the last claim are added to the day's. Each claim is one that may call; with the `load` of a
    process it is one of its places that counts, which say afterwards how many of its runs may call, and where no more
    may, some rows are taken ahead: they begin as places become free.
    """
    may_take = free_threads > 0 or (load is not None and load.room_ahead > 0)
    is_settled = calls_made == 0 and (load is None or load.is_settled)
    if is_settled and not (may_take and (not look_first or _anything_due(database))):
        return []
    with database.transaction() as session:
        limit = lock_limit(session, share, load)
        limit.count_calls(calls_made)
        is_for_others = limit.is_wished and not (load and load.places.wishes)
        may_begin = max(0, min(free_threads, limit.room - is_for_others))
        wanted = _how_many(limit, may_begin, load)
        taken = _take(session, limit, wanted, lease_ms, placed=load is not None) if wanted > 0 else []
        if load is not None:
            _wish(limit, load, lacks=free_threads > 0 and load.calling + may_begin == 0)
        limit.keep(session)
        for each in taken:
            if _is_exhausted(each):
                _end_exhausted(session, each)
        claims = [each for each in taken if not _is_exhausted(each)]
        if load is not None:
            granted = load.calling + min(may_begin, load.waiting + len(claims))
            load.places.keep(session, granted, limit.now)
            load.places.is_open = limit.is_open
            load.places.yielded = int(limit.is_wished and limit.room < 1 and granted > 1)
    return claims


def _wish(limit: Limit, load: Load, *, lacks: bool) -> None:
    """A process that `lacks` any place is left the next one, or others would have them for as long as there is work."""
    if lacks and limit.is_open and not limit.is_wished:
        limit.row.wished_until = limit.now + WISH_MS
        load.places.wishes = True
    elif load.places.wishes and not lacks:
        limit.row.wished_until = None
        load.places.wishes = False


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


def _anything_due(database: Database) -> bool:
    with database.reading() as session:
        return session.run(sql.ANYTHING_DUE).first() is not None


def _how_many(limit: Limit, may_begin: int, load: Load | None) -> int:
    """For the free places; where those that wait already fill them, ahead, but not while the tenant is in trouble.

    Nor where one place is all that there is: stories beside the queue would never get it.
    """
    if load is None or load.waiting < may_begin:
        return may_begin - (load.waiting if load else 0)
    return load.room_ahead + may_begin if limit.is_open and limit.permitted > 1 else 0


def _take(session: Session, limit: Limit, room: int, lease_ms: int, *, placed: bool) -> list[Claim]:
    named = {"lease": lease_ms, "placed": int(placed)}
    if limit.row.trouble > 0 and limit.row.doubtful:
        return _take_probe(session, limit, named)
    taken = limit.row.claims
    by_age = (taken + room) // TURNS - taken // TURNS
    return sorted(_claim_due(session, limit, named, room - by_age, by_age=by_age), key=lambda each: each.priority)


def _take_probe(session: Session, limit: Limit, named: Mapping[str, int]) -> list[Claim]:
    """One row of a number that is not in doubt; where none waits, one that is, beside which others may probe."""
    which = sql.for_many(sql.NOT_IN_DOUBT, session.database)
    probe = _claim_due(session, limit, named, 1, which, keys=json.dumps(limit.row.doubtful))
    return probe or ([] if limit.aside else _claim_due(session, limit, named, 1))


def _claim_due(
    session: Session, limit: Limit, named: Mapping[str, int], by_turn: int, which: str = "", **more: int | str
) -> list[Claim]:
    """Claim due rows and count them in the limit."""
    lowest = Priority.PERSON if limit.is_kept_for_people else Priority.JOB
    asked = {"now": limit.now, "by_turn": by_turn, "by_age": 0, "lowest": int(lowest), **named, **more}
    counted: dict[str, object] = {"calls_today": limit.row.calls_today, "day": limit.row.day}
    rows = session.run(sql.claim_due(session.database, which), counted | asked).all()
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


def _is_exhausted(claim: Claim) -> bool:
    """An order's own run ends it: what it may have done to Zuora is for a person to decide."""
    return claim.attempts > MAX_CLAIMS and claim.kind is not Kind.ORDER


def _end_exhausted(session: Session, claim: Claim) -> None:
    """Fail a row whose runs never ended by themselves, and say so in the history."""
    run = open_run(claim, read_covered_causes(session, claim), calls=0)
    run.error, run.error_code = EXHAUSTED, "attempts exhausted"
    fail(session, claim, error=EXHAUSTED, code=run.error_code)
    record_run(session, run, outcome=Outcome.FAILED, plan=None, ended_at=claim.claimed_at)
