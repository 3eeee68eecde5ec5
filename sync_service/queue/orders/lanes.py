"""The orders that wait to reach Zuora, lane by lane.

A lane is a row of the queue like any other (`requests`, kind order): its lease lets one worker at a time place the
oldest order of the lane, and its sequences count the orders. Whatever a worker commits for an order renews or ends that
lease first, so that a worker whose lease was given away commits nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from enum import StrEnum

from sqlmodel import col, select

from sync_service.commerce.fields import write_json
from sync_service.commerce.order import Names, NewSubscription, Order
from sync_service.commerce.steps import Choice
from sync_service.errors import SyncServiceError
from sync_service.queue.orders.steps import StepState
from sync_service.queue.requests import Cause, Claim, Kind, Priority, enqueue, finish, renew, retry_later
from sync_service.store.engine import Session
from sync_service.store.tables import OrderStepRow, OrderWorkRow, SyncRequestRow
from sync_service.subscription.trigger import Trigger


class OrderState(StrEnum):
    """Where an order stands. To Limio's API all but complete and failed are `submitted`."""

    SUBMITTED = "submitted"
    RUNNING = "running"
    #: Between two attempts.
    WAITING = "waiting"
    #: A person decides.
    HELD = "held"
    COMPLETE = "complete"
    FAILED = "failed"


#: One row if the order that a callout names is one that we placed, or placed to undo one of ours.
FIND_OURS = "SELECT 1 FROM order_work WHERE number IN (CAST(:order_number AS TEXT), CAST(:undone AS TEXT)) LIMIT 1"
#: What is still to be done without a person.
OPEN_STATES = frozenset({OrderState.SUBMITTED, OrderState.RUNNING, OrderState.WAITING})


class NotToDecide(SyncServiceError):
    """The order is not held, or this is no choice for it: `sync-service orders show` names the choices."""

    code = "not to decide"


def submit_order(
    session: Session, order: Order, lane: str, *, subscription_number: str | None = None, client: str | None = None
) -> OrderWorkRow:
    """Want the order placed, durable with the caller's transaction; `client` or a person of that name submits it."""
    row = OrderWorkRow(
        order_id=order.named.order_id,
        number=order.named.reference,
        order_type=order.type,
        names=asdict(order.named),
        payload=write_json(order.document),
        external_id=order.external_id,
        lane=lane,
        seq=_enqueue_lane(session, lane, client, urgent=order.process_immediately),
        subscription_number=subscription_number,
        client=client,
        may_refund=order.may_refund,
        payer_account=order.payer_account,
        state=OrderState.SUBMITTED,
        submitted_at=session.now(),
    )
    session.add(row)
    session.flush()
    return row


def hold_lane(session: Session, lane: str) -> None:
    """Let no order of the lane begin or end until the caller's transaction does: before the objects are locked."""
    row = select(SyncRequestRow.kind).where(SyncRequestRow.kind == Kind.ORDER, SyncRequestRow.key == lane)
    session.exec(row.with_for_update()).first()


def read_names(row: OrderWorkRow) -> Names:
    """What the order and what it makes were named at submission."""
    stored = dict(row.names)
    subscriptions = tuple(NewSubscription(**each) for each in stored.pop("subscriptions"))
    return Names(**stored, subscriptions=subscriptions)


def begin_turn(session: Session, claim: Claim) -> OrderWorkRow | None:
    """The oldest order of the lane, marked as running; None where none is left, and then the claim is finished.

    Raises LeaseLost.
    """
    renew(session, claim)
    waiting = select(OrderWorkRow).where(OrderWorkRow.lane == claim.key, col(OrderWorkRow.ended_at).is_(None))
    row = session.exec(waiting.order_by(col(OrderWorkRow.seq)).limit(1)).first()
    if row is None:
        finish(session, claim)
    else:
        row.state = OrderState.RUNNING
    return row


