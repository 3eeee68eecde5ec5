"""Periodic work. APScheduler ticks in every scheduler process; the lease on a `job` row decides who works.

Killed in the middle, another scheduler goes on from the cursor that was stored last.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy.exc import SQLAlchemyError

from sync_service.errors import LeaseLost, SyncServiceError
from sync_service.jobs.calendar import request_by_calendar
from sync_service.jobs.notify import notify
from sync_service.jobs.recovery import ReadCallout, recover_callouts
from sync_service.jobs.sweep.delta import sweep_delta
from sync_service.jobs.sweep.full import sweep_full
from sync_service.jobs.sweep.walk import PartWay
from sync_service.jobs.upkeep import ask_failed_again, count_figures, prune
from sync_service.ordering.previews import refresh_catalog
from sync_service.queue.jobs import EVERY_MS, JobLease, done, ensure_job, follow_clock_back, put_back, take
from sync_service.queue.limit import Share
from sync_service.queue.status.heartbeats import Heartbeat, ProcessRole
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.sync.attempt import SyncContext
from sync_service.telemetry.log import logger
from sync_service.telemetry.traces import span


def refresh_story(context: SyncContext, _: JobLease) -> Mapping[str, Any]:
    """The story of the periodic job. A tenant without Object Query's catalog fails it, and the job's row says why."""
    share = Share.of(context.settings)
    return {"rate_plans": refresh_catalog(context.database, context.zuora, share)}


#: How often each process asks whether a job is due, in seconds.
TICK_SECONDS = 5
#: How long a running job gets after a stop, in seconds; less than the time after which we are killed (deploy/).
GRACE_SECONDS = 25.0
MINUTE_MS = 60_000
DAY_MS = 86_400_000

#: One job's work: does what is due, may save its cursor, returns its progress for people, or PartWay before its end.
Story = Callable[[Database, Settings, JobLease], Mapping[str, Any] | PartWay]
#: The same for work that calls Zuora, which not every installation is set up to.
ZuoraStory = Callable[[SyncContext, JobLease], Mapping[str, Any] | PartWay]


#: What people want done once: looks what there is and does it, until the event says stop.
Errand = Callable[[threading.Event], None]


@dataclass(frozen=True)
class Periodic:
    """A job that comes round by itself."""

    name: str
    every_ms: int
    story: Story
    #: How long after it was first heard of it runs for the first time.
    first_due_in_ms: int = 0


def _periodic(name: str, story: Story, first_due_in_ms: int = 0) -> Periodic:
    return Periodic(name, EVERY_MS[name], story, first_due_in_ms)


PERIODIC = (
    _periodic("calendar", request_by_calendar),
    _periodic("prune", prune),
    _periodic("failed again", ask_failed_again),
    _periodic("figures", count_figures),
    _periodic("notify", notify),
)


def zuora_jobs(context: SyncContext, read_callout: ReadCallout, check: ZuoraStory) -> tuple[Periodic, ...]:
    """The jobs that call Zuora; `check` is the story of the check.

    A new installation loads its objects first: the full sweep begins a day later.
    """
    return (
        _periodic("sweep delta", _bind(sweep_delta, context)),
        _periodic("sweep full", _bind(sweep_full, context), first_due_in_ms=DAY_MS),
        _periodic("check", _bind(check, context)),
        _periodic("catalog", _bind(refresh_story, context)),
        _periodic("failed callouts", _bind(partial(recover_callouts, read_callout=read_callout), context)),
    )


def _bind(story: ZuoraStory, context: SyncContext) -> Story:
    return lambda _, __, lease: story(context, lease)


def add_turns(clock: BackgroundScheduler, turns: Sequence[Callable[[], object]]) -> None:
    """Let each come round every TICK_SECONDS, one after another: at once they would take all connections each time."""
    now = datetime.now(UTC)
    for place, turn in enumerate(turns, 1):
        start = now + timedelta(seconds=TICK_SECONDS * place / len(turns))
        clock.add_job(turn, "interval", seconds=TICK_SECONDS, start_date=start, max_instances=1, coalesce=True)


def bring_forward(clock: BackgroundScheduler) -> None:
    """Let no tick wait longer than two pauses: after the host's clock jumped back it would wait for the old time."""
    latest = datetime.now(UTC) + timedelta(seconds=2 * TICK_SECONDS)
    for each in clock.get_jobs():
        if each.next_run_time > latest:
            each.reschedule("interval", seconds=TICK_SECONDS)


