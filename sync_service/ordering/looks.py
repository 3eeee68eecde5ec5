"""What was only asked of Zuora for an order: kept without the answers, for people who look into it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from sync_service.errors import SyncServiceError
from sync_service.store.tables import OrderWorkRow

#: The latest of an order that are kept.
MOST_KEPT = 50


@dataclass(kw_only=True)
class OrderRead:
    """One call that changes nothing; `at` is the database's clock in ms."""

    at: int
    path: str
    ms: int = 0
    #: `answered`, or the code of the error.
    status: str = "answered"


@dataclass
class Looks:
    """The calls of one turn, which began at `began` by the database's clock, in ms."""

    began: int
    made: list[OrderRead] = field(default_factory=list)
    _started: float = field(default_factory=time.monotonic)

    @contextmanager
    def look(self, path: str) -> Iterator[OrderRead]:
        """Around the call."""
        look = OrderRead(at=self.began + self._elapsed(), path=path)
        self.made.append(look)
        try:
            yield look
        except SyncServiceError as error:
            look.status = error.code
            raise
        finally:
            look.ms = self.began + self._elapsed() - look.at

    def keep(self, work: OrderWorkRow) -> None:
        """Put them into the order's row, which the caller's transaction holds."""
        work.looks = [*work.looks, *map(asdict, self.made)][-MOST_KEPT:]
        self.made.clear()

    def _elapsed(self) -> int:
        return int((time.monotonic() - self._started) * 1000)


def look_as_callout(look: dict[str, Any], at: str) -> dict[str, Any]:
    """As Limio's process event lists a call."""
    return {
        "at": at,
        "step": "read",
        "method": "GET",
        "endpoint": look["path"],
        "ms": look["ms"],
        "sends": 1,
        "status": look["status"],
        "request": None,
        "response": None,
        "error": None,
    }
