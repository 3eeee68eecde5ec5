"""The story of a backfill: ask for many syncs, a limited number at a time, until all have ended.

It only fills the queue; workers do the work at the pace that the tenant allows, and callouts go first. What it asked
for is in the queue's own rows and how far it listed is in its job's row, so it may be stopped or killed at any moment:
the same backfill started again goes on, and asks for nothing twice.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from sqlalchemy.exc import OperationalError

from sync_service.errors import BusyError, SyncServiceError
from sync_service.jobs.backfill.ledger import Failure, Ledger, Place, RequestProgress, read_next_cause, sort_keys
from sync_service.jobs.backfill.sources import Source
from sync_service.queue import jobs
from sync_service.queue.requests import Kind
from sync_service.queue.status.health import describe_process, tell_obstacle
from sync_service.queue.status.heartbeats import ProcessRole
from sync_service.store.engine import Database
from sync_service.store.statement import BATCH
from sync_service.subscription.pace import Pace
from sync_service.sync.attempt import SyncContext
from sync_service.telemetry.log import logger

#: Requests that wait for their first attempt; more would only make the queue long.
WINDOW = 2_000
#: With those that failed and wait for their next attempt: what is kept in memory.
MAX_OPEN = 40_000
#: How often open requests are looked at, in seconds.
LOOK_SECONDS = 0.5
#: How often the job's row is written, in seconds, and for how long after a crash no other process takes over.
SAVE_SECONDS = 2.0
LEASE_MS = 20_000
#: So long nothing may move before we say that there is perhaps no worker, in seconds.
STILL_SECONDS = 15.0
#: Failures that the job's row names; the command line prints all.
MAX_NAMED = 100
#: A backfill is due only on request.
NEVER_MS = 100 * 365 * 86_400_000

#: Makes the source of keys, to go on from a position that an earlier run of the same backfill had reached.
OpenSource = Callable[[str | None], Source]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far a backfill has come."""

    asked: int
    #: Of those asked for: ended well, and given up.
    done: int
    failed: int
    #: Of the done ones: something was written.
    changed: int = 0
    #: Open because an attempt failed; they are tried again.
    backing_off: int = 0
    #: When the first of those is tried again, in ms by the database's clock.
    next_try_at: int | None = None
    #: When the last of those is.
    last_try_at: int | None = None
    running: int = 0
    #: Keys in all; None while the list is still being read.
    total: int | None = None
    #: Why it does not go on just now, in words.
    obstacle: str | None = None

    @property
    def settled(self) -> int:
        """Those that need no more waiting."""
        return self.done + self.failed

    def as_json(self) -> dict[str, Any]:
        """For the job's row."""
        return dict(vars(self))


@dataclass(frozen=True)
class Ending:
    """How `run` ended: complete, or stopped with everything kept for the next time."""

    standing: Standing
    ledger: Ledger
    complete: bool
    #: What the source held that can be no key.
    problems: tuple[Failure, ...] = ()
    #: The job was paused elsewhere.
    paused: bool = False


