"""A store as it is after years, made by the database itself: customers, subscriptions, and a long history.

The same statements fill both databases; what they do not share are four functions, made for the time of the filling.
Nothing is random: a thing's number decides all about it, so that two stores of one size hold the same.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlmodel import SQLModel

from sync_service.store.engine import Database

#: For how long the history reaches back, in days: its last day is a busy one.
_DAYS = 100
#: The subscription with the longest history and schedule.
BUSY = 17
#: The subscription that a survey gives to its partner organisation.
OF_A_PARTNER = 321


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much there is of everything; the rest follows from it."""

    subscriptions: int
    #: Runs in the history; there is a cause for each, and a callout for every second one.
    runs: int
    #: Requests that wait for a worker, as in the middle of a backfill.
    waiting: int = 40
    failed: int = 300
    held: int = 60
    #: One run, callout or payment in so many is the busy subscription's.
    often: int = 1000

    @property
    def seqs(self) -> int:
        """How often each subscription was synced."""
        return self.runs // self.subscriptions


#: A store that is made anew where the machine stops needs no journal. The search index of PostgreSQL is made again too.
_HURRY = {
    "sqlite": ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "PRAGMA cache_size = -3000000"),
    "postgresql": (
        "SET synchronous_commit = off",
        "SET maintenance_work_mem = '1GB'",
        "SET jit = off",
        "DROP INDEX search_gram_index",
        "COMMIT",
    ),
}
_SEARCH_INDEX = "CREATE INDEX search_gram_index ON search_entry USING gin (search_grams(text))"


def number_of(n: int) -> str:
    """The Zuora number, and Limio's reference, of the nth subscription."""
    return f"A-S{n:08}"


def fill(database: Database, size: Size) -> None:
    """Fill an empty store of the current schema. Indexes are made again at the end, which is faster."""
    with database.engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        for setting in _HURRY[database.dialect]:
            driver.execute(setting)
        if database.dialect == "postgresql":
            driver.autocommit = True
        _define(driver, database.dialect)
        _run(driver, _COUNTING[database.dialect].format(most=max(size.runs, size.subscriptions * 2)))
        indexes = [index for table in SQLModel.metadata.sorted_tables for index in table.indexes]
        for index in indexes:
            _run(driver, f'DROP INDEX "{index.name}"')
        now = int(time.time() * 1000)
        values: dict[str, object] = {
            "subs": size.subscriptions,
            "customers": max(1, size.subscriptions * 4 // 5),
            "runs": size.runs,
            "seqs": size.seqs,
            "waiting": size.waiting,
            "failed": size.failed,
            "held": size.held,
            "now": now,
            "step": _DAYS * 86_400_000 // size.runs,
            "today": now // 86_400_000,
            "busy": BUSY,
            "often": size.often,
        }
        for name, written in _WORDS.items():
            values[name] = written.format(**values)
        for statement in (*_LIMIO, *_SYNC, *_HISTORY, *_PEOPLE):
            _run(driver, statement.format(**values))
        _run(driver, "DROP TABLE counting")
        if database.dialect == "postgresql":
            driver.execute("DROP FUNCTION hex_of, stamp_of, day_of, number_of, as_json")
            driver.execute(_SEARCH_INDEX)
            driver.autocommit = False
        else:
            driver.execute("COMMIT")
    with database.engine.connect() as connection:
        for index in indexes:
            index.create(connection)
        connection.commit()
        if database.dialect == "sqlite":
            connection.connection.driver_connection.execute("PRAGMA journal_mode = WAL")
    _analyse(database)


def _analyse(database: Database) -> None:
    """As autovacuum does. SQLite has none, so it is not done there."""
    if database.dialect != "postgresql":
        return
    with database.engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.autocommit = True
        driver.execute("VACUUM ANALYZE")
        driver.autocommit = False


def _run(driver: Any, statement: str) -> None:
    driver.execute(statement)


def _define(driver: Any, dialect: str) -> None:
    """hex_of: 32 digits; stamp_of and day_of: Limio's time and a date, of a day since 1970; as_json: a document."""
    if dialect == "postgresql":
        for head, body in (
            ("hex_of(kind text, n bigint) RETURNS text", "md5(kind || n)"),
            (
                "stamp_of(day bigint) RETURNS text",
                "to_char(date '1970-01-01' + day::int, 'YYYY-MM-DD') || 'T09:30:00.000Z'",
            ),
            ("day_of(day bigint) RETURNS date", "date '1970-01-01' + day::int"),
            ("number_of(n bigint) RETURNS text", "'A-S' || lpad(n::text, 8, '0')"),
            ("as_json(written text) RETURNS jsonb", "written::jsonb"),
        ):
            driver.execute(f"CREATE FUNCTION {head} LANGUAGE sql IMMUTABLE AS $$ SELECT {body} $$")
        return
    driver.execute("BEGIN IMMEDIATE")
    make = driver.create_function
    make("hex_of", 2, lambda kind, n: hashlib.md5(f"{kind}{n}".encode(), usedforsecurity=False).hexdigest())
    make("stamp_of", 1, lambda day: f"{_date(day)}T09:30:00.000Z")
    make("day_of", 1, _date)
    make("number_of", 1, number_of)
    make("as_json", 1, lambda written: written)


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, UTC).date().isoformat()


