"""The log of who did what in the admin pages."""

from __future__ import annotations

from sync_service.store.engine import Session
from sync_service.store.tables import AdminActionRow

_LONGEST_TARGET = 500


def record_action(session: Session, actor: str, action: str, target: str | None = None) -> None:
    """Note, in the transaction that does it, that `actor` did `action` to `target`."""
    kept = target[:_LONGEST_TARGET] if target else target
    session.add(AdminActionRow(at=session.now(), actor=actor, action=action, target=kept))
