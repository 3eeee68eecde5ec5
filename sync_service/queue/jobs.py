"""Periodic work: a row per job; the process that holds its lease, on any host, runs it from the cursor on.

Every scheduler ticks; a conditional lease decides who runs. A holder that dies is followed by another when the lease
ends; whatever a job does must bear being done again from the last saved cursor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlmodel import col, select

from sync_service.errors import LeaseLost
from sync_service.store.engine import Database, Session
from sync_service.store.tables import JobRow

#: Saving the cursor renews it, so this bounds one step of a job and not the job.
LEASE_MS = 120_000

_CREATE = """
INSERT INTO job (name, due_at, token, paused, cursor, progress) VALUES (:name, {now} + :first, 0, :no, '{}', '{}')
ON CONFLICT (name) DO NOTHING
"""

_JUMPED_BACK = "SELECT 1 FROM job WHERE last_began > {now}"
#: In the order of locks: what limits the tenant's calls first, then the requests.
_FOLLOW_BACK = (
    "UPDATE zuora_limit SET open_until = {now} WHERE open_until > {now}",
    "UPDATE zuora_limit SET wished_until = {now} WHERE wished_until > {now}",
    "UPDATE zuora_lease SET lease_until = {now} + :lease WHERE lease_until > {now} + :lease",
    "UPDATE sync_request SET due_at = {now} WHERE due_at > {now}",
    "UPDATE sync_request SET waiting_since = {now} WHERE waiting_since > {now}",
    "UPDATE sync_request SET lease_until = {now} + :lease WHERE lease_until > {now} + :lease",
    "UPDATE webhook_endpoint SET paused_until = {now} WHERE paused_until > {now}",
    "UPDATE webhook_endpoint SET lease_until = {now} + :lease WHERE lease_until > {now} + :lease",
    "UPDATE webhook_delivery SET due_at = {now} WHERE due_at > {now} AND state = 'pending'",
    "UPDATE job SET lease_until = {now} + :lease WHERE lease_until > {now} + :lease",
    "UPDATE job SET due_at = due_at - (last_began - {now}), last_began = {now} WHERE last_began > {now}",
)

_MINUTE_MS, _HOUR_MS, _DAY_MS = 60_000, 3_600_000, 86_400_000
#: The jobs that come round by themselves, and how often, in ms.
EVERY_MS: Mapping[str, int] = {
    "calendar": _MINUTE_MS,
    "prune": _DAY_MS,
    "failed again": _DAY_MS,
    "figures": _MINUTE_MS,
    "notify": _MINUTE_MS,
    "sweep delta": 15 * _MINUTE_MS,
    "sweep full": 7 * _DAY_MS,
    "check": _HOUR_MS,
    "catalog": _DAY_MS,
    "failed callouts": _HOUR_MS,
}


@dataclass(frozen=True)
class JobLease:
    """The right to run one job, from `cursor` on (empty: from the start)."""

    name: str
    token: int
    cursor: Mapping[str, Any]
    progress: Mapping[str, Any]
    #: The database's clock when the lease was taken, in ms.
    taken_at: int


def ensure_job(database: Database, name: str, *, first_due_in_ms: int = 0) -> None:
    """Make the job's row where it is not there yet. Repeatable; cheap when it is there."""
    with database.reading() as session:
        if session.get(JobRow, name) is not None:
            return
    with database.transaction() as session:
        session.run(_CREATE, {"name": name, "first": first_due_in_ms, "no": False})


def take(database: Database, name: str, *, lease_ms: int = LEASE_MS) -> JobLease | None:
    """Take the job for `lease_ms` if it is due, not paused and not leased; None otherwise, also if it has no row."""
    with database.reading() as session:
        if not _is_free(session.get(JobRow, name), session.now()):
            return None  # every scheduler asks on every tick: mostly there is nothing to lock
    with database.transaction() as session:
        row = _lock(session, name)
        now = session.now()
        if row is None or not _is_free(row, now):
            return None
        row.token += 1
        row.lease_until = now + lease_ms
        row.last_began = now
        return JobLease(name=name, token=row.token, cursor=dict(row.cursor), progress=dict(row.progress), taken_at=now)


