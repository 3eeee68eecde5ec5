"""Whether a captcha's token is a person's: asked of the service that gave it out.

reCAPTCHA, hCaptcha and Turnstile call it `siteverify`: all three take `secret`, `response` and `remoteip` as a form,
and answer `success`, `score` where there is one, and `error-codes`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from threading import BoundedSemaphore
from typing import Any

from sync_service.errors import SyncServiceError
from sync_service.settings import Settings
from sync_service.telemetry.log import logger
from sync_service.zuora.transport import Deadline, Transport

#: For one answer.
_SECONDS = 4.0
#: Threads of one web process that may wait for the service at the same time.
_WAITING = 4
_LARGEST_BODY = 64 * 1024
#: Where the service gives scores, from 0 for a robot to 1, less is none of a person (reCAPTCHA v3's own threshold).
_LEAST_SCORE = 0.5


class CaptchaVerifier:
    """Asks the service. For many threads."""

    def __init__(self, settings: Settings) -> None:
        self._secret = settings.captcha_secret
        self._place = settings.captcha_verify_url
        self._transport = Transport(_WAITING, {"Accept": "application/json"})
        self._turns = BoundedSemaphore(_WAITING)

    def verify(self, token: str, address: str) -> bool | None:
        """Whether the token is a person's at `address`; None where the service does not say."""
        said = self._ask(token, address)
        if said is None or "invalid-input-secret" in _codes(said):
            logger().error("captcha_unverified", reason="away" if said is None else "CAPTCHA_SECRET is wrong")
            return None
        score = said.get("score")
        return said.get("success") is True and (not isinstance(score, int | float) or score >= _LEAST_SCORE)

    def look(self) -> str | None:
        """What is wrong with the service or the secret, as far as a token that is none can tell; None: nothing."""
        said = self._ask("none", "")
        if said is None:
            return f"{self._place} does not answer."
        return "CAPTCHA_SECRET is refused." if "invalid-input-secret" in _codes(said) else None

    def _ask(self, token: str, address: str) -> Mapping[str, Any] | None:
        if not self._turns.acquire(blocking=False):
            return None
        form = {"secret": self._secret, "response": token, **({"remoteip": address} if address else {})}
        try:
            told = self._transport.send("POST", self._place, Deadline(_SECONDS), form=form)
            said = json.loads(told.body) if told.status == 200 and len(told.body) <= _LARGEST_BODY else None
        except (SyncServiceError, ValueError, RecursionError):
            return None
        finally:
            self._turns.release()
        return said if isinstance(said, dict) else None


def _codes(said: Mapping[str, Any]) -> list[Any]:
    codes = said.get("error-codes")
    return codes if isinstance(codes, list) else []
