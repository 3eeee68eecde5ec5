"""The log of who did what in the admin pages."""

from __future__ import annotations

from contextvars import ContextVar

from sync_service.store.engine import Session
from sync_service.store.tables import AdminActionRow

_LONGEST_TARGET = 500
#: The address that the request at hand came from, as far as trusted proxies say; None on the command line too.
SENDER: ContextVar[str | None] = ContextVar("sender", default=None)


def record_action(session: Session, actor: str, action: str, target: str | None = None) -> None:
    """Note, in the transaction that does it, that `actor` did `action` to `target`, and from where."""
    kept = target[:_LONGEST_TARGET] if target else target
    session.add(AdminActionRow(at=session.now(), actor=actor, action=action, target=kept, sender=SENDER.get()))
