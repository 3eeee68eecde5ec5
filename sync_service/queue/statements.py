"""The queue's statements, one text for both databases, each with its reason.

`{now}`, `{lock}` and friends are filled in by `Database.sql`; `{keys}` by those who run them.
"""

from __future__ import annotations

from sync_service.store.engine import Database

#: One key of the caller's.
ONE_KEY = "SELECT CAST(:key AS TEXT) AS key"
#: Many keys as one JSON array: one round trip whatever their number.
_MANY_KEYS = {
    "sqlite": "SELECT value AS key FROM json_each(:keys)",
    "postgresql": "SELECT value AS key FROM jsonb_array_elements_text(CAST(:keys AS JSONB))",
}


def for_many(statement: str, database: Database) -> str:
    """`statement` with its `{keys}` taken from the JSON array `:keys`."""
    return statement.replace("{keys}", _MANY_KEYS[database.dialect])


# Upsert, so that no request is lost to another that arrives at the same time; in key order, so that two bulk requests
# cannot deadlock. A bare +1 would leave a parked row asleep: due_at, attempts and class start afresh where nothing was
# due. A backoff stands unless a person asks, who never moves a row back in the line. excluded.* is this request.
_ENQUEUE = """
INSERT INTO sync_request (kind, key, requested_seq, priority, due_at, waiting_since, requested_at, "full")
SELECT {kind}, wanted.key, {times}, CAST(:priority AS SMALLINT), clock.at, clock.at, clock.at, {full}
FROM ({wanted}) AS wanted, (SELECT {now} AS at) AS clock
WHERE 1 = 1
ORDER BY wanted.key
ON CONFLICT (kind, key) DO UPDATE SET
  requested_seq = sync_request.requested_seq + excluded.requested_seq,
  requested_at  = excluded.requested_at,
  priority = CASE WHEN sync_request.due_at IS NULL OR excluded.priority < sync_request.priority
                  THEN excluded.priority ELSE sync_request.priority END,
  due_at   = CASE WHEN sync_request.due_at IS NULL OR (excluded.priority = 0 AND sync_request.due_at > excluded.due_at)
                  THEN excluded.due_at ELSE sync_request.due_at END,
  attempts = CASE WHEN sync_request.due_at IS NULL OR excluded.priority = 0 THEN 0 ELSE sync_request.attempts END,
  waiting_since = COALESCE(sync_request.waiting_since, excluded.waiting_since),
  "full"   = CASE WHEN excluded."full" > sync_request."full" THEN excluded."full" ELSE sync_request."full" END
RETURNING kind, key, requested_seq, requested_at
"""
ENQUEUE = (
    _ENQUEUE.replace("{kind}", "CAST(:kind AS TEXT)")
    .replace("{times}", "1")
    .replace("{full}", "CAST(:full AS SMALLINT)")
    .replace("{wanted}", "{keys}")
)
ENQUEUE_ONE = ENQUEUE.replace("{keys}", ONE_KEY)
#: For `{wanted}` keys that say beside them of which kind they are, how often they are wanted and whether all is read.
ENQUEUE_WANTED = (
    _ENQUEUE.replace("{kind}", "wanted.kind").replace("{times}", "wanted.times").replace("{full}", 'wanted."full"')
)

# Who asked, beside the upsert of the same transaction.
ADD_CAUSE = """
INSERT INTO sync_cause (kind, key, seq, trigger, actor, callout_id, found_as, trace, at)
VALUES (:kind, :key, :seq, :trigger, :actor, :callout_id, :found_as, :trace, :at)
"""

# The same for many: our upsert holds their row locks, so requested_seq is the one it gave.
ADD_CAUSES = """
INSERT INTO sync_cause (kind, key, seq, trigger, actor, callout_id, found_as, trace, at)
SELECT kind, key, requested_seq, CAST(:trigger AS TEXT), CAST(:actor AS TEXT), CAST(:callout_id AS BIGINT),
  CAST(:found_as AS TEXT), CAST(:trace AS TEXT), requested_at
FROM sync_request WHERE kind = :kind AND key IN ({keys})
"""

# Read without a lock before each claim: an idle or paused worker writes nothing and waits for no lock. The classes by
# name and the clock read once let both databases look at the first due row of each class, however many wait their time.
ANYTHING_DUE = """
SELECT 1 FROM sync_request
WHERE due_at IS NOT NULL AND priority IN (0, 1, 2) AND due_at <= (SELECT {now})
  AND (lease_until IS NULL OR lease_until <= (SELECT {now}))
  AND NOT EXISTS (SELECT 1 FROM zuora_limit WHERE open_until > {now})
LIMIT 1
"""