class Backfill:
    """One backfill, known by its job's `name`; `actor` is the person who asked."""

    def __init__(
        self, context: SyncContext, name: str, open_source: OpenSource, actor: str, *, window: int = WINDOW
    ) -> None:
        self._context = context
        self._window = window
        self._database = context.database
        self._name = name
        self._open_source = open_source
        self._actor = actor
        self._open: dict[Place, int] = {}
        #: Taken from the source and not asked for yet.
        self._batch: list[str] = []
        self._listed = False

    def run(
        self, tell: Callable[[Standing], None], stop: threading.Event, lease: jobs.JobLease | None = None
    ) -> Ending:
        """Ask and wait until everything has ended, or until `stop`; `tell` hears of the standing twice a second.

        `lease` is the job's, taken for LEASE_MS; without one it is taken here, even if the job is paused.
        Raises BusyError where another process is at the same backfill, and what reading the source raises.
        """
        lease = lease or take_lease(self._database, self._name, stop, waiting=lambda: tell(_WAITING))
        cursor = dict(lease.cursor) or self._begin(lease)
        ledger = Ledger(self._database, cursor["actor"], cursor["first_cause"])
        try:
            source = self._open_source(cursor.get("position"))
        except BaseException:
            jobs.put_back(self._database, lease)
            raise
        try:
            self._open = ledger.read_open()
            return self._work(lease, cursor, ledger, source, tell, stop)
        finally:
            source.close()

    def _begin(self, lease: jobs.JobLease) -> dict[str, Any]:
        """A new backfill gets a name that no other ever has, kept before anything is asked for."""
        actor = f"{self._actor} ({self._name} {secrets.token_hex(4)})"
        cursor = {"actor": actor, "first_cause": read_next_cause(self._database), "position": None}
        jobs.save(self._database, lease, cursor=cursor, progress={}, lease_ms=LEASE_MS)
        return cursor

    def _work(
        self,
        lease: jobs.JobLease,
        cursor: dict[str, Any],
        ledger: Ledger,
        source: Source,
        tell: Callable[[Standing], None],
        stop: threading.Event,
    ) -> Ending:
        walk = _Walk(self._context, _count(ledger))
        try:
            while not (stop.is_set() or walk.paused):
                asked = self._survive(lambda: self._ask(ledger, source, cursor, walk))
                self._survive(lambda: self._look(ledger, source, walk))
                tell(walk.standing)
                walk.save(lease, cursor)
                if self._listed and not self._open:
                    counted = _count(ledger)
                    final = replace(counted, total=counted.asked)
                    report = final.as_json() | _report(ledger, source) | {"actor": cursor["actor"]}
                    jobs.done(self._database, lease, next_due_in_ms=NEVER_MS, progress=report)
                    return Ending(final, ledger, complete=True, problems=tuple(source.problems))
                if not asked:
                    stop.wait(LOOK_SECONDS)
            if not walk.paused:
                walk.save(lease, cursor, now=True)
                jobs.put_back(self._database, lease)
            return Ending(walk.standing, ledger, complete=False, paused=walk.paused)
        except SyncServiceError as error:
            _put_back_quietly(self._database, lease, str(error))
            raise

    def _ask(self, ledger: Ledger, source: Source, cursor: dict[str, Any], walk: _Walk) -> bool:
        """Ask for some more where there is room; whether there may be room for more at once."""
        room = min(self._window + walk.standing.backing_off, MAX_OPEN) - len(self._open)
        if self._listed or room < min(BATCH, self._window):
            return False
        if not self._batch:
            batch = source.take(min(BATCH, self._window))
            self._listed = batch is None
            self._batch = batch or []
        if not self._batch:
            return False
        wanted: Mapping[Kind, Any] = {Kind.SUBSCRIPTION: self._batch}
        if not source.are_numbers:
            with self._database.reading() as session:
                wanted = sort_keys(session, self._batch)
        fresh = ledger.ask(wanted)
        self._open |= fresh
        walk.standing = replace(walk.standing, asked=walk.standing.asked + len(fresh))
        self._batch = []
        cursor["position"] = source.position
        return True

    def _look(self, ledger: Ledger, source: Source, walk: _Walk) -> None:
        change = ledger.look(self._open)
        for place in change.closed:
            del self._open[place]
        for place, seq in change.opened.items():
            self._open[place] = max(seq, self._open.get(place, 0))
        walk.note(change, open_now=len(self._open))
        rest = 0 if self._listed else source.rest
        total = None if rest is None else walk.standing.asked + len(self._batch) + rest
        walk.standing = replace(walk.standing, total=total)

    def _survive(self, step: Callable[[], Any]) -> Any:
        """Do one step; a database that is away is waited for, because each step may be done again."""
        try:
            return step()
        except OperationalError as error:
            logger().warning("backfill_database_away", error=type(error.orig).__name__)
            return None


