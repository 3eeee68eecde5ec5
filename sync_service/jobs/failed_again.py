"""Final failures, asked for once more a day: what was wrong with them may have been put right meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sync_service.jobs.sweep.marks import Report
from sync_service.jobs.sweep.memory import read_last_error_codes
from sync_service.jobs.sweep.walk import PartWay
from sync_service.queue.backlog import HOPELESS, list_failed
from sync_service.queue.jobs import JobLease, save
from sync_service.queue.requests import BATCH, Cause, Kind, Priority, enqueue_many
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.subscription.trigger import Trigger


def ask_failed_again(database: Database, _: Settings, lease: JobLease) -> Mapping[str, Any] | PartWay:
    """Ask again for everything that was given up, but for what no answer can change; the report. Repeatable."""
    report = Report(lease.progress if lease.cursor else None)
    after: tuple[str, str] = tuple(lease.cursor.get("after", ("", "")))
    while True:
        with database.reading() as session:
            rows = list_failed(session, limit=BATCH, after=after)
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
