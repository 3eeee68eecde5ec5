"""Counting what happened, minute by minute once it is over, so that no chart reads the history."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from sync_service.queue.figures import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    add_up,
    count_minutes,
    first_run_since,
    forget_figures,
    read_figures,
    write_figures,
)
from sync_service.queue.jobs import JobLease
from sync_service.settings import Settings
from sync_service.store.engine import Database

#: A run may be committed so long after the moment that it ended at.
SETTLED_MS = 2 * MINUTE_MS
#: A history from before there were figures is counted from here on.
LOOK_BACK_MS = 31 * DAY_MS
#: After this much work it goes on at its next turn, in seconds.
_ENOUGH_SECONDS = 20.0


def count_figures(database: Database, _: Settings, lease: JobLease) -> Mapping[str, Any]:
    """Count every minute that is over and not counted yet, an hour of them in one transaction."""
    began = time.monotonic()
    with database.transaction() as session:
        now = session.now()
        forget_figures(session, now)
        counted = lease.progress.get("counted_to")
        first = counted if isinstance(counted, int) else first_run_since(session, now - LOOK_BACK_MS)
    since, until = _minute(now if first is None else first), _minute(now - SETTLED_MS)
    while since < until and time.monotonic() - began < _ENOUGH_SECONDS:
        end = min(until, _hour(since) + HOUR_MS)
        with database.transaction() as session:
            write_figures(session, "minute", since, end, count_minutes(session, since, end))
            hour = add_up(read_figures(session, "minute", _hour(since), end), HOUR_MS)
            write_figures(session, "hour", _hour(since), _hour(since) + HOUR_MS, hour)
        since = end
    return {"counted_to": since}


def _minute(at: int) -> int:
    return at // MINUTE_MS * MINUTE_MS


def _hour(at: int) -> int:
    return at // HOUR_MS * HOUR_MS