class _Walk:
    """A backfill under way: how far it has come, and what stands in its way."""

    def __init__(self, context: SyncContext, standing: Standing) -> None:
        self._context = context
        self.standing = standing
        self.paused = False
        self._saved_at = self._moved_at = time.monotonic()
        self._pace = Pace()

    def note(self, change: RequestProgress, *, open_now: int) -> None:
        before, now = self.standing, time.monotonic()
        self._pace.note(now, before.settled + change.done + change.failed)
        if change.done or change.failed or change.running or change.backing_off == open_now:
            self._moved_at = now
        self.standing = replace(
            before,
            done=before.done + change.done,
            failed=before.failed + change.failed,
            changed=before.changed + change.changed,
            backing_off=change.backing_off,
            next_try_at=change.next_try_at,
            last_try_at=change.last_try_at,
            running=change.running,
            obstacle=self._find_obstacle(now - self._moved_at),
        )

    def save(self, lease: jobs.JobLease, cursor: Mapping[str, Any], *, now: bool = False) -> None:
        """Keep the cursor and renew the lease every few seconds; learn whether the job was paused."""
        if not now and time.monotonic() - self._saved_at < SAVE_SECONDS:
            return
        told = {"per_second": round(self._pace.per_second, 2), "actor": cursor["actor"]}
        progress = self.standing.as_json() | told
        try:
            going_on = jobs.save(self._context.database, lease, cursor=cursor, progress=progress, lease_ms=LEASE_MS)
        except OperationalError:
            return
        self.paused = not going_on
        self._saved_at = time.monotonic()

    def _find_obstacle(self, still_for: float) -> str | None:
        database, share = self._context.database, self._context.share
        with database.reading() as session:
            obstacle = tell_obstacle(session, share)
            worker = describe_process(session, ProcessRole.WORKER, session.now())
        if obstacle is not None or still_for <= STILL_SECONDS:
            return obstacle
        return f"Nothing moves. {worker.says} {worker.remedy or ''}".rstrip()


_WAITING = Standing(asked=0, done=0, failed=0, obstacle="Another process is at it, or was killed just now: waiting.")


def take_lease(
    database: Database, name: str, stop: threading.Event, waiting: Callable[[], None] = lambda: None
) -> jobs.JobLease:
    """The job's lease, even if the job is paused. Raises BusyError if another process holds it.

    A process that was killed keeps it for a little while; that is waited for, and `waiting` told again and again.
    """
    jobs.ensure_job(database, name)
    deadline = time.monotonic() + 1.5 * LEASE_MS / 1000
    while True:
        with database.transaction() as session:
            jobs.resume(session, name)
            jobs.run_soon(session, name)
        lease = jobs.take(database, name, lease_ms=LEASE_MS)
        if lease is not None:
            return lease
        waiting()
        if stop.wait(LOOK_SECONDS) or time.monotonic() >= deadline:
            raise BusyError("Another process is at this very backfill: `sync-service status` shows how it goes.")


def _count(ledger: Ledger) -> Standing:
    """How far it has come, counted from the rows themselves."""
    tally = ledger.tally()
    return Standing(asked=tally.asked, done=tally.done, failed=tally.failed, changed=ledger.count_changed())


def _report(ledger: Ledger, source: Source) -> dict[str, Any]:
    """The result for the job's page, with the names of the first failures."""
    failures = [*source.problems, *islice(ledger.read_failures(), MAX_NAMED)][:MAX_NAMED]
    outcomes = dict(sorted(ledger.read_outcomes().items()))
    return {"outcomes": outcomes, "failures": [vars(each) for each in failures], "problems": len(source.problems)}


def _put_back_quietly(database: Database, lease: jobs.JobLease, error: str) -> None:
    with contextlib.suppress(SyncServiceError, OperationalError):  # another's now, or the lease runs out by itself
        jobs.put_back(database, lease, error=error)
