"""The door of the admin pages: who is it, may they, and was the form ours?"""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, g, make_response, redirect, render_template, request, url_for
from werkzeug.exceptions import Forbidden
from werkzeug.wrappers import Response as AnyResponse

from sync_service.db import Database
from sync_service.log import logger
from sync_service.web.admin.people import normalise_email, prove_user
from sync_service.web.admin.sessions import FormTokens, Person, SessionBook
from sync_service.web.throttle import Throttle

COOKIE = "sync_admin"
#: Before there is a log-in: what the log-in form's token belongs to.
GUEST_COOKIE = "sync_guest"
#: Wrong passwords for one address within WINDOW_MS; then every log-in of it waits, the right one too.
LIMIT, WINDOW_MS = 10, 300_000
_COUNTERS = 4096
_STATIC = "admin.asset"
_WRONG = "The email address or the password is wrong."

View = Callable[..., Any]


class Door:
    """Stands in front of every admin page."""

    def __init__(self, database: Database, secret_key: str, *, secure: bool) -> None:
        self._database = database
        self._has_key = bool(secret_key)
        self._secure = secure
        self._book = SessionBook(database)
        self._forms = FormTokens(secret_key)
        self._throttle = Throttle(database, limit=LIMIT, window_ms=WINDOW_MS)

    def attach(self, blueprint: Blueprint) -> None:
        """Check every request of `blueprint`, and add the log-in and log-out addresses."""
        blueprint.before_request(self._check)
        blueprint.after_request(_keep_private)
        blueprint.context_processor(lambda: {"person": g.get("person"), "form_token": g.get("form_token", "")})
        blueprint.add_url_rule("/login", "login", self._login, methods=["GET", "POST"])
        blueprint.add_url_rule("/logout", "logout", self._logout, methods=["POST"])

    def _check(self) -> AnyResponse | str | tuple[str, int] | None:
        if request.endpoint == _STATIC:
            return None
        if not self._has_key:
            return render_template("admin/no_key.html"), 503
        if request.endpoint == "admin.login":
            return None
        cookie = request.cookies.get(COOKIE, "")
        g.person = self._book.find(cookie) if cookie else None
        if g.person is None:
            return _send_to_login()
        g.form_token = self._forms.make(cookie)
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            self._check_form(cookie)
        return None

    def _check_form(self, cookie: str) -> None:
        given = request.form.get("form_token") or request.headers.get("X-Form-Token", "")
        if not self._forms.is_right(cookie, given):
            raise Forbidden("This form is too old or came from another page. Go back, reload the page and try again.")

    def _login(self) -> AnyResponse | str:
        guest = request.cookies.get(GUEST_COOKIE, "")
        if request.method == "GET" or not guest:
            return self._show_login(guest or secrets.token_urlsafe(24))
        self._check_form(guest)
        email, password = request.form.get("email", ""), request.form.get("password", "")
        name = _counter(email)
        seconds = self._throttle.seconds_left(name)
        user = prove_user(self._database, email, password) if seconds is None else None
        if user is None:
            seconds = seconds or self._throttle.count_failure(name)
            logger().warning("login_refused", throttled=seconds is not None)
            return self._show_login(guest, email, seconds=seconds, problem=_WRONG)
        logger().info("login", user=user.email)
        answer = redirect(_safe_next(request.form.get("next")), 303)
        self._set(answer, COOKIE, self._book.open(user))
        answer.delete_cookie(GUEST_COOKIE, path="/admin")
        return answer

    def _show_login(
        self, guest: str, email: str = "", *, seconds: int | None = None, problem: str = ""
    ) -> AnyResponse | str:
        if seconds is not None:
            problem = f"Too many wrong passwords. Please try again in {max(1, round(seconds / 60))} minutes."
        page = render_template(
            "admin/login.html",
            login_token=self._forms.make(guest),
            email=email[:254],
            problem=problem,
            next=_safe_next(request.values.get("next")),
        )
        answer = make_response(page, 429 if seconds is not None else 401 if problem else 200)
        if seconds is not None:
            answer.headers["Retry-After"] = str(seconds)
        self._set(answer, GUEST_COOKIE, guest)
        return answer

    def _logout(self) -> AnyResponse:
        self._book.close(request.cookies.get(COOKIE, ""))
        answer = redirect(url_for("admin.login"), 303)
        answer.delete_cookie(COOKIE, path="/admin")
        return answer

    def _set(self, answer: AnyResponse, name: str, value: str) -> None:
        answer.set_cookie(name, value, path="/admin", httponly=True, samesite="Lax", secure=self._secure)


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


def _send_to_login() -> AnyResponse:
    if request.method == "GET" and request.headers.get("Accept", "").startswith("application/json"):
        answer = make_response({"message": "You are logged out."}, 401)
        answer.headers["WWW-Authenticate"] = 'Session realm="admin"'
        return answer
    wanted = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("admin.login", next=wanted), 303)


def _counter(email: str) -> str:
    """Where wrong passwords of `email` are counted: one of few names, the same whether such a user exists or not."""
    return f"login {zlib.crc32(normalise_email(email).encode('utf-8', 'replace')) % _COUNTERS}"


def _safe_next(wanted: str | None) -> str:
    """A page of ours to go on with: never an address elsewhere."""
    home = url_for("admin.overview")
    if not wanted or "\\" in wanted or not wanted.isprintable():
        return home
    parts = urlsplit(wanted)
    inside = not parts.scheme and not parts.netloc and (parts.path == "/admin" or parts.path.startswith("/admin/"))
    return wanted if inside and not wanted.startswith("//") else home


def _keep_private(answer: Response) -> Response:
    if request.endpoint != _STATIC:
        answer.headers["Cache-Control"] = "no-store"
    return answer
