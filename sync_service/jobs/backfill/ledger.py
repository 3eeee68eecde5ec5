"""What one backfill has asked for and what has become of it, told from the queue's own rows alone.

Every request leaves a cause with the backfill's name as its actor, and the request's row says how far it is served. So
a backfill that was killed at any moment finds out where it stands, and asks for nothing a second time.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlmodel import col, select

from sync_service.queue.fate import place
from sync_service.queue.requests import Cause, Kind, Priority, enqueue_many
from sync_service.queue.statements import for_many
from sync_service.store.engine import Database, Session
from sync_service.store.statement import BATCH, in_batches
from sync_service.store.tables import ZuoraLinkRow
from sync_service.subscription.trigger import Trigger

#: A row of the queue: kind and key.
Place = tuple[str, str]

_NEXT_CAUSE = "SELECT COALESCE(max(id), 0) + 1 FROM sync_cause"
_ASKED = """
SELECT key, max(seq) AS seq FROM sync_cause
WHERE kind = :kind AND key IN ({keys}) AND actor = :actor AND trigger = 'backfill' GROUP BY key
"""
_ROWS = """
SELECT key, done_seq, failed_seq, attempts, resolved_key, resolved_seq, COALESCE(lease_until > {now}, FALSE) AS running,
  due_at
FROM sync_request WHERE kind = :kind AND key IN ({keys})
"""
# All of this backfill's, each key once, with its row; an alias that became a number counts as that number.
_OURS = """
FROM (SELECT kind, key, max(seq) AS seq FROM sync_cause
      WHERE id >= :first AND actor = :actor AND trigger = 'backfill' GROUP BY kind, key) AS ours
JOIN sync_request AS request ON request.kind = ours.kind AND request.key = ours.key
WHERE NOT (request.kind = 'alias' AND request.done_seq >= ours.seq AND request.resolved_key IS NOT NULL)
"""
_COUNT = f"""
SELECT count(*) AS asked, count(CASE WHEN ours.seq <= request.done_seq THEN 1 END) AS done,
  count(CASE WHEN ours.seq > request.done_seq AND ours.seq <= request.failed_seq THEN 1 END) AS failed {_OURS}
"""
# Found by the keys: this backfill's runs that wrote something.
_CHANGED = """
SELECT count(*) FROM sync_run
WHERE kind = :kind AND key IN ({keys}) AND actor = :actor AND outcome IN ('changed', 'imported')
"""
_ALL_CHANGED = f"""
SELECT count(*) FROM (SELECT DISTINCT ours.kind, ours.key {_OURS}) AS asked
JOIN sync_run AS run ON run.kind = asked.kind AND run.key = asked.key
WHERE run.actor = :actor AND run.outcome IN ('changed', 'imported')
"""  # noqa: S608 - constant SQL, no user input
_OPEN = f"""
SELECT ours.kind, ours.key, ours.seq {_OURS} AND ours.seq > request.done_seq AND ours.seq > request.failed_seq
"""
# What a run said that covered the request; nothing was written where nothing differed.
_OUTCOMES = f"""
SELECT outcome, count(*) FROM (
  SELECT COALESCE(
    (SELECT run.outcome FROM sync_run AS run WHERE run.kind = ours.kind AND run.key = ours.key
       AND run.seq_to >= ours.seq AND run.seq_from < ours.seq AND run.outcome <> 'retried'
     ORDER BY run.id DESC LIMIT 1),
    CASE WHEN EXISTS (SELECT 1 FROM zuora_link AS link WHERE link.number = ours.key) THEN 'unchanged'
         ELSE 'not in zuora' END) AS outcome
  {_OURS} AND ours.seq <= request.done_seq) AS settled
GROUP BY outcome
"""  # noqa: S608 - constant SQL, no user input
_FAILURES = """
SELECT request.kind, request.key, request.last_error FROM sync_request AS request
WHERE request.failed_seq > request.done_seq AND (request.kind, request.key) > (:kind, :key) AND EXISTS (
  SELECT 1 FROM sync_cause AS cause WHERE cause.kind = request.kind AND cause.key = request.key AND cause.actor = :actor
    AND cause.trigger = 'backfill' AND cause.seq <= request.failed_seq AND cause.seq > request.done_seq)
