"""A place among those that call Zuora, for a story that calls outside a sync: it counts with the live leases."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from sync_service.errors import BusyError, LeaseLost
from sync_service.queue.limit import WISH_MS, Limit, Share, is_room_for_orders, lock_limit
from sync_service.store.engine import Database, Session
from sync_service.store.tables import ZuoraLeaseRow

STORY_LEASE_MS = 120_000
#: How often a story that waits for its turn looks again, in seconds.
_LOOK_AGAIN = 0.2


class _Caller(Protocol):
    calls: int


_Calls = TypeVar("_Calls", bound=_Caller)


class StoryLease:
    """A story's place among those that call Zuora: kept with `renew`, its calls counted by `counting`."""

    def __init__(self, database: Database, share: Share, lease_id: int, lease_ms: int) -> None:
        self._callers: list[_Caller] = []
        self._reported = 0
        self._database, self._share, self._id, self._lease_ms = database, share, lease_id, lease_ms

    def counting(self, caller: _Calls) -> _Calls:
        """`caller`, such as a reading of Zuora, whose `calls` are this story's."""
        self._callers.append(caller)
        return caller

    def renew(self) -> None:
        """Keep the place for another lease and report the calls; raises LeaseLost when it was given away meanwhile."""
        with self._database.transaction() as session:
            limit = self._report(session)
            row = session.get(ZuoraLeaseRow, self._id)
            if row is None:
                raise LeaseLost
            row.lease_until = limit.now + self._lease_ms

    def leave(self) -> None:
        """Count the calls from now on as previews of orders, where there is room for one, and let others call."""
        with self._database.transaction() as session:
            self._report(session)
            row = session.get(ZuoraLeaseRow, self._id)
            if row is not None and is_room_for_orders(session, self._share):
                row.ordering = True

    def give_back(self) -> None:
        """Free the place and report the calls."""
        with self._database.transaction() as session:
            self._report(session)
            row = session.get(ZuoraLeaseRow, self._id)
            if row is not None:
                session.delete(row)

    def _report(self, session: Session) -> Limit:
        limit = lock_limit(session, self._share)
        calls = sum(caller.calls for caller in self._callers)
        limit.count_calls(calls - self._reported)
        self._reported = calls
        limit.keep(session)
        return limit


@contextmanager
def hold_story_lease(
    database: Database,
    story: str,
    share: Share,
    *,
    wait_seconds: float = 0.0,
    probe: bool = False,
    lease_ms: int = STORY_LEASE_MS,
) -> Iterator[StoryLease]:
    """A place for a story that calls Zuora outside a sync, counted with the live leases.

    Waits up to `wait_seconds` for one, then raises BusyError. `probe` ignores a pause and the limit: a person looks
    for what is wrong.
    """
    deadline = time.monotonic() + wait_seconds
    while (lease := take_story_lease(database, story, share, lease_ms=lease_ms, probe=probe)) is None:
        if time.monotonic() >= deadline:
            raise BusyError(
                "All calls to Zuora that we allow ourselves are in use, or Zuora is paused: try again soon."
            )
        time.sleep(_LOOK_AGAIN)
    try:
        yield lease
    finally:
        lease.give_back()


def take_story_lease(
    database: Database, story: str, share: Share, *, lease_ms: int = STORY_LEASE_MS, probe: bool = False
) -> StoryLease | None:
    """What `hold_story_lease` holds, to be given back in another thread; None if none is free now.

    The next place that becomes free is then left to a story, which has to look again within WISH_MS.
    """
    with database.transaction() as session:
        limit = lock_limit(session, share)
        may_call = probe or limit.room > 0
        limit.row.wished_until = None if may_call else limit.now + WISH_MS
        limit.keep(session)
        if not may_call:
            return None
        session.run("DELETE FROM zuora_lease WHERE lease_until <= {now}")
        row = ZuoraLeaseRow(story=story, lease_until=limit.now + lease_ms)
        session.add(row)
        session.flush()
        assert row.id is not None  # noqa: S101 - the database gave it
        return StoryLease(database, share, row.id, lease_ms)
