"""Forgetting what is older than the settings `keep_…_days` allow, and after a month what has no use any more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sync_service.partner.basket_rows import forget_baskets
from sync_service.queue.backlog import forget_unknown
from sync_service.queue.heartbeats import forget_heartbeats
from sync_service.queue.jobs import JobLease, save
from sync_service.queue.previews import forget_answers
from sync_service.queue.submission import KEY_LIFE_MS
from sync_service.settings import Settings
from sync_service.store.engine import Database

DAY_MS = 86_400_000
#: A key that neither system knows.
KEEP_UNKNOWN_MS = 30 * DAY_MS
#: A webhook that was delivered; one that was given up is kept with the rest.
KEEP_DELIVERED_MS = 30 * DAY_MS
#: Rows that one transaction deletes, so that other writers do not wait long.
BATCH = 1000

#: In this order: causes go before the runs that vouch for them.
_FORGET = {
    "causes": """
        DELETE FROM sync_cause WHERE id IN (
          SELECT cause.id FROM sync_cause AS cause WHERE cause.at < :rest
            AND (cause.at < :changes OR NOT EXISTS (
              SELECT 1 FROM sync_run AS run WHERE run.kind = cause.kind AND run.key = cause.key
                AND run.seq_to >= cause.seq AND run.seq_from < cause.seq AND run.change_count > 0))
            AND NOT EXISTS (
              SELECT 1 FROM sync_request AS request WHERE request.kind = cause.kind AND request.key = cause.key
                AND request.due_at IS NOT NULL)
          LIMIT :batch)""",
    "runs": """
        DELETE FROM sync_run WHERE id IN (
          SELECT id FROM sync_run WHERE ended_at < :rest AND outcome <> 'held'
            AND (change_count = 0 OR ended_at < :changes) LIMIT :batch)""",
    "callouts": """
        DELETE FROM callout WHERE id IN (SELECT id FROM callout WHERE received_at < :rest LIMIT :batch)""",
    "webhooks": """
        DELETE FROM webhook_delivery WHERE id IN (
          SELECT id FROM webhook_delivery
          WHERE (state = 'delivered' AND ended_at < :delivered) OR (state = 'dead' AND ended_at < :rest)
            OR endpoint_id NOT IN (SELECT id FROM webhook_endpoint)
          LIMIT :batch)""",
    "order_requests": """
        DELETE FROM order_request WHERE (client, key) IN (
          SELECT client, key FROM order_request WHERE at < :requested LIMIT :batch)""",
    # A lane of one order; those of subscriptions count on.
    "lanes": """
        DELETE FROM sync_request WHERE kind = 'order' AND key IN (
          SELECT key FROM sync_request
          WHERE kind = 'order' AND due_at IS NULL AND requested_at < :rest AND key LIKE 'order-%' LIMIT :batch)""",
    "order_steps": """
        DELETE FROM order_step WHERE (order_id, n) IN (
          SELECT step.order_id, step.n FROM order_step AS step JOIN order_work AS work ON work.order_id = step.order_id
          WHERE work.ended_at < :changes AND work.state <> 'held' LIMIT :batch)""",
    "orders": """
        DELETE FROM order_work WHERE order_id IN (
          SELECT order_id FROM order_work WHERE ended_at < :changes AND state <> 'held' LIMIT :batch)""",
    "activity": """
        DELETE FROM admin_action WHERE id IN (SELECT id FROM admin_action WHERE at < :activity LIMIT :batch)""",
}


def prune(database: Database, settings: Settings, lease: JobLease) -> Mapping[str, Any]:
    """Delete what is older than we keep, in small steps; returns how many rows of each kind. Repeatable."""
    gone = dict.fromkeys(_FORGET, 0)
    with database.reading() as session:
        now = session.now()
    # As values, because a clock that is read in the statement keeps PostgreSQL from using an index.
    limits = {
        "changes": now - settings.keep_history_days * DAY_MS,
        "rest": now - settings.keep_callouts_days * DAY_MS,
        "activity": now - settings.keep_activity_days * DAY_MS if settings.keep_activity_days else 0,
        "delivered": now - KEEP_DELIVERED_MS,
        "requested": now - KEY_LIFE_MS,
        "batch": BATCH,
    }
    for kind, statement in _FORGET.items():
        used = {name: value for name, value in limits.items() if f":{name}" in statement}
        while True:
            with database.transaction() as session:
                deleted = session.run(statement, used).rowcount
            gone[kind] += deleted
            if deleted < BATCH or not save(database, lease, cursor={}, progress=gone):
                break
    gone["previews"], gone["baskets"] = forget_answers(database), forget_baskets(database)
    with database.transaction() as session:
        forget_heartbeats(session)
    return gone | {"unknown_keys": forget_unknown(database, older_than_ms=KEEP_UNKNOWN_MS)}
