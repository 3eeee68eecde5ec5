"""The marks of erased customers: what later syncs must not write again."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import bindparam
from sqlmodel import col, select

from sync_service.store.engine import Session
from sync_service.store.tables import ScrubMarkRow

_ANY_MARK = (
    select(ScrubMarkRow.object_id)
    .where(col(ScrubMarkRow.object_id).in_((bindparam("owner"), bindparam("customer"), bindparam("subscription_id"))))
    .limit(1)
)


def mark_scrubbed(session: Session, object_ids: Collection[str], *, at: int, actor: str) -> None:
    """Mark customers, identities or subscriptions by their Limio ids. Repeatable: the first mark stays."""
    for object_id in sorted(object_ids):
        if session.get(ScrubMarkRow, object_id) is None:
            session.add(ScrubMarkRow(object_id=object_id, at=at, actor=actor))
    session.flush()


def is_scrubbed(session: Session, *, owner: str | None, customer: str | None, subscription_id: str | None) -> bool:
    """Whether any of these objects belongs to a customer who was erased. Ask after the locks are taken."""
    ids = {"owner": owner, "customer": customer, "subscription_id": subscription_id}
    return session.exec(_ANY_MARK, params=ids).first() is not None
