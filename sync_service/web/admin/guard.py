"""Guards the admin pages: who is it, may they, and was the form ours? And secrets that are shown once.

Such a secret is made by a form, shown by the page that the form leads to, and gone when that page is reloaded. It
travels in a cookie that only we can read, because the answer to a form must be a redirect: reloading the answer itself
would send the form again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import wraps
from typing import Any

from flask import Blueprint, Response, after_this_request, g, make_response, redirect, render_template, request, url_for
from werkzeug.exceptions import Forbidden
from werkzeug.wrappers import Response as AnyResponse

from sync_service.access.cipher import TextCipher
from sync_service.access.sessions import Draft, Drafts, FormTokens, Person, Sessions
from sync_service.store.engine import Database
from sync_service.telemetry.log import logger
from sync_service.web.page_parts import PageGuard, View

COOKIE = "sync_admin"
#: Before there is a log-in: what the log-in form's token belongs to.
GUEST_COOKIE = "sync_guest"
_STATIC = "admin.asset"
#: The ways in.
_FOR_STRANGERS = ("admin.login", "admin.sign_on", "admin.signed_on")
#: All that a temporary password opens.
_FOR_NEWCOMERS = ("admin.account", "admin.choose", "admin.logout")
#: Requests of a page's script that keeps the page fresh have it.
LIVE_HEADER = "X-Live"
#: Leads back to a form that was sent after the session had ended.
DRAFT_COOKIE = "sync_draft"
#: Forms that are not kept: they hold passwords, or mean nothing after a new log-in.
_NOT_KEPT = ("admin.choose", "admin.leave", "admin.logout")


class AdminGuard(PageGuard):
    """Checks every request of the admin pages."""

    def __init__(self, database: Database, secret_keys: tuple[str, ...], *, secure: bool, passwords: bool) -> None:
        super().__init__("/admin", "admin.overview", FormTokens(secret_keys), secure=secure)
        self._has_key = any(secret_keys)
        self._sessions = Sessions(database, passwords=passwords)
        self._drafts = Drafts(database, secret_keys)

    def attach(self, blueprint: Blueprint) -> None:
        """Check every request of `blueprint`, and add the log-out address."""
        blueprint.before_request(self._check)
        blueprint.after_request(_keep_private)
        blueprint.context_processor(lambda: {"person": g.get("person"), "form_token": g.get("form_token", "")})
        blueprint.add_url_rule("/logout", "logout", self._logout, methods=["POST"])
        blueprint.add_url_rule("/draft", "draft", self._show_draft)

    def let_in(
        self, email: str, wanted: str | None, *, signed_on: bool = False, note: str | None = None
    ) -> AnyResponse:
        """Open a session of its own for `email` and lead to the page that was asked for."""
        logger().info("login", signed_on=signed_on)
        before = request.cookies.get(COOKIE, "")
        if before:
            self._sessions.close(before)
        has_draft = bool(request.cookies.get(DRAFT_COOKIE))
        answer = redirect(url_for("admin.draft") if has_draft else self.next_page(wanted), 303)
        self.set_cookie(answer, COOKIE, self._sessions.open(email, signed_on=signed_on, note=note))
        answer.delete_cookie(GUEST_COOKIE, path="/admin")
        return answer

    def _check(self) -> AnyResponse | str | tuple[str, int] | None:
        if request.endpoint == _STATIC:
            return None
        if not self._has_key:
            return render_template("admin/no_key.html"), 503
        if request.endpoint in _FOR_STRANGERS:
            return None
        cookie = request.cookies.get(COOKIE, "")
        # What a script asks for by itself is no sign of the person.
        person = self._sessions.find(cookie, is_sign=LIVE_HEADER not in request.headers) if cookie else None
        if person is None:
            return self._send_to_login(cookie)
        g.person, g.form_token = person, self._forms.make(cookie)
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            self.check_form(cookie)
        if person.must_choose and request.endpoint not in _FOR_NEWCOMERS:
            return redirect(url_for("admin.account"), 303)
        return None

    def _send_to_login(self, cookie: str) -> AnyResponse:
        is_script = request.headers.get("Accept", "").startswith("application/json") or LIVE_HEADER in request.headers
        if request.method == "GET" and is_script:
            answer = make_response({"message": "You are logged out."}, 401)
            answer.headers["WWW-Authenticate"] = 'Session realm="admin"'
            return answer
        wanted = request.full_path.rstrip("?") if request.method == "GET" else None
        token = self._keep_draft(cookie) if request.method == "POST" else None
        leave = redirect(url_for("admin.login", next=wanted, kept=1 if token else None), 303)
        if token:
            self.set_cookie(leave, DRAFT_COOKIE, token)
        return leave

    def _keep_draft(self, cookie: str) -> str | None:
        """Keep the form at hand if it was ours and its person is known; the token that gives it back."""
        if request.endpoint in _NOT_KEPT or not self._forms.is_right(cookie, request.form.get("form_token", "")):
            return None
        email = self._sessions.find_owner(cookie)
        fields = tuple((name, value) for name, value in request.form.items(multi=True) if name != "form_token")
        return self._drafts.keep(email, Draft(request.path, fields)) if email else None

    def _show_draft(self) -> AnyResponse:
        """The form that was sent too late, to be sent now or dropped. It is shown to its own person alone, once."""
        token = request.cookies.get(DRAFT_COOKIE, "")
        draft = self._drafts.read(token, who().email) if token else None
        if draft is None:
            answer = redirect(url_for("admin.overview"), 303)
        else:
            answer = make_response(render_template("admin/draft.html", draft=draft))
            self._drafts.forget(token)
        answer.delete_cookie(DRAFT_COOKIE, path="/admin")
        return answer

    def _logout(self) -> AnyResponse:
        self._sessions.close(request.cookies.get(COOKIE, ""))
        answer = redirect(url_for("admin.login"), 303)
        answer.delete_cookie(COOKIE, path="/admin")
        return answer


def operators_only(view: View) -> View:
    """Let only operators in; viewers are told so."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if not who().may_act:
            raise Forbidden("Your role is viewer: you see everything here, but changes need an operator.")
        return view(*args, **kwargs)

    return guarded


