"""The log-in of the portal: an email address and the code that was sent to it, or the partners' identity provider."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from werkzeug.exceptions import Forbidden
from werkzeug.wrappers import Response as AnyResponse

from sync_service.access.admission import admit_partner
from sync_service.access.partner_sessions import LIFE_MS, LoginCodes
from sync_service.access.passwords import normalise_email
from sync_service.access.throttle import Throttle, counter_name
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.telemetry.log import logger
from sync_service.web.partner.portal.session import GUEST_COOKIE, PATH, PortalSessions, safe_next
from sync_service.web.senders import Senders

WINDOW_MS = 15 * 60_000
#: Codes for one address within WINDOW_MS, asked for from wherever: with the tries of each, all that can be guessed at.
MOST_CODES = 5
#: Codes asked for, and wrong ones given, from one place within WINDOW_MS; whole offices share one.
MOST_OF_A_PLACE = 30
_WRONG = (
    "This code is not right, or no longer good. Codes work once, for ten minutes, in the browser that asked for them."
)


class LoginPages:
    """`/partner/login` and `/partner/login/code`."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        sessions: PortalSessions,
        *,
        codes: LoginCodes | None,
        provider: str,
    ) -> None:
        """`codes`: none where no mail can be sent; `provider`: what the identity provider is called, empty for none."""
        self._sessions = sessions
        self._codes = codes
        self._provider = provider
        self._key = settings.secret_key
        self._senders = Senders((), settings.trusted_proxies)
        self._of_address = Throttle(database, limit=MOST_CODES, window_ms=WINDOW_MS)
        self._of_place = Throttle(database, limit=MOST_OF_A_PLACE, window_ms=WINDOW_MS)

    def attach(self, blueprint: Blueprint) -> None:
        """Add the pages."""
        blueprint.add_url_rule("/login", "login", self._ask_address, methods=["GET", "POST"])
        blueprint.add_url_rule("/login/code", "code", self._ask_code, methods=["GET", "POST"])

    def _ask_address(self) -> AnyResponse:
        guest = request.cookies.get(GUEST_COOKIE, "")
        if request.method == "GET" or not guest:
            return self._show_login(guest or secrets.token_urlsafe(24))
        self._sessions.check_form(guest)
        codes = self._needed_codes()
        email = request.form.get("email", "")[:254]
        if not email.strip():
            return self._show_login(guest, problem="Enter your email address.")
        seconds = self._count(self._of_address, "partner code", normalise_email(email)) or self._count_place()
        if seconds is not None:
            return self._show_login(guest, email, seconds=seconds)
        codes.send(email, guest)
        answer = redirect(url_for("portal.code", next=_wanted()), 303)
        self._sessions.set_cookie(answer, GUEST_COOKIE, guest)
        return answer

    def _ask_code(self) -> AnyResponse:
        guest = request.cookies.get(GUEST_COOKIE, "")
        if not guest:
            return redirect(url_for("portal.login", next=_wanted()), 303)
        if request.method == "GET":
            return self._show_code(guest)
        self._sessions.check_form(guest)
        codes = self._needed_codes()
        place = self._place()
        seconds = self._of_place.seconds_left(place) if place else None
        if seconds is not None:
            return self._show_code(guest, seconds=seconds)
        user = codes.redeem(guest, request.form.get("code", "")[:40])
        if user is None:
            logger().warning("partner_login_refused", sender=self._senders.find_place(request))
            return self._show_code(guest, seconds=self._count_place(), problem=_WRONG)
        return self._sessions.log_in(user, request.form.get("next"), "with a code by email")

    def _needed_codes(self) -> LoginCodes:
        if self._codes is None:
            raise Forbidden("Log-in by email is not set up.")
        return self._codes

    def _place(self) -> str | None:
        """The counter of where the request comes from; None behind a proxy, where it would keep everybody out."""
        place = self._senders.find_place(request)
        return counter_name("partner login place", self._key, place) if place is not None else None

    def _count_place(self) -> int | None:
        place = self._place()
        return self._of_place.count_failure(place) if place else None

    def _count(self, throttle: Throttle, kind: str, of: str) -> int | None:
        return throttle.count_failure(counter_name(kind, self._key, of))

    def _show_login(self, guest: str, email: str = "", *, seconds: int | None = None, problem: str = "") -> AnyResponse:
        page = render_template(
            "partner/login.html",
            login_token=self._sessions.make_token(guest),
            email=email,
            problem=_say_wait(seconds) if seconds else problem,
            next=safe_next(_wanted()),
            by_code=self._codes is not None,
            provider=self._provider,
        )
        return self._answer(page, guest, seconds, problem)

    def _show_code(self, guest: str, *, seconds: int | None = None, problem: str = "") -> AnyResponse:
        page = render_template(
            "partner/code.html",
            login_token=self._sessions.make_token(guest),
            problem=_say_wait(seconds) if seconds else problem,
            minutes=LIFE_MS // 60_000,
            next=safe_next(_wanted()),
        )
        return self._answer(page, guest, seconds, problem)

    def _answer(self, page: str, guest: str, seconds: int | None, problem: str) -> AnyResponse:
        answer = make_response(page, 429 if seconds else 401 if problem else 200)
        if seconds:
            answer.headers["Retry-After"] = str(seconds)
        self._sessions.set_cookie(answer, GUEST_COOKIE, guest)
        return answer


def _wanted() -> str | None:
    return request.values.get("next")


def _say_wait(seconds: int) -> str:
    return f"Too many tries. Please try again in {max(1, round(seconds / 60))} minutes."


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