# Due and not leased, or with an expired lease: some by age whatever their class, the others by class. MATERIALIZED:
# PostgreSQL may run a LIMIT inside IN once per row. SKIP LOCKED: a row that a writer is just finishing is not waited
# for. A row is found again by its place, because by its key PostgreSQL may read the whole table. The attempt counts
# now, so that a death counts.
_DUE = """
  SELECT {row} AS place FROM sync_request
  WHERE due_at IS NOT NULL AND due_at <= :now AND (lease_until IS NULL OR lease_until <= :now) AND priority <= :lowest
    {which}"""
_CLAIM = f"""
WITH oldest AS MATERIALIZED ({_DUE}
  ORDER BY waiting_since LIMIT :by_age {{lock}}),
first AS MATERIALIZED ({_DUE} AND {{row}} NOT IN (SELECT place FROM oldest)
  ORDER BY priority, due_at LIMIT :by_turn {{lock}})
UPDATE sync_request SET
  token = token + 1, claimed_seq = requested_seq, lease_until = :now + :lease, attempts = attempts + 1, read_at = NULL,
  placed_token = CASE WHEN :placed = 1 THEN token + 1 END
WHERE {{picked}}
RETURNING kind, key, token, claimed_seq, done_seq, attempts, "full", priority, waiting_since
"""  # noqa: S608 - constant SQL, no user input
# The same on PostgreSQL with what it changes of the limit, in one round trip.
_CLAIM_AND_KEEP = f"""
WITH claimed AS ({_CLAIM}),
kept AS (UPDATE zuora_limit SET
  claims = claims + (SELECT count(*) FROM claimed), calls_today = :calls_today, day = CAST(:day AS DATE))
SELECT * FROM claimed
"""  # noqa: S608 - constant SQL, no user input
# The one row that a person waits for, whatever its class or backoff; a live lease of another's is left alone.
CLAIM_ONE = """
UPDATE sync_request SET
  token = token + 1, claimed_seq = requested_seq, lease_until = :now + :lease, attempts = attempts + 1, read_at = NULL
WHERE kind = :kind AND key = :key AND due_at IS NOT NULL AND (lease_until IS NULL OR lease_until <= :now)
RETURNING kind, key, token, claimed_seq, done_seq, attempts, "full", priority, waiting_since
"""
#: For a probe: a number that is in doubt itself says nothing of the tenant.
NOT_IN_DOUBT = "AND key NOT IN (SELECT wanted.key FROM ({keys}) AS wanted)"

_PICKED = "SELECT place FROM oldest UNION ALL SELECT place FROM first"
_CLAIMS = {
    "sqlite": _CLAIM.replace("{row}", "rowid").replace("{picked}", f"rowid IN ({_PICKED})"),
    "postgresql": _CLAIM_AND_KEEP.replace("{row}", "ctid").replace("{picked}", f"ctid = ANY (ARRAY({_PICKED}))"),
}


def claim_due(database: Database, which: str = "") -> str:
    """Claims due rows, of those the ones that `which` leaves; on PostgreSQL it writes the limit's counts too."""
    return _CLAIMS[database.dialect].replace("{which}", which)


# Fencing: a stale token matches no row. An expired lease that was not re-claimed still belongs to its owner.
_OWNED = "WHERE kind = :kind AND key = :key AND token = :token AND lease_until IS NOT NULL"

# For the eyes of a person who waits; nothing is decided by it.
NOTE_READ = f"UPDATE sync_request SET read_at = {{now}} {_OWNED}"  # noqa: S608 - constant SQL, no user input

# Between two steps of a long run: fence and row lock for what the step commits.
RENEW = f"UPDATE sync_request SET lease_until = {{now}} + :lease {_OWNED} RETURNING lease_until - :lease"  # noqa: S608 - constant SQL, no user input

