"""The log-in of the portal: an email address and the code that was sent to it, or the partners' identity provider."""

from __future__ import annotations

import secrets

from flask import make_response, render_template, request
from werkzeug.exceptions import Forbidden
from werkzeug.wrappers import Response as AnyResponse

from sync_service.access.partner_login import PartnerLogin, TooManyTries
from sync_service.access.partner_sessions import LIFE_MS
from sync_service.settings import Settings
from sync_service.telemetry.log import logger
from sync_service.web.page_parts import Pages, get, post, see_other
from sync_service.web.partner.portal.session import GUEST_COOKIE, PortalSessions
from sync_service.web.senders import Senders

_WRONG = (
    "This code is not right, or no longer good. Codes work once, for ten minutes, in the browser that asked for them."
)


class PortalLoginPages(Pages):
    """`/partner/login` and `/partner/login/code`."""

    def __init__(
        self,
        settings: Settings,
        sessions: PortalSessions,
        login: PartnerLogin,
        *,
        provider: str,
    ) -> None:
        """`provider`: what the identity provider is called, empty for none."""
        self._sessions = sessions
        self._login = login
        self._provider = provider
        self._senders = Senders((), settings.trusted_proxies)

    @get("/login")
    @post("/login")
    def login(self) -> AnyResponse:
        """Asks for an email address, and sends a code to it."""
        guest = request.cookies.get(GUEST_COOKIE, "")
        if request.method == "GET" or not guest:
            return self._show_login(guest or secrets.token_urlsafe(24))
        self._sessions.check_form(guest)
        self._check_codes()
        email = request.form.get("email", "")[:254]
        if not email.strip():
            return self._show_login(guest, problem="Enter your email address.")
        try:
            self._login.send_code(email, guest, self._senders.find_place(request))
        except TooManyTries as error:
            return self._show_login(guest, email, wait=error)
        answer = see_other("portal.code", next=_wanted())
        self._sessions.set_cookie(answer, GUEST_COOKIE, guest)
        return answer

    @get("/login/code")
    @post("/login/code")
    def code(self) -> AnyResponse:
        """Asks for the code, and lets in who has it."""
        guest = request.cookies.get(GUEST_COOKIE, "")
        if not guest:
            return see_other("portal.login", next=_wanted())
        if request.method == "GET":
            return self._show_code(guest)
        self._sessions.check_form(guest)
        self._check_codes()
        place = self._senders.find_place(request)
        try:
            user = self._login.redeem(guest, request.form.get("code", "")[:40], place)
        except TooManyTries as error:
            return self._show_code(guest, wait=error)
        if user is None:
            logger().warning("partner_login_refused", sender=place)
            return self._show_code(guest, problem=_WRONG)
        return self._sessions.log_in(user, request.form.get("next"), "with a code by email")

    def _check_codes(self) -> None:
        if not self._login.sends_codes:
            raise Forbidden("Log-in by email is not set up.")

    def _show_login(
        self, guest: str, email: str = "", *, wait: TooManyTries | None = None, problem: str = ""
    ) -> AnyResponse:
        page = render_template(
            "partner/login.html",
            login_token=self._sessions.make_token(guest),
            email=email,
            problem=str(wait) if wait else problem,
            next=self._sessions.next_page(_wanted()),
            by_code=self._login.sends_codes,
            provider=self._provider,
        )
        return self._answer(page, guest, wait, problem)

    def _show_code(self, guest: str, *, wait: TooManyTries | None = None, problem: str = "") -> AnyResponse:
        page = render_template(
            "partner/code.html",
            login_token=self._sessions.make_token(guest),
            problem=str(wait) if wait else problem,
            minutes=LIFE_MS // 60_000,
            next=self._sessions.next_page(_wanted()),
        )
        return self._answer(page, guest, wait, problem)

    def _answer(self, page: str, guest: str, wait: TooManyTries | None, problem: str) -> AnyResponse:
        answer = make_response(page, 429 if wait else 401 if problem else 200)
        if wait:
            answer.headers["Retry-After"] = str(wait.seconds)
        self._sessions.set_cookie(answer, GUEST_COOKIE, guest)
        return answer


def _wanted() -> str | None:
    return request.values.get("next")
