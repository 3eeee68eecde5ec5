"""The worker: takes claims from the queue while threads are free, runs each, and stops gracefully.

It looks five times a second with jitter; there is no other notification. It survives a database that goes away.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy.exc import OperationalError, SQLAlchemyError

from sync_service.errors import LeaseLost, TenantError, WrongTenant
from sync_service.queue import questions as asks
from sync_service.queue.claims import claim
from sync_service.queue.limit import note_reported, note_success, remember_tenant
from sync_service.queue.places import Load, Places, Throughput
from sync_service.queue.requests import Claim, Kind, release
from sync_service.queue.runs.history import read_traces
from sync_service.queue.status.heartbeats import Heartbeat, ProcessRole
from sync_service.sync.attempt import SyncContext
from sync_service.sync.forecast import answer_ask
from sync_service.sync.run import run_claim
from sync_service.telemetry.log import logger
from sync_service.telemetry.traces import Side, span
from sync_service.zuora.preview import SharedPreviews

#: How often an idle worker looks, in seconds.
LOOK_SECONDS = 0.2
#: How long asking Zuora who it is may take, in seconds.
IDENTIFY_SECONDS = 20.0
#: The longest pause between looks while the database is away, in seconds.
MAX_PATIENCE_SECONDS = 10.0
#: How long running syncs get after a stop, and putting back those that did not end, in seconds. Together less than the
#: time after which a stopped process is killed (deploy/).
GRACE_SECONDS = 25.0
GIVE_BACK_SECONDS = 8.0
#: A claim that has not begun for so long is given back, in seconds: Zuora has become slow, and others may be free.
_LONGEST_AHEAD_SECONDS = 5.0
#: The holder of a late sync's row is about to end it, in ms.
_LOCK_TIMEOUT_MS = 2_000


class _Ahead(NamedTuple):
    """A claim that has not begun, since when (monotonic), with what it shares with those of the same look."""

    claim: Claim
    previews: SharedPreviews
    since: float


@dataclass(frozen=True)
class Ordering:
    """What a worker does with orders."""

    #: Places the oldest order of a lane, and returns the calls that it made to Zuora; calls its second argument when
    #: others may call meanwhile.
    place: Callable[[Claim, Callable[[], None]], int]
    #: Answers what an order would cost.
    preview: Callable[[asks.Taken], None]


class Worker:
    """Runs claims on a bounded pool of threads until told to stop.

    A few are claimed ahead. The thread of a run that has made its last call begins the next one in its place, so that
    no place waits for a look at the database.
    """

    def __init__(self, context: SyncContext, threads: int, ordering: Ordering) -> None:
        self.context = context
        #: Runs that may call Zuora at the same time; beside them half as many compare and write.
        self.threads = threads
        self._most = threads + (threads + 1) // 2
        self._ordering = ordering
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._running: dict[Future[int], Claim] = {}
        #: For what follows, which threads of runs change, too.
        self._turn = threading.RLock()
        self._ahead: deque[_Ahead] = deque()
        #: Of those that run the ones that may call Zuora, and how many these may be.
        self._calling: set[Claim] = set()
        self._may_call = 0
        self._places = Places()
        self._throughput = Throughput()
        #: Ended where the database was away, so that nothing could be noted of it.
        self._abandoned: list[Claim] = []
        self._answering: dict[Future[None], asks.Taken] = {}
        self._asks_looked_at = 0.0
        #: Whether a question waits for the next free thread.
        self._is_asked = False
        self._calls_made = 0
        #: Whether the last claim found rows: then the next one need not look first whether there are any.
        self._found = False
        #: What Zuora reports of the tenant's concurrency, as last written down.
        self._reported: int | None = None
        self._heartbeat = Heartbeat(context.database, ProcessRole.WORKER)

    def stop(self) -> None:
        """Take no more claims; `run` returns when the running ones have ended. Safe in a signal handler."""
        self._stop.set()
        self._wake.set()

    def run(self) -> bool:
        """Work until `stop`; then give running syncs GRACE_SECONDS and put back what has not ended.

        False if threads still wait for answers that are no longer needed: the process need not wait for them.
        """
        self.identify()
        logger().info("worker_started", threads=self.threads)
        pool = ThreadPoolExecutor(self._most, thread_name_prefix="sync")
        patience = LOOK_SECONDS
        while not self._stop.is_set():
            self._heartbeat.beat()
            try:
                busy = self._fill(pool)
                patience = LOOK_SECONDS
            except SQLAlchemyError as error:
                logger().error("worker_database_away", error=type(error).__name__)
                busy, patience = False, min(patience * 2, MAX_PATIENCE_SECONDS)
            if not busy:
                self._wake.wait(patience * random.uniform(0.75, 1.25))  # noqa: S311 - spreads the looks of many workers
            self._wake.clear()
        late = self._drain(pool)
        self._heartbeat.beat(at_once=True)
        logger().info("worker_stopped", late=late)
        return not late

    def identify(self) -> None:
        """Make sure that the store is filled from this one tenant. Raises WrongTenant: nothing may be synced then.

        While Zuora or the database is away this waits for it, or for `stop`.
        """
        patience = LOOK_SECONDS
        while not self._stop.is_set():
            self._heartbeat.beat()
            try:
                reading = self.context.zuora.reading(IDENTIFY_SECONDS)
                tenant = self.context.zuora.tenant(reading)
                with self.context.database.transaction() as session:
                    remember_tenant(session, tenant)
                note_success(self.context.database, self.context.share)
                return
            except WrongTenant:
                raise
            except (TenantError, SQLAlchemyError) as error:
                logger().error("worker_waits", error=type(error).__name__, reason=getattr(error, "code", None))
                patience = min(patience * 2, MAX_PATIENCE_SECONDS)
                self._stop.wait(patience)

    def run_until_idle(self) -> None:
        """Work until nothing is due and nothing runs."""
        with ThreadPoolExecutor(self._most, thread_name_prefix="sync") as pool:
            while self._fill(pool) or self._running or self._answering or self._ahead:
                wait(self._underway(), return_when="FIRST_COMPLETED")

    def _fill(self, pool: ThreadPoolExecutor) -> bool:
        """Claim for every free thread; whether to look again at once. What is left waits until a run makes room."""
        self._collect()
        self._give_up_ahead()
        self._put_back_abandoned()
        answers = self._answer_one(pool)
        reported = self.context.zuora.reported_concurrency
        if reported is not None and reported != self._reported:
            note_reported(self.context.database, reported, self.context.share)
            self._reported = reported
        with self._turn:
            # Until the claim is committed a place goes from run to run, and no more than now are used.
            self._may_call = len(self._calling)
            soon = self._throughput.begin_soon(time.monotonic())
            load = Load(places=self._places, calling=self._may_call, waiting=len(self._ahead), begin_soon=soon)
            free = self.threads - len(self._calling) - len(self._answering)
        calls, self._calls_made = self._calls_made, 0
        try:
            claims = claim(
                self.context.database,
                free,
                self.context.share,
                calls_made=calls,
                load=load,
                look_first=not self._found,
            )
        except SQLAlchemyError:
            self._calls_made += calls
            raise
        previews = SharedPreviews()
        with self._turn:
            taken = [*self._ahead, *(_Ahead(each, previews, time.monotonic()) for each in claims)]
            self._ahead = deque(sorted(taken, key=lambda each: each.claim.priority))
            self._may_call = self._places.granted - self._places.yielded
            self._begin(pool)
            looks_ahead = bool(claims) and not self._ahead
        self._found = bool(claims) and not looks_ahead
        return answers or looks_ahead

    def _begin(self, pool: ThreadPoolExecutor) -> None:
        """Begin what was claimed ahead, as far as places and threads are free. Only in turn."""
        while (
            self._ahead
            and len(self._calling) < self._may_call
            and len(self._underway()) + self._is_asked < self._most
            and not self._places.have_expired
            and not self._stop.is_set()
        ):
            claim, previews, _ = self._ahead.popleft()
            self._calling.add(claim)
            future = pool.submit(self._run, pool, claim, previews)
            self._running[future] = claim
            future.add_done_callback(partial(self._note_end, pool, claim))

    def _run(self, pool: ThreadPoolExecutor, each: Claim, previews: SharedPreviews) -> int:
        story = "place order" if each.kind is Kind.ORDER else f"sync {each.kind}"
        about: dict[str, str | int] = {"sync.key": each.key, "sync.attempt": each.attempts}
        with span(story, Side.CONSUMER, about, after=partial(self._read_traces, each)):
            if each.kind is Kind.ORDER:
                return self._ordering.place(each, partial(self._let_others_call, pool, each))
            return run_claim(self.context, each, previews, when_read=partial(self._let_others_call, pool, each))

    def _read_traces(self, each: Claim) -> list[str]:
        with suppress(SQLAlchemyError), self.context.database.reading() as session:
            return read_traces(session, each)
        return []

    def _answer_one(self, pool: ThreadPoolExecutor) -> bool:
        """Take up what a person asks, before anything else but not in every thread; whether there was something."""
        now = time.monotonic()
        most = max(1, self.threads // 2)
        if now - self._asks_looked_at < LOOK_SECONDS / 2:
            return False
        self._asks_looked_at = now
        self._is_asked = len(self._answering) < most and asks.is_anything_asked(self.context.database)
        if not self._is_asked or len(self._underway()) >= self._most:
            return False
        self._is_asked = False
        taken = asks.take(self.context.database, self.context.share)
        if taken is None:
            return False
        if taken.what == asks.ORDER:
            future = pool.submit(self._ordering.preview, taken)
        else:
            future = pool.submit(answer_ask, self.context, taken)
        self._answering[future] = taken
        future.add_done_callback(lambda _: self._wake.set())
        return True

    def _let_others_call(self, pool: ThreadPoolExecutor, each: Claim) -> None:
        """In the run's thread: it makes no more calls for now, and the next one begins in its place."""
        with self._turn:
            self._calling.discard(each)
            self._begin(pool)
        self._wake_if_needed()

    def _note_end(self, pool: ThreadPoolExecutor, each: Claim, _: Future[int]) -> None:
        """In the run's thread, which is free now."""
        with self._turn:
            self._throughput.note_end(time.monotonic())
            if each in self._calling:  # it may have met what stops all: its place is the next claim's to give
                self._calling.discard(each)
                self._may_call -= 1
                self._wake.set()
            self._begin(pool)
        self._wake_if_needed()

    def _wake_if_needed(self) -> None:
        """Claim again where a place is free, and before the last of those that wait has begun."""
        few = max(self._may_call, self._throughput.begin_soon(time.monotonic())) // 4
        if self._is_asked or len(self._calling) < self._may_call or len(self._ahead) <= few:
            self._wake.set()

    def _underway(self) -> list[Future[Any]]:
        with self._turn:
            futures: list[Future[Any]] = [*self._running, *self._answering]
            return [each for each in futures if not each.done()]

    def _collect(self) -> None:
        with self._turn:
            ended_now = {future: self._running.pop(future) for future in list(self._running) if future.done()}
        for future, ended in ended_now.items():
            error = future.exception()
            if error is not None:  # the lease runs out and the number is taken up again
                logger().error("sync_abandoned", key=ended.key, error=type(error).__name__)
                if isinstance(error, OperationalError):
                    self._abandoned.append(ended)
            else:
                self._calls_made += future.result()
        self._answering = {future: taken for future, taken in self._answering.items() if not future.done()}

    def _give_up_ahead(self) -> None:
        """What has waited for a place for too long, and all of it where the tenant is in trouble, is for others."""
        since = time.monotonic() - _LONGEST_AHEAD_SECONDS
        with self._turn:
            late = [each for each in self._ahead if each.since < since or not self._places.is_open]
            self._ahead = deque(each for each in self._ahead if each not in late)
        self._abandoned += [each.claim for each in late]

    def _put_back_abandoned(self) -> None:
        """As soon as the database answers: until their leases expire, these would keep unused call slots."""
        while self._abandoned:
            with (
                suppress(LeaseLost),
                self.context.database.transaction(lock_timeout_ms=_LOCK_TIMEOUT_MS) as session,
            ):
                release(session, self._abandoned[-1])
            self._abandoned.pop()

    def _drain(self, pool: ThreadPoolExecutor) -> bool:
        """Let running work end; what has not ended in time is put back. Whether there was such."""
        until = time.monotonic() + GRACE_SECONDS
        with self._turn:
            self._abandoned += [each.claim for each in self._ahead]
            self._ahead.clear()
        with suppress(SQLAlchemyError):  # tried again below
            self._put_back_abandoned()
        wait(self._underway(), timeout=max(0.0, until - time.monotonic()))
        late = [claim for future, claim in self._running.items() if not future.done()]
        unanswered = [taken for future, taken in self._answering.items() if not future.done()]
        # In a thread, because a database that answers no more must not keep us.
        giving_back = threading.Thread(
            target=self._give_back, args=(late + self._abandoned, unanswered), daemon=True, name="give back"
        )
        giving_back.start()
        giving_back.join(GIVE_BACK_SECONDS)
        pool.shutdown(wait=False, cancel_futures=True)
        return bool(late or unanswered)

    def _give_back(self, unended: list[Claim], unanswered: list[asks.Taken]) -> None:
        for each in unended:
            try:
                with self.context.database.transaction(lock_timeout_ms=_LOCK_TIMEOUT_MS) as session:
                    release(session, each)
            except Exception as error:  # its lease runs out
                logger().warning("release_failed", key=each.key, error=type(error).__name__)
        for taken in unanswered:
            try:
                asks.put_back(self.context.database, taken)
            except Exception as error:  # its lease runs out
                logger().warning("release_failed", ask=taken.id, error=type(error).__name__)
        with suppress(SQLAlchemyError, TimeoutError):  # they expire
            self._places.give_back(self.context.database)
