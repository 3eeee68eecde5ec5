"""A process's connections to its database: opened when needed, at most so many, and kept for the next who needs one.

The one that was used last is used first. A general pool's bookkeeping costs as much as a short statement.
"""

from __future__ import annotations

import select
import time
from contextlib import suppress
from threading import BoundedSemaphore
from typing import Any

from sqlalchemy import Engine, PoolProxiedConnection, event
from sqlalchemy.exc import TimeoutError as NoConnection

from sync_service.store.transactions import is_idle

#: A PostgreSQL connection that rested longer is asked whether it still lives before it is used, in seconds.
_TRUSTED_SECONDS = 1.0
#: One that was opened so long ago is replaced by a new one, so that a server's memory for it does not grow for ever.
_OLD_SECONDS = 1800.0
#: How long a thread waits for a connection where all are in use, in seconds.
_PATIENCE_SECONDS = 30.0


class DriverConnections:
    """At most `most` connections of `engine`, which pools none itself; disposing of the engine closes those at rest."""

    def __init__(self, engine: Engine, most: int) -> None:
        self.most = most
        self._engine = engine
        self._is_postgresql = engine.dialect.name == "postgresql"
        self._seats = BoundedSemaphore(most)
        #: When each was opened, by the monotonic clock.
        self._opened: dict[PoolProxiedConnection, float] = {}
        #: Those at rest and since when, the latest last.
        self._resting: list[tuple[PoolProxiedConnection, float]] = []
        event.listen(engine, "engine_disposed", self._close_resting)

    @property
    def in_use(self) -> int:
        """How many are taken just now."""
        return max(0, len(self._opened) - len(self._resting))

    def take(self) -> PoolProxiedConnection:
        """One outside of any transaction, for `give_back`.

        Raises the driver's error where none can be opened, and sqlalchemy's TimeoutError where all stay in use.
        """
        if not self._seats.acquire(timeout=_PATIENCE_SECONDS):
            raise NoConnection(f"all {self.most} connections to the database are in use")
        try:
            while self._resting:
                with suppress(IndexError):  # another thread took the last one
                    pooled, since = self._resting.pop()
                    if self._is_usable(pooled, since):
                        return pooled
                    self._close(pooled)
            pooled = self._engine.raw_connection()
            self._opened[pooled] = time.monotonic()
            return pooled
        except BaseException:
            self._seats.release()
            raise

    def give_back(self, pooled: PoolProxiedConnection) -> None:
        """Keep it for the next; one that died, or is in the middle of something, is closed."""
        driver = pooled.driver_connection
        if driver is not None and is_idle(driver):
            self._resting.append((pooled, time.monotonic()))
        else:
            self._close(pooled)
        self._seats.release()

    def _is_usable(self, pooled: PoolProxiedConnection, since: float) -> bool:
        """Whether its server still knows it. Asking every time is one round trip more."""
        if not self._is_postgresql:
            return True
        now = time.monotonic()
        if now - self._opened[pooled] > _OLD_SECONDS:
            return False
        connection: Any = pooled.driver_connection
        waking = select.poll()
        waking.register(connection.fileno(), select.POLLIN)
        # A connection at rest has nothing to read but that its server hung up.
        if not waking.poll(0) and now - since < _TRUSTED_SECONDS:
            return True
        try:
            connection.execute("SELECT 1")
        except self._engine.dialect.loaded_dbapi.Error:
            return False
        return True

    def _close(self, pooled: PoolProxiedConnection) -> None:
        self._opened.pop(pooled, None)
        if pooled.is_valid:  # sqlalchemy lets go of one that it found dead
            pooled.invalidate()

    def _close_resting(self, _: Engine) -> None:
        while self._resting:
            with suppress(IndexError):
                self._close(self._resting.pop()[0])
