"""The delta sweep: what Zuora updated since the last one, with an overlap, so that a lost callout is late and not lost.

The overlap of two hours is Zuora's own advice to who reads by update time: a long transaction commits its early time
late (page on the high-water mark of the aggregate query API).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from sync_service.jobs.sweep.comparison import NOT_TO_BE_HAD, fetch_marked, first_page
from sync_service.jobs.sweep.walk import Cursor, PartWay, Report, Sweep, walk
from sync_service.queue.jobs import JobLease
from sync_service.subscription.limio.documents import moment_at
from sync_service.sync.attempt import SyncContext
from sync_service.zuora.listing import Listing, ListQuery, ListSource, fetch_newest_update
from sync_service.zuora.reading import Reading

NAME = "sweep delta"
OVERLAP = timedelta(hours=2)
#: How far the very first sweep looks back; what is older is the full sweep's.
FIRST_REACH = timedelta(days=1)


def sweep_delta(context: SyncContext, lease: JobLease) -> Mapping[str, Any] | PartWay:
    """Mark what differs of all that was updated since the last delta sweep; the report, or PartWay.

    An interrupted sweep goes on in the window that it began in. Repeatable: what was asked for is not asked for again.
    """
    report = Report(lease.progress if lease.cursor else {"watermark": lease.progress.get("watermark")})
    sweep = Sweep(context=context, name=NAME, report=report, insists=False)
    cursor = lease.cursor or {"began": lease.taken_at}
    return walk(context, lease, NAME, report, partial(_step, sweep), cursor) or report.values


def _step(sweep: Sweep, reading: Reading, cursor: Cursor) -> Cursor | None:
    if "since" not in cursor:
        return _begin(sweep, reading, cursor)
    listing, source = Listing(cursor["listing"]), ListSource(cursor["source"])
    question = ListQuery(listing=listing, source=source, since=datetime.fromisoformat(cursor["since"]))
    page, following = fetch_marked(sweep, reading, question, cursor)
    newest = max(filter(None, (cursor["newest"], _text(page.newest))), default=None)
    if following is None:
        _move_watermark(sweep, began=cursor["began"], newest=newest)
        return None
    return {**following, "newest": newest}


def _begin(sweep: Sweep, reading: Reading, cursor: Cursor) -> Cursor:
    """Find the beginning of the window, in Zuora's time."""
    source, newest = ListSource.OBJECT_QUERY, None
    watermark = sweep.report.values["watermark"]
    if watermark is not None:
        since = datetime.fromisoformat(watermark["zuora"]) - OVERLAP
    else:
        try:
            newest = fetch_newest_update(reading)
        except NOT_TO_BE_HAD:
            source = ListSource.ZOQL
        since = (newest or moment_at(cursor["began"])) - FIRST_REACH
    sweep.report.values |= {"since": _text(since), "source": source.value}
    return {**cursor, **first_page(source), "since": _text(since), "newest": _text(newest)}


def _move_watermark(sweep: Sweep, *, began: int, newest: str | None) -> None:
    """Remember a time of Zuora's clock that was not later than when this sweep began.

    Zuora's clock is known only from the rows: it was not before the latest of them. Between two sweeps it goes on as
    fast as ours does, so our clock takes part with its durations alone and may be wrong by any offset.
    """
    database = sweep.context.database
    with database.reading() as session:
        took = session.now() - began
    before = sweep.report.values["watermark"]
    known = []
    if before is not None:
        known.append(datetime.fromisoformat(before["zuora"]) + timedelta(milliseconds=began - before["ours"]))
    if newest is not None:
        known.append(datetime.fromisoformat(newest) - timedelta(milliseconds=took))
    sweep.report.values["watermark"] = {"zuora": _text(max(known, default=moment_at(began))), "ours": began}
    sweep.report.values["seconds"] = round(took / 1000, 1)


def _text(moment: datetime | None) -> str | None:
    """In UTC, so that texts compare as the times do."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds") if moment else None
