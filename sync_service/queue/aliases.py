"""Requests under another name than the number: what their runs learn, and where their callers look then."""

from __future__ import annotations

from dataclasses import replace

from sync_service.queue import statements as sql
from sync_service.queue.history import copy_causes
from sync_service.queue.requests import NOTHING, Claim, Kind, Remembered, enqueue, read_cause
from sync_service.store.engine import Session


def queue_number(session: Session, claim: Claim, number: str) -> None:
    """Want `number` synced instead of the alias just finished; in the transaction of `finish`."""
    cause = read_cause(session, claim)
    seq = enqueue(session, Kind.SUBSCRIPTION, number, cause, priority=claim.priority, full=claim.full)
    resolve(session, claim, number, seq)


def resolve(session: Session, claim: Claim, number: str, seq: int) -> None:
    """Note that the alias just finished is `number`, queued or served under `seq`; in the transaction of `finish`."""
    values = {"kind": claim.kind, "key": claim.key, "resolved_key": number, "resolved_seq": seq}
    session.run(sql.SET_RESOLVED, values)


def serve_itself(session: Session, claim: Claim, remembered: Remembered = NOTHING) -> Claim | None:
    """For an alias just finished that proved to be a number without a request: the number's row, served with it.

    None where the number has a row: it is queued, because its own run must read again: ours may have begun too early.
    """
    values = {"key": claim.key, "priority": int(claim.priority), **remembered.as_values()}
    if session.run(sql.OPEN_AS_DONE, values).one_or_none() is None:
        queue_number(session, claim, claim.key)
        return None
    own = replace(claim, kind=Kind.SUBSCRIPTION, token=1, seen=1, done_before=0)
    copy_causes(session, claim, own)
    resolve(session, claim, claim.key, own.seen)
    return own