def save(
    database: Database,
    lease: JobLease,
    *,
    cursor: Mapping[str, Any],
    progress: Mapping[str, Any],
    lease_ms: int = LEASE_MS,
) -> bool:
    """Keep how far the job has come and renew its lease; False asks the job to stop here, because it was paused.

    Raises LeaseLost when another took over; nothing is written then.
    """
    with database.transaction() as session:
        row = _lock_owned(session, lease)
        row.cursor, row.progress = dict(cursor), dict(progress)
        row.lease_until = None if row.paused else session.now() + lease_ms
        return not row.paused


def done(
    database: Database,
    lease: JobLease,
    *,
    next_due_in_ms: int,
    progress: Mapping[str, Any] | None = None,
    error: str | None = None,
) -> None:
    """The job came to its end, well or with `error`: the cursor is cleared and it is due again in `next_due_in_ms`.

    A run requested during this one starts at once. Raises LeaseLost when another took over.
    """
    with database.transaction() as session:
        row = _lock_owned(session, lease)
        now = session.now()
        asked_meanwhile = row.due_at > lease.taken_at
        row.due_at = min(row.due_at, now + next_due_in_ms) if asked_meanwhile else now + next_due_in_ms
        row.cursor = {}
        row.progress = dict(row.progress if progress is None else progress)
        row.lease_until, row.last_ended, row.last_error = None, now, error


def put_back(database: Database, lease: JobLease, *, error: str | None = None, retry_in_ms: int = 0) -> None:
    """Stop part way; the job continues from the saved cursor in `retry_in_ms`. Raises LeaseLost."""
    with database.transaction() as session:
        row = _lock_owned(session, lease)
        row.lease_until = None
        row.last_error = error
        if retry_in_ms:
            row.due_at = session.now() + retry_in_ms


def follow_clock_back(database: Database) -> bool:
    """Where the database's clock jumped back, let nothing wait for a moment of the old time; whether it did.

    Jobs that began in what is now the future show a jump of more than their pause, for those of every minute a minute.
    Backoffs and pauses end, and leases last as long as they do from now on. Repeatable.
    """
    with database.reading() as session:
        if not session.run(_JUMPED_BACK).all():
            return False
    with database.transaction() as session:
        for statement in _FOLLOW_BACK:
            session.run(statement, {"lease": LEASE_MS})
    return True


def pause(session: Session, name: str) -> bool:
    """Pause the job; a run stops at its next save. False if there is no such job. Repeatable."""
    return _set_paused(session, name, paused=True)


def resume(session: Session, name: str) -> bool:
    """Undo `pause`; an interrupted run goes on from its cursor. False where there is no such job. Repeatable."""
    return _set_paused(session, name, paused=False)


def run_soon(session: Session, name: str) -> bool:
    """Make the job due now, or again right after the run that is under way. False where there is no such job."""
    row = _lock(session, name)
    if row is not None:
        # Later than the beginning of the run that is under way, also within its first millisecond: see `done`.
        row.due_at = max(session.now(), (row.last_began or 0) + 1)
    return row is not None


_ALL = select(JobRow).order_by(col(JobRow.name))


def list_jobs(session: Session) -> list[JobRow]:
    """All jobs by name, for display."""
    return session.run(_ALL).all()


def _lock(session: Session, name: str) -> JobRow | None:
    statement = select(JobRow).where(JobRow.name == name).with_for_update()
    return session.exec(statement.execution_options(populate_existing=True)).one_or_none()


def _lock_owned(session: Session, lease: JobLease) -> JobRow:
    row = _lock(session, lease.name)
    if row is None or row.token != lease.token or row.lease_until is None:
        raise LeaseLost
    return row


def _is_free(row: JobRow | None, now: int) -> bool:
    return (
        row is not None and not row.paused and row.due_at <= now and (row.lease_until is None or row.lease_until <= now)
    )


def _set_paused(session: Session, name: str, *, paused: bool) -> bool:
    row = _lock(session, name)
    if row is not None:
        row.paused = paused
    return row is not None
