"""A claim while nothing is out of the ordinary, in one statement of PostgreSQL behind the lock of the limit.

A thread that asks the database waits for its turn among the threads that compute after each answer, and holds the limit
meanwhile. SQLite is asked in this process.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sync_service.queue import statements as sql
from sync_service.queue.limit import LOCK_LIMIT, UNTIL_REPORTED, Lease, Share, live_sql
from sync_service.store.engine import Database

_CLAIMED = (
    sql.claim_due("postgresql")
    .replace(":now", "(SELECT now FROM room)")
    .replace(":by_age", "(SELECT by_age FROM room)")
    .replace(":by_turn", "(SELECT places - by_age FROM room)")
    .replace(":lowest", "2")
)
# What `Limit` decides, for a limit that no trouble and no reserve of the day's calls narrows: else there is no `room`.
# xmax: locked by this transaction. A limit that another makes just now may come after the lock has found none.
_CLAIM = f"""
WITH room AS MATERIALIZED (
  SELECT now, places, (claims + places) / :turns - claims / :turns AS by_age
  FROM (
    SELECT counted.now, claims, GREATEST(0, LEAST(CAST(:free AS BIGINT), -counted.live + LEAST(permitted,
      CASE WHEN :most > 0 THEN :most ELSE GREATEST(1, COALESCE(reported * 3 / 4, {UNTIL_REPORTED})) END))) AS places
    FROM zuora_limit, ({{live}}) AS counted
    WHERE zuora_limit.xmax = CAST(pg_current_xact_id() AS xid)
      AND trouble = 0 AND COALESCE(open_until, 0) <= counted.now
      AND (CAST(:reserved_from AS BIGINT) IS NULL OR calls_today + :calls < :reserved_from)) AS found),
claimed AS ({_CLAIMED}),
kept AS (
  UPDATE zuora_limit SET
    claims = claims + (SELECT count(*) FROM claimed),
    calls_today = CASE WHEN :calls = 0 OR zuora_limit.day = today.day THEN calls_today ELSE 0 END + :calls,
    day = CASE WHEN :calls = 0 THEN zuora_limit.day ELSE today.day END
  FROM (SELECT CAST(to_timestamp(now / 1000) AT TIME ZONE 'UTC' AS DATE) AS day FROM room) AS today)
SELECT claimed.*, room.now FROM room LEFT JOIN claimed ON TRUE
"""  # noqa: S608 - constant SQL, no user input


def claim_plainly(
    database: Database, free_threads: int, share: Share, *, calls_made: int, ended: Sequence[Lease], lease_ms: int
) -> list[Any] | None:
    """The rows of what `requests.claim` claims; None where it has to look closer, and nothing was done."""
    if database.dialect == "sqlite":
        return None
    values = {
        "free": free_threads,
        "most": share.max_concurrency,
        "calls": calls_made,
        "reserved_from": share.reserved_from,
        "ended": json.dumps(ended),
        "lease": lease_ms,
        "turns": sql.TURNS,
    }
    statement = _CLAIM.replace("{live}", live_sql("postgresql", less_ended=bool(ended)))
    with database.transaction(first=LOCK_LIMIT) as session:
        found = session.run(statement, values).all()
    return [row for row in found if row.key is not None] if found else None
