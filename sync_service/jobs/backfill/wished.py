"""What a scheduler does with backfills that people want: run each to its end, or say why that cannot be."""

from __future__ import annotations

import io
import threading
from datetime import date, datetime, time

from sqlalchemy.exc import SQLAlchemyError

from sync_service.errors import (
    BusyError,
    NotFoundInZuora,
    PermissionRefused,
    SyncServiceError,
    TenantError,
    WrongTenant,
)
from sync_service.jobs.backfill.backfill import LEASE_MS, NEVER_MS, Backfill
from sync_service.jobs.backfill.dry_run import DryRun
from sync_service.jobs.backfill.sources import AccountKeys, FileKeys, Source, TenantKeys
from sync_service.queue import jobs
from sync_service.queue.backfills import From, forget_wish, read_wishes
from sync_service.queue.limit import note_tenant_error
from sync_service.store.tables import BackfillWishRow
from sync_service.sync.attempt import SyncContext
from sync_service.telemetry.log import logger

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
            midnight = datetime.combine(date.fromisoformat(wish.value), time(), context.settings.tenant_time_zone)
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
