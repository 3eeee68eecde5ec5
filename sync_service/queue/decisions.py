"""What people decide about requests that were given up and plans that are held."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from sync_service.errors import UnknownKey
from sync_service.queue.backlog import list_failed, read_request
from sync_service.queue.held import drop, read_held, release
from sync_service.queue.history import strongest_cause
from sync_service.queue.requests import BATCH, Cause, Kind, Priority, enqueue, enqueue_many
from sync_service.store.engine import Database, Session
from sync_service.store.reads import resolve_key
from sync_service.store.tables import SyncRequestRow, SyncRunRow
from sync_service.subscription.keys import normalise_key
from sync_service.subscription.zuora import Trigger


@dataclass(frozen=True)
class _Covered:
    """The causes of a row that were given up."""

    kind: str
    key: str
    done_before: int
    seen: int


def retry_one(database: Database, key: str, actor: str) -> str:
    """Want a key that was given up synced again, as a person; returns the key of its row. Raises UnknownKey."""
    with database.transaction() as session:
        row = _find_failed(session, normalise_key(key))
        cause = Cause(Trigger.CLI, actor=actor)
        enqueue(session, Kind(row.kind), row.key, cause, priority=Priority.PERSON, full=True)
        return row.key


def retry_all(database: Database, actor: str) -> int:
    """Want everything synced again that was given up; returns how many. Repeatable.

    Behind callouts, and for the reason for which it was asked: one person's word for many is neither the decision to
    import each of them nor to pass the safety stop.
    """
    count, after = 0, ("", "")
    while True:
        wanted: defaultdict[tuple[Kind, Trigger], list[str]] = defaultdict(list)
        with database.reading() as session:
            rows = list_failed(session, limit=BATCH, after=after)
            for row in rows:
                wanted[Kind(row.kind), _reason(session, row)].append(row.key)
        for (kind, trigger), keys in wanted.items():
            count += enqueue_many(database, kind, keys, Cause(trigger, actor=actor), priority=Priority.JOB, full=True)
        if len(rows) < BATCH:
            return count
        after = (rows[-1].kind, rows[-1].key)


def release_held(database: Database, key: str, actor: str) -> str:
    """Let a held number go: a full sync passes the safety stop. Returns the number; raises UnknownKey."""
    with database.transaction() as session:
        run = _need_held(session, key)
        release(session, run, actor)
        return run.key


def drop_held(database: Database, key: str) -> str:
    """Refuse a held plan until Zuora's answer makes another one of it. Returns the number; raises UnknownKey."""
    with database.transaction() as session:
        run = _need_held(session, key)
        drop(run)
        return run.key


def _find_failed(session: Session, key: str) -> SyncRequestRow:
    number = resolve_key(session, key)
    places = [(Kind.SUBSCRIPTION, number), (Kind.SUBSCRIPTION, key), (Kind.ALIAS, key), (Kind.ACCOUNT, key)]
    for kind, name in places:
        row = read_request(session, kind, name) if name else None
        if row is not None and row.failed_seq == row.requested_seq:
            return row
    raise UnknownKey(f"{key} was not given up: `failed list` shows what was, `sync {key}` syncs it now.")


def _reason(session: Session, row: SyncRequestRow) -> Trigger:
    cause = strongest_cause(session, _Covered(row.kind, row.key, row.done_seq, row.failed_seq))
    trigger = Trigger(cause.trigger) if cause is not None else Trigger.SWEEP
    # A person decided about one subscription then; of many, this is a list that somebody gives.
    return Trigger.BACKFILL if trigger in (Trigger.ADMIN, Trigger.CLI) else trigger


def _need_held(session: Session, key: str) -> SyncRunRow:
    key = normalise_key(key)
    run = read_held(session, resolve_key(session, key) or key)
    if run is None:
        raise UnknownKey(f"Nothing of {key} is held: `held list` shows what is.")
    return run
