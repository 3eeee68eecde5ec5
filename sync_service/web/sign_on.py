"""Signing in with an identity provider: sending people there, and letting in who comes back and may.

The same for the admin pages and the partner portal: their guards and who is let in differ.
"""

from __future__ import annotations

import hmac
import threading
from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, make_response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from sync_service.access.admission import NotAdmitted
from sync_service.access.cipher import TextCipher
from sync_service.access.sign_on.attempts import (
    ATTEMPT_MS,
    AnswerInvalid,
    Provider,
    ProviderAway,
    SetUpWrong,
    SignOnAttempt,
    SignOnFailed,
    begin_attempt,
    read_attempt,
)
from sync_service.access.throttle import Throttle, counter_name
from sync_service.errors import SyncServiceError
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.telemetry.log import logger
from sync_service.web.page_parts import PageGuard
from sync_service.web.senders import Senders

COOKIE = "sync_sign_on"
#: Sign-ons from one address that may fail at the provider within WINDOW_MS; whole offices share one.
LIMIT, WINDOW_MS = 30, 300_000
#: Sign-ons of one process that may ask the provider at the same time, and how long one waits for its turn, in seconds.
_SEATS, _SEAT_SECONDS = 2, 1.0
#: A longer address, in bytes, would not fit into a cookie; the overview will do.
_LONGEST_WANTED = 1000
_STRAY = (
    "This sign-on did not begin in this browser, or too long ago. Please sign in again, from the address of these "
    "pages that you were given."
)


#: Logs in whom these proved claims are about, if they may, and leads to the page; raises NotAdmitted.
LetIn = Callable[[Mapping[str, Any], str], AnyResponse]


class SignOn:
    """`sign-on` in the guard's folder, and the address that the provider sends people back to."""

    def __init__(
        self, settings: Settings, database: Database, guard: PageGuard, provider: Provider, let_in: LetIn
    ) -> None:
        self._database, self._guard, self._provider, self._admit = database, guard, provider, let_in
        self._name = guard.folder.strip("/")
        self._seal = TextCipher(settings.secret_keys, f"{self._name} sign-on", longest=4000)
        self._senders = Senders((), settings.trusted_proxies)
        self._key = settings.secret_key
        self._throttle = Throttle(database, limit=LIMIT, window_ms=WINDOW_MS)
        self._seats = threading.BoundedSemaphore(_SEATS)

    def attach(self, blueprint: Blueprint) -> None:
        """Add both addresses."""
        blueprint.add_url_rule("/sign-on", "sign_on", self._leave)
        blueprint.add_url_rule("/sign-on/back", "signed_on", self._come_back)

    def _leave(self) -> AnyResponse:
        wanted = self._guard.next_page(request.args.get("next"))
        attempt = begin_attempt(
            wanted if len(wanted.encode()) <= _LONGEST_WANTED else self._guard.next_page(None), self._now()
        )
        try:
            answer = redirect(self._provider.make_address(attempt), 303)
        except SignOnFailed as error:
            return self._say(error)
        self._guard.set_cookie(answer, COOKIE, self._seal.encrypt(attempt.to_text()), seconds=ATTEMPT_MS // 1000)
        return answer

    def _come_back(self) -> AnyResponse:
        now = self._now()
        attempt = read_attempt(self._seal.decrypt(request.cookies.get(COOKIE, "")), now)
        given = request.args.get("state", "")
        if attempt is None or not hmac.compare_digest(attempt.state.encode(), given.encode("utf-8", "replace")):
            logger().warning("sign_on_refused", reason="stray")
            return self._show(403, _STRAY)
        place = self._senders.find_place(request)
        counter = counter_name("sign-on", self._key, place) if place is not None else None
        seconds = self._throttle.seconds_left(counter) if counter is not None else None
        if seconds is not None:
            answer = self._show(429, "Too many sign-ons failed from where you are. Please try again in a few minutes.")
            answer.headers["Retry-After"] = str(seconds)
            return answer
        if not self._seats.acquire(timeout=_SEAT_SECONDS):
            return self._show(503, "Many people are signing in just now. Please sign in again.")
        try:
            answer = self._let_in(attempt, now)
        except (ProviderAway, SetUpWrong) as error:
            answer = self._say(error)
        except SyncServiceError as error:
            if counter is not None:
                self._throttle.count_failure(counter)
            answer = self._say(error)
        finally:
            self._seats.release()
        answer.delete_cookie(COOKIE, path=self._guard.folder)  # a sign-on is tried once
        return answer

    def _let_in(self, attempt: SignOnAttempt, now: int) -> AnyResponse:
        given = request.args.to_dict()
        if given.get("error") == "access_denied":
            raise NotAdmitted("The identity provider did not let you in, or you cancelled.")
        if given.get("error"):
            raise AnswerInvalid(f"redirect: {given['error'][:60]!r}")
        return self._admit(self._provider.identify(attempt, given, now / 1000), attempt.wanted)

    def _say(self, error: SyncServiceError) -> AnyResponse:
        place = self._senders.find_place(request)
        logger().warning("sign_on_refused", reason=error.code, detail=getattr(error, "detail", None), sender=place)
        return self._show(503 if isinstance(error, ProviderAway | SetUpWrong) else 403, str(error))

    def _now(self) -> int:
        with self._database.reading() as session:
            return session.now()

    def _show(self, status: int, text: str) -> AnyResponse:
        return make_response(render_template(f"{self._name}/sign_on.html", text=text), status)
