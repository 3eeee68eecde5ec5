"""How it goes, at one glance: what waits, runs and failed, how Zuora does, the budget, callouts and jobs."""

from __future__ import annotations

from dataclasses import dataclass

from sync_service.queue.backlog import Backlog, read_backlog
from sync_service.queue.jobs import list_jobs
from sync_service.queue.limit import Limit, Share, read_limit, read_tenant
from sync_service.queue.outbox import OutboxState, read_outbox
from sync_service.queue.runs.held import count_held
from sync_service.queue.status.findings import Finding
from sync_service.queue.status.health import HOUR_MS, CalloutsReceived, describe_zuora, examine
from sync_service.settings import Settings
from sync_service.store.engine import Session
from sync_service.store.tables import JobRow

#: A job due that far ahead runs only on request.
_NEVER_MS = 10 * 365 * 86_400_000


@dataclass(frozen=True, kw_only=True)
class ZuoraStatus:
    """Zuora as we see it."""

    #: In plain words, for people.
    words: str
    tenant: str | None
    paused: bool
    #: Runs and stories that may call at the same time, that do, and that the settings allow.
    permitted: int
    live: int
    allowed: int
    calls_today: int
    #: What is left of the day's budget; None where there is none.
    calls_left: int | None
    #: What is left is kept for people.
    kept_for_people: bool


@dataclass(frozen=True, kw_only=True)
class ServiceStatus:
    """Everything; `now` is the database's clock in ms."""

    now: int
    backlog: Backlog
    held: int
    zuora: ZuoraStatus
    #: What came in during the last hour, and when the last one came.
    callouts: CalloutsReceived
    webhooks: OutboxState
    jobs: tuple[JobRow, ...]
    #: What `check` says of the same moment, as far as the database tells.
    findings: tuple[Finding, ...]


def read_status(session: Session, settings: Settings) -> ServiceStatus:
    """Read it all from the database; nothing is asked of Zuora."""
    limit = read_limit(session, Share.of(settings))
    return ServiceStatus(
        now=limit.now,
        backlog=read_backlog(session),
        held=count_held(session),
        zuora=_zuora(limit, read_tenant(session), settings),
        callouts=CalloutsReceived(session, limit.now - HOUR_MS),
        webhooks=read_outbox(session),
        jobs=tuple(list_jobs(session)),
        findings=tuple(examine(session, settings)),
    )


def _zuora(limit: Limit, tenant: str | None, settings: Settings) -> ZuoraStatus:
    budget = limit.share.daily_calls
    return ZuoraStatus(
        words=describe_zuora(limit, is_configured=settings.reaches_zuora).says,
        tenant=tenant,
        paused=limit.is_paused,
        permitted=limit.permitted,
        live=limit.live,
        allowed=limit.share.max_concurrency,
        calls_today=limit.calls_today,
        calls_left=max(0, budget - limit.calls_today) if budget else None,
        kept_for_people=limit.is_kept_for_people,
    )


def is_running(job: JobRow, now: int) -> bool:
    """Whether a scheduler holds the job."""
    return job.lease_until is not None and job.lease_until > now


def next_run(job: JobRow, now: int) -> int | None:
    """When the job is due, in ms by the database's clock; None if it runs only on request, or is paused."""
    return job.due_at if job.due_at < now + _NEVER_MS and not job.paused else None
