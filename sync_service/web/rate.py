"""How often an API client may ask: counted for each client in each web process, a minute at a time.

Callouts are never counted: Zuora retries few of its refusals, and what it sends is cheap to take.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from threading import Lock

from flask import Flask, Response, g
from werkzeug.exceptions import TooManyRequests

#: Requests of one client in a minute, of each web process: a hundred a second, which no client needs that works as it
#: should. A shop that sends its orders of a whole day at once stays below.
MOST_A_MINUTE = 6_000
_MINUTE = 60


class Rate:
    """The counts of the minute that runs."""

    def __init__(self, most: int = MOST_A_MINUTE, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._counting = Lock()
        self._minute = 0
        self._counts: Counter[str] = Counter()

    def count(self, client_id: str) -> None:
        """One more request, told of in the answer's headers. Raises TooManyRequests, with when to come back."""
        now = self._clock()
        with self._counting:
            minute = int(now // _MINUTE)
            if minute != self._minute:
                self._minute, self._counts = minute, Counter()
            self._counts[client_id] += 1
            asked = self._counts[client_id]
        seconds = max(1, math.ceil((minute + 1) * _MINUTE - now))
        g.rate = {
            "RateLimit-Limit": str(self._most),
            "RateLimit-Remaining": str(max(0, self._most - asked)),
            "RateLimit-Reset": str(seconds),
        }
        if asked > self._most:
            text = f"More than {self._most} requests in a minute. Please wait."
            raise TooManyRequests(text, retry_after=seconds)


def tell_rates(app: Flask) -> None:
    """Put what is left into the answers to API clients."""

    @app.after_request
    def tell(response: Response) -> Response:
        response.headers.update(g.get("rate", {}))
        return response
