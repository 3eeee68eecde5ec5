"""How the service does in five lights, for every page: what `health` says of it at length, by a few bounded reads.

A light is green only for what was really seen lately: nothing known is no light, and never a green one.
"""

from __future__ import annotations

from dataclasses import replace

from sqlmodel import col, select

from sync_service.queue.findings import Finding, Severity, worst
from sync_service.queue.health import (
    LOST_WAIT_MS,
    MAX_WAIT_MS,
    describe_arriving,
    describe_job,
    describe_process,
    describe_zuora,
)
from sync_service.queue.heartbeats import ProcessRole
from sync_service.queue.limit import Share, read_limit
from sync_service.settings import Settings
from sync_service.store.engine import Session
from sync_service.store.tables import JobRow
from sync_service.subscription.pace import duration_in_words

#: More rows than this are not counted.
MOST_COUNTED = 1000
_SWEEPS = ("sweep delta", "sweep full")
# Each verdict by itself: an index has its callouts by their time.
_LAST_CALLOUT = """
SELECT max(last.received_at) FROM (
  SELECT * FROM (
    SELECT received_at FROM callout WHERE verdict = 'accepted' ORDER BY received_at DESC LIMIT 1) AS accepted
  UNION ALL
  SELECT * FROM (
    SELECT received_at FROM callout WHERE verdict = 'ignored' ORDER BY received_at DESC LIMIT 1) AS ignored
) AS last
"""
_QUEUE = """
SELECT
  (SELECT count(*) FROM (SELECT 1 FROM sync_request WHERE due_at IS NOT NULL LIMIT :most) AS open) AS open,
  (SELECT waiting_since FROM sync_request
   WHERE due_at IS NOT NULL AND due_at <= {now} AND (lease_until IS NULL OR lease_until <= {now})
   ORDER BY waiting_since LIMIT 1) AS oldest
"""


def read_lights(session: Session, settings: Settings) -> tuple[Finding, ...]:
    """Callouts, the queue, workers, Zuora and sweeps, in this order. Nothing is asked of Zuora."""
    limit = read_limit(session, Share.of(settings))
    now = limit.now
    return (
        replace(describe_arriving(session.run(_LAST_CALLOUT).scalar_one(), now), name="callouts"),
        _describe_queue(session, now),
        replace(describe_process(session, ProcessRole.WORKER, now), name="workers"),
        describe_zuora(limit, is_configured=settings.reaches_zuora),
        _describe_sweeps(session, now),
    )


def _describe_queue(session: Session, now: int) -> Finding:
    row = session.run(_QUEUE, {"most": MOST_COUNTED}).one()
    if not row.open:
        return Finding("queue", Severity.OK, "Nothing waits.")
    counted = f"{row.open:,} waiting or running" if row.open < MOST_COUNTED else f"{MOST_COUNTED:,} and more waiting"
    if row.oldest is None:
        return Finding("queue", Severity.OK, f"{counted}; nothing is due.")
    age = max(0, now - row.oldest)
    verdict = Severity.FAILED if age > LOST_WAIT_MS else Severity.WARNING if age > MAX_WAIT_MS else Severity.OK
    return Finding(
        "queue", verdict, f"{counted}; the oldest has waited {duration_in_words(age / 1000)}.", at=row.oldest
    )


def _describe_sweeps(session: Session, now: int) -> Finding:
    """The scheduler that makes them, and how they go."""
    jobs = list(session.exec(select(JobRow).where(col(JobRow.name).in_(_SWEEPS)).order_by(col(JobRow.name))))
    ended = max((job.last_ended for job in jobs if job.last_ended is not None), default=None)
    found = [
        describe_process(session, ProcessRole.SCHEDULER, now),
        *filter(None, (describe_job(job, now) for job in jobs)),
    ]
    bad = worst(found)
    if bad.verdict is not Severity.OK:
        of = f"{bad.name.removeprefix('job ').capitalize()}: " if bad.name.startswith("job ") else ""
        return replace(bad, name="sweeps", says=f"{of}{bad.says}", at=ended)
    if ended is None:
        return Finding("sweeps", Severity.NOT_CHECKED, "A scheduler runs; no sweep has ended yet.")
    return Finding("sweeps", Severity.OK, f"A sweep ended {duration_in_words((now - ended) / 1000)} ago.", at=ended)
