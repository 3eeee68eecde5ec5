"""Numbers that were read before and are missing from a full list: they were deleted in Zuora.

The list comes in the order of Zuora's ids, so each page says of a range of ids that nothing else is in it.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import col, select

from sync_service.jobs.sweep.marks import Marks, Sweep, ask_for
from sync_service.queue.backlog import read_request
from sync_service.queue.history import FoundAs
from sync_service.queue.requests import Kind
from sync_service.store.tables import ZuoraLinkRow
from sync_service.subscription.listed import Difference, ListedSubscription

#: Asked for in one sweep. Each is a "not found", and ten of those in a row stop all claims.
MOST_ASKED = 5
#: Kept in the cursor until the end; more of them are no deletions but a tenant in motion.
MOST_KEPT = 500


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
        return list(session.exec(in_range.order_by(link.zuora_id).limit(MOST_KEPT)))


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
    for number in absent[:MOST_ASKED]:
        marks.add(number, FoundAs.DRIFT, Difference.ABSENT)
    ask_for(sweep, marks)
