"""The log of who did what in the admin pages."""

from __future__ import annotations

from sqlmodel import col, select

from sync_service.store.engine import Session
from sync_service.store.tables import AdminActionRow

_LONGEST_TARGET = 500


def record_action(session: Session, actor: str, action: str, target: str | None = None) -> None:
    """Note, in the transaction that does it, that `actor` did `action` to `target`."""
    kept = target[:_LONGEST_TARGET] if target else target
    session.add(AdminActionRow(at=session.now(), actor=actor, action=action, target=kept))


def list_actions(session: Session, *, limit: int, before: int | None = None) -> list[AdminActionRow]:
    """The latest actions, newest first, with an id below `before`."""
    statement = select(AdminActionRow).order_by(col(AdminActionRow.id).desc()).limit(limit)
    if before is not None:
        statement = statement.where(col(AdminActionRow.id) < before)
    return list(session.exec(statement))
