"""Counting failed log-ins over all hosts, in SQL.

The count slows down who guesses: above the limit nothing more is recorded and the answer says when to come back. It is
asked only after credentials have proved wrong, so the right ones always pass.
"""

from __future__ import annotations

import hashlib
import hmac
import time

from sync_service.store.engine import Database
from sync_service.store.tables import ThrottleRow

#: Failures in one window that are still answered and recorded in full.
LIMIT = 30
WINDOW_MS = 60_000

_COUNT = """
INSERT INTO throttle (name, window_began, failures) VALUES (:name, {now}, :n)
ON CONFLICT (name) DO UPDATE SET
  failures = excluded.failures + CASE
    WHEN throttle.window_began <= excluded.window_began - :window THEN 0 ELSE throttle.failures END,
  window_began = CASE WHEN throttle.window_began <= excluded.window_began - :window THEN excluded.window_began
                      ELSE throttle.window_began END
RETURNING failures, window_began + :window - {now} AS remaining
"""


#: Names that one kind of counter has at the most: each is a row.
_COUNTERS = 65_536


def counter_name(kind: str, secret_key: str, *of: str) -> str:
    """The name under which failures of `of` are counted: one of few, which cannot be found without the key."""
    digest = hmac.digest(secret_key.encode(), "\0".join((kind, *of)).encode("utf-8", "replace"), hashlib.sha256)
    return f"{kind} {int.from_bytes(digest[:8]) % _COUNTERS}"


class Throttle:
    """The counter, and this process's memory of who is over the limit."""

    def __init__(self, database: Database, *, limit: int = LIMIT, window_ms: int = WINDOW_MS) -> None:
        self._database = database
        self._limit = limit
        self._window_ms = window_ms
        self._over_until: dict[str, float] = {}

    def seconds_left(self, name: str) -> int | None:
        """For how long `name` is over the limit, in seconds; None where it is not. Writes nothing.

        For people's log-ins, where passwords can be guessed: asked before the password is looked at.
        """
        with self._database.reading() as session:
            row, now = session.get(ThrottleRow, name), session.now()
        if row is None or row.failures <= self._limit or row.window_began <= now - self._window_ms:
            return None
        return max(1, round((row.window_began + self._window_ms - now) / 1000))

    def count_failure(self, name: str) -> int | None:
        """Count one failure of `name`: None below the limit, above it the seconds until the window ends.

        `name` must come from a short list, never from the sender: each is a row. Over the limit a process writes
        nothing until the window has ended.
        """
        over = self._over_until.get(name, 0.0) - time.monotonic()
        if over > 0:
            return max(1, round(over))
        failures, remaining = self.count(name)
        if failures <= self._limit:
            return None
        self._over_until[name] = time.monotonic() + remaining / 1000
        return max(1, round(remaining / 1000))

    def count(self, name: str, n: int = 1) -> tuple[int, int]:
        """Count `n` more of `name`: how many there are in the window that runs, and the ms until it ends."""
        with self._database.transaction(lock_timeout_ms=2000) as session:
            values = {"name": name, "window": self._window_ms, "n": n}
            counted, remaining = session.run(_COUNT, values).one()
        return int(counted), int(remaining)
