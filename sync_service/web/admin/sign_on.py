"""Who may sign in to the admin pages with the identity provider, and with which role."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import request
from werkzeug.wrappers import Response as AnyResponse

from sync_service.access.admission import NotAdmitted, admit, read_email, read_rules
from sync_service.settings import Settings
from sync_service.store.audit import record_action
from sync_service.store.engine import Database
from sync_service.web.admin.door import AdminLogin, safe_next
from sync_service.web.senders import Senders, say_place


class AdminEntry:
    """The admin pages, as a sign-on sees them."""

    folder = "/admin"
    template = "admin/sign_on.html"

    def __init__(self, settings: Settings, database: Database, door: AdminLogin) -> None:
        self._database = database
        self._door = door
        self._name = settings.oidc_name
        self._rules = read_rules(settings)
        self._senders = Senders((), settings.trusted_proxies)

    def next_page(self, wanted: str | None) -> str:
        """A page of the admin pages."""
        return safe_next(wanted)

    def set_cookie(self, answer: AnyResponse, name: str, value: str, *, seconds: int | None = None) -> None:
        """A cookie for the admin pages alone."""
        self._door.set_cookie(answer, name, value, seconds=seconds)

    def let_in(self, claims: Mapping[str, Any], wanted: str) -> AnyResponse:
        """Log in whom these proved claims are about, if they may. Raises NotAdmitted."""
        email = None
        try:
            email = read_email(claims, self._rules)
            admit(self._database, claims, email, self._rules)
        except NotAdmitted as error:
            self._record_refusal(email or f"{_printable(claims.get('email'))} (not vouched for)", error)
            raise
        return self._door.let_in(email, wanted, signed_on=True, note=f"with {self._name}, {self._say_place()}")

    def _record_refusal(self, who: str, error: NotAdmitted) -> None:
        """Only people whom the provider knows, so that outsiders cannot fill the log."""
        with self._database.transaction(lock_timeout_ms=2000) as session:
            record_action(session, who, "sign-on refused", f"{error} ({self._say_place()})")

    def _say_place(self) -> str:
        return say_place(self._senders.find_place(request))


def _printable(claim: Any) -> str:
    text = str(claim or "unknown")[:200]
    return text if text.isprintable() else "unknown"
