"""The story of one order: read what it meets, plan its steps, take them one after another, and write what came of it.

It may die anywhere and be taken up by another worker: the steps that were sent stand in the store, and each turn begins
with what is known of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from sqlalchemy.exc import DBAPIError

from sync_service.commerce.journeys import journeys
from sync_service.commerce.order import Problem, ProblemCode, Refusal
from sync_service.commerce.steps import (
    Again,
    Ask,
    Choice,
    Done,
    Held,
    Next,
    Plan,
    Refused,
    Replan,
    Skipped,
    Step,
    read_step,
)
from sync_service.errors import (
    ConflictInStore,
    LeaseLost,
    SubscriptionError,
    SyncServiceError,
    TenantError,
    ZuoraUnavailable,
)
from sync_service.ordering.calls import LaneTurn, NoPlace, carry_out, has_happened
from sync_service.ordering.context import OrderContext, meet, order_of
from sync_service.ordering.finish import complete_order, fail_order, hold_order
from sync_service.ordering.previews import refresh_rate_plans
from sync_service.queue.claims import EXHAUSTED, MAX_CLAIMS
from sync_service.queue.limit import note_success, note_tenant_error
from sync_service.queue.orders.acceptance import read_case
from sync_service.queue.orders.lanes import begin_turn, postpone_turn, read_work
from sync_service.queue.requests import Claim, release, renew
from sync_service.queue.retry import MAX_UNSERVED, count_doubt, decide_retry, find_whose
from sync_service.store.tables import OrderWorkRow
from sync_service.telemetry.log import logger
from sync_service.zuora.reading import Reading

#: The time for everything that is read of Zuora before a plan is made, in seconds.
READ_SECONDS = 60.0
#: What a person may do about an order whose attempts are used up.
_GIVE_UP = (Choice.RETRY, Choice.FAIL)


class NoAnswerYet(SubscriptionError):
    """Zuora gave no answer, so that it is not known whether the step has happened."""

    code = "no answer yet"


class OrderLocked(SubscriptionError):
    """Something else in Zuora holds what the order needs."""

    code = "locked in Zuora"


def run_claim(context: OrderContext, claim: Claim, when_left: Callable[[], None] = lambda: None) -> int:
    """Place the oldest order of the lane of `claim`; returns how many calls to Zuora it took.

    `when_left` is called when the lane leaves its place among the callers to others.

    Raises nothing that belongs to the order. Where the database is away the lease runs out, and the order is taken up.
    """
    log = logger().bind(lane=claim.key, attempt=claim.attempts)
    try:
        with context.database.transaction() as session:
            work = begin_turn(session, claim)
    except LeaseLost:
        log.warning("order_lease_lost")
        return 0
    if work is None:
        return 0
    log = log.bind(order=work.number, order_type=work.order_type)
    log.info("order_taken")
    turn = LaneTurn(context=context, claim=claim, order_id=work.order_id, when_left=when_left)
    try:
        following = _place(turn)
        log.info("order_turn_ended", outcome=type(following).__name__.lower(), calls=turn.calls)
    except LeaseLost:
        log.warning("order_lease_lost")
    except NoPlace:
        _give_back(turn)
    except SyncServiceError as error:
        _try_later(turn, error)
    except DBAPIError as error:
        _try_later(turn, ConflictInStore(f"The database refused: {type(error.orig).__name__}."))
    except Exception as error:
        log.exception("order_crashed")
        _try_later(turn, SubscriptionError(f"Placing the order crashed: {type(error).__name__}."))
    return turn.calls


def _place(turn: LaneTurn) -> Next:
    """Take the order as far as it goes now, and commit what came of it. Raises what the reads raise, and LeaseLost."""
    if turn.claim.attempts > MAX_CLAIMS:
        problem = Problem(field="", code=ProblemCode.INVALID, message=EXHAUSTED)
        return _end(turn, Held(problem=problem, choices=_GIVE_UP))
    with turn.context.database.reading() as session:
        work = read_work(session, turn.order_id)
    steps = [read_step(text) for text in work.steps] if work.steps is not None else None
    if work.given_up_by is not None:
        problem = Problem(field="", code=ProblemCode.INVALID, message=f"{work.given_up_by} gave the order up.")
        return _end(turn, _undo(turn, steps or [], Refused(problem=problem)))
    planned = _plan(turn, work) if steps is None else steps
    return _end(turn, planned if isinstance(planned, Refused) else _take(turn, planned))


def _plan(turn: LaneTurn, work: OrderWorkRow) -> Sequence[Step] | Refused:
    """Read everything that the order meets, and store its steps."""
    reading = turn.context.zuora.reading(READ_SECONDS)
    try:
        plan = _journey(turn, work, reading)
        if isinstance(plan, Refusal) and any(each.code is ProblemCode.CATALOG for each in plan.problems):
            refresh_rate_plans(turn.context.database, reading)
            plan = _journey(turn, work, reading)
    finally:
        turn.calls += reading.calls
    if isinstance(plan, Refusal):
        text = " ".join(problem.message for problem in plan.problems)
        return Refused(problem=Problem(field="", code=plan.problems[0].code, message=text))
    with turn.context.database.transaction() as session:
        renew(session, turn.claim)
        row = read_work(session, turn.order_id)
        row.steps = [step.as_text() for step in plan.steps]
        turn.looks.keep(row)
        row.notes = [warning.message for warning in plan.warnings]
    return plan.steps


def _journey(turn: LaneTurn, work: OrderWorkRow, reading: Reading) -> Plan | Refusal:
    """The steps that place the order, from what the store and Zuora say now."""
    context = turn.context
    with context.database.reading() as session:
        case = read_case(session, context.settings, order_of(context, work), at=session.now())
    case = meet(case, reading, turn.looks)
    return journeys(case.order, case.state, case.catalog, case.options, case.today)


def _take(turn: LaneTurn, steps: Sequence[Step]) -> Next:
    """One step after another. Done: all have happened; `notes` say what went wrong beside them."""
    notes: list[Problem] = []
    for step in steps:
        following = carry_out(turn, step)
        if isinstance(following, Refused):
            return _undo(turn, steps, following)
        if not isinstance(following, Done | Skipped):
            return following
        notes += following.notes if isinstance(following, Done) else [following.problem]
    return Done(answer={}, notes=tuple(notes))


def _undo(turn: LaneTurn, steps: Sequence[Step], refused: Refused) -> Next:
    """Take back what was done, last first. Refused: all is undone; else the undoing goes on later, or is held."""
    for step in reversed(steps):
        if step.undo is not None and has_happened(turn, step):
            following = carry_out(turn, step.undo)
            if not isinstance(following, Done | Skipped):
                return following
    return refused


def _end(turn: LaneTurn, following: Next) -> Next:
    """Commit how the turn ends: complete, failed, held, or to go on later."""
    match following:
        case Done(notes=notes):
            complete_order(turn, notes)
            note_success(turn.context.database, turn.context.share)
        case Refused(problem=problem):
            fail_order(turn, problem)
        case Held(problem=problem, choices=choices):
            hold_order(turn, problem, choices)
        case Replan(problem=problem):
            _plan_anew(turn, problem)
        case Again() | Ask():
            _wait(turn, following)
    return following


def _plan_anew(turn: LaneTurn, problem: Problem) -> None:
    """Once; what does not fit a fresh read either is refused."""
    with turn.context.database.reading() as session:
        replanned = read_work(session, turn.order_id).replanned
    if replanned:
        fail_order(turn, problem)
        return
    with turn.context.database.transaction() as session:
        postpone_turn(
            session, turn.claim, turn.order_id, error_code=problem.code, error=problem.message, delay_ms=0, counts=False
        )
        row = read_work(session, turn.order_id)
        row.steps, row.replanned = None, True


def _wait(turn: LaneTurn, following: Again | Ask) -> None:
    """The same step goes on after a while; how long, and whether it counts as an attempt, is the queue's rule."""
    if turn.trouble is not None:
        _try_later(turn, turn.trouble)
    elif isinstance(following, Ask) or not following.new_key:
        _try_later(turn, NoAnswerYet(), after=following.after if isinstance(following, Again) else 0.0)
    else:
        _try_later(turn, OrderLocked(), after=following.after)


