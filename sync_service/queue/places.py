"""The places of one worker process among those that may call Zuora at the same time.

One row says how many it has, and counts in the stead of its runs' leases. So a place whose run has made its last call
goes to the next run of the same process at once, without a word to the database.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from dataclasses import dataclass, field

from sync_service.store.engine import Database, Session

#: A process that has not renewed its places for so long has none: it died, or stood still.
PLACES_MS = 10_000
_RENEW_SECONDS = PLACES_MS / 3 / 1000
#: What begins within so many seconds is claimed ahead, at the pace of so many runs that ended last.
_SOON_SECONDS, _PACE_OF = 0.1, 32

_KEEP = "UPDATE zuora_lease SET calls = :calls, lease_until = :now + :lease WHERE story = :name"
_TAKE = "INSERT INTO zuora_lease (story, lease_until, calls, ordering) VALUES (:name, :now + :lease, :calls, FALSE)"
_GIVE_BACK = "DELETE FROM zuora_lease WHERE story = :name"


@dataclass
class Places:
    """How many of a process' runs may call Zuora, as its row says."""

    #: Of its row. SQLite gives a number that was deleted to the next row.
    name: str = field(default_factory=lambda: f"worker {secrets.token_hex(8)}")
    granted: int = 0
    #: Of these how many go to no other run, because a story or another process waits for a place.
    yielded: int = 0
    #: Whether the next free place is to be ours, because we had none while others had them all.
    wishes: bool = False
    #: Whether the tenant was in no trouble at the last claim; else nothing is begun that was claimed before.
    is_open: bool = True
    _kept_at: float = field(default_factory=time.monotonic)

    @property
    def are_due(self) -> bool:
        """Whether the row has to be written although nothing changes, or another process gets the places."""
        return self.granted > 0 and time.monotonic() - self._kept_at > _RENEW_SECONDS

    @property
    def have_expired(self) -> bool:
        """Whether others may have the places by now."""
        return (time.monotonic() - self._kept_at) * 1000 > PLACES_MS

    def keep(self, session: Session, granted: int, now: int) -> None:
        """Write how many there are from `now` (ms, the database's clock) on; the limit must be locked."""
        if granted != self.granted or self.are_due:
            values = {"name": self.name, "calls": granted, "now": now, "lease": PLACES_MS}
            began = time.monotonic()
            if not session.run(_KEEP, values).rowcount:
                session.run(_TAKE, values)
            self.granted, self._kept_at = granted, began

    def give_back(self, database: Database) -> None:
        """The process calls no more."""
        with database.transaction() as session:
            session.run(_GIVE_BACK, {"name": self.name})


class Throughput:
    """How fast the runs of a process have ended of late; times are monotonic seconds."""

    def __init__(self) -> None:
        self._ends: deque[float] = deque(maxlen=_PACE_OF)

    def note_end(self, at: float) -> None:
        """A run has ended."""
        self._ends.append(at)

    def begin_soon(self, now: float) -> int:
        """How many runs begin within _SOON_SECONDS from `now`, if they go on ending like this; 0 before it is known."""
        if len(self._ends) < _PACE_OF or now <= self._ends[0]:
            return 0
        return int(_PACE_OF * _SOON_SECONDS / (now - self._ends[0]))


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a worker process has in hand when it claims."""

    places: Places
    #: Runs that may call Zuora.
    calling: int
    #: Claims that have not begun.
    waiting: int
    #: How many runs begin within the next moment, at the pace of late.
    begin_soon: int = 0

    @property
    def room_ahead(self) -> int:
        """How many more may wait for a place of the process: what begins soon, and half as many as call in any case.

        So none waits for long in one process while another has nothing to do, and fast runs share a claim.
        """
        return max((self.calling + 1) // 2, self.begin_soon) - self.waiting

    @property
    def is_settled(self) -> bool:
        """Whether the row says how many call, and for long enough."""
        return not self.waiting and self.places.granted == self.calling and not self.places.are_due
