"""The log-in page, with a password or single sign-on. Wrong passwords are counted."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from flask import make_response, render_template, request
from werkzeug.exceptions import Forbidden
from werkzeug.wrappers import Response as AnyResponse

from sync_service.access.admission import NotAdmitted, admit, read_email, read_rules
from sync_service.access.passwords import is_plausible, normalise_email, prove_user
from sync_service.access.throttle import Throttle, counter_name
from sync_service.settings import Settings
from sync_service.store.audit import record_action
from sync_service.store.engine import Database
from sync_service.store.tables import AdminUserRow
from sync_service.telemetry.log import logger
from sync_service.web.admin.guard import GUEST_COOKIE, AdminGuard
from sync_service.web.page_parts import Pages, get, post
from sync_service.web.senders import Senders, say_place

#: Wrong passwords for a person from a place within WINDOW_MS; then their log-ins from there wait, right ones too.
LIMIT, WINDOW_MS = 10, 300_000
#: Wrong passwords from one place for whomever; whole offices share one.
PLACE_LIMIT = 30
_WRONG = "The email address or the password is wrong."


class PasswordCheck:
    """Tells whether a password is right, a few times in a while over all hosts."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._key = settings.secret_key
        self._senders = Senders((), settings.trusted_proxies)
        self._of_person = Throttle(database, limit=LIMIT, window_ms=WINDOW_MS)
        self._of_place = Throttle(database, limit=PLACE_LIMIT, window_ms=WINDOW_MS)

    def find_place(self) -> str | None:
        """Where the request comes from."""
        return self._senders.find_place(request)

    def prove(self, email: str, password: str) -> tuple[AdminUserRow | None, int | None]:
        """The user, or None and for how many seconds nothing more is looked at, where it is too much."""
        place = self.find_place()
        counters = [(self._of_person, counter_name("login", self._key, normalise_email(email), place or ""))]
        if place is not None:  # else one stranger would keep everybody out
            counters.append((self._of_place, counter_name("login place", self._key, place)))
        seconds = _longest(throttle.seconds_left(name) for throttle, name in counters)
        user = prove_user(self._database, email, password) if seconds is None else None
        if user is not None:
            return user, None
        if seconds is None:
            self._record_refusal(normalise_email(email), place)
        seconds = seconds or _longest(throttle.count_failure(name) for throttle, name in counters)
        logger().warning("login_refused", throttled=seconds is not None, sender=place)
        return None, seconds

    def _record_refusal(self, email: str, place: str | None) -> None:
        """Note it of people that we know; what strangers type may be anything, a password too."""
        if not is_plausible(email):
            return
        with self._database.transaction(lock_timeout_ms=2000) as session:
            if session.get(AdminUserRow, email) is not None:
                record_action(session, email, "log in refused", f"wrong password, {say_place(place)}")


class LoginPages(Pages):
    """`/admin/login`."""

    def __init__(self, guard: AdminGuard, check: PasswordCheck, *, passwords: bool, provider: str) -> None:
        """`provider`: what the identity provider is called, empty where there is none."""
        self._guard, self._check, self._passwords, self._provider = guard, check, passwords, provider

    @get("/login")
    @post("/login")
    def login(self) -> AnyResponse | str:
        """The form, and what came of it."""
        guest = request.cookies.get(GUEST_COOKIE, "")
        if request.method == "GET" or not guest:
            return self._show(guest or secrets.token_urlsafe(24))
        self._guard.check_form(guest)
        if not self._passwords:
            raise Forbidden(f"Password log-in is turned off: sign in with {self._provider}.")
        email = request.form.get("email", "")
        user, seconds = self._check.prove(email, request.form.get("password", ""))
        if user is None:
            return self._show(guest, email, seconds=seconds, problem=_WRONG)
        return self._guard.let_in(user.email, request.form.get("next"), note=say_place(self._check.find_place()))

    def _show(self, guest: str, email: str = "", *, seconds: int | None = None, problem: str = "") -> AnyResponse | str:
        if seconds is not None:
            problem = say_wait(seconds)
        page = render_template(
            "admin/login.html",
            login_token=self._guard.make_token(guest),
            email=email[:254],
            problem=problem,
            next=self._guard.next_page(request.values.get("next")),
            passwords=self._passwords,
            provider=self._provider,
        )
        answer = make_response(page, 429 if seconds is not None else 401 if problem else 200)
        if seconds is not None:
            answer.headers["Retry-After"] = str(seconds)
        self._guard.set_cookie(answer, GUEST_COOKIE, guest)
        return answer


def say_wait(seconds: int) -> str:
    """The message after too many wrong passwords."""
    return f"Too many wrong passwords. Please try again in {max(1, round(seconds / 60))} minutes."


def _longest(seconds: Iterable[int | None]) -> int | None:
    return max((each for each in seconds if each is not None), default=None)


class AdminSignOn:
    """Lets in at the admin pages whom the identity provider has proved."""

    def __init__(self, settings: Settings, database: Database, guard: AdminGuard) -> None:
        self._database, self._guard = database, guard
        self._name, self._rules = settings.oidc_name, read_rules(settings)
        self._senders = Senders((), settings.trusted_proxies)

    def let_in(self, claims: Mapping[str, Any], wanted: str) -> AnyResponse:
        """Log in whom these proved claims are about, if they may. Raises NotAdmitted."""
        email = None
        try:
            email = read_email(claims, self._rules)
            admit(self._database, claims, email, self._rules)
        except NotAdmitted as error:
            self._record_refusal(email or f"{_printable(claims.get('email'))} (not vouched for)", error)
            raise
        return self._guard.let_in(email, wanted, signed_on=True, note=f"with {self._name}, {self._say_place()}")

    def _record_refusal(self, who: str, error: NotAdmitted) -> None:
        """Only people whom the provider knows, so that outsiders cannot fill the log."""
        with self._database.transaction(lock_timeout_ms=2000) as session:
            record_action(session, who, "sign-on refused", f"{error} ({self._say_place()})")

    def _say_place(self) -> str:
        return say_place(self._senders.find_place(request))


def _printable(claim: Any) -> str:
    text = str(claim or "unknown")[:200]
    return text if text.isprintable() else "unknown"
