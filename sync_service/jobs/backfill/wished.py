"""What a scheduler does with backfills that people want: run each to its end, or look at what it would change.

A dry run looks at up to MAX_LOOKED_AT keys, kept in the job's row as it goes. One that was interrupted begins anew: it
writes nothing but what it says.
"""

from __future__ import annotations

import io
import threading
import time
from datetime import date, datetime
from datetime import time as time_of_day
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from sync_service.errors import (
    BusyError,
    NotFoundInZuora,
    PermissionRefused,
    SyncServiceError,
    TenantError,
    WrongTenant,
)
from sync_service.jobs.backfill.backfill import LEASE_MS, MAX_NAMED, NEVER_MS, SAVE_SECONDS, Backfill
from sync_service.jobs.backfill.dry_run import Summary, count_changes, forecast_backfill
from sync_service.jobs.backfill.sources import AccountKeys, FileKeys, Source, TenantKeys
from sync_service.queue import jobs
from sync_service.queue.backfills import From, forget_wish, read_wishes
from sync_service.queue.limit import note_tenant_error
from sync_service.store.tables import BackfillWishRow
from sync_service.subscription.pace import Pace
from sync_service.sync.attempt import SyncContext
from sync_service.sync.forecast import Forecast
from sync_service.telemetry.log import logger

#: Keys that are looked at: enough to tell what would happen, and few beside a tenant's calls of a day.
MAX_LOOKED_AT = 1_000
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
                self._context, source, threads=THREADS, limit=MAX_LOOKED_AT, keep=self._keep, tell=tell, stop=halt
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
        elif forecast.plan is not None and not forecast.plan.is_empty and len(self._would_change) < MAX_NAMED:
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
            "most": MAX_LOOKED_AT,
            "per_second": round(self._pace.per_second, 2),
            "would_change": self._would_change,
            "failures": self._failures[:MAX_NAMED],
        }


#: If what a backfill needs is in use, it is tried again after this, in ms.
_BUSY_MS = 15_000


def serve_wishes(context: SyncContext, stop: threading.Event) -> None:
    """Run the requested backfills that no process runs, one after the other, until done or `stop`.

    If this process is killed, another takes over when the job's lease expires.
    """
    with context.database.reading() as session:
        wishes = read_wishes(session)
    for wish in wishes:
        if stop.is_set():
            return
        lease = jobs.take(context.database, wish.name, lease_ms=LEASE_MS)
        if lease is not None:
            _serve(context, wish, lease, stop)


def _serve(context: SyncContext, wish: BackfillWishRow, lease: jobs.JobLease, stop: threading.Event) -> None:
    log = logger().bind(job=wish.name)
    log.info("backfill_began", dry_run=wish.is_dry_run)
    try:
        run = _look if wish.is_dry_run else _sync
        if run(context, wish, lease, stop):
            _forget(context, wish)
        log.info("backfill_ended")
    except BusyError as error:
        _put_off(context, wish, str(error), _BUSY_MS)
    except (PermissionRefused, WrongTenant) as error:  # not the tenant's trouble: syncs go on
        _give_up(context, wish, error)
    except TenantError as error:
        _put_off(context, wish, str(error), note_tenant_error(context.database, error, context.share))
    except NotFoundInZuora:  # an account is all that is asked for by name
        _give_up(context, wish, NotFoundInZuora(f"Zuora does not know the account {wish.value}."))
    except SyncServiceError as error:
        _give_up(context, wish, error)
    except SQLAlchemyError as error:  # the lease expires, and another process continues
        log.error("backfill_interrupted", error=type(error).__name__)


def _sync(context: SyncContext, wish: BackfillWishRow, lease: jobs.JobLease, stop: threading.Event) -> bool:
    """Sync them all; whether it came to its end."""
    work = Backfill(context, wish.name, lambda position: _open(context, wish, position), wish.actor)
    return work.run(lambda _: None, stop, lease).complete


def _look(context: SyncContext, wish: BackfillWishRow, lease: jobs.JobLease, stop: threading.Event) -> bool:
    """Say what syncing them all would change; whether it came to its end."""
    return DryRun(context, wish).run(lease, _open(context, wish, None), stop)


def _open(context: SyncContext, wish: BackfillWishRow, position: str | None) -> Source:
    match From(wish.source):
        case From.ACCOUNT:
            return AccountKeys(context, wish.value)
        case From.LIST:
            return FileKeys(io.BytesIO(wish.value.encode()))
        case From.SINCE:
            midnight = datetime.combine(
                date.fromisoformat(wish.value), time_of_day(), context.settings.tenant_time_zone
            )
            return TenantKeys(context, datetime.fromisoformat(position) if position else midnight)
        case From.TENANT:
            return TenantKeys(context, datetime.fromisoformat(position) if position else None)


def _put_off(context: SyncContext, wish: BackfillWishRow, error: str, again_in_ms: int) -> None:
    lease = jobs.take(context.database, wish.name, lease_ms=LEASE_MS)
    if lease is not None:
        jobs.put_back(context.database, lease, error=error, retry_in_ms=again_in_ms)


def _give_up(context: SyncContext, wish: BackfillWishRow, error: SyncServiceError) -> None:
    lease = jobs.take(context.database, wish.name, lease_ms=LEASE_MS)
    if lease is not None:
        jobs.done(context.database, lease, next_due_in_ms=NEVER_MS, error=str(error))
    _forget(context, wish)


def _forget(context: SyncContext, wish: BackfillWishRow) -> None:
    with context.database.transaction() as session:
        forget_wish(session, wish)
