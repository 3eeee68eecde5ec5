"""A look at what a backfill would change, for its page: of up to MOST_LOOKED keys, kept in the job's row as it goes.

One that was interrupted begins anew: it writes nothing but what it says.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from sync_service.jobs.backfill.backfill import LEASE_MS, MOST_NAMED, NEVER_MS, SAVE_SECONDS
from sync_service.jobs.backfill.forecast import Summary, count_changes, forecast_backfill
from sync_service.jobs.backfill.sources import Source
from sync_service.queue import jobs
from sync_service.store.tables import BackfillWishRow
from sync_service.subscription.pace import Pace
from sync_service.sync.attempt import SyncContext
from sync_service.sync.forecast import Forecast

#: Keys that are looked at: enough to tell what would happen, and few beside a tenant's calls of a day.
MOST_LOOKED = 1_000
#: Looks at a time; the tenant's limit counts them like any other.
THREADS = 2


class DryRun:
    """One look."""

    def __init__(self, context: SyncContext, wish: BackfillWishRow) -> None:
        self._context = context
        self._asked = {"source": wish.source, "value": wish.value}
        #: Key and what would change, in words.
        self._would_change: list[tuple[str, str]] = []
        self._failures: list[dict[str, str]] = []
        self._pace = Pace()
        self._saved_at = 0.0

    def run(self, lease: jobs.JobLease, source: Source, stop: threading.Event) -> bool:
        """Look until the end, a pause or `stop`; whether it came to its end. Closes `source`."""
        halt = threading.Event()

        def tell(summary: Summary, rest: int | None) -> None:
            if stop.is_set() or not self._save(lease, summary, rest):
                halt.set()

        try:
            summary = forecast_backfill(
                self._context, source, threads=THREADS, limit=MOST_LOOKED, keep=self._keep, tell=tell, stop=halt
            )
        finally:
            source.close()
        if not halt.is_set():
            self._failures[:0] = [vars(each) for each in source.problems]
            progress = self._as_progress(summary, 0 if summary.complete else source.rest)
            jobs.done(self._context.database, lease, next_due_in_ms=NEVER_MS, progress=progress)
            return True
        if stop.is_set():
            jobs.put_back(self._context.database, lease)
        return False

    def _keep(self, forecast: Forecast) -> None:
        if forecast.error:
            self._failures.append({"key": forecast.key, "reason": forecast.error})
        elif forecast.plan is not None and not forecast.plan.is_empty and len(self._would_change) < MOST_NAMED:
            counts = count_changes(forecast.plan)
            self._would_change.append((forecast.key, ", ".join(f"{n} {words}" for words, n in sorted(counts.items()))))

    def _save(self, lease: jobs.JobLease, summary: Summary, rest: int | None) -> bool:
        """Keep how far it has come, every few seconds; False where the job was paused."""
        now = time.monotonic()
        self._pace.note(now, summary.looked)
        if now - self._saved_at < SAVE_SECONDS:
            return True
        self._saved_at = now
        progress = self._as_progress(summary, rest)
        return jobs.save(self._context.database, lease, cursor={}, progress=progress, lease_ms=LEASE_MS)

    def _as_progress(self, summary: Summary, rest: int | None) -> dict[str, Any]:
        total = None if rest is None else summary.looked + rest
        return {
            **summary.as_json(),
            **self._asked,
            "total": total,
            "most": MOST_LOOKED,
            "per_second": round(self._pace.per_second, 2),
            "would_change": self._would_change,
            "failures": self._failures[:MOST_NAMED],
        }