ORDER BY request.kind, request.key LIMIT :batch
"""


@dataclass(frozen=True)
class Failure:
    """A key that was given up, and why in words."""

    key: str
    reason: str


@dataclass(kw_only=True)
class RequestProgress:
    """What happened to open requests since the last look."""

    done: int = 0
    failed: int = 0
    #: Of the done ones: something was written.
    changed: int = 0
    #: Open, and tried before without success.
    backing_off: int = 0
    #: When the first of those is tried again, in ms by the database's clock.
    next_try_at: int | None = None
    #: When the last of them is.
    last_try_at: int | None = None
    #: Open, and in a worker's hands.
    running: int = 0
    closed: list[Place] = field(default_factory=list)
    #: Aliases became these numbers, to be served up to a sequence.
    opened: dict[Place, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Tally:
    """All that was asked for."""

    asked: int
    done: int
    failed: int


class Ledger:
    """One backfill's requests. `actor` names it and nothing else ever; its first cause has at least `first_cause`."""

    def __init__(self, database: Database, actor: str, first_cause: int) -> None:
        self._database = database
        self._actor = actor
        self._first = first_cause

    def ask(self, wanted: Mapping[Kind, Collection[str]]) -> dict[Place, int]:
        """Want those synced that this backfill has not asked for yet; returns them with the sequences to wait for.

        Asking again for the same asks for nothing. At most BATCH keys of a kind.
        """
        fresh: dict[Place, int] = {}
        for kind, keys in wanted.items():
            new = set(keys) - self._asked(kind, keys).keys()
            cause = Cause(Trigger.BACKFILL, actor=self._actor)
            enqueue_many(self._database, kind, new, cause, priority=Priority.JOB, full=True)
            fresh |= {(kind.value, key): seq for key, seq in self._asked(kind, new).items()}
        return fresh

    def look(self, open_requests: Mapping[Place, int]) -> RequestProgress:
        """What has become of open requests, by the sequence that each waits for."""
        change = RequestProgress()
        by_kind: dict[str, list[str]] = {}
        for kind, key in open_requests:
            by_kind.setdefault(kind, []).append(key)
        for kind, keys in by_kind.items():
            for some in in_batches(keys):
                self._look(kind, some, open_requests, change)
        return change

    def tally(self) -> Tally:
        """Count everything anew; takes seconds for a million."""
        return Tally(*self._read(_COUNT)[0])

    def count_changed(self) -> int:
        """How many of the done ones were changed or imported; takes seconds for a million."""
        return int(self._read(_ALL_CHANGED)[0][0])

    def read_open(self) -> dict[Place, int]:
        """What is neither done nor given up."""
        return {(kind, key): seq for kind, key, seq in self._read(_OPEN)}

    def read_outcomes(self) -> Counter[str]:
        """How the requests that are done ended: words of `sync_run.outcome`."""
        return Counter(dict(self._read(_OUTCOMES)))

    def read_failures(self) -> Iterator[Failure]:
        """Every key that was given up, a page at a time."""
        kind, key = "", ""
        while True:
            rows = self._read(_FAILURES, kind=kind, key=key, batch=BATCH)
            for _, failed, reason in rows:
                yield Failure(failed, reason or "no reason was kept")
            if len(rows) < BATCH:
                return
            kind, key, _ = rows[-1]

    def _look(self, kind: str, keys: Sequence[str], waiting: Mapping[Place, int], change: RequestProgress) -> None:
        before = len(change.closed)
        for key, done, failed, attempts, number, number_seq, running, due_at in self._read_keys(_ROWS, kind, keys):
            place, seq = (kind, key), waiting[kind, key]
            if done >= seq:
                change.closed.append(place)
                if kind == Kind.ALIAS and number is not None:
                    change.opened[Kind.SUBSCRIPTION.value, number] = number_seq or 1
                else:
                    change.done += 1
            elif failed >= seq:
                change.closed.append(place)
                change.failed += 1
            else:
                change.running += bool(running)
                if attempts and not running:
                    change.backing_off += 1
                    change.next_try_at = min(due_at, change.next_try_at or due_at)
                    change.last_try_at = max(due_at, change.last_try_at or due_at)
        ended = [key for _, key in change.closed[before:]]
        if ended:
            change.changed += int(self._read_keys(_CHANGED, kind, ended)[0][0])

    def _asked(self, kind: Kind, keys: Collection[str]) -> dict[str, int]:
        return dict(self._read_keys(_ASKED, kind.value, keys)) if keys else {}

    def _read_keys(self, statement: str, kind: str, keys: Collection[str]) -> list[Any]:
        return self._read(for_many(statement, self._database), kind=kind, keys=json.dumps(sorted(keys)))

    def _read(self, statement: str, **values: object) -> list[Any]:
        named = {"actor": self._actor, "first": self._first, **values}
        used = {name: value for name, value in named.items() if f":{name}" in statement}
        with self._database.reading() as session:
            return [tuple(row) for row in session.run(statement, used)]


def read_next_cause(database: Database) -> int:
    """The least id that a cause written from now on can have."""
    with database.reading() as session:
        return int(session.run(_NEXT_CAUSE).scalar_one())


def sort_keys(session: Session, keys: Collection[str]) -> dict[Kind, set[str]]:
    """Which rows of the queue serve `keys`: the numbers' where the store knows them, else the aliases'."""
    sorted_keys: dict[Kind, set[str]] = {Kind.SUBSCRIPTION: set(), Kind.ALIAS: set()}
    known = set(session.exec(select(ZuoraLinkRow.number).where(col(ZuoraLinkRow.number).in_(list(keys)))))
    for key in keys:
        kind, row_key = (Kind.SUBSCRIPTION, key) if key in known else place(session, key)
        sorted_keys[kind].add(row_key)
    return sorted_keys
