"""Signing in to the portal with the partners' identity provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from werkzeug.wrappers import Response as AnyResponse

from sync_service.access.partner_admission import admit_partner
from sync_service.store.engine import Database
from sync_service.web.partner.portal.session import PATH, PortalSessions, safe_next


class PortalEntry:
    """The portal, as a sign-on sees it."""

    folder = PATH
    template = "partner/sign_on.html"

    def __init__(self, database: Database, sessions: PortalSessions, name: str) -> None:
        """`name`: what the provider is called."""
        self._database = database
        self._sessions = sessions
        self._name = name

    def next_page(self, wanted: str | None) -> str:
        """A page of the portal."""
        return safe_next(wanted)

    def set_cookie(self, answer: AnyResponse, name: str, value: str, *, seconds: int | None = None) -> None:
        """A cookie for the portal alone."""
        self._sessions.set_cookie(answer, name, value, seconds=seconds)

    def let_in(self, claims: Mapping[str, Any], wanted: str) -> AnyResponse:
        """Log in whom these proved claims are about, if they may. Raises NotAdmitted."""
        return self._sessions.log_in(admit_partner(self._database, claims), wanted, f"with {self._name}")
