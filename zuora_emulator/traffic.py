"""Who calls what, how much at once, and where Zuora says stop.

Source: "Rate and concurrency limits" of Zuora's developer guides. The default class has 40 requests at a time, Object
Query 80, orders 200; token requests count in none.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from threading import Lock
from typing import Any

_WINDOWS = (("minute", 60), ("hour", 3600), ("day", 86_400))


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the tenant allows; the defaults are those of production."""

    minute: int = 50_000
    hour: int = 2_250_000
    day: int = 27_000_000
    concurrency: int = 40
    object_query_concurrency: int = 80
    high_volume_concurrency: int = 200
    #: Token requests in a minute from one address.
    tokens: int = 100
    #: What Retry-After says above the concurrency.
    retry_after: int = 120

    def of(self, kind: str) -> int:
        """The most requests of a class at a time."""
        match kind:
            case "Object Query":
                return self.object_query_concurrency
            case "High-volume transactions":
                return self.high_volume_concurrency
        return self.concurrency


@dataclass(frozen=True)
class Excess:
    """Why a request is not served: the window that is full, or None where too many run at once."""

    window: str | None
    retry_after: int


class Traffic:
    """Counts requests; `enter` before each, `leave` after it."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._lock = Lock()
        self._windows: dict[str, tuple[int, int]] = {}
        self._tokens = (0, 0)
        self._running: Counter[str] = Counter()
        self._most: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()
        self._statuses: Counter[int] = Counter()

    def enter(self, kind: str) -> Excess | None:
        """Count a request of a class; what it returns was not let in."""
        now = int(time.monotonic())
        with self._lock:
            for window, seconds in _WINDOWS:
                begun, count = self._windows.get(window, (0, 0))
                if begun != now // seconds:
                    begun, count = now // seconds, 0
                self._windows[window] = (begun, count + 1)
                if count >= getattr(self.limits, window):
                    return Excess(window, seconds - now % seconds)
            most = self.limits.of(kind)
            if self._running[kind] >= most:
                return Excess(None, self.limits.retry_after)
            self._running[kind] += 1
            self._most[kind] = max(self._most[kind], self._running[kind])
        return None

    def leave(self, kind: str) -> None:
        """The request that entered is served."""
        with self._lock:
            self._running[kind] -= 1

    def allow_token(self) -> bool:
        """Whether another token may be asked for in this minute."""
        minute = int(time.monotonic()) // 60
        with self._lock:
            begun, count = self._tokens
            self._tokens = (minute, count + 1 if begun == minute else 1)
            return self._tokens[1] <= self.limits.tokens

    def count(self, route: str, status: int) -> None:
        """Note that a request was answered."""
        with self._lock:
            self._calls[route] += 1
            self._statuses[status] += 1

    def headers(self, kind: str) -> dict[str, str]:
        """What every answer says of the limits."""
        limits = self.limits
        most = limits.of(kind)
        now = int(time.monotonic())
        count = self._windows.get("minute", (0, 0))[1]
        windows = ", ".join(f"{getattr(limits, name)};w={seconds}" for name, seconds in _WINDOWS)
        return {
            "RateLimit-Limit": f"{limits.minute}, {windows}",
            "RateLimit-Remaining": str(max(0, limits.minute - count)),
            "RateLimit-Reset": str(60 - now % 60),
            "Concurrency-Limit-Type": kind,
            "Concurrency-Limit-Limit": str(most),
            "Concurrency-Limit-Remaining": str(max(0, most - self._running[kind])),
        }

    def listed(self) -> Mapping[str, Any]:
        """All counts since the start or the last `reset`."""
        with self._lock:
            return {
                "calls": dict(sorted(self._calls.items())),
                "total": sum(self._calls.values()),
                "statuses": {str(status): count for status, count in sorted(self._statuses.items())},
                "running": dict(self._running),
                "most_at_once": dict(self._most),
                "limits": asdict(self.limits),
            }

    def reset(self) -> None:
        """Begin counting anew, the windows of the limits as well."""
        with self._lock:
            for counts in (self._calls, self._statuses, self._most, self._windows):
                counts.clear()
