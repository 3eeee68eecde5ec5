"""The history: which attempts were made for a key, what each changed or why it failed, and who asked for it.

A run covers the causes after `seq_from` up to and with `seq_to`. Rows are only ever added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Protocol

from sqlalchemy import ColumnElement, and_, bindparam, insert, text
from sqlalchemy import select as _select
from sqlmodel import col, select

from sync_service.store.engine import Session
from sync_service.store.statement import table_of
from sync_service.store.tables import SyncCauseRow, SyncRequestRow, SyncRunRow
from sync_service.subscription.digest import touches
from sync_service.subscription.plan import SyncPlan
from sync_service.subscription.trigger import Trigger, read_triggers


class Outcome(StrEnum):
    """How a run ended; `HELD` becomes one of the three after it when it is decided."""

    CHANGED = "changed"
    IMPORTED = "imported"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    #: It failed and is tried again.
    RETRIED = "retried"
    #: A plan that waits for a person's decision.
    HELD = "held"
    RELEASED = "released"
    DROPPED = "dropped"
    #: Another plan took its place.
    SUPERSEDED = "superseded"
    LEFT_OUT = "left out"
    #: Limio has it and Zuora never had: an order that failed, or a gift that was not redeemed.
    NOT_IN_ZUORA = "not in zuora"
    #: An alias proved to be a number; an account's subscriptions were queued.
    RESOLVED = "resolved"
    LISTED = "listed"
    #: A person's personal values were erased.
    SCRUBBED = "scrubbed"

    @property
    def is_applied(self) -> bool:
        """The plan was written to the store."""
        return self in (Outcome.CHANGED, Outcome.IMPORTED)

    @property
    def is_failure(self) -> bool:
        """There is an error."""
        return self in (Outcome.FAILED, Outcome.RETRIED)

    @property
    def is_let_go(self) -> bool:
        """It was held; another run has the result."""
        return self in (Outcome.RELEASED, Outcome.SUPERSEDED)


class FoundAs(StrEnum):
    """How a sweep counts a number that it asks for; the words are keys of its report."""

    #: It differs, and no callout was accepted since the last good run.
    DRIFT = "drift"
    #: An order of our own made it.
    ECHO = "echo"
    #: A callout told of it, and no run has ended well since.
    ANNOUNCED = "announced"
    #: Its plan waits for a person's decision, or a person dropped it.
    HELD = "held"
    #: Only the update time moved, as a bill run does it.
    TOUCHED = "touched"
    #: In Limio, and no sync has read it yet; drift if it turns out to differ.
    FIRST_READ = "first_read"
    #: Not in Limio, and to be imported.
    IMPORT = "import"

    @property
    def about(self) -> str:
        """What it means, for people."""
        return _ABOUT[self]


_ABOUT = {
    FoundAs.DRIFT: "no callout received",
    FoundAs.ECHO: "caused by an order placed in Limio",
    FoundAs.ANNOUNCED: "a callout was received, and no sync has succeeded since",
    FoundAs.HELD: "a person decides, or has dropped the plan",
    FoundAs.TOUCHED: "only the timestamp changed",
    FoundAs.FIRST_READ: "never read before; drift if it differs",
    FoundAs.IMPORT: "not in Limio yet",
}
#: A changed run that a sweep alone asked for is drift by these.
_DRIFT = (FoundAs.DRIFT, FoundAs.FIRST_READ)


class Covered(Protocol):
    """What of a claim the history needs: the request, and the sequences between which it serves."""

    @property
    def kind(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def done_before(self) -> int: ...
    @property
    def seen(self) -> int: ...


@dataclass(frozen=True)
class CoveredCause:
    """One of the requests that a run covers: who asked and when, in ms."""

    trigger: str
    actor: str | None
    callout_id: int | None
    found_as: str | None
    at: int
    seq: int
    id: int


#: Made once, as everything on a sync's way.
_COVERED_CAUSES = (
    _select(*(col(getattr(SyncCauseRow, each.name)) for each in fields(CoveredCause)))
    .where(col(SyncCauseRow.kind) == bindparam("kind"), col(SyncCauseRow.key) == bindparam("key"))
    .where(SyncCauseRow.seq > bindparam("done_before"), SyncCauseRow.seq <= bindparam("seen"))
    .order_by(col(SyncCauseRow.seq), col(SyncCauseRow.id))
)
_INSERT_RUN = insert(table_of(SyncRunRow)).returning(col(SyncRunRow.id))
_COPY_CAUSES = """
INSERT INTO sync_cause (kind, key, seq, trigger, actor, callout_id, found_as, trace, at)
SELECT CAST(:own_kind AS TEXT), CAST(:own_key AS TEXT), CAST(:own_seq AS BIGINT),
  trigger, actor, callout_id, found_as, trace, at
