"""What keeps the database in order by itself: old rows are deleted, failures asked for again, figures counted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from sync_service.jobs.sweep.memory import read_last_error_codes
from sync_service.jobs.sweep.walk import PartWay, Report
from sync_service.partner.basket_rows import forget_baskets
from sync_service.queue.backlog import HOPELESS, forget_unknown, list_failed
from sync_service.queue.jobs import JobLease, save
from sync_service.queue.orders.acceptance import KEY_LIFE_MS
from sync_service.queue.questions import forget_answers
from sync_service.queue.requests import Cause, Kind, Priority, enqueue_many
from sync_service.queue.status.figures import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    add_up,
    count_minutes,
    first_run_since,
    forget_figures,
    read_figures,
    write_figures,
)
from sync_service.queue.status.heartbeats import forget_heartbeats
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.store.statement import BATCH as FAILED_AT_ONCE
from sync_service.subscription.trigger import Trigger

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


def ask_failed_again(database: Database, _: Settings, lease: JobLease) -> Mapping[str, Any] | PartWay:
    """Ask again for everything that was given up, but for what no answer can change; the report. Repeatable."""
    report = Report(lease.progress if lease.cursor else None)
    after: tuple[str, str] = tuple(lease.cursor.get("after", ("", "")))
    while True:
        with database.reading() as session:
            rows = list_failed(session, limit=FAILED_AT_ONCE, after=after)
            codes = read_last_error_codes(session, [(row.kind, row.key) for row in rows])
        if not rows:
            return report.values
        for kind in Kind:
            keys = [row.key for row in rows if row.kind == kind and codes.get((row.kind, row.key)) not in HOPELESS]
            cause = Cause(Trigger.SWEEP, "failed before")
            report.add("marked", enqueue_many(database, kind, keys, cause, priority=Priority.JOB))
        report.add("looked_at", len(rows))
        after = (rows[-1].kind, rows[-1].key)
        if not save(database, lease, cursor={"after": list(after)}, progress=report.values):
            return PartWay(0, paused=True)


#: A run may be committed so long after the moment that it ended at.
SETTLED_MS = 2 * MINUTE_MS
#: A history from before there were figures is counted from here on.
LOOK_BACK_MS = 31 * DAY_MS
#: After this much work it goes on at its next turn, in seconds.
_ENOUGH_SECONDS = 20.0


def count_figures(database: Database, _: Settings, lease: JobLease) -> Mapping[str, Any]:
    """Count every minute that is over and not counted yet, an hour of them in one transaction."""
    began = time.monotonic()
    with database.transaction() as session:
        now = session.now()
        forget_figures(session, now)
        counted = lease.progress.get("counted_to")
        first = counted if isinstance(counted, int) else first_run_since(session, now - LOOK_BACK_MS)
    since, until = _minute(now if first is None else first), _minute(now - SETTLED_MS)
    while since < until and time.monotonic() - began < _ENOUGH_SECONDS:
        end = min(until, _hour(since) + HOUR_MS)
        with database.transaction() as session:
            write_figures(session, "minute", since, end, count_minutes(session, since, end))
            hour = add_up(read_figures(session, "minute", _hour(since), end), HOUR_MS)
            write_figures(session, "hour", _hour(since), _hour(since) + HOUR_MS, hour)
        since = end
    return {"counted_to": since}


def _minute(at: int) -> int:
    return at // MINUTE_MS * MINUTE_MS


def _hour(at: int) -> int:
    return at // HOUR_MS * HOUR_MS
