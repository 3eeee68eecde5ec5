"""The safety stop: many plans of one hour that cancel or empty a schedule wait for a person instead of being applied.

It asks nothing of Zuora and writes no store: it says whether a plan may be applied, and keeps what people decided.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import bindparam, func, tuple_
from sqlmodel import col, select

from sync_service.queue.requests import Kind
from sync_service.queue.runs.history import Outcome
from sync_service.store.engine import Session
from sync_service.store.tables import SyncRequestRow, SyncRunRow
from sync_service.subscription.plan import SyncPlan
from sync_service.subscription.trigger import Trigger

#: So many drastic plans an hour are applied without a question, whatever their share.
ALWAYS_ALLOWED = 50
HOUR_MS = 3_600_000
#: Any number that is not used for another advisory lock in our database.
_COUNTING = 7_261_494
_CLOSE = "UPDATE sync_run SET outcome = :outcome WHERE id = :run_id AND outcome = 'held'"
_OPEN_HELD = (
    select(SyncRunRow)
    .where(
        SyncRunRow.kind == Kind.SUBSCRIPTION, SyncRunRow.key == bindparam("number"), SyncRunRow.outcome == Outcome.HELD
    )
    .with_for_update()
    .execution_options(populate_existing=True)
)
_HELD = (
    select(SyncRunRow)
    .where(
        SyncRunRow.outcome == Outcome.HELD,
        tuple_(col(SyncRunRow.ended_at), col(SyncRunRow.id)) > tuple_(bindparam("ended_at"), bindparam("id")),
    )
    .order_by(col(SyncRunRow.ended_at), col(SyncRunRow.id))
    .limit(bindparam("limit"))
)
_COUNT_HELD = """
SELECT count(*) AS held, min(ended_at) AS first, max(ended_at) AS last FROM sync_run WHERE outcome = 'held'
"""


class Verdict(StrEnum):
    """What is to be done with a plan."""

    APPLY = "apply"
    #: Not applied: a run row `held` says so and waits for a person.
    HOLD = "hold"
    #: Not applied and nothing new to say: this very plan is held already, or a person dropped it.
    LEAVE = "leave"


@dataclass(frozen=True)
class Decision:
    """The verdict, and the hash of a plan that is not applied, for the run's row."""

    verdict: Verdict
    plan_hash: str | None = None


@dataclass(frozen=True)
class OpenHeld:
    """The plan of a number that waits for a person: the run's row and the plan's hash."""

    run_id: int
    plan_hash: str | None


class Overtaken(Exception):
    """What was compared has changed before the difference was written: it has to be compared again."""


def decide_hold(
    session: Session,
    plan: SyncPlan,
    *,
    drastic: bool,
    triggers: Collection[Trigger],
    share: Decimal,
    open_held: OpenHeld | None,
) -> Decision:
    """Whether `plan` may be applied by the transaction that asks; `share` is the part of the hour's numbers allowed.

    A plan is counted when its run row is committed, so the count is taken under a lock that lasts until then.
    `open_held` is what of the number is held; where this plan is applied or replaces it, it is closed here. A plan once
    held stays so until a person decides, or Zuora's answer makes another one of it. Raises Overtaken where a person has
    just decided about it.
    """
    by_person = any(each.is_person for each in triggers)
    if not drastic or by_person:
        _close(session, open_held, Outcome.RELEASED if drastic else Outcome.SUPERSEDED)
        return Decision(Verdict.APPLY)
    plan_hash = plan.hash
    if (open_held is not None and open_held.plan_hash == plan_hash) or _is_dropped(session, plan.number, plan_hash):
        return Decision(Verdict.LEAVE, plan_hash)
    if open_held is None and not _is_flood(session, share):
        return Decision(Verdict.APPLY)
    _close(session, open_held, Outcome.SUPERSEDED)  # before the new row: one open per number
    return Decision(Verdict.HOLD, plan_hash)


def list_held(session: Session, *, limit: int, after: tuple[int, int] = (0, 0)) -> list[SyncRunRow]:
    """The held runs that wait for a decision, oldest first, behind the one that ended at `after`, with its id."""
    return session.run(_HELD, {"ended_at": after[0], "id": after[1], "limit": limit}).all()


def read_held(session: Session, number: str) -> SyncRunRow | None:
    """The held run of `number`, locked for a decision in this transaction; None where nothing is held."""
    return session.exec(_OPEN_HELD, params={"number": number}).one_or_none()


def span_held(session: Session) -> tuple[int, int | None, int | None]:
    """How many numbers wait for a decision, and since when the first and the last of them do, in ms."""
    held, first, last = session.run(_COUNT_HELD).one()
    return held, first, last


def count_held(session: Session) -> int:
    """How many numbers wait for a decision."""
    return int(session.run(_COUNT_HELD).one().held)


def _is_flood(session: Session, share: Decimal) -> bool:
    if session.database.dialect == "postgresql":  # SQLite has one writer anyway
        session.run(f"SELECT pg_advisory_xact_lock({_COUNTING})")
    since = session.now() - HOUR_MS
    run, request = SyncRunRow, SyncRequestRow
    applied = session.exec(
        select(func.count())
        .select_from(run)
        .where(run.drastic, col(run.outcome).in_((Outcome.CHANGED, Outcome.IMPORTED)), run.ended_at > since)
    ).one()
    if applied < ALWAYS_ALLOWED:
        return False
    checked = session.exec(
        select(func.count())
        .select_from(request)
        .where(request.kind == Kind.SUBSCRIPTION, col(request.checked_at) > since)
    ).one()
    return applied > share * checked


def _close(session: Session, held: OpenHeld | None, outcome: Outcome) -> None:
    if held is not None:
        values = {"run_id": held.run_id, "outcome": outcome.value}
        if session.run(_CLOSE, values).rowcount != 1:
            raise Overtaken


def _is_dropped(session: Session, number: str, plan_hash: str) -> bool:
    """Dropped, and nothing was applied or held since: then Zuora's answer is what it was."""
    run = SyncRunRow
    decided = (Outcome.DROPPED, Outcome.HELD, Outcome.RELEASED, Outcome.SUPERSEDED, Outcome.CHANGED, Outcome.IMPORTED)
    statement = (
        select(run)
        .where(run.kind == Kind.SUBSCRIPTION, run.key == number, col(run.outcome).in_(decided))
        .order_by(col(run.id).desc())
        .limit(1)
    )
    last = session.exec(statement).one_or_none()
    return last is not None and last.outcome == Outcome.DROPPED and last.plan_hash == plan_hash
