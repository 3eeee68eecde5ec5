"""How it goes, at one glance: what waits, runs and failed, how Zuora does, the budget, callouts and jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sync_service.queue.backlog import Backlog, read_backlog
from sync_service.queue.held import count_held
from sync_service.queue.jobs import list_jobs
from sync_service.queue.limit import Limit, Share, read_limit, read_tenant
from sync_service.queue.outbox import OutboxState, read_outbox
from sync_service.settings import Settings
from sync_service.store.engine import Session
from sync_service.subscription.pace import duration_in_words

#: Due that far ahead is due when somebody asks.
_NEVER_MS = 10 * 365 * 86_400_000
_HOUR_MS = 3_600_000
# The moment as a value: with the clock in the statement both databases would read the whole table.
_CALLOUTS = """
SELECT (SELECT max(received_at) FROM callout) AS last,
  count(CASE WHEN verdict = 'accepted' THEN 1 END) AS accepted,
  count(CASE WHEN verdict = 'ignored' THEN 1 END) AS ignored,
  count(CASE WHEN verdict = 'rejected' THEN 1 END) AS rejected
FROM callout WHERE received_at > :since
"""


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """One job; times in ms by the database's clock."""

    name: str
    running: bool
    paused: bool
    #: None where it runs only when somebody asks.
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
class Status:
    """Everything; `now` is the database's clock in ms."""

    now: int
    backlog: Backlog
    held: int
    zuora: ZuoraStatus
    callouts: CalloutStatus
    webhooks: OutboxState
    jobs: tuple[JobStatus, ...]

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "now": self.now,
            "queue": vars(self.backlog) | {"held": self.held},
            "zuora": vars(self.zuora),
            "callouts_last_hour": vars(self.callouts),
            "webhooks": vars(self.webhooks),
            "jobs": [vars(job) for job in self.jobs],
        }


def read_status(session: Session, settings: Settings) -> Status:
    """Read it all from the database; nothing is asked of Zuora."""
    share = Share(settings.zuora_max_concurrency, settings.zuora_daily_calls)
    limit = read_limit(session, share)
    callouts = session.run(_CALLOUTS, {"since": limit.now - _HOUR_MS}).one()
    return Status(
        now=limit.now,
        backlog=read_backlog(session),
        held=count_held(session),
        zuora=_zuora(limit, read_tenant(session)),
        callouts=CalloutStatus(
            last_at=callouts.last, accepted=callouts.accepted, ignored=callouts.ignored, rejected=callouts.rejected
        ),
        webhooks=read_outbox(session),
        jobs=_jobs(session, limit.now),
    )


def tell_obstacle(session: Session, settings: Settings) -> str | None:
    """Why what is due is not taken up just now, in words; None where workers take it as it comes."""
    limit = read_limit(session, Share(settings.zuora_max_concurrency, settings.zuora_daily_calls))
    if limit.is_paused or limit.row.trouble or limit.is_kept_for_people:
        return f"Zuora {_in_words(limit, read_tenant(session))}"
    if limit.room == 0:
        return f"All {limit.live} places are in use, or were by a worker that died within the last minute and a half."
    return None


def _zuora(limit: Limit, tenant: str | None) -> ZuoraStatus:
    budget = limit.share.daily_calls
    return ZuoraStatus(
        words=_in_words(limit, tenant),
        tenant=tenant,
        paused=limit.is_paused,
        permitted=min(limit.row.permitted, limit.share.max_concurrency),
        live=limit.live,
        allowed=limit.share.max_concurrency,
        calls_today=limit.calls_today,
        calls_left=max(0, budget - limit.calls_today) if budget else None,
        kept_for_people=limit.is_kept_for_people,
    )


def _in_words(limit: Limit, tenant: str | None) -> str:
    row = limit.row
    if limit.is_paused:
        wait = duration_in_words(((row.open_until or 0) - limit.now) / 1000)
        return f"cannot be used: {row.trouble_text} Everything waits; the next try is in {wait}."
    if row.trouble:
        return f"had trouble: {row.trouble_text} One request at a time tries whether it is over."
    if limit.is_kept_for_people:
        return "answers; the rest of today's budget is kept for what people ask for."
    if row.permitted < limit.share.max_concurrency:
        return (
            f"answers, and asked us to slow down: {row.permitted} of {limit.share.max_concurrency} at a time for now."
        )
    return "answers." if tenant else "is not known yet: no worker has run."


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