def end_turn(
    session: Session,
    claim: Claim,
    order_id: str,
    state: OrderState,
    *,
    error_code: str | None = None,
    error: str | None = None,
    choices: Sequence[Choice] = (),
    notes: Sequence[str] = (),
) -> OrderWorkRow:
    """The order has ended as `state`, and the lane goes on: FIRST in the transaction that writes what came of it.

    Raises LeaseLost.
    """
    row = read_work(session, order_id)
    now = finish(session, replace(claim, seen=row.seq))
    row.state, row.ended_at = state, now
    row.error_code, row.error = error_code, error
    row.choices = [choice.value for choice in choices]
    row.notes = [*row.notes, *notes]
    return row


def postpone_turn(
    session: Session,
    claim: Claim,
    order_id: str,
    *,
    error_code: str,
    error: str,
    delay_ms: int,
    counts: bool,
) -> None:
    """Go on with the order in `delay_ms`; `counts=False` gives the attempt back. Raises LeaseLost."""
    retry_later(session, claim, error=error, delay_ms=delay_ms, counts=counts)
    row = read_work(session, order_id)
    row.state, row.error_code, row.error = OrderState.WAITING, error_code, error


def want_again(session: Session, row: OrderWorkRow, *, actor: str) -> None:
    """Place an order that has ended once more, behind those that wait in its lane. A person asks."""
    row.seq = _enqueue_lane(session, row.lane, actor, urgent=True)
    row.state, row.ended_at, row.choices = OrderState.SUBMITTED, None, []
    session.flush()


def decide(session: Session, row: OrderWorkRow, choice: Choice, *, actor: str) -> None:
    """What a person decides of an order that is held; it goes on at its turn. Raises NotToDecide."""
    if row.state != OrderState.HELD or choice not in row.choices:
        raise NotToDecide
    calls = select(OrderStepRow).where(OrderStepRow.order_id == row.order_id)
    last = session.exec(calls.order_by(col(OrderStepRow.n).desc()).limit(1)).first()
    if choice is Choice.FAIL:
        row.given_up_by = actor
    elif last is not None and choice is Choice.COUNT_AS_DONE:
        last.state, last.answered_at, last.answer = StepState.ANSWERED, session.now(), "{}"
    elif last is not None and last.state == StepState.REFUSED:
        last.state = StepState.AGAIN
    want_again(session, row, actor=actor)


def hurry(session: Session, row: OrderWorkRow, *, actor: str) -> None:
    """Try an order that waits at once."""
    _enqueue_lane(session, row.lane, actor, urgent=True)


def read_work(session: Session, order_id: str) -> OrderWorkRow:
    """The order's row, which must be there."""
    row = session.get(OrderWorkRow, order_id, populate_existing=True)
    assert row is not None  # noqa: S101 - orders are never deleted while they wait
    return row


def find_work(session: Session, key: str) -> OrderWorkRow | None:
    """The order by its id or by its number."""
    found = select(OrderWorkRow).where((OrderWorkRow.order_id == key) | (OrderWorkRow.number == key))
    return session.exec(found).first()


def name_our_order(number: str | None) -> dict[str, str | None]:
    """The values of FIND_OURS for an order of that number in Zuora."""
    return {"order_number": number, "undone": number and number.partition("-")[0]}


def list_work(
    session: Session, *, limit: int, states: Sequence[OrderState] = (), subscription: str | None = None
) -> list[OrderWorkRow]:
    """The latest orders, newest first; of these `states` and of this subscription's number where given."""
    orders = select(OrderWorkRow)
    if states:
        orders = orders.where(col(OrderWorkRow.state).in_(list(states)))
    if subscription is not None:
        orders = orders.where(OrderWorkRow.subscription_number == subscription)
    newest = (col(OrderWorkRow.submitted_at).desc(), col(OrderWorkRow.order_id).desc())
    return list(session.exec(orders.order_by(*newest).limit(limit)))


def _enqueue_lane(session: Session, lane: str, actor: str | None, *, urgent: bool) -> int:
    priority = Priority.PERSON if urgent else Priority.EVENT
    return enqueue(session, Kind.ORDER, lane, Cause(Trigger.ORDER, actor), priority=priority)
