"""What people decide about requests that were given up and plans that are held, and the log of who decided it.

The pages and the command line come here alike. `by` says who decides: a person, by name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import bindparam
from sqlalchemy.orm import aliased
from sqlmodel import col, select

from sync_service.errors import SyncServiceError, UnknownKey
from sync_service.queue.backlog import forget, list_failed, read_request
from sync_service.queue.requests import Cause, Kind, Priority, enqueue, enqueue_many, read_cause
from sync_service.queue.runs.held import read_held
from sync_service.queue.runs.history import Outcome, read_covered_causes
from sync_service.store.audit import record_action
from sync_service.store.engine import Database, Session
from sync_service.store.reads import resolve_key
from sync_service.store.statement import BATCH, within
from sync_service.store.tables import AdminActionRow, SyncRequestRow, SyncRunRow
from sync_service.subscription.keys import normalise_key
from sync_service.subscription.trigger import Trigger, read_triggers

_LOCK_TIMEOUT_MS = 5_000


#: What people decide about what waits for them, as `record_action` notes it.
DECISIONS = frozenset(
    {
        *("retry", "retry all", "dismiss", "release held", "drop held"),
        *("order retry", "order count_as_done", "order fail"),
        *("webhooks replayed", "webhooks dismissed"),
    }
)
#: Acts among which the latest decisions are looked for.
_LATELY = 500
_ACTS = select(AdminActionRow).order_by(col(AdminActionRow.at).desc(), col(AdminActionRow.id).desc()).limit(_LATELY)
_LATE = aliased(AdminActionRow, _ACTS.subquery())
_DECISIONS = (
    select(_LATE)
    .where(within(_LATE.action, "actions"))
    .order_by(col(_LATE.at).desc(), col(_LATE.id).desc())
    .limit(bindparam("limit"))
)
_RELEASED = (
    select(SyncRunRow)
    .where(
        SyncRunRow.outcome == Outcome.RELEASED,
        col(SyncRunRow.decided_at).is_not(None),
        col(SyncRunRow.key).in_(
            select(SyncRequestRow.key).where(
                SyncRequestRow.kind == Kind.SUBSCRIPTION.value, col(SyncRequestRow.due_at).is_not(None)
            )
        ),
    )
    .order_by(col(SyncRunRow.id))
    .limit(bindparam("limit"))
)


class DecisionRefused(SyncServiceError):
    """Nothing is left to decide."""

    code = "decision refused"


def list_decisions(session: Session, limit: int = 10) -> list[AdminActionRow]:
    """The latest decisions of people, newest first, among the last acts of all."""
    return session.run(_DECISIONS, {"actions": DECISIONS, "limit": limit}).all()


@dataclass(frozen=True)
class _Covered:
    """The requests of a row between two sequences."""

    kind: str
    key: str
    done_before: int
    seen: int


def retry_one(database: Database, key: str, by: Cause, *, kind: Kind | None = None) -> str:
    """Queue a key that was given up again, as a person's request; returns the key of its row.

    `kind` says which row the key names; without it the key may be any that stands for the subscription. Raises
    UnknownKey where nothing of it was given up.
    """
    with database.transaction(lock_timeout_ms=_LOCK_TIMEOUT_MS) as session:
        row = _find_failed(session, normalise_key(key), kind)
        enqueue(session, Kind(row.kind), row.key, by, priority=Priority.PERSON, full=True)
        record_action(session, by.actor or "", "retry", row.key)
        return row.key


def retry_all(database: Database, by: Cause, *, code: str | None = None) -> int:
    """Queue everything again that was given up, or what failed with the error `code`; returns how many. Repeatable.

    Behind callouts, and for the reason for which it was asked: one person's word for many is neither the decision to
    import each of them nor to pass the safety stop.
    """
    count, after = 0, ("", "")
    while True:
        with database.reading() as session:
            rows = list_failed(session, limit=BATCH, after=after, code=code)
            wanted = _by_reason(session, rows)
        count += _enqueue_again(database, wanted, by)
        if len(rows) < BATCH:
            break
        after = (rows[-1].kind, rows[-1].key)
    with database.transaction() as session:
        record_action(session, by.actor or "", "retry all", f"{count} of {code or 'any cause'}")
    return count


def retry_some(database: Database, chosen: Collection[tuple[Kind, str]], by: Cause) -> int:
    """Queue those of `chosen` again that are given up; returns how many. One is a person's request; for several see
    `retry_all`.
    """
    if len(chosen) == 1:
        ((kind, key),) = chosen
        try:
            retry_one(database, key, by, kind=kind)
        except UnknownKey:
            return 0
        return 1
    with database.reading() as session:
        found = [read_request(session, kind, key) for kind, key in chosen]
        rows = [row for row in found if row is not None and row.failed_seq == row.requested_seq]
        wanted = _by_reason(session, rows)
    count = _enqueue_again(database, wanted, by)
    with database.transaction() as session:
        for row in rows:
            record_action(session, by.actor or "", "retry", row.key)
    return count


def dismiss_failed(database: Database, key: str, by: Cause, *, kind: Kind | None = None) -> str:
    """Forget a failed key that was never synced, such as a mistyped one, with its causes and runs; returns it.

    Raises UnknownKey if nothing of it failed, and DecisionRefused if it was synced before: that one fails for a reason
    which would stay unseen.
    """
    with database.transaction(lock_timeout_ms=_LOCK_TIMEOUT_MS) as session:
        row = _find_failed(session, normalise_key(key), kind)
        if row.done_seq:
            raise DecisionRefused(f"{row.key} was synced before: retry it, or repair what its error names.")
        forget(session, Kind(row.kind), [row.key])
        record_action(session, by.actor or "", "dismiss", row.key)
        return row.key


def release_held(database: Database, key: str, by: Cause) -> str:
    """Let a held number go: a full sync, queued here, passes the safety stop. Returns the number.

    The stored plan is never applied: Zuora is read again. Raises DecisionRefused where nothing is held.
    """
    with database.transaction(lock_timeout_ms=_LOCK_TIMEOUT_MS) as session:
        run = _need_held(session, key)
        _decide(session, run, Outcome.RELEASED, by)
        enqueue(session, Kind.SUBSCRIPTION, run.key, by, priority=Priority.PERSON, full=True)
        return run.key


def drop_held(database: Database, key: str, by: Cause) -> str:
    """Discard a held plan: it is not applied, and not held again until Zuora's answer makes another one of it.

    Returns the number. Raises DecisionRefused where nothing is held, and where a person's sync, which passes the safety
    stop, waits or runs: both could not be kept.
    """
    with database.transaction(lock_timeout_ms=_LOCK_TIMEOUT_MS) as session:
        run = _need_held(session, key)
        person = _find_waiting_person(session, run.key)
        if person is not None:
            raise DecisionRefused(
                f"{run.key} cannot be dropped: {person} asked for a sync of it, which passes the safety stop."
            )
        _decide(session, run, Outcome.DROPPED, by)
        return run.key


@dataclass(frozen=True)
class Decided:
    """What came of a decision about several: the numbers that it took, and why it did not take the others."""

    done: tuple[str, ...]
    refused: tuple[str, ...]


def settle_held(database: Database, keys: Collection[str], by: Cause, *, release: bool) -> Decided:
    """Release or drop each of `keys`, one after another, each for itself: what cannot be decided stops no other."""
    done: list[str] = []
    refused: list[str] = []
    for key in keys:
        try:
            done.append(release_held(database, key, by) if release else drop_held(database, key, by))
        except DecisionRefused as refusal:
            refused.append(str(refusal))
    return Decided(tuple(done), tuple(refused))


def list_released(session: Session, *, limit: int) -> list[SyncRunRow]:
    """Held runs that were released and whose sync has not ended, the oldest decision first."""
    return session.run(_RELEASED, {"limit": limit}).all()


def _decide(session: Session, run: SyncRunRow, outcome: Outcome, by: Cause) -> None:
    run.outcome, run.decided_by, run.decided_at = outcome.value, by.actor, session.now()
    action = "release held" if outcome is Outcome.RELEASED else "drop held"
    record_action(session, by.actor or "", action, run.key)


def _find_failed(session: Session, key: str, kind: Kind | None) -> SyncRequestRow:
    number = resolve_key(session, key)
    anywhere = [(Kind.SUBSCRIPTION, number), (Kind.SUBSCRIPTION, key), (Kind.ALIAS, key), (Kind.ACCOUNT, key)]
    places: Iterable[tuple[Kind, str | None]] = anywhere if kind is None else [(kind, key)]
    for each, name in places:
        row = read_request(session, each, name) if name else None
        if row is not None and row.failed_seq == row.requested_seq:
            return row
    raise UnknownKey(f"{key} was not given up: `failed list` shows what was, `sync {key}` syncs it now.")


def _by_reason(session: Session, rows: Iterable[SyncRequestRow]) -> Mapping[tuple[Kind, Trigger], list[str]]:
    wanted: defaultdict[tuple[Kind, Trigger], list[str]] = defaultdict(list)
    for row in rows:
        wanted[Kind(row.kind), _reason(session, row)].append(row.key)
    return wanted


def _enqueue_again(database: Database, wanted: Mapping[tuple[Kind, Trigger], list[str]], by: Cause) -> int:
    return sum(
        enqueue_many(database, kind, keys, Cause(trigger, by.actor), priority=Priority.JOB, full=True)
        for (kind, trigger), keys in wanted.items()
    )


def _reason(session: Session, row: SyncRequestRow) -> Trigger:
    trigger = read_cause(session, _Covered(row.kind, row.key, row.done_seq, row.failed_seq)).trigger
    # A person decided about one subscription then; of many, this is a list that someone gives.
    return Trigger.BACKFILL if trigger.is_person else trigger


def _need_held(session: Session, key: str) -> SyncRunRow:
    key = normalise_key(key)
    number = resolve_key(session, key) or key
    run = read_held(session, number)
    if run is not None:
        return run
    last = _read_last_decision(session, number)
    if last is None or last.decided_at is None:
        raise DecisionRefused(f"Nothing of {key} is held: `held list` shows what is.")
    rest = " and waits for its sync" if last.outcome == Outcome.RELEASED and _is_open(session, number) else ""
    raise DecisionRefused(f"{number} was {last.outcome} by {last.decided_by}{rest}: it is not held any more.")


def _read_last_decision(session: Session, number: str) -> SyncRunRow | None:
    run = SyncRunRow
    decided = select(run).where(
        run.kind == Kind.SUBSCRIPTION.value, run.key == number, col(run.decided_at).is_not(None)
    )
    return session.exec(decided.order_by(col(run.id).desc()).limit(1)).first()


def _is_open(session: Session, number: str) -> bool:
    request = read_request(session, Kind.SUBSCRIPTION, number)
    return request is not None and request.due_at is not None


def _find_waiting_person(session: Session, number: str) -> str | None:
    """Who asked for a sync of `number` that has not ended."""
    request = read_request(session, Kind.SUBSCRIPTION, number)
    if request is None or request.due_at is None:
        return None
    served = max(request.done_seq, request.failed_seq)
    causes = read_covered_causes(session, _Covered(request.kind, number, served, request.requested_seq))
    people = (cause for cause in causes if any(each.is_person for each in read_triggers([cause.trigger])))
    return next((cause.actor or "a person" for cause in people), None)
