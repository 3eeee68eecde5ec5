"""Zuora's product rate plans, read anew: by the day, by command, and where an order finds none that fits."""

from __future__ import annotations

from sync_service.queue.limit import Share, hold_story_lease
from sync_service.store.engine import Database
from sync_service.store.offers import write_rate_plans
from sync_service.zuora.client import Reading, ZuoraClient
from sync_service.zuora.products import fetch_rate_plans

#: The time for all pages, in seconds.
REFRESH_SECONDS = 120.0


def refresh_catalog(database: Database, zuora: ZuoraClient, share: Share, *, wait_seconds: float = 0.0) -> int:
    """Let the store hold every rate plan that Zuora has; how many. Repeatable; read whole before anything is written.

    Raises BusyError where no place is free within `wait_seconds`, and what `fetch_rate_plans` raises.
    """
    with hold_story_lease(database, "catalog", share, wait_seconds=wait_seconds) as lease:
        reading = zuora.reading(REFRESH_SECONDS)
        try:
            return refresh_rate_plans(database, reading)
        finally:
            lease.calls = reading.calls


def refresh_rate_plans(database: Database, reading: Reading, product_id: str | None = None) -> int:
    """The same under a call slot that the caller holds; only the product `product_id` if it is given."""
    plans = fetch_rate_plans(reading, product_id)
    with database.transaction() as session:
        write_rate_plans(session, plans, product_id=product_id)
    return len(plans)