class Scheduler:
    """Ticks until told to stop."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        jobs: tuple[Periodic, ...] = PERIODIC,
        errand: Errand | None = None,
    ) -> None:
        self.database = database
        self.settings = settings
        self.jobs = jobs
        self.errand = errand
        self._on_errand = False
        self._stop = threading.Event()
        self._running: dict[str, JobLease] = {}
        self._heartbeat = Heartbeat(database, ProcessRole.SCHEDULER)

    def stop(self) -> None:
        """Start no more work; `run` returns when the running jobs have ended. Safe in a signal handler."""
        self._stop.set()

    def run(self) -> bool:
        """Tick until `stop`; then give running jobs GRACE_SECONDS and put back what has not ended.

        False where such a job still runs in its thread: the process need not wait for it.
        """
        self._heartbeat.beat()
        turns: list[Callable[[], object]] = [self._heartbeat.beat, self.follow_clock, self.run_errand]
        turns += [partial(self.tick, job) for job in self.jobs]
        # A thread for each, so that a sweep of an hour keeps none of the others waiting.
        clock = BackgroundScheduler(timezone="UTC", executors={"default": ThreadPoolExecutor(len(turns))})
        add_turns(clock, turns)
        clock.start()
        logger().info("scheduler_started", jobs=[job.name for job in self.jobs])
        while not self._stop.wait(TICK_SECONDS):
            bring_forward(clock)
        clock.shutdown(wait=False)
        late = self._drain()
        self._heartbeat.beat(at_once=True)
        logger().info("scheduler_stopped", put_back=late)
        return not (late or self._on_errand)

    def follow_clock(self) -> None:
        """Where the database's clock jumped back, wait for no moment of the old time."""
        try:
            if follow_clock_back(self.database):
                logger().warning("clock_jumped_back")
        except (SQLAlchemyError, TimeoutError) as error:
            logger().error("clock_unknown", error=type(error).__name__)

    def run_errand(self) -> None:
        """Do what people want done once."""
        self._on_errand = True
        try:
            if self.errand is not None:
                self.errand(self._stop)
        except Exception as error:  # looked at again with the next tick
            logger().exception("errand_failed", error=type(error).__name__)
        finally:
            self._on_errand = False

    def tick(self, job: Periodic) -> bool:
        """Run `job` if it is due and not running elsewhere; whether it ran."""
        try:
            ensure_job(self.database, job.name, first_due_in_ms=job.first_due_in_ms)
            lease = take(self.database, job.name)
            if lease is None:
                return False
            self._running[job.name] = lease
            self._work(job, lease)
        except (SQLAlchemyError, SyncServiceError, TimeoutError) as error:
            logger().error("job_interrupted", job=job.name, error=type(error).__name__)
        finally:
            self._running.pop(job.name, None)
        return True

    def _drain(self) -> list[str]:
        """Let running jobs end; those that have not in time are put back, to go on from their cursor elsewhere."""
        deadline = time.monotonic() + GRACE_SECONDS
        while (self._running or self._on_errand) and time.monotonic() < deadline:
            time.sleep(0.05)
        late = dict(self._running)
        for lease in late.values():
            try:
                put_back(self.database, lease)
            except (SQLAlchemyError, LeaseLost) as error:  # its lease runs out, or it came to its end just now
                logger().warning("release_failed", job=lease.name, error=type(error).__name__)
        return sorted(late)

    def _work(self, job: Periodic, lease: JobLease) -> None:
        try:
            with span(job.name):
                result = job.story(self.database, self.settings, lease)
        except Exception as error:
            logger().exception("job_failed", job=job.name)
            put_back(self.database, lease, error=str(error), retry_in_ms=min(job.every_ms, 5 * MINUTE_MS))
            return
        if isinstance(result, PartWay):
            logger().info("job_part_way", job=job.name, error=result.error)
            if not result.paused:
                put_back(self.database, lease, error=result.error, retry_in_ms=result.again_in_ms)
            return
        done(self.database, lease, next_due_in_ms=job.every_ms, progress=result)
        logger().info("job_done", job=job.name, **result)
