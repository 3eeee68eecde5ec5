"""What was sent to Zuora for an order, and the class of calls that it is counted in.

Each call is committed before its bytes go, its answer before the next one is made. The functions write with the session
of a caller who holds the order's lane (`queue.orders.lanes`).

Zuora counts calls that create or preview an order, or create an account, in a class of 200, all others in one of 40
("Rate and concurrency limits"). A lane that is claimed holds a place in the class of 40; it leaves it to others for
such a call, and needs it again before it calls anything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from sqlmodel import col, select

from sync_service.commerce.fields import read_json, write_json
from sync_service.commerce.steps import Step
from sync_service.queue.limit import Share, is_room_for_orders, lock_limit
from sync_service.queue.requests import Claim
from sync_service.store.engine import Session
from sync_service.store.tables import OrderStepRow, OrderWorkRow


class StepState(StrEnum):
    """What became of one call."""

    #: Its bytes may have gone, and no answer is known.
    SENT = "sent"
    ANSWERED = "answered"
    #: Refused for now: the step is to be sent again, under a new key.
    AGAIN = "again"
    #: Refused for good, and the order goes on.
    SKIPPED = "skipped"
    #: Refused for good, and the order fails.
    REFUSED = "refused"


def read_steps(session: Session, order_id: str) -> list[OrderStepRow]:
    """All calls of an order in the order in which they were made."""
    calls = select(OrderStepRow).where(OrderStepRow.order_id == order_id)
    return list(session.exec(calls.order_by(col(OrderStepRow.n))))


def record_sent(session: Session, order: OrderWorkRow, step: Step, *, at: int) -> OrderStepRow:
    """`step`, completed, is about to be sent for the first time under a key that no call had before."""
    n = len(read_steps(session, order.order_id)) + 1
    row = OrderStepRow(
        order_id=order.order_id,
        n=n,
        name=step.name,
        method=step.method,
        path=step.path,
        body=step.body_text,
        idempotency_key=f"{order.number}-{n}-{step.name}" if step.keyed else None,
        state=StepState.SENT,
        sent_at=at,
    )
    session.add(row)
    session.flush()
    return row


def record_sent_again(session: Session, order_id: str, n: int) -> None:
    """The same bytes are about to go again, under the same key."""
    row = _read(session, order_id, n)
    row.state, row.sends = StepState.SENT, row.sends + 1


def record_answer(
    session: Session,
    order_id: str,
    n: int,
    state: StepState,
    *,
    at: int,
    answer: Mapping[str, Any] | None = None,
    error: str | None = None,
) -> None:
    """What became of the call."""
    row = _read(session, order_id, n)
    row.state, row.answered_at = state, at
    row.answer = None if answer is None else write_json(answer)
    row.error = error


def answer_of(row: OrderStepRow) -> Mapping[str, Any]:
    """Zuora's answer with exact numbers; empty where it gave none."""
    found = read_json(row.answer) if row.answer else {}
    return found if isinstance(found, Mapping) else {}


def _read(session: Session, order_id: str, n: int) -> OrderStepRow:
    row = session.get(OrderStepRow, (order_id, n), populate_existing=True)
    assert row is not None  # noqa: S101 - steps are never deleted while their order runs
    return row


# From now on the lease counts by itself, and not in the places of the worker's process.
_LEAVE = """
UPDATE sync_request SET ordering_token = token, placed_token = NULL WHERE kind = :kind AND key = :key AND token = :token
"""
_COME_BACK = "UPDATE sync_request SET ordering_token = NULL WHERE kind = :kind AND key = :key AND token = :token"


def leave_place(session: Session, claim: Claim, share: Share) -> bool:
    """Leave the claim's place to others for a call that creates or previews an order. FIRST in its transaction.

    False where we make as many of those as we may: then the place is kept, and the call may be made all the same.
    """
    lock_limit(session, share)
    if not is_room_for_orders(session, share):
        return False
    session.run(_LEAVE, {"kind": claim.kind, "key": claim.key, "token": claim.token})
    return True


def take_place(session: Session, claim: Claim, share: Share) -> bool:
    """Have a place again for any other call; False where none is free now. FIRST in its transaction."""
    if lock_limit(session, share).room < 1:
        return False
    session.run(_COME_BACK, {"kind": claim.kind, "key": claim.key, "token": claim.token})
    return True
