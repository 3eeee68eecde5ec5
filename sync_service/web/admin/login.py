"""The log-in page: a password, single sign-on, or both; and the count of wrong passwords."""

from __future__ import annotations

import secrets
import zlib

from flask import Blueprint, make_response, render_template, request
from werkzeug.exceptions import Forbidden
from werkzeug.wrappers import Response as AnyResponse

from sync_service.access.passwords import is_plausible, normalise_email, prove_user
from sync_service.access.throttle import Throttle
from sync_service.log import logger
from sync_service.store.audit import record_action
from sync_service.store.engine import Database
from sync_service.store.tables import AdminUserRow
from sync_service.web.admin.door import GUEST_COOKIE, Door, safe_next

#: Wrong passwords for one address within WINDOW_MS; then every log-in of it waits, the right one too.
LIMIT, WINDOW_MS = 10, 300_000
_COUNTERS = 4096
_WRONG = "The email address or the password is wrong."


class PasswordCheck:
    """Tells whether a password is right, a few times in a while over all hosts."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._throttle = Throttle(database, limit=LIMIT, window_ms=WINDOW_MS)

    def prove(self, email: str, password: str) -> tuple[AdminUserRow | None, int | None]:
        """The user, or None and for how many seconds nothing more is looked at, where it is too much."""
        name = _counter(email)
        seconds = self._throttle.seconds_left(name)
        user = prove_user(self._database, email, password) if seconds is None else None
        if user is not None:
            return user, None
        if seconds is None:
            self._record_refusal(normalise_email(email))
        seconds = seconds or self._throttle.count_failure(name)
        logger().warning("login_refused", throttled=seconds is not None)
        return None, seconds

    def _record_refusal(self, email: str) -> None:
        """Note it of people that we know; what strangers type may be anything, a password too."""
        if not is_plausible(email):
            return
        with self._database.transaction(lock_timeout_ms=2000) as session:
            if session.get(AdminUserRow, email) is not None:
                record_action(session, email, "log in refused", "wrong password")


class LoginPage:
    """`/admin/login`."""

    def __init__(self, door: Door, check: PasswordCheck, *, passwords: bool, provider: str) -> None:
        """`provider`: what the identity provider is called, empty where there is none."""
        self._door = door
        self._check = check
        self._passwords = passwords
        self._provider = provider

    def attach(self, blueprint: Blueprint) -> None:
        """Add the page."""
        blueprint.add_url_rule("/login", "login", self._login, methods=["GET", "POST"])

    def _login(self) -> AnyResponse | str:
        guest = request.cookies.get(GUEST_COOKIE, "")
        if request.method == "GET" or not guest:
            return self._show(guest or secrets.token_urlsafe(24))
        self._door.check_form(guest)
        if not self._passwords:
            raise Forbidden(f"Nobody comes in by a password here: sign in with {self._provider}.")
        email = request.form.get("email", "")
        user, seconds = self._check.prove(email, request.form.get("password", ""))
        if user is None:
            return self._show(guest, email, seconds=seconds, problem=_WRONG)
        return self._door.let_in(user.email, request.form.get("next"))

    def _show(self, guest: str, email: str = "", *, seconds: int | None = None, problem: str = "") -> AnyResponse | str:
        if seconds is not None:
            problem = say_wait(seconds)
        page = render_template(
            "admin/login.html",
            login_token=self._door.make_token(guest),
            email=email[:254],
            problem=problem,
            next=safe_next(request.values.get("next")),
            passwords=self._passwords,
            provider=self._provider,
        )
        answer = make_response(page, 429 if seconds is not None else 401 if problem else 200)
        if seconds is not None:
            answer.headers["Retry-After"] = str(seconds)
        self._door.set_cookie(answer, GUEST_COOKIE, guest)
        return answer


def say_wait(seconds: int) -> str:
    """What is said to whoever guessed too often."""
    return f"Too many wrong passwords. Please try again in {max(1, round(seconds / 60))} minutes."


def _counter(email: str) -> str:
    """Where wrong passwords of `email` are counted: one of few names, the same whether such a user exists or not."""
    return f"login {zlib.crc32(normalise_email(email).encode('utf-8', 'replace')) % _COUNTERS}"