# Done up to what the claim saw, never to what is there now: a request that came in between is not served yet.
_FINISH = f"""
UPDATE sync_request SET done_seq = :seen, lease_until = NULL, attempts = 0, last_error = NULL, error_code = NULL,
  checked_at = {{now}},
  equal_from    = COALESCE(CAST(:equal_from AS BIGINT), equal_from),
  compared_at   = CASE WHEN :compared = 1 THEN {{now}} ELSE compared_at END,
  due_at        = CASE WHEN requested_seq > :seen THEN {{now}} ELSE NULL END,
  waiting_since = CASE WHEN requested_seq > :seen THEN requested_at ELSE NULL END,
  "full"        = CASE WHEN requested_seq > :seen THEN "full" ELSE 0 END
{_OWNED}
"""  # noqa: S608 - constant SQL, no user input
FINISH = f"{_FINISH} RETURNING checked_at"

# The same for a run that writes nothing else, if the customer still is as it was compared. A writer of the customer
# who read Zuora earlier is waited for, and sees `compared_at` if it comes later.
FINISH_ALONE = f"""
WITH customers AS MATERIALIZED (
  SELECT id FROM limio_customer
  WHERE id = CAST(:customer AS TEXT) AND CAST(document AS TEXT) = CAST(:customer_document AS TEXT) {{for_update}})
{_FINISH} AND (CAST(:customer AS TEXT) IS NULL OR EXISTS (SELECT 1 FROM customers))
RETURNING checked_at
"""  # noqa: S608 - constant SQL, no user input

# The same on PostgreSQL, with the rows that several writers share locked in the order of all writers: whatever is read
# after it stays as it is until the transaction ends. SQLite's transaction has locked everything.
FINISH_AND_HOLD = f"""
WITH finished AS ({FINISH}),
accounts AS MATERIALIZED (
  SELECT account_id FROM zuora_account
  WHERE account_id = CAST(:account AS TEXT) AND EXISTS (SELECT 1 FROM finished) FOR UPDATE),
customers AS MATERIALIZED (
  SELECT id FROM limio_customer
  WHERE id IN (CAST(:customer AS TEXT), CAST(:customer_left AS TEXT)) AND (SELECT count(*) FROM accounts) >= 0
  ORDER BY id FOR UPDATE),
subscriptions AS MATERIALIZED (
  SELECT id FROM limio_subscription
  WHERE id = CAST(:subscription AS TEXT) AND (SELECT count(*) FROM customers) >= 0 FOR UPDATE)
SELECT checked_at FROM finished WHERE (SELECT count(*) FROM subscriptions) >= 0
"""  # noqa: S608 - constant SQL, no user input

# What an alias' callers have to look at instead. In the transaction of FINISH, which holds the row's lock.
SET_RESOLVED = """
UPDATE sync_request SET resolved_key = :resolved_key, resolved_seq = :resolved_seq WHERE kind = :kind AND key = :key
"""

# A number that has no row yet and whose state is being written: a row that is already served. A request at
# the same time waits for our commit and counts on from there.
OPEN_AS_DONE = """
INSERT INTO sync_request (
  kind, key, requested_seq, done_seq, claimed_seq, token, priority, requested_at, checked_at, equal_from, compared_at)
SELECT 'subscription', CAST(:key AS TEXT), 1, 1, 1, 1, CAST(:priority AS SMALLINT), clock.at, clock.at,
  CAST(:equal_from AS BIGINT), CASE WHEN :compared = 1 THEN clock.at END
FROM (SELECT {now} AS at) AS clock
WHERE 1 = 1
ON CONFLICT (kind, key) DO NOTHING
RETURNING key
"""

# Again after a while, or at once where a person asked during the run.
RETRY = f"""
UPDATE sync_request SET lease_until = NULL, last_error = COALESCE(CAST(:error AS TEXT), last_error),
  attempts = CASE WHEN :counts = 1 OR attempts = 0 THEN attempts ELSE attempts - 1 END,
  due_at   = CASE WHEN priority = 0 AND requested_seq > :seen THEN {{now}} ELSE {{now}} + :delay END
{_OWNED}
"""  # noqa: S608 - constant SQL, no user input

# Final for what the claim saw; what came in since gets its own, fresh attempts.
FAIL = f"""
UPDATE sync_request SET lease_until = NULL, failed_seq = :seen, last_error = :error, error_code = :code,
  attempts = 0,
  due_at        = CASE WHEN requested_seq > :seen THEN {{now}} ELSE NULL END,
  waiting_since = CASE WHEN requested_seq > :seen THEN requested_at ELSE NULL END
{_OWNED}
"""  # noqa: S608 - constant SQL, no user input
