"""One claim from the queue, whatever its kind, taken to its end: done, tried again later, or failed for good."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable

from sqlalchemy.exc import DBAPIError

from sync_service.errors import (
    ConflictInStore,
    GoneFromZuora,
    LeaseLost,
    NotFoundInZuora,
    SubscriptionError,
    SyncServiceError,
    TenantError,
    UnknownKey,
    ZuoraUnavailable,
)
from sync_service.queue.fate import queue_number
from sync_service.queue.limit import note_success, note_tenant_error
from sync_service.queue.requests import (
    Claim,
    Kind,
    enqueue_many,
    fail,
    finish,
    read_cause,
    retry_later,
)
from sync_service.queue.retry import count_doubt, decide_retry, find_whose
from sync_service.queue.runs.history import CoveredCause, Outcome, open_run, read_covered_causes, record_run
from sync_service.store.reads import read_link, record_alias, resolve_key, tell_unknown
from sync_service.subscription.plan import SyncPlan
from sync_service.subscription.trigger import read_triggers
from sync_service.sync.attempt import Attempt, SyncContext, sync_subscription
from sync_service.telemetry.log import logger
from sync_service.telemetry.measures import RUNS, WRITTEN
from sync_service.telemetry.traces import tell
from sync_service.zuora.preview import SharedPreviews
from sync_service.zuora.reading import Reading

#: The store says what Zuora said.
_SYNCED = frozenset({Outcome.CHANGED, Outcome.IMPORTED, Outcome.UNCHANGED})
#: One run's total time for everything that it asks of Zuora, in seconds; a lease is longer.
RUN_SECONDS = 60.0


def run_claim(
    context: SyncContext, claim: Claim, previews: SharedPreviews, *, when_read: Callable[[], None] = lambda: None
) -> int:
    """Run `claim` to its end and return how many calls to Zuora it took. Raises nothing that belongs to the claim.

    `when_read` is called where the run has made its last call and has something to do still.
    """
    log = logger().bind(kind=str(claim.kind), key=claim.key, attempt=claim.attempts)
    log.info("sync_claimed")
    began = time.monotonic()
    reading = context.zuora.reading(RUN_SECONDS)
    reading.when_ended(when_read)
    try:
        outcome = _STORIES[claim.kind](Attempt(context=context, claim=claim, reading=reading, previews=previews))
        log.info("sync_finished", outcome=outcome, calls=reading.calls)
        RUNS.labels(outcome, _asked_by(claim), "").inc()
        tell({"sync.outcome": outcome})
        if outcome in _SYNCED:
            waited = (claim.claimed_at - claim.waiting_since) / 1000
            WRITTEN.labels(_asked_by(claim)).observe(waited + time.monotonic() - began)
    except LeaseLost:
        log.warning("sync_lease_lost")
    except SyncServiceError as error:
        _settle(context, claim, error, reading)
    except DBAPIError as error:
        _settle(context, claim, ConflictInStore(f"The database refused: {type(error.orig).__name__}."), reading)
    except Exception as error:
        log.exception("sync_crashed")
        _settle(context, claim, SubscriptionError(f"The sync crashed: {type(error).__name__}."), reading)
    return reading.calls


def _sync_number(attempt: Attempt) -> Outcome:
    context, claim = attempt.context, attempt.claim
    try:
        return sync_subscription(attempt)
    except NotFoundInZuora as error:
        with context.database.reading() as session:
            was_read = read_link(session, claim.key) is not None
        if was_read:
            if count_doubt(context.database, context.share, claim.key):
                raise ZuoraUnavailable(f"Many numbers in a row got the same answer: {error}") from error
            raise GoneFromZuora from None
        with context.database.transaction() as session:
            finish(session, claim)
            causes = read_covered_causes(session, claim)
            if _is_awaited(causes):
                note = "Zuora has no such subscription: the order failed, or it is a gift that was not redeemed yet."
                run = open_run(claim, causes, calls=attempt.reading.calls)
                plan = SyncPlan(number=claim.key, notes=(note,))
                record_run(session, run, outcome=Outcome.NOT_IN_ZUORA, plan=plan, ended_at=session.now())
        return Outcome.NOT_IN_ZUORA


def _resolve_alias(attempt: Attempt) -> Outcome:
    """Learn which number an unknown key stands for; a key that is the number itself is synced in the same lease."""
    context, claim = attempt.context, attempt.claim
    with context.database.reading() as session:
        number = resolve_key(session, claim.key)
        unknown = tell_unknown(session, claim.key)
    if number is not None:
        with context.database.transaction() as session:
            finish(session, claim)
            queue_number(session, claim, number)
        return Outcome.RESOLVED
    try:
        subscription = attempt.reading.fetch_subscription(claim.key)
    except NotFoundInZuora:
        raise UnknownKey(unknown) from None
    if subscription.number == claim.key:
        return sync_subscription(attempt, subscription)
    note_success(context.database, context.share)
    with context.database.transaction() as session:
        finish(session, claim)
        record_alias(session, claim.key, subscription.number)
        queue_number(session, claim, subscription.number)
    return Outcome.RESOLVED


def _list_account(attempt: Attempt) -> Outcome:
    """Queue every subscription that the account owns or pays for."""
    context, claim = attempt.context, attempt.claim
    try:
        numbers = attempt.reading.fetch_account_numbers(claim.key)
    except NotFoundInZuora:
        raise UnknownKey("Zuora has no such account.") from None
    note_success(context.database, context.share)
    with context.database.reading() as session:
        cause = read_cause(session, claim)
    enqueue_many(context.database, Kind.SUBSCRIPTION, numbers, cause, priority=claim.priority, full=True)
    with context.database.transaction() as session:
        finish(session, claim)
        run = open_run(claim, read_covered_causes(session, claim), calls=attempt.reading.calls)
        run.listed = len(numbers)
        plan = SyncPlan(number=claim.key, notes=(f"{len(numbers)} subscriptions queued.",))
        record_run(session, run, outcome=Outcome.LISTED, plan=plan, ended_at=session.now())
    return Outcome.LISTED


def _is_awaited(causes: Iterable[CoveredCause]) -> bool:
    """Whether someone waits for the result."""
    return any(each.is_awaited for each in read_triggers(cause.trigger for cause in causes))


_STORIES: dict[Kind, Callable[[Attempt], Outcome]] = {
    Kind.SUBSCRIPTION: _sync_number,
    Kind.ALIAS: _resolve_alias,
    Kind.ACCOUNT: _list_account,
}


def _settle(context: SyncContext, claim: Claim, error: SyncServiceError, reading: Reading) -> None:
    """Put the claim back or end it, and keep the attempt in the history if it is worth it."""
    error = find_whose(context.database, error, context.share, claim.key, answered=reading.answered)
    decision = decide_retry(error, claim.attempts, jitter=random.random())  # noqa: S311 - spreads retries, no secret
    logger().warning(
        "sync_failed" if decision.final else "sync_retried", key=claim.key, code=error.code, delay_ms=decision.delay_ms
    )
    RUNS.labels(Outcome.FAILED if decision.final else Outcome.RETRIED, _asked_by(claim), error.code).inc()
    tell({"sync.outcome": Outcome.FAILED if decision.final else Outcome.RETRIED, "error.type": error.code})
    if isinstance(error, TenantError):
        note_tenant_error(context.database, error, context.share, by=claim.key)
    try:
        with context.database.transaction() as session:
            if decision.final:
                fail(session, claim, error=str(error), code=error.code)
            else:
                retry_later(
                    session,
                    claim,
                    error=str(error),
                    delay_ms=decision.delay_ms,
                    counts=decision.counts,
                )
            causes = read_covered_causes(session, claim)
            if decision.final or _is_awaited(causes) or isinstance(error, SubscriptionError):
                run = open_run(claim, causes, calls=reading.calls)
                run.error_code, run.error = error.code, str(error)
                outcome = Outcome.FAILED if decision.final else Outcome.RETRIED
                record_run(session, run, outcome=outcome, plan=None, ended_at=session.now())
    except LeaseLost:
        logger().warning("sync_lease_lost", key=claim.key)


def _asked_by(claim: Claim) -> str:
    return claim.priority.name.lower()
