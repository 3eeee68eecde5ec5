"""How a turn of an order ends: in one transaction that begins with the fence, everything or nothing.

Limio's objects, the order's state, the record of what was called, the webhooks, and the wish that what Zuora can tell
(terms, schedule, status) be synced.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sync_service.commerce.case import Case
from sync_service.commerce.ending import completed, failed
from sync_service.commerce.order import Problem
from sync_service.commerce.order_objects import Effect, NewObject, event_id
from sync_service.commerce.steps import Choice
from sync_service.ordering.calls import LaneTurn
from sync_service.ordering.context import look_as_callout, order_of
from sync_service.queue.orders.acceptance import announce_written, read_case
from sync_service.queue.orders.lanes import OrderState, end_turn, read_names
from sync_service.queue.orders.steps import StepState, read_steps
from sync_service.queue.outbox import WebhookType, announce
from sync_service.queue.requests import Cause, Kind, Priority, enqueue
from sync_service.store.effects import Written, apply_effects
from sync_service.store.engine import Session
from sync_service.store.objects import read_object
from sync_service.store.tables import OrderStepRow, OrderWorkRow, SubscriptionRow
from sync_service.subscription.limio.documents import timestamp_of
from sync_service.subscription.trigger import Trigger
from sync_service.telemetry.measures import ORDERS

#: What Limio calls the part of an order's processing that talks to Zuora ("Order orchestration framework").
_PLUGIN = "zuora"


def complete_order(turn: LaneTurn, notes: Sequence[Problem]) -> None:
    """Every step has happened. Raises LeaseLost, and ConflictInStore where an object went away meanwhile."""
    with _ending(turn, OrderState.COMPLETE, notes=[problem.message for problem in notes]) as (session, work):
        wanted = _want_syncs(session, work)
        case = _read_case(turn, session, work)
        at = timestamp_of(work.ended_at or 0)
        effects = completed(case.order, case.state.store, case.catalog, turn.done, at=at, today=case.today)
        announce_written(session, _apply(session, work, effects))
        process = _record_process(session, work, "complete", notes)
        if notes:
            _announce_error(session, work, process, notes)
        _want_syncs(session, work, but=wanted)


def fail_order(turn: LaneTurn, problem: Problem) -> None:
    """It was refused for good, or given up: a call may have happened whose answer never came, which a sync brings.

    Raises as `complete_order` does.
    """
    with _ending(turn, OrderState.FAILED, error_code=problem.code, error=problem.message) as (session, work):
        calls = read_steps(session, work.order_id)
        if turn.done or any(call.state == StepState.SENT for call in calls):
            _want_syncs(session, work)
        case = _read_case(turn, session, work)
        announce_written(session, _apply(session, work, failed(case.order, case.state.store)))
        process = _record_process(session, work, "failed", [problem])
        _announce_error(session, work, process, [problem])


def hold_order(turn: LaneTurn, problem: Problem, choices: Sequence[Choice]) -> None:
    """Only a person can decide; the lane goes on meanwhile. Raises LeaseLost."""
    told = {"error_code": problem.code, "error": problem.message}
    with _ending(turn, OrderState.HELD, **told, choices=choices) as (session, work):
        _record_process(session, work, "held", [problem])


@contextmanager
def _ending(turn: LaneTurn, state: OrderState, **told: Any) -> Iterator[tuple[Session, OrderWorkRow]]:
    """The transaction that ends the turn, with the order's row; counted once it is committed."""
    with turn.context.database.transaction() as session:
        work = end_turn(session, turn.claim, turn.order_id, state, **told)
        turn.looks.keep(work)
        yield session, work
    ORDERS.labels(work.order_type, work.state).inc()


def _read_case(turn: LaneTurn, session: Session, work: OrderWorkRow) -> Case:
    order = order_of(turn.context, work)
    return read_case(session, turn.context.settings, order, at=work.ended_at or 0, lock=True)


def _apply(session: Session, work: OrderWorkRow, effects: Iterable[Effect]) -> list[Written]:
    names = read_names(work)
    return apply_effects(session, effects, at=work.ended_at or 0, owner=names.owner, customer=names.customer)


def _want_syncs(session: Session, work: OrderWorkRow, *, but: Collection[str] = ()) -> set[str]:
    """Of all numbers that the order has touched but those; what a renewal did not need was only named.

    Before the objects are locked: every writer takes the requests' rows first.
    """
    made = (each for each in read_names(work).subscriptions if session.get(SubscriptionRow, each.id) is not None)
    numbers = set(filter(None, (work.subscription_number, *(each.reference for each in made)))) - set(but)
    cause = Cause(Trigger.ORDER, work.number)
    for number in sorted(numbers):
        enqueue(session, Kind.SUBSCRIPTION, number, cause, priority=Priority.EVENT, full=True)
    return numbers


def _record_process(
    session: Session, work: OrderWorkRow, status: str, problems: Sequence[Problem]
) -> Mapping[str, Any]:
    """Limio's process event, as written: the calls, with what they changed, and what went wrong."""
    calls = read_steps(session, work.order_id)
    at, names = work.ended_at or 0, read_names(work)
    event = read_object(session, "event", event_id(names))
    asked = [look_as_callout(look, timestamp_of(look["at"])) for look in work.looks]
    document = {
        "status": status,
        "data": {
            "order": work.order_id,
            "event": event["id"] if event else None,
            "plugins": [
                {
                    "name": _PLUGIN,
                    "critical": True,
                    "status": status,
                    "started": timestamp_of(calls[0].sent_at if calls else at),
                    "finished": timestamp_of(at),
                }
            ],
            "callouts": sorted([*asked, *map(_callout, calls)], key=lambda each: str(each["at"])),
            "errors": [_error(problem) for problem in problems],
            "logs": list(work.notes),
        },
    }
    subscription = names.subscriptions[0].id if names.subscriptions else None
    effect = NewObject(record_type="process", document=document, subscription_id=subscription)
    [written] = apply_effects(session, [effect], at=at, owner=names.owner, customer=names.customer)
    return written.document


def _callout(call: OrderStepRow) -> Mapping[str, Any]:
    return {
        "at": timestamp_of(call.sent_at),
        "step": call.name,
        "method": call.method,
        "endpoint": call.path,
        "ms": None if call.answered_at is None else call.answered_at - call.sent_at,
        "sends": call.sends,
        "status": "refused" if call.state in (StepState.AGAIN, StepState.SKIPPED) else call.state,
        "request": json.loads(call.body) if call.body else None,
        "response": json.loads(call.answer) if call.answer else None,
        "error": call.error,
    }


def _announce_error(
    session: Session, work: OrderWorkRow, process: Mapping[str, Any], problems: Sequence[Problem]
) -> None:
    """Limio's Error webhook: the only signal that what was announced at submission did not come true."""
    order = read_object(session, "order", work.order_id)
    body = {"order": order, "process_event": process, "errors": [_error(problem) for problem in problems]}
    announce(session, WebhookType.ERROR, work.order_id, body)


def _error(problem: Problem) -> Mapping[str, str]:
    return {"plugin": _PLUGIN, "code": problem.code, "message": problem.message}
