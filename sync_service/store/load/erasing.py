"""What a load brings of a customer who was erased is taken in without personal values, like what was there before."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sqlmodel import col, select

from sync_service.store.engine import Session
from sync_service.store.object_rows import OBJECT_ROWS, write_document
from sync_service.store.tables import LimioObject, RelationRow, ScrubMarkRow, SubscriptionRow
from sync_service.subscription.limio.personal import erase_object, personal_values


def erase_scrubbed(session: Session, touched: Collection[LimioObject], *, at: int) -> None:
    """Erase those of `touched` that belong to an erased customer, and what waited for their subscriptions to come.

    `at` is now, in ms. Ask after the locks are taken. Written as a sync writes, so that no later load brings more.
    """
    if session.exec(select(ScrubMarkRow.object_id).limit(1)).first() is None:
        return
    used = _subscriptions_of(session, touched)
    names = {id: {sub.id, sub.customer, sub.owner} for id, sub in _read_subscriptions(session, used).items()}
    of = {row.id: {row.id, row.owner}.union(*(names.get(id, ()) for id in used[row.id])) for row in touched}
    marked = _read_marked(session, set[str | None]().union(*of.values()))
    scrubbed = {row.id: row for row in touched if of[row.id] & marked}
    for row in _read_waiting(session, [id for id, row in scrubbed.items() if isinstance(row, SubscriptionRow)]):
        scrubbed.setdefault(row.id, row)
    known = set[str]().union(*(personal_values(row.record_type_name, row.document) for row in scrubbed.values()))
    for row in scrubbed.values():
        document = erase_object(row.record_type_name, row.document, known)
        if document != row.document:
            write_document(row, document, synced_at=at)
    session.flush()


def _subscriptions_of(session: Session, touched: Collection[LimioObject]) -> dict[str, set[str]]:
    """By object the subscriptions that it belongs to, a shared address to several."""
    used = {row.id: {row.id} if isinstance(row, SubscriptionRow) else {row.subscription_id or ""} for row in touched}
    for relation in session.exec(select(RelationRow).where(col(RelationRow.object_id).in_(list(used)))):
        used[relation.object_id].add(relation.subscription_id)
    return used


def _read_subscriptions(session: Session, used: dict[str, set[str]]) -> dict[str, SubscriptionRow]:
    ids = sorted(set[str]().union(*used.values()) - {""})
    return {row.id: row for row in session.exec(select(SubscriptionRow).where(col(SubscriptionRow.id).in_(ids)))}


def _read_marked(session: Session, names: Collection[str | None]) -> set[str]:
    ids = sorted(name for name in names if name is not None)
    return set(session.exec(select(ScrubMarkRow.object_id).where(col(ScrubMarkRow.object_id).in_(ids))))


def _read_waiting(session: Session, subscription_ids: Collection[str]) -> Iterator[LimioObject]:
    """Objects of subscriptions, which may have been loaded before these."""
    for row_class in OBJECT_ROWS.values() if subscription_ids else ():
        yield from session.exec(select(row_class).where(col(row_class.subscription_id).in_(list(subscription_ids))))
