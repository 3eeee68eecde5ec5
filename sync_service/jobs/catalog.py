"""Zuora's rate plans, read anew every day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sync_service.ordering.catalog import refresh_catalog
from sync_service.queue.jobs import JobLease
from sync_service.queue.limit import Share
from sync_service.sync.story import SyncContext


def refresh_story(context: SyncContext, _: JobLease) -> Mapping[str, Any]:
    """The story of the periodic job. A tenant without Object Query's catalog fails it, and the job's row says why."""
    share = Share.of(context.settings)
    return {"rate_plans": refresh_catalog(context.database, context.zuora, share)}
