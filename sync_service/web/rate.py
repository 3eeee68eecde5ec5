"""How often an API client may ask: one count for each client, a minute at a time, over all processes and hosts.

Each process takes a portion of the count from the database and serves so many requests without asking again: what it
took and did not serve when the minute ends is lost to the others. Callouts are never counted: Zuora retries few of its
refusals, and what it sends is cheap to take.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from threading import Lock

from flask import Response, after_this_request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import TooManyRequests

from sync_service.access.throttle import Throttle
from sync_service.store.engine import Database

#: Requests of one client in a minute: a hundred a second, which no client needs that works as it should. A shop that
#: sends its orders of a whole day at once stays below.
MAX_A_MINUTE = 6_000
_MINUTE_MS = 60_000
#: A process takes this part of a client's minute at once.
_PORTION = 1 / 60


@dataclass
class _Portion:
    """What a process may still serve of a client's minute."""

    left: int
    #: All that the processes had taken of the minute, this portion too.
    taken: int
    #: When the minute ends (monotonic).
    until: float


class Rate:
    """What this process took of the minute that runs, for each client."""

    def __init__(self, database: Database, most: int = MAX_A_MINUTE) -> None:
        self._most = most
        self._at_once = max(1, int(most * _PORTION))
        self._throttle = Throttle(database, limit=most, window_ms=_MINUTE_MS)
        self._counting = Lock()
        self._portions: dict[str, _Portion] = {}

    def count(self, client_id: str) -> None:
        """One more request, told of in the answer's headers. Raises TooManyRequests, with when to come back."""
        with self._counting:
            portion = self._portions.get(client_id)
            is_over = portion is None or time.monotonic() >= portion.until
            if portion is None or is_over or (not portion.left and portion.taken < self._most):
                portion = self._portions[client_id] = self._take(client_id)
            is_left = portion.left > 0
            portion.left -= is_left
            remaining = self._most - portion.taken + portion.left
        seconds = max(1, math.ceil(portion.until - time.monotonic()))
        said = {
            "RateLimit-Limit": str(self._most),
            "RateLimit-Remaining": str(max(0, remaining)),
            "RateLimit-Reset": str(seconds),
        }

        @after_this_request
        def tell(response: Response) -> Response:
            response.headers.update(said)
            return response

        if not is_left:
            text = f"More than {self._most} requests in a minute. Please wait."
            raise TooManyRequests(text, retry_after=seconds)

    def _take(self, client_id: str) -> _Portion:
        try:
            taken, remaining_ms = self._throttle.count(f"rate {client_id}", self._at_once)
        except (SQLAlchemyError, TimeoutError):  # the request has the same trouble, and says so
            taken, remaining_ms = self._at_once, 0
        left = max(0, self._at_once - max(0, taken - self._most))
        return _Portion(left, min(taken, self._most), time.monotonic() + remaining_ms / 1000)
