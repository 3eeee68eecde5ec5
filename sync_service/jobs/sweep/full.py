"""The full sweep: every subscription that Zuora has, compared from the list itself, in the order of Zuora's ids.

Whatever stands still costs a 99th of a call. Cancelled and expired ones are looked at like any other. What was read
before and is not in the list any more is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from sync_service.jobs.sweep.absent import MOST_KEPT, ask_for_absent, find_absent
from sync_service.jobs.sweep.marks import Sweep
from sync_service.jobs.sweep.pages import fetch_marked, first_page
from sync_service.jobs.sweep.report import Report
from sync_service.jobs.sweep.story import Cursor, PartWay, walk
from sync_service.queue.jobs import JobLease
from sync_service.sync.story import SyncContext
from sync_service.zuora.changes import Listing, Question, Source
from sync_service.zuora.client import Reading

NAME = "sweep full"


def sweep_full(context: SyncContext, lease: JobLease) -> Mapping[str, Any] | PartWay:
    """Mark whatever differs in the whole tenant; the report, or PartWay. Repeatable.

    What was asked for before and still is another version is asked for again.
    """
    report = Report(lease.progress if lease.cursor else {"source": Source.OBJECT_QUERY.value})
    sweep = Sweep(context=context, name=NAME, report=report, insists=True)
    cursor = lease.cursor or {**first_page(Source.OBJECT_QUERY), "began": lease.taken_at}
    return walk(context, lease, NAME, report, partial(_step, sweep), cursor) or report.values


def _step(sweep: Sweep, reading: Reading, cursor: Cursor) -> Cursor | None:
    listing, source = Listing(cursor["listing"]), Source(cursor["source"])
    question = Question(listing=listing, source=source, with_people=source is Source.OBJECT_QUERY)
    page, following = fetch_marked(sweep, reading, question, cursor)
    absent: list[str] = cursor.get("absent", [])
    if question.with_people and len(absent) < MOST_KEPT:
        after = cursor.get("last_id", "") if cursor["place"] is not None else ""
        absent = absent + find_absent(sweep, page.subscriptions, after, is_last=following is None)
    if following is not None:
        last_id = page.subscriptions[-1].id if page.subscriptions else cursor.get("last_id", "")
        return {**following, "absent": absent[:MOST_KEPT], "last_id": last_id}
    if len(absent) < MOST_KEPT:
        ask_for_absent(sweep, absent, cursor["began"])
    with sweep.context.database.reading() as session:
        took = session.now() - cursor["began"]
    sweep.report.values["seconds"] = round(took / 1000, 1)
    return None
