"""The full sweep: every subscription that Zuora has, compared from the list itself, in the order of Zuora's ids.

Whatever stands still costs a 99th of a call. Cancelled and expired ones are looked at like any other. What was read
before and is not in the list any more is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sqlmodel import col, select

from sync_service.jobs.sweep.comparison import fetch_marked, first_page
from sync_service.jobs.sweep.walk import Cursor, Marks, PartWay, Report, Sweep, ask_for, walk
from sync_service.queue.backlog import read_request
from sync_service.queue.jobs import JobLease
from sync_service.queue.requests import Kind
from sync_service.queue.runs.history import FoundAs
from sync_service.store.tables import ZuoraLinkRow
from sync_service.subscription.listed import ListDifference, ListedSubscription
from sync_service.sync.attempt import SyncContext
from sync_service.zuora.listing import Listing, ListQuery, ListSource
from sync_service.zuora.reading import Reading

NAME = "sweep full"


def sweep_full(context: SyncContext, lease: JobLease) -> Mapping[str, Any] | PartWay:
    """Mark whatever differs in the whole tenant; the report, or PartWay. Repeatable.

    What was asked for before and still is another version is asked for again.
    """
    report = Report(lease.progress if lease.cursor else {"source": ListSource.OBJECT_QUERY.value})
    sweep = Sweep(context=context, name=NAME, report=report, insists=True)
    cursor = lease.cursor or {**first_page(ListSource.OBJECT_QUERY), "began": lease.taken_at}
    return walk(context, lease, NAME, report, partial(_step, sweep), cursor) or report.values


def _step(sweep: Sweep, reading: Reading, cursor: Cursor) -> Cursor | None:
    listing, source = Listing(cursor["listing"]), ListSource(cursor["source"])
    question = ListQuery(listing=listing, source=source, with_people=source is ListSource.OBJECT_QUERY)
    page, following = fetch_marked(sweep, reading, question, cursor)
    absent: list[str] = cursor.get("absent", [])
    if question.with_people and len(absent) < MAX_KEPT:
        after = cursor.get("last_id", "") if cursor["place"] is not None else ""
        absent = absent + find_absent(sweep, page.subscriptions, after, is_last=following is None)
    if following is not None:
        last_id = page.subscriptions[-1].id if page.subscriptions else cursor.get("last_id", "")
        return {**following, "absent": absent[:MAX_KEPT], "last_id": last_id}
    if len(absent) < MAX_KEPT:
        ask_for_absent(sweep, absent, cursor["began"])
    with sweep.context.database.reading() as session:
        took = session.now() - cursor["began"]
    sweep.report.values["seconds"] = round(took / 1000, 1)
    return None


#: Asked for in one sweep. Each is a "not found", and ten of those in a row stop all claims.
MAX_ASKED = 5
#: Kept in the cursor until the end; more of them are no deletions but a tenant in motion.
MAX_KEPT = 500


def find_absent(sweep: Sweep, rows: Sequence[ListedSubscription], after: str, *, is_last: bool) -> list[str]:
    """Numbers read under an id after `after`, up to the last one of the page, that is not on the page.

    Most have a newer version, which is listed elsewhere; `ask_for_absent` tells at the end. Nothing where the page is
    not in the order of ids.
    """
    ids = [row.id for row in rows]
    if not ids and not is_last:
        return []
    if ids != sorted(ids) or (ids and ids[0] <= after):
        return []
    link = ZuoraLinkRow
    in_range = select(link.number).where(link.zuora_id > after, col(link.zuora_id).not_in(ids))
    if not is_last:
        in_range = in_range.where(link.zuora_id <= ids[-1])
    with sweep.context.database.reading() as session:
        return list(session.exec(in_range.order_by(link.zuora_id).limit(MAX_KEPT)))


def ask_for_absent(sweep: Sweep, numbers: Sequence[str], began: int) -> None:
    """Name those of `numbers` that were not met under a newer id either, and ask for the first of them."""
    absent: list[str] = []
    with sweep.context.database.reading() as session:
        for number in dict.fromkeys(numbers):
            link = session.get(ZuoraLinkRow, number)
            request = read_request(session, Kind.SUBSCRIPTION, number)
            in_motion = request is not None and (
                request.due_at is not None or request.failed_seq == request.requested_seq
            )
            read_began = max(link.read_began if link else 0, (request.equal_from if request else None) or 0)
            if link is not None and read_began < began and not in_motion:
                absent.append(number)
    sweep.report.add("absent", len(absent))
    sweep.report.name("absent_numbers", absent)
    marks = Marks()
    for number in absent[:MAX_ASKED]:
        marks.add(number, FoundAs.DRIFT, ListDifference.ABSENT)
    ask_for(sweep, marks)
