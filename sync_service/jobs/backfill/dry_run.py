"""Dry run of a backfill: what its syncs would change, counted, with nothing written."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sync_service.errors import BusyError, SyncServiceError, TenantError
from sync_service.jobs.backfill.sources import Source
from sync_service.queue.limit import note_tenant_error
from sync_service.queue.story_lease import hold_story_lease
from sync_service.subscription.plan import SyncPlan, plural
from sync_service.sync.attempt import SyncContext
from sync_service.sync.forecast import LOOK_SECONDS, Forecast, forecast_sync

#: How long a look waits for its place among those who call Zuora before it asks whether to stop, in seconds.
PATIENCE = 2.0
#: How often a look is tried that Zuora's own trouble ended; each trouble pauses everything for longer.
TRIES = 4
#: Numbers handed to each thread ahead.
AHEAD = 2


@dataclass(kw_only=True)
class Summary:
    """All forecasts, counted."""

    looked: int = 0
    up_to_date: int = 0
    changed: int = 0
    imported: int = 0
    #: Plans that cancel a subscription or leave none of its coming payments: the safety stop counts these.
    drastic: int = 0
    failed: int = 0
    calls: int = 0
    #: Changes by what they change, such as `payments added`.
    changes: Counter[str] = field(default_factory=Counter)
    #: Whether the source came to its end.
    complete: bool = False

    def count(self, forecast: Forecast) -> None:
        """One more."""
        self.looked += 1
        if forecast.plan is None:
            self.failed += 1
        elif forecast.plan.is_empty:
            self.up_to_date += 1
        else:
            self.imported += forecast.imports
            self.changed += not forecast.imports
            self.drastic += forecast.drastic
            self.changes += count_changes(forecast.plan)

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {**vars(self), "changes": dict(sorted(self.changes.items()))}


def count_changes(plan: SyncPlan) -> Counter[str]:
    """The changes of a plan by what they change, in words."""
    counts = Counter(f"{plural(name)} changed" for name in plan.changed_fields())
    for (noun, verb), count in plan.changed_objects().items():
        counts[f"{plural(noun)} {verb}"] += count
    return counts


def forecast_backfill(
    context: SyncContext,
    source: Source,
    *,
    threads: int,
    limit: int | None,
    keep: Callable[[Forecast], None],
    tell: Callable[[Summary, int | None], None],
    stop: threading.Event,
) -> Summary:
    """Forecast the sync of up to `limit` keys, each look under a story lease of its own; ends early on `stop`.

    `keep` gets every forecast and `tell` the counts so far with the keys that are left, both in the caller's thread.
    """
    summary = Summary()
    forecasts = _Forecasts(context, threads, stop)
    taken = pending = 0
    keys: list[str] = []
    exhausted = False
    try:
        while not stop.is_set() and not (exhausted and not keys and not pending):
            if not keys and not exhausted:
                room = min(threads * AHEAD, limit - taken) if limit is not None else threads * AHEAD
                found = source.take(room) if room > 0 else None
                exhausted, keys = found is None, found or []
                taken += len(keys)
            while keys and pending < threads * AHEAD:
                forecasts.ask(keys.pop(0))
                pending += 1
            for forecast in forecasts.answers(wait=bool(pending) or not exhausted):
                pending -= 1
                summary.count(forecast)
                keep(forecast)
            summary.calls = forecasts.calls
            tell(summary, source.rest)
    finally:
        forecasts.close()
    is_cut = limit is not None and taken >= limit and source.rest != 0
    summary.complete = exhausted and not pending and not is_cut
    return summary


class _Forecasts:
    """Threads that forecast one key each."""

    def __init__(self, context: SyncContext, threads: int, stop: threading.Event) -> None:
        self._context = context
        self._stop = stop
        self._asked: queue.Queue[str | None] = queue.Queue()
        self._answered: queue.Queue[Forecast] = queue.Queue()
        self._lock = threading.Lock()
        self.calls = 0
        self._threads = [threading.Thread(target=self._work, name=f"forecast-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def ask(self, key: str) -> None:
        self._asked.put(key)

    def answers(self, *, wait: bool) -> list[Forecast]:
        """What is there; with `wait` at least one, unless it takes longer than a moment."""
        found = []
        try:
            found.append(self._answered.get(timeout=0.5 if wait else 0.0))
            while True:
                found.append(self._answered.get_nowait())
        except queue.Empty:
            return found

    def close(self) -> None:
        for _ in self._threads:
            self._asked.put(None)
        for thread in self._threads:
            thread.join(timeout=LOOK_SECONDS if not self._stop.is_set() else 0.1)

    def _work(self) -> None:
        while (key := self._asked.get()) is not None:
            troubles = 0
            while not self._stop.is_set():
                try:
                    forecast = self._try(key)
                except TenantError as error:
                    troubles += 1
                    note_tenant_error(self._context.database, error, self._context.share)
                    forecast = Forecast(key, error=f"{error.code}: {error}") if troubles >= TRIES else None
                if forecast is not None:
                    self._answered.put(forecast)
                    break

    def _try(self, key: str) -> Forecast | None:
        """None: not now, ask again. Raises TenantError."""
        context = self._context
        try:
            with hold_story_lease(context.database, "dry run", context.share, wait_seconds=PATIENCE) as lease:
                reading = lease.counting(context.zuora.reading(LOOK_SECONDS))
                try:
                    return forecast_sync(context, key, reading)
                finally:
                    with self._lock:
                        self.calls += reading.calls
        except TenantError:
            raise
        except BusyError:
            return None
        except SyncServiceError as error:
            return Forecast(key, error=f"{error.code}: {error}")
        except Exception as error:  # one odd subscription does not end the look at the others
            return Forecast(key, error=f"crashed: {type(error).__name__}")
