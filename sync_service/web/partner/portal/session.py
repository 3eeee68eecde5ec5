"""Who is at the portal: every request is checked against the partner's sessions, which are apart from the admin's."""

from __future__ import annotations

import re

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from sync_service.access.partner_scope import PartnerScope, scope_of_person
from sync_service.access.partner_sessions import PartnerPerson, PartnerSessions, PartnerUser
from sync_service.access.sessions import FormTokens
from sync_service.store.engine import Database
from sync_service.telemetry.log import logger
from sync_service.web.answers import POLICY
from sync_service.web.page_parts import PageGuard

PATH = "/partner"
COOKIE = "sync_partner"
#: Before there is a log-in: what the log-in form's token and the code belong to.
GUEST_COOKIE = "sync_partner_guest"
_ASSET = "portal.asset"
#: The pages for people who are not logged in.
_OPEN = ("portal.login", "portal.code", "portal.sign_on", "portal.signed_on")


class PortalSessions(PageGuard):
    """The check before every page of the portal, and the cookies."""

    def __init__(self, database: Database, secret_keys: tuple[str, ...], *, secure: bool) -> None:
        super().__init__(PATH, "portal.customers", FormTokens(secret_keys, "partner form"), secure=secure)
        self._has_key = any(secret_keys)
        self._sessions = PartnerSessions(database)

    def attach(self, blueprint: Blueprint) -> None:
        """Check every request of `blueprint`, and add the log-out address."""
        blueprint.before_request(self._check)
        blueprint.after_request(_keep_private)
        blueprint.context_processor(
            lambda: {
                "person": g.get("partner_person"),
                "form_token": g.get("form_token", ""),
                "logo": _find_logo(g.get("partner_person")),
            }
        )
        blueprint.add_url_rule("/logout", "logout", self._log_out, methods=["POST"])

    def log_in(self, user: PartnerUser, wanted: str | None, note: str) -> AnyResponse:
        """Open a session of its own for `user` and lead to the page that was asked for."""
        logger().info("partner_login", user=user.id)
        before = request.cookies.get(COOKIE, "")
        if before:
            self._sessions.close(before)
        answer = redirect(self.next_page(wanted), 303)
        self.set_cookie(answer, COOKIE, self._sessions.open(user, note))
        answer.delete_cookie(GUEST_COOKIE, path=PATH)
        return answer

    def _check(self) -> AnyResponse | tuple[str, int] | None:
        if request.endpoint == _ASSET:
            return None
        if not self._has_key:
            return render_template("partner/no_key.html"), 503
        if request.endpoint in _OPEN:
            return None
        cookie = request.cookies.get(COOKIE, "")
        person = self._sessions.find(cookie) if cookie else None
        if person is None:
            wanted = request.full_path.rstrip("?") if request.method == "GET" else None
            return redirect(url_for("portal.login", next=wanted), 303)
        g.partner_person, g.form_token = person, self._forms.make(cookie)
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            self.check_form(cookie)
        return None

    def _log_out(self) -> AnyResponse:
        self._sessions.close(request.cookies.get(COOKIE, ""))
        answer = redirect(url_for("portal.login"), 303)
        answer.delete_cookie(COOKIE, path=PATH)
        return answer


def person() -> PartnerPerson:
    """Who is logged in."""
    found: PartnerPerson = g.partner_person
    return found


def scope() -> PartnerScope:
    """The organisation of who is logged in."""
    return scope_of_person(person())


def _keep_private(answer: Response) -> Response:
    if request.endpoint != _ASSET:
        answer.headers["Cache-Control"] = "private, no-store"
    who = g.get("partner_person")
    origin = _find_origin(who.logo) if who else None
    if origin is not None:
        answer.headers["Content-Security-Policy"] = POLICY.replace("img-src 'self'", f"img-src 'self' {origin}")
    return answer


def _find_logo(who: PartnerPerson | None) -> str | None:
    """The organisation's logo; None where its host cannot stand in a policy."""
    return who.logo if who and _find_origin(who.logo) else None


def _find_origin(logo: str | None) -> str | None:
    found = re.match(r"https://[A-Za-z0-9.-]+(:\d{1,5})?(?=[/?#]|$)", logo or "")
    return found[0] if found else None
