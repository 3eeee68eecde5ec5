"""The OAuth token that all threads share: fetched once, renewed early, thrown away when Zuora refuses it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from threading import Lock

from sync_service.errors import RateLimited, TokenRefused, ZuoraUnavailable
from sync_service.zuora.envelopes import read_json, read_retry_after
from sync_service.zuora.transport import AnswerCut, Deadline, RawAnswer

#: Seconds before its end from which a token is not used any more (Zuora's own sample does the same).
_EARLY_SECONDS = 300.0
#: What a token without `expires_in` is trusted for.
_UNSAID_SECONDS = 600.0


@dataclass(frozen=True)
class Token:
    """A bearer token; `scope` names the tenant as `tenant.N`."""

    value: str
    scope: str
    #: The monotonic time from which it is not used any more.
    until: float

    def __repr__(self) -> str:
        return "Token(…)"

    @property
    def tenant(self) -> str | None:
        """The scope's `tenant.N`."""
        return next((word for word in self.scope.split() if word.startswith("tenant.")), None)


class TokenKeeper:
    """Keeps the token for all threads of a process.

    `ask` sends the token request ("Create an OAuth token") within a deadline and gives the answer. `accept` may raise
    for a token that is not to be used, which is then not kept.
    """

    def __init__(
        self,
        ask: Callable[[Deadline], RawAnswer],
        clock: Callable[[], float] = time.monotonic,
        *,
        accept: Callable[[Token], None] = lambda _: None,
    ) -> None:
        self._ask = ask
        self._accept = accept
        self._clock = clock
        self._lock = Lock()
        self._token: Token | None = None

    def get(self, deadline: Deadline) -> Token:
        """A token that is good for minutes; one thread fetches it while the others wait within their deadlines.

        Raises TokenRefused, RateLimited, ZuoraUnavailable and what `accept` raises. A failure is not kept: the next one
        asks again.
        """
        token = self._token
        if token is not None and self._clock() < token.until:
            return token
        if not self._lock.acquire(timeout=deadline.left()):
            raise ZuoraUnavailable("Zuora's token did not come in time.")
        try:
            token = self._token
            if token is None or self._clock() >= token.until:
                token = self._token = self._fetch(deadline)
            return token
        finally:
            self._lock.release()

    def drop(self, refused: Token) -> None:
        """Forget a token that Zuora refused, unless another thread has already replaced it."""
        with self._lock:
            if self._token is refused:
                self._token = None

    def _fetch(self, deadline: Deadline) -> Token:
        try:
            answer = self._ask(deadline)
        except AnswerCut:
            answer = self._ask(deadline)
        content = read_json(answer.body)
        value = content.get("access_token") if isinstance(content, dict) else None
        if (
            answer.status == 200
            and isinstance(value, str)
            and value.isascii()
            and value.isprintable()
            and value.strip()
        ):
            token = Token(value, str(content.get("scope") or ""), self._clock() + _usable(content.get("expires_in")))
            self._accept(token)
            return token
        raise _refusal(answer, content)


def _usable(expires_in: object) -> float:
    """The seconds for which a token is used: early before its end, and at least half of a short one's life."""
    if isinstance(expires_in, str) and expires_in.isdecimal():
        expires_in = int(expires_in)
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | Decimal):
        return _UNSAID_SECONDS
    seconds = float(expires_in)
    return max(seconds - _EARLY_SECONDS, seconds / 2)


def _refusal(answer: RawAnswer, content: object) -> TokenRefused | RateLimited | ZuoraUnavailable:
    """What an answer without a token means. Its text is not repeated: nothing documents that it holds no secret."""
    said_no = isinstance(content, dict) and content.get("success") is False
    if answer.status == 429:
        return RateLimited(
            "Zuora gives no token: too many were asked for.", retry_after=read_retry_after(answer.headers)
        )
    if said_no or (400 <= answer.status < 500 and answer.status != 408):
        return TokenRefused(
            f"Zuora refused our OAuth client (HTTP {answer.status}): "
            "check ZUORA_CLIENT_ID, ZUORA_CLIENT_SECRET and ZUORA_BASE_URL."
        )
    return ZuoraUnavailable(f"Zuora gives no token (HTTP {answer.status}).")
