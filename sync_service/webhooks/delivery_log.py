"""What was delivered and what was not, and sending it again."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement
from sqlmodel import col, delete, func, select, update

from sync_service.errors import SyncServiceError
from sync_service.queue.outbox import DeliveryState
from sync_service.store.engine import Database, Session
from sync_service.store.tables import WebhookDeliveryRow, WebhookEndpointRow


class MessageUnknown(SyncServiceError):
    """No such message, not for this endpoint: `webhooks log` shows them."""

    code = "message unknown"


def list_deliveries(
    session: Session, *, endpoint_id: str | None = None, state: DeliveryState | None = None, limit: int = 100
) -> list[WebhookDeliveryRow]:
    """The latest deliveries, newest first."""
    row = WebhookDeliveryRow
    found = select(row).order_by(col(row.id).desc()).limit(limit)
    if endpoint_id is not None:
        found = found.where(row.endpoint_id == endpoint_id)
    if state is not None:
        found = found.where(row.state == state)
    return list(session.exec(found))


def count_deliveries(session: Session) -> dict[str, dict[str, int]]:
    """How many deliveries each endpoint has in each state."""
    row = WebhookDeliveryRow
    counts: dict[str, dict[str, int]] = {}
    for endpoint_id, state, count in session.exec(
        select(row.endpoint_id, row.state, func.count()).group_by(row.endpoint_id, row.state)
    ):
        counts.setdefault(endpoint_id, {})[state] = count
    return counts


def replay(database: Database, message_ids: Collection[str], *, endpoint_id: str | None = None) -> int:
    """Deliver these messages again under their ids, delivered before or dead, with fresh attempts; returns how many.

    What is pending becomes due at once. Only to one endpoint where `endpoint_id` is given. Raises MessageUnknown, and
    nothing is sent then.
    """
    theirs: ColumnElement[bool] = col(WebhookDeliveryRow.message_id).in_(sorted(message_ids))
    if endpoint_id is not None:
        theirs &= col(WebhookDeliveryRow.endpoint_id) == endpoint_id
    with database.transaction() as session:
        known = set(session.exec(select(WebhookDeliveryRow.message_id).where(theirs)))
        if missing := sorted(set(message_ids) - known):
            raise MessageUnknown(f"No such message: {', '.join(missing)}. `webhooks log` shows them.")
        return _make_due(session, theirs)


def replay_dead(database: Database, *, endpoint_id: str | None = None) -> int:
    """Deliver again whatever was given up, with fresh attempts; returns how many deliveries. Repeatable."""
    dead: ColumnElement[bool] = col(WebhookDeliveryRow.state) == DeliveryState.DEAD
    if endpoint_id is not None:
        dead &= col(WebhookDeliveryRow.endpoint_id) == endpoint_id
    with database.transaction() as session:
        return _make_due(session, dead)


def forget_dead(database: Database, *, endpoint_id: str) -> int:
    """Delete what was given up for one endpoint, so that it is never sent; returns how many deliveries. Repeatable."""
    row = WebhookDeliveryRow
    theirs = (col(row.state) == DeliveryState.DEAD) & (col(row.endpoint_id) == endpoint_id)
    with database.transaction() as session:
        return session.connection().execute(delete(row).where(theirs)).rowcount


def _make_due(session: Session, which: ColumnElement[bool]) -> int:
    """Also lifts the pause of their endpoints: a person says that they work again."""
    endpoints = select(WebhookDeliveryRow.endpoint_id).where(which)
    session.exec(
        update(WebhookEndpointRow)
        .where(col(WebhookEndpointRow.id).in_(endpoints))
        .values(paused_until=None, failures=0)
    )
    fresh = {"state": DeliveryState.PENDING, "due_at": session.now(), "attempts": 0, "ended_at": None}
    return session.connection().execute(update(WebhookDeliveryRow).where(which).values(**fresh)).rowcount