def _give_back(turn: LaneTurn) -> None:
    """Let the lane be claimed again as soon as there is a place."""
    try:
        with turn.context.database.transaction() as session:
            release(session, turn.claim)
    except LeaseLost:
        logger().warning("order_lease_lost", order=turn.order_id)


def _try_later(turn: LaneTurn, error: SyncServiceError, *, after: float = 0.0) -> None:
    """Put the order back for a later attempt, or hold it where there were enough of them."""
    context = turn.context
    error = find_whose(context.database, error, context.share, turn.claim.key, answered=False)
    if isinstance(error, NoAnswerYet) and count_doubt(
        context.database, context.share, turn.claim.key, most=MAX_UNSERVED
    ):
        error = ZuoraUnavailable("Zuora gives no answer to several calls in a row.")
    if isinstance(error, TenantError):
        note_tenant_error(context.database, error, context.share, by=turn.claim.key)
    decision = decide_retry(error, turn.claim.attempts, jitter=random.random())  # noqa: S311 - spreads retries
    logger().warning("order_waits", order=turn.order_id, code=error.code, final=decision.final)
    try:
        if decision.final:
            problem = Problem(field="", code=ProblemCode.INVALID, message=str(error))
            hold_order(turn, problem, _GIVE_UP)
            return
        with context.database.transaction() as session:
            postpone_turn(
                session,
                turn.claim,
                turn.order_id,
                error_code=error.code,
                error=str(error),
                delay_ms=max(decision.delay_ms, int(after * 1000)),
                counts=decision.counts,
            )
            turn.looks.keep(read_work(session, turn.order_id))
    except LeaseLost:
        logger().warning("order_lease_lost", order=turn.order_id)