FROM sync_cause WHERE kind = :kind AND key = :key AND seq > :done_before AND seq <= :seen ORDER BY seq, id
"""


class Timed(Covered, Protocol):
    """A claim that says when it was made, in ms by the database's clock."""

    @property
    def claimed_at(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Why:
    """All that one needs to see of a key: who asked, what came of it, what waits. Newest first; times in ms."""

    kind: str
    key: str
    causes: tuple[SyncCauseRow, ...]
    runs: tuple[SyncRunRow, ...]
    #: Requests not served yet, and since when the first of them waits.
    waiting: int
    waiting_since: int | None
    running: bool
    attempts: int
    last_error: str | None
    next_try_at: int | None
    checked_at: int | None


@dataclass(kw_only=True)
class OpenRun:
    """A run that has not ended: the columns of its row as far as they are known."""

    kind: str
    key: str
    seq_from: int
    seq_to: int
    trigger: str | None
    actor: str | None
    began_at: int
    calls: int
    subscription_id: str | None = None
    owner: str | None = None
    listed: int | None = None
    drastic: bool = False
    plan_hash: str | None = None
    error_code: str | None = None
    error: str | None = None


def open_run(claim: Timed, causes: Sequence[CoveredCause], *, calls: int) -> OpenRun:
    """A run of `claim`, which `causes` asked for; kept only when `record_run` gets it."""
    cause = min(causes, key=_weakness, default=None)
    return OpenRun(
        kind=str(claim.kind),
        key=claim.key,
        seq_from=claim.done_before,
        seq_to=claim.seen,
        trigger=cause.trigger if cause else None,
        actor=cause.actor if cause else None,
        began_at=claim.claimed_at,
        calls=calls,
    )


def record_run(session: Session, run: OpenRun, *, outcome: Outcome, plan: SyncPlan | None, ended_at: int) -> int:
    """Keep `run` with how it ended, in the caller's transaction; returns its id."""
    changes = plan.changes if plan is not None else ()
    values = {
        **vars(run),
        "outcome": outcome,
        "ended_at": ended_at,
        "plan": plan.as_json() if plan is not None else None,
        "change_count": len(changes),
        "touched": f" {' '.join(sorted(touches(changes)))} " if changes else None,
    }
    return int(session.run(_INSERT_RUN, values).scalar_one())


def read_covered_causes(session: Session, claim: Covered) -> list[CoveredCause]:
    """The causes that a run of `claim` covers, oldest first."""
    values = {"kind": str(claim.kind), "key": claim.key, "done_before": claim.done_before, "seen": claim.seen}
    return [CoveredCause(*row) for row in session.run(_COVERED_CAUSES, values)]


def read_traces(session: Session, claim: Covered) -> list[str]:
    """The spans in which the requests that a run of `claim` covers were made, oldest first; see `telemetry.traces`."""
    cause = SyncCauseRow
    covered = select(cause.trace).where(
        cause.kind == str(claim.kind), cause.key == claim.key, col(cause.trace).is_not(None)
    )
    found = session.exec(covered.where(cause.seq > claim.done_before, cause.seq <= claim.seen).order_by(col(cause.seq)))
    return [each for each in found if each]


def strongest_cause(session: Session, claim: Covered) -> CoveredCause | None:
    """Of the causes that a run of `claim` covers the strongest, the earliest of those; None where there is none."""
    return min(read_covered_causes(session, claim), key=_weakness, default=None)


def copy_causes(session: Session, claim: Covered, own: Covered) -> None:
    """Let the causes of `claim`, an alias, count for `own`, the row of the number itself, as its latest request."""
    values = {"kind": str(claim.kind), "key": claim.key, "done_before": claim.done_before, "seen": claim.seen}
    session.run(_COPY_CAUSES, {**values, "own_kind": str(own.kind), "own_key": own.key, "own_seq": own.seen})


_RUNS, _CAUSES = (
    select(row)
    .where(row.kind == bindparam("kind"), row.key == bindparam("key"))
    .order_by(col(last).desc(), col(row.id).desc())
    .limit(bindparam("limit"))
    for row, last in ((SyncRunRow, SyncRunRow.seq_to), (SyncCauseRow, SyncCauseRow.seq))
)


def read_runs(session: Session, key: str, limit: int, *, kind: str = "subscription") -> list[SyncRunRow]:
    """The latest runs of a key, newest first."""
    return session.run(_RUNS, {"kind": kind, "key": key, "limit": limit}).all()


def read_causes(session: Session, key: str, limit: int, *, kind: str = "subscription") -> list[SyncCauseRow]:
    """The latest causes of a key, newest first."""
    return session.run(_CAUSES, {"kind": kind, "key": key, "limit": limit}).all()


def first_attempt_covering(session: Session, kind: str, key: str, seq: int) -> SyncRunRow | None:
    """The first run whose claim had seen the request with the sequence `seq`; None while none is in the history."""
    covering = select(SyncRunRow).where(
        SyncRunRow.kind == kind, SyncRunRow.key == key, SyncRunRow.seq_from < seq, SyncRunRow.seq_to >= seq
    )
    return session.exec(covering.order_by(col(SyncRunRow.id)).limit(1)).first()


def is_drift() -> ColumnElement[bool]:
    """Whether a run put right what no callout told of: a sweep is its strongest cause and found a difference."""
    return and_(is_correction(), covers_drift())


def is_correction() -> ColumnElement[bool]:
    """Whether a run that a sweep asked for changed something."""
    # As text: the condition of the index that has them.
    return text("sync_run.trigger = 'sweep' AND sync_run.outcome = 'changed'")  # type: ignore[return-value]


def covers_drift() -> ColumnElement[bool]:
    """Whether a run covers a request of a sweep that found a difference which no callout told of."""
    run, cause = SyncRunRow, SyncCauseRow
    covered = (cause.kind == run.kind, cause.key == run.key, cause.seq > run.seq_from, cause.seq <= run.seq_to)
    return select(cause.id).where(*covered, col(cause.found_as).in_(_DRIFT)).correlate(run).exists()


def why(session: Session, key: str, *, kind: str = "subscription", limit: int = 20) -> Why:
    """What happened to `key`, which `resolve_key` gave where it is a subscription's, and what comes next."""
    request = session.look_up(SyncRequestRow, kind=kind, key=key)
    return Why(
        kind=kind,
        key=key,
        causes=tuple(read_causes(session, key, limit, kind=kind)),
        runs=tuple(read_runs(session, key, limit, kind=kind)),
        waiting=request.requested_seq - max(request.done_seq, request.failed_seq) if request else 0,
        waiting_since=request.waiting_since if request else None,
        running=request is not None and request.lease_until is not None,
        attempts=request.attempts if request else 0,
        last_error=request.last_error if request else None,
        next_try_at=request.due_at if request else None,
        checked_at=request.checked_at if request else None,
    )


def _weakness(cause: CoveredCause) -> tuple[int, int, int]:
    weakness = min((each.weakness for each in read_triggers([cause.trigger])), default=len(Trigger))
    return weakness, cause.seq, cause.id
