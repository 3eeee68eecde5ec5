"""Idempotency keys: what a repeated request gets instead of being done again.

Sources: "Idempotent requests" and "Error handling" of Zuora's developer guides. Results are kept for a day whether they
are good or bad. The two guides differ in what a repetition gets, the same answer or 409 with it: `replays_as_conflict`
chooses. They do not say what the body of a refused repetition is: here it has no code. A request that was never done (a
wrong token, above a limit) leaves no result.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from zuora_emulator import messages
from zuora_emulator.messages import Answer, Request

_KEPT = timedelta(hours=24)
_LONGEST = 255
_WITH_KEYS = ("POST", "PATCH")


@dataclass(slots=True)
class _Kept:
    """What a key stands for; without an answer while the request is being done."""

    method: str
    path: str
    body: bytes
    at: datetime
    answer: Answer | None = None


class Keys:
    """The keys of a tenant."""

    def __init__(self) -> None:
        self.replays_as_conflict = False
        self._lock = Lock()
        self._kept: dict[str, _Kept] = {}

    def begin(self, request: Request, now: datetime) -> Answer | None:
        """What the request gets without being done; None where it is to be done, and then `finish` must follow."""
        key = request.headers.get("idempotency-key")
        if key is None or request.method == "GET":
            return None
        if request.method not in _WITH_KEYS:
            message = f"Request method '{request.method}' not supported with Idempotency-Key header"
            return messages.refusal(50000020, message)
        if not 0 < len(key) <= _LONGEST:
            return messages.refusal(50000020, f"Idempotency-Key has at most {_LONGEST} characters")
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or now - kept.at >= _KEPT:
                self._kept[key] = _Kept(request.method, request.path, request.body, now)
                return None
        if (kept.method, kept.path, kept.body) != (request.method, request.path, request.body):
            return Answer(422, {"message": "The Idempotency-Key was used for another request."})
        if kept.answer is None:
            return Answer(409, {"message": "A request with this Idempotency-Key is still being processed."})
        status = 409 if self.replays_as_conflict else kept.answer.status
        return Answer(status, kept.answer.encode(), content_type=kept.answer.content_type)

    def finish(self, request: Request, answer: Answer | None) -> None:
        """Keep the answer of a request that was done; None forgets the key."""
        key = request.headers.get("idempotency-key")
        with self._lock:
            kept = self._kept.get(key or "")
            if kept is None or request.method not in _WITH_KEYS:
                return
            if answer is None:
                del self._kept[key or ""]
            else:
                kept.answer = Answer(answer.status, answer.encode(), content_type=answer.content_type)

    def listed(self) -> dict[str, str]:
        """Every key and what became of it."""
        with self._lock:
            return {
                key: "running" if kept.answer is None else str(kept.answer.status) for key, kept in self._kept.items()
            }
