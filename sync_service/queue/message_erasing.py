"""Messages of errors that quote a person, such as a contact that Zuora refused: erased with the person."""

from __future__ import annotations

from collections.abc import Collection

from sqlmodel import col, select

from sync_service.queue.requests import BATCH
from sync_service.store.engine import Session
from sync_service.store.tables import JobRow, SyncRequestRow, ZuoraLimitRow
from sync_service.subscription.limio.personal import erase_text


def erase_messages(session: Session, keys: Collection[str], known: Collection[str]) -> int:
    """Erase messages that hold something known of a person, of the requests for `keys` and of what concerns all.

    Returns how many. Locks rows in the order in which claims do.
    """
    count = 0
    for limit in session.exec(select(ZuoraLimitRow).with_for_update()):
        limit.trouble_text = erase_text(limit.trouble_text, known)
        count += session.is_modified(limit)
    row, ordered = SyncRequestRow, sorted(keys)
    for start in range(0, len(ordered), BATCH):
        theirs = select(row).where(col(row.key).in_(ordered[start : start + BATCH]), col(row.last_error).is_not(None))
        for request in session.exec(theirs.order_by(col(row.kind), col(row.key)).with_for_update()):
            request.last_error = erase_text(request.last_error, known)
            count += session.is_modified(request)
    for job in session.exec(select(JobRow).order_by(col(JobRow.name)).with_for_update()):
        job.last_error = erase_text(job.last_error, known)
        count += session.is_modified(job)
    return count
