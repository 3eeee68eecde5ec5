"""Which row of the queue serves a key, what a run learns of another name, and what has become of a request."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

from sqlmodel import col, select

from sync_service.queue import statements as sql
from sync_service.queue.requests import NOTHING, Claim, Kind, Remembered, enqueue, read_cause
from sync_service.queue.runs.history import Outcome, copy_causes, first_attempt_covering
from sync_service.store.engine import Session
from sync_service.store.reads import NUMBER_OF_KEY
from sync_service.store.tables import SyncRequestRow, SyncRunRow

_RESOLVE = f"SELECT {NUMBER_OF_KEY}"


@dataclass(frozen=True)
class Ticket:
    """A durable request: the row and the sequence that a run has to cover."""

    kind: Kind
    key: str
    seq: int


class Stage(IntEnum):
    """How far a request has come."""

    WAITING = 0
    READING = 1
    #: Everything is read; what differs is being written.
    COMPARING = 2
    ENDED = 3


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What has become of a request. Its first attempt counts, even if the queue tries again."""

    #: Of an alias that is resolved, its number's.
    ticket: Ticket
    stage: Stage
    #: Since when the row has waited, in ms by the database's clock.
    since: int
    #: The attempt; None while there is none, and where nothing was kept of it.
    run: SyncRunRow | None = None
    #: Why it did not work; None where it did.
    error: str | None = None
    #: Its plan waits for a person's decision, now or since an earlier request.
    is_held: bool = False

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None while it has not. What left no run was up to date, or was given up."""
        if self.stage is not Stage.ENDED:
            return None
        if self.run is not None:
            return Outcome(self.run.outcome)
        return Outcome.UNCHANGED if self.error is None else Outcome.FAILED


def place(session: Session, key: str, kind: Kind = Kind.SUBSCRIPTION) -> tuple[Kind, str]:
    """The row that serves `key` of `kind`: a subscription's is the number's if the store knows it, else the alias'."""
    number = session.run(_RESOLVE, {"key": key}).scalar_one() if kind is Kind.SUBSCRIPTION else None
    return row_that_serves(kind, key, number)


def row_that_serves(kind: Kind, key: str, number: str | None) -> tuple[Kind, str]:
    """The same where it is known already which number the key stands for."""
    if kind is not Kind.SUBSCRIPTION:
        return kind, key
    return (Kind.ALIAS, key) if number is None else (Kind.SUBSCRIPTION, number)


def fate(session: Session, ticket: Ticket) -> Fate | None:
    """What has become of `ticket`; an alias is followed to its number. None where there was no such request."""
    row = _read(session, ticket)
    if row is None:
        return None
    if row.done_seq >= ticket.seq and row.resolved_key is not None and row.resolved_seq is not None:
        ticket = Ticket(Kind.SUBSCRIPTION, row.resolved_key, row.resolved_seq)
        row = _read(session, ticket)
        if row is None:  # pruned, or erased: nothing is kept that could tell more than that it was served
            return Fate(ticket=ticket, stage=Stage.ENDED, since=0)
    run = first_attempt_covering(session, ticket.kind.value, ticket.key, ticket.seq)
    if run is not None and Outcome(run.outcome).is_let_go:
        run = _read_next_run(session, run)
        if run is None:
            return Fate(ticket=ticket, stage=Stage.WAITING, since=row.waiting_since or row.requested_at)
    is_held = run is not None and (run.outcome == Outcome.HELD or _is_held_already(session, run))
    return judge(row, ticket, run, now=session.now(), is_held=is_held)


def judge(row: SyncRequestRow, ticket: Ticket, run: SyncRunRow | None, *, now: int, is_held: bool = False) -> Fate:
    """The fate of `ticket` by its row and the run that covers it, where there is one."""
    error, stage = None, Stage.ENDED
    if run is not None:
        error = run.error if Outcome(run.outcome).is_failure else None
    elif row.failed_seq >= ticket.seq:
        error = row.last_error or "The sync failed."
    elif row.done_seq < ticket.seq:
        running = row.lease_until is not None and row.lease_until > now
        stage = Stage.WAITING if not running else Stage.READING if row.read_at is None else Stage.COMPARING
    since = row.waiting_since or row.requested_at
    return Fate(ticket=ticket, stage=stage, since=since, run=run, error=error, is_held=is_held)


def _read(session: Session, ticket: Ticket) -> SyncRequestRow | None:
    row = session.get(SyncRequestRow, (ticket.kind.value, ticket.key))
    return row if row is not None and 1 <= ticket.seq <= row.requested_seq else None


def _read_next_run(session: Session, run: SyncRunRow) -> SyncRunRow | None:
    """The plan was held, and a later run took its place."""
    let_go = [outcome for outcome in Outcome if outcome.is_let_go]
    later = select(SyncRunRow).where(
        SyncRunRow.kind == run.kind,
        SyncRunRow.key == run.key,
        col(SyncRunRow.id) > run.id,
        col(SyncRunRow.outcome).not_in(let_go),
    )
    return session.exec(later.order_by(col(SyncRunRow.id)).limit(1)).first()


def _is_held_already(session: Session, run: SyncRunRow) -> bool:
    """An unchanged run that knows a plan did not apply it: the same plan was held before."""
    if run.outcome != Outcome.UNCHANGED or run.plan_hash is None:
        return False
    held = select(SyncRunRow.id).where(
        SyncRunRow.kind == run.kind, SyncRunRow.key == run.key, SyncRunRow.outcome == Outcome.HELD
    )
    return session.exec(held.limit(1)).first() is not None


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
    values = {**remembered.end(claim), "priority": int(claim.priority)}
    if session.run(sql.OPEN_AS_DONE, values).one_or_none() is None:
        queue_number(session, claim, claim.key)
        return None
    own = replace(claim, kind=Kind.SUBSCRIPTION, token=1, seen=1, done_before=0)
    copy_causes(session, claim, own)
    resolve(session, claim, claim.key, own.seen)
    return own