def who() -> Person:
    """The person of the request at hand."""
    person: Person = g.person
    return person


def _keep_private(answer: Response) -> Response:
    if request.endpoint != _STATIC:
        answer.headers["Cache-Control"] = "no-store"
    return answer


HANDOVER_COOKIE = "sync_handover"
#: How long the browser has to follow the redirect, and how long the page remembers that it showed the secret.
_FOLLOW_SECONDS, _REMEMBER_SECONDS = 60, 600


@dataclass(frozen=True)
class ShownSecret:
    """What a page shows: whose secret, and the secret; None if it was shown already."""

    name: str
    secret: str | None


class Handover:
    """Hands secrets to the person who made them."""

    def __init__(self, secret_keys: tuple[str, ...], guard: AdminGuard) -> None:
        self._cipher = TextCipher(secret_keys, "shown once", longest=1000)
        self._guard = guard

    def lead_to(self, page: str, name: str, secret: str) -> AnyResponse:
        """Redirect to `page`, which shows the secret of `name`."""
        answer = redirect(url_for(page), 303)
        self._keep(answer, page, name, secret, _FOLLOW_SECONDS)
        return answer

    def take(self, page: str) -> ShownSecret | None:
        """What `page` has to show to this person, once; afterwards that it was shown."""
        sealed = request.cookies.get(HANDOVER_COOKIE, "")
        try:
            kept = json.loads(self._cipher.decrypt(sealed)) if sealed else {}
        except ValueError:
            return None
        if kept.get("page") != page or kept.get("person") != who().email:
            return None
        if kept["secret"] is not None:

            @after_this_request
            def forget(answer: AnyResponse) -> AnyResponse:
                self._keep(answer, page, kept["name"], None, _REMEMBER_SECONDS)
                return answer

        return ShownSecret(kept["name"], kept["secret"])

    def _keep(self, answer: AnyResponse, page: str, name: str, secret: str | None, seconds: int) -> None:
        text = json.dumps({"page": page, "person": who().email, "name": name, "secret": secret})
        self._guard.set_cookie(answer, HANDOVER_COOKIE, self._cipher.encrypt(text), seconds=seconds)