_COUNTING = {
    "postgresql": "CREATE TABLE counting AS SELECT generate_series(1, {most})::bigint AS n",
    "sqlite": (
        "CREATE TABLE counting AS WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < {most})"
        " SELECT n FROM up"
    ),
}

#: What several statements say alike: a third of all people have one last name, a few statuses are rare.
_WORDS = {
    "name": (
        "trim(substr('Ada Lin Sam Kim Eva Max Ben Ida Leo Mia Tom Amy ', CAST(1 + 4 * (n % 12) AS INTEGER), 4)) || ' '"
        " || CASE WHEN n % 3 = 0 THEN 'Smith' ELSE 'Name' || substr(hex_of('last', n % 900), 1, 6) END"
    ),
    "email": "substr(hex_of('mail', n), 1, 8) || n || '@example.com'",
    "status": (
        "CASE WHEN n % 100 < 80 THEN 'active' WHEN n % 100 < 98 THEN 'cancelled' WHEN n % 200 = 98 THEN 'suspended'"
        " WHEN n % 500 = 99 THEN 'pending' ELSE 'initial' END"
    ),
    "born": "({today} - 2000 + n * 2000 / {subs})",
    "ends": "({today} - 30 + (n * 7919) % 395)",
}

_LIMIO = (
    """
INSERT INTO limio_identity (id, status, name, owner, created, updated, document)
SELECT 'id-' || hex_of('owner', n), 'active', {name}, 'id-' || hex_of('owner', n), stamp_of({today} - 2000),
  stamp_of({today} - 2000), as_json('{{"id": "id-' || hex_of('owner', n) || '", "record_type": "identity"}}')
FROM counting WHERE n <= {customers}
""",
    """
INSERT INTO limio_customer (id, status, name, owner, created, updated, email, email_folded, name_folded, document)
SELECT 'cus-' || hex_of('customer', n), 'active', {name}, 'id-' || hex_of('owner', n), stamp_of({today} - 2000),
  stamp_of({today} - 2000), {email}, {email}, lower({name}), as_json('{{"id": "cus-' || hex_of('customer', n) ||
  '", "record_type": "customer", "data": {{"name": "' || {name} || '", "email": "' || {email} || '"}}}}')
FROM counting WHERE n <= {customers}
""",
    """
INSERT INTO limio_subscription (id, status, reference, name, owner, customer, created, updated, listed_at,
  listed_number, listed_updated, listed_end, term_start, term_end, auto_renew, external, order_id, never_synced,
  document)
SELECT 'sub-' || hex_of('sub', n), {status}, number_of(n), number_of(n), 'id-' || hex_of('owner', 1 + n % {customers}),
  'cus-' || hex_of('customer', 1 + n % {customers}), stamp_of({born}), stamp_of({born}), stamp_of({born}), number_of(n),
  stamp_of({born}), '' || day_of({ends}),
  day_of({ends} - 365), day_of({ends}), n % 10 < 7, n % 12 = 0, 'order-' || hex_of('order', n), n % 40 = 3,
  as_json('{{"id": "sub-' || hex_of('sub', n) || '", "record_type": "subscription", "status": "' || {status} ||
  '", "reference": "' || number_of(n) || '", "data": {{"termEndDate": "' || day_of({ends}) ||
  '", "price": {{"amount": 17.5, "currency": "GBP", "summary": {{"headline": "A month for 17.50"}}}},'
  || '"name": "Digital Monthly", "quantity": 1, "attributes": {{"autoRenew": true, "gift": false}},'
  || '"tracking": {{"offers": ["/offers2/Digital Monthly"], "campaign": "/pages2/Home", "tag": "/tags/home"}}}}}}')
FROM counting WHERE n <= {subs}
""",
    """
INSERT INTO limio_address (id, status, owner, created, updated, subscription_id, relationship_type, start, document)
SELECT 'address-' || hex_of('address', n), 'active', 'id-' || hex_of('owner', 1 + n % {customers}), stamp_of({born}),
  stamp_of({born}), 'sub-' || hex_of('sub', n), 'delivery', stamp_of({born}), as_json('{{"id": "address-' ||
  hex_of('address', n) || '", "status": "active", "relationship_type": "delivery", "start": "' || stamp_of({born}) ||
  '", "data": {{"address1": "' || n || ' High Street", "city": "London", "postalCode": "N1 1AA", "country": "GB"}}}}')
FROM counting WHERE n <= {subs}
""",
    """
INSERT INTO limio_schedule (id, status, owner, created, updated, subscription_id, due, type, amount, currency, document)
SELECT 'schedule-' || hex_of('schedule', n), 'pending-external', 'id-' || hex_of('owner', 1 + n % {customers}),
  stamp_of({today} - 400), stamp_of({today} - 400), 'sub-' || hex_of('sub', CASE WHEN n % {often} = 0 THEN {busy}
  ELSE 1 + n % ({subs} / 2) END), day_of({today} - 100 + n % 700), 'payment', '17.50', 'GBP', as_json(
  '{{"id": "schedule-' || hex_of('schedule', n) || '", "status": "pending-external", "data": {{"amount": "17.50",'
  || '"currency": "GBP", "date": "' || day_of({today} - 100 + n % 700) || 'T00:00:00.000", "lineItems":'
  || '[{{"chargeName": "Digital Monthly", "amountWithoutTax": "14.58", "taxAmount": "2.92", "quantity": 1}}]}}}}')
FROM counting WHERE n <= {subs} * 3 / 2
""",
    """
INSERT INTO limio_event (id, created, updated, subscription_id, document)
SELECT 'event-' || hex_of('event', n), stamp_of({today}), stamp_of({today}), 'sub-' || hex_of('sub', 1 + n % {subs}),
  as_json('{{"id": "event-' || hex_of('event', n) || '", "record_type": "event"}}') FROM counting WHERE n <= {subs} / 2
""",
)
_SYNC = (
    """
INSERT INTO zuora_account (account_id, owner, customer)
SELECT hex_of('account', n), 'id-' || hex_of('owner', n), 'cus-' || hex_of('customer', n)
FROM counting WHERE n <= {customers}
""",
    """
INSERT INTO zuora_link (number, subscription_id, zuora_id, version, account_id, account_number, started_on, cancelled,
  fingerprint, read_began, read_ended, look_again_on)
SELECT number_of(n), 'sub-' || hex_of('sub', n), hex_of('version', n), 3, hex_of('account', 1 + n % {customers}),
  'A' || n, day_of({born}), n % 100 BETWEEN 80 AND 97,
  as_json('{{"v": 1, "subscription": "' || hex_of('f', n) || '"}}'),
  {now} - n, {now} - n, day_of({ends} + 1)
FROM counting WHERE n <= {subs} AND n % 40 <> 3
""",
    """
INSERT INTO subscription_alias (alias, number)
SELECT hex_of('alias', n), number_of(1 + n % {subs}) FROM counting WHERE n <= 2 * {subs}
""",
    """
INSERT INTO sweep_seen (kind, key, facts, at)
SELECT 'subscription', number_of(n), hex_of('facts', n), {now} - n * 1000 FROM counting WHERE n <= {subs}
""",
    """
INSERT INTO sync_request (kind, key, requested_seq, done_seq, failed_seq, claimed_seq, priority, due_at, waiting_since,
  requested_at, attempts, token, last_error, checked_at)
SELECT 'subscription', number_of(n), {seqs}, CASE WHEN n <= {failed} + {waiting} THEN {seqs} - 1 ELSE {seqs} END,
  CASE WHEN n <= {failed} THEN {seqs} ELSE 0 END, {seqs} - 1, 1,
  CASE WHEN n > {failed} AND n <= {failed} + {waiting} THEN {now} - n END,
  CASE WHEN n > {failed} AND n <= {failed} + {waiting} THEN {now} - n END, {now} - n * 1000,
  CASE WHEN n <= {failed} THEN 10 ELSE 0 END, {seqs},
  CASE WHEN n <= {failed} THEN 'Zuora does not know this subscription any more.' END,
  {now} - n * 400 FROM counting WHERE n <= {subs} AND n % 40 <> 3
""",
)
_HISTORY = (
    """
INSERT INTO sync_run (kind, key, seq_from, seq_to, subscription_id, outcome, trigger, began_at, ended_at, calls, plan,
  change_count, drastic, error_code, error)
SELECT 'subscription', number_of(k), seq - 1, seq, 'sub-' || hex_of('sub', k), outcome,
  CASE WHEN n % 10 < 7 THEN 'callout' WHEN n % 10 < 9 THEN 'sweep' ELSE 'admin' END, ended - 250, ended, 3,
  CASE WHEN outcome IN ('changed', 'imported', 'held') THEN as_json('{{"number": "A-S' || k || '", "changes": [' ||
  '{{"change": "update", "record_type": "subscription", "id": "s", "fields": [{{"path": "data.termEndDate",'
  || '"before": "2026-12-31", "after": "2027-12-31"}}], "reason": "Version 3 in Zuora differs."}},'
  || '{{"change": "create", "record_type": "schedule", "document": {{"data": {{"date": "2027-01-01T00:00:00.000",'
  || '"amount": "17.50", "currency": "GBP"}}}},'
  || '"reason": "Matches Zuora''s billing preview for 2027-01-01."}}], "notes": []}}') END,
  CASE WHEN outcome IN ('changed', 'imported', 'held') THEN 2 ELSE 0 END, n % 100 = 7,
  CASE WHEN outcome IN ('failed', 'retried') THEN 'not found in Zuora' END,
  CASE WHEN outcome IN ('failed', 'retried') THEN 'Zuora does not know this subscription any more.' END
FROM (SELECT n, CASE WHEN n % {often} = 0 THEN {busy} ELSE 1 + n * 7919 % {subs} END AS k, 1 + (n - 1) / {subs} AS seq,
  {now} - ({runs} - n) * {step} AS ended, CASE WHEN n > {runs} - {held} AND n % {often} > 0 THEN 'held'
  WHEN n % 100 < 70 THEN 'changed' WHEN n % 100 < 72 THEN 'imported' WHEN n % 100 < 90 THEN 'unchanged'
  WHEN n % 100 < 96 THEN 'retried' WHEN n % 100 < 99 THEN 'failed' WHEN n % 500 = 99 THEN 'dropped'
  ELSE 'left out' END AS outcome FROM counting WHERE n <= {runs}) AS made ORDER BY n
""",
    """
INSERT INTO sync_run (kind, key, seq_from, seq_to, outcome, trigger, began_at, ended_at, calls, change_count, drastic,
  error_code, error)
SELECT 'subscription', number_of(n), {seqs} - 1, {seqs}, 'failed', 'callout', {now} - n * 1000, {now} - n * 1000, 1, 0,
  n < 0, CASE WHEN n % 3 = 0 THEN 'payload invalid' ELSE 'not found in Zuora' END, 'Zuora does not know it any more.'
FROM counting WHERE n <= {failed}
""",
    """
INSERT INTO sync_cause (kind, key, seq, trigger, at)
SELECT 'subscription', number_of(CASE WHEN n % {often} = 0 THEN {busy} ELSE 1 + n * 7919 % {subs} END),
  1 + (n - 1) / {subs}, CASE WHEN (n - 1) / {subs} % 2 = 0 THEN 'callout' ELSE 'admin' END,
  {now} - ({runs} - n) * {step} FROM counting WHERE n <= {runs} ORDER BY n
""",
    """
INSERT INTO callout (received_at, key, verdict, reason, notification_id, source, order_number, body_sha256)
SELECT {now} - ({runs} / 2 - n) * 2 * {step},
  number_of(CASE WHEN n % {often} = 0 THEN {busy} ELSE 1 + n * 7919 % {subs} END),
  CASE WHEN n % 1000 < 800 THEN 'accepted' WHEN n % 1000 < 999 THEN 'ignored' ELSE 'rejected' END,
  CASE WHEN n % 1000 BETWEEN 800 AND 998 THEN 'echo: the order''s source is shop' WHEN n % 1000 = 999
  THEN 'wrong credentials' END, hex_of('notification', n), 'api', 'O-' || n, hex_of('body', n)
FROM counting WHERE n <= {runs} / 2 ORDER BY n
""",
)
_PEOPLE = (
    """
INSERT INTO admin_user (email, role, created_at)
SELECT 'person' || n || '@example.com', CASE WHEN n % 4 = 0 THEN 'operator' ELSE 'viewer' END, {now}
FROM counting WHERE n <= 60
""",
    """
INSERT INTO admin_session (token_hash, email, signed_on, began_at, seen_at)
SELECT hex_of('session', n), 'person' || (1 + n % 60) || '@example.com', n < 0, {now} - n * 1000, {now} - n * 1000
FROM counting WHERE n <= 200
""",
    """
INSERT INTO admin_action (at, actor, action, target)
SELECT {now} - ({runs} / 20 - n) * {step} * 20, 'person' || (1 + n % 60) || '@example.com', 'sync', 'A-S' || n
FROM counting WHERE n <= {runs} / 20 ORDER BY n
""",
    """
INSERT INTO ask (what, key, actor, asked_at, token)
SELECT 'plan', number_of(n), 'person1@example.com', {now}, 0 FROM counting WHERE n <= 20
""",
    """
INSERT INTO job (name, due_at, token, paused, cursor, progress, last_began, last_ended)
SELECT 'job ' || n, {now} + n * 60000, 1, n < 0, as_json('{{}}'), as_json('{{"read": 200000, "asked": 12}}'),
  {now}, {now}
FROM counting WHERE n <= 7
""",
    """
INSERT INTO zuora_limit (id, permitted, trouble, quiet, calls_today, claims)
SELECT 1, 8, 0, 0, 20000, 1000 FROM counting WHERE n = 1
""",
)
