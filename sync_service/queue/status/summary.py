"""How it goes, at one glance: what waits, runs and failed, how Zuora does, the budget, callouts and jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sync_service.queue.backlog import Backlog, read_backlog
from sync_service.queue.jobs import list_jobs
from sync_service.queue.limit import Limit, Share, read_limit, read_tenant
from sync_service.queue.outbox import OutboxState, read_outbox
from sync_service.queue.runs.held import count_held
from sync_service.queue.status.findings import Finding
from sync_service.queue.status.health import HOUR_MS, CalloutsReceived, describe_zuora, examine
from sync_service.settings import Settings
from sync_service.store.engine import Session

#: A job due that far ahead runs only on request.
_NEVER_MS = 10 * 365 * 86_400_000


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """One job; times in ms by the database's clock."""

    name: str
    running: bool
    paused: bool
    #: None if it runs only on request.
    next_at: int | None
    last_began: int | None
    last_ended: int | None
    last_error: str | None
    progress: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class CalloutStatus:
    """What came in during the last hour, and when the last one came."""

    last_at: int | None
    accepted: int
    ignored: int
    rejected: int


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
    callouts: CalloutStatus
    webhooks: OutboxState
    jobs: tuple[JobStatus, ...]
    #: What `check` says of the same moment, as far as the database tells.
    findings: tuple[Finding, ...]

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "now": self.now,
            "queue": vars(self.backlog) | {"held": self.held},
            "zuora": vars(self.zuora),
            "callouts_last_hour": vars(self.callouts),
            "webhooks": vars(self.webhooks),
            "jobs": [vars(job) for job in self.jobs],
            "findings": [finding.as_json() for finding in self.findings],
        }


def read_status(session: Session, settings: Settings) -> ServiceStatus:
    """Read it all from the database; nothing is asked of Zuora."""
    limit = read_limit(session, Share.of(settings))
    intake = CalloutsReceived(session, limit.now - HOUR_MS)
    return ServiceStatus(
        now=limit.now,
        backlog=read_backlog(session),
        held=count_held(session),
        zuora=_zuora(limit, read_tenant(session), settings),
        callouts=CalloutStatus(
            last_at=intake.last, accepted=intake.accepted, ignored=intake.ignored, rejected=intake.rejected
        ),
        webhooks=read_outbox(session),
        jobs=_jobs(session, limit.now),
        findings=tuple(examine(session, settings)),
    )


def _zuora(limit: Limit, tenant: str | None, settings: Settings) -> ZuoraStatus:
    budget = limit.share.daily_calls
    return ZuoraStatus(
        words=describe_zuora(limit, is_configured=settings.reaches_zuora).says,
        tenant=tenant,
        paused=limit.is_paused,
        permitted=min(limit.row.permitted, limit.share.max_concurrency),
        live=limit.live,
        allowed=limit.share.max_concurrency,
        calls_today=limit.calls_today,
        calls_left=max(0, budget - limit.calls_today) if budget else None,
        kept_for_people=limit.is_kept_for_people,
    )


def _jobs(session: Session, now: int) -> tuple[JobStatus, ...]:
    return tuple(
        JobStatus(
            name=job.name,
            running=job.lease_until is not None and job.lease_until > now,
            paused=job.paused,
            next_at=job.due_at if job.due_at < now + _NEVER_MS and not job.paused else None,
            last_began=job.last_began,
            last_ended=job.last_ended,
            last_error=job.last_error,
            progress=dict(job.progress),
        )
        for job in list_jobs(session)
    )
