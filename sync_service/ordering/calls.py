"""One step of an order, taken as far as it can be taken now: sent, answered, looked up, and every turn of it committed.

What was sent before this process began is never sent blindly again: where no answer is known, Zuora is asked first
whether it has happened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sync_service.commerce.order import Problem, ProblemCode
from sync_service.commerce.outcome import adopt, adopt_refund, complete, done, outcome, refund_look_up_of, refuse
from sync_service.commerce.steps import (
    Again,
    Answer,
    Ask,
    CallClass,
    Done,
    Heard,
    Held,
    Next,
    Refused,
    Replan,
    Skipped,
    Step,
)
from sync_service.errors import BusyError, PermissionRefused, TenantError
from sync_service.ordering.context import Looks, OrderContext
from sync_service.queue.orders.lanes import read_work
from sync_service.queue.orders.steps import (
    StepState,
    answer_of,
    leave_place,
    read_steps,
    record_answer,
    record_sent,
    record_sent_again,
    take_place,
)
from sync_service.queue.requests import Claim, renew
from sync_service.store.tables import OrderStepRow
from sync_service.subscription.limio.documents import moment_at
from sync_service.zuora.writing import hear

#: The time for one call with its answer, in seconds: less than a lease, which each call renews.
CALL_SECONDS = 60.0
#: How the state of a call follows from what its answer means; the others stay as they are, sent.
_STATE_AFTER: Mapping[type[Next], StepState] = {
    Done: StepState.ANSWERED,
    Skipped: StepState.SKIPPED,
    Refused: StepState.REFUSED,
    Held: StepState.REFUSED,
    Replan: StepState.AGAIN,
}


@dataclass(kw_only=True)
class LaneTurn:
    """An order in a worker's hands for the time of its lane's lease."""

    context: OrderContext
    claim: Claim
    order_id: str
    #: Called when others may call meanwhile.
    when_left: Callable[[], None] = lambda: None
    #: Calls made to Zuora in this turn.
    calls: int = 0
    #: The steps that have happened, as they were sent, with Zuora's answers.
    done: list[tuple[Step, Mapping[str, Any]]] = field(default_factory=list)
    #: The trouble of the tenant that the latest call met.
    trouble: TenantError | None = None
    #: What was only asked.
    looks: Looks = field(init=False)
    #: Whether the lane counts among the calls of Zuora's default class: a call that creates an order leaves that place.
    has_place: bool = True

    def __post_init__(self) -> None:
        self.looks = Looks(self.claim.claimed_at)

    @property
    def answers(self) -> Mapping[str, Mapping[str, Any]]:
        """Zuora's answers by the name of the step."""
        return {step.name: answer for step, answer in self.done}

    def hear(self, method: str, path: str, *, body: str | None = None, key: str | None = None) -> Answer:
        """Make one call. A tenant's error is an answer too, and is kept in `trouble`."""
        reading = self.context.zuora.reading(CALL_SECONDS)
        try:
            return hear(reading, method, path, body=body, key=key)
        except TenantError as error:
            self.trouble = error
            return Answer(heard=Heard.TENANT, message=str(error), retry_after=error.retry_after)
        finally:
            self.calls += reading.calls

    def ask(self, look_up: Step) -> Answer:
        """Find out whether a step has happened."""
        with self.looks.look(look_up.path) as look:
            answer = self.hear(look_up.method, look_up.path)
            look.status = "answered" if answer.heard is Heard.ANSWER else answer.heard
        return answer


class NoPlace(BusyError):
    """Others took the place among the calls to Zuora while the order was being created: the order goes on soon."""

    code = "no place"


def carry_out(turn: LaneTurn, step: Step) -> Next:
    """Take `step` as far as it goes now. Done and Skipped: go on with the next; all else ends the turn.

    Raises LeaseLost, and NoPlace: what is known is stored, and the next turn goes on from there.
    """
    row = _latest_call(turn, step)
    if row is None or row.state == StepState.AGAIN:
        return _send(turn, step)
    ready = complete(step, turn.answers)
    assert ready is not None  # noqa: S101 - it was complete when it was sent
    problem = Problem(field="", code=ProblemCode.ZUORA, message=row.error or "Zuora refused.")
    match row.state:
        case StepState.ANSWERED:
            turn.done.append((ready, answer_of(row)))
            return done(ready, answer_of(row))
        case StepState.SKIPPED:
            return Skipped(problem=problem)
        case StepState.REFUSED:
            return refuse(ready, problem)
    return _resolve(turn, ready, row)


def has_happened(turn: LaneTurn, step: Step) -> bool:
    """Whether Zuora has carried the step out, as far as we know."""
    row = _latest_call(turn, step)
    return row is not None and row.state == StepState.ANSWERED


def _send(turn: LaneTurn, step: Step) -> Next:
    """Send the step under a new key."""
    ready = complete(step, turn.answers)
    if ready is None:
        message = f"The step {step.name} was left out, because what it needs was refused."
        return Skipped(problem=Problem(field="", code=ProblemCode.ZUORA, message=message))
    if ready.call_class is CallClass.DEFAULT:
        _need_place(turn)
    with turn.context.database.transaction() as session:
        if ready.call_class is CallClass.ORDERS and turn.has_place:
            turn.has_place = not leave_place(session, turn.claim, turn.context.share)
        at = renew(session, turn.claim)
        row = record_sent(session, read_work(session, turn.order_id), ready, at=at)
    if not turn.has_place:
        turn.when_left()
    return _make_call(turn, ready, row)


def _need_place(turn: LaneTurn) -> None:
    """Count among the calls of the default class again. Raises NoPlace."""
    if turn.has_place:
        return
    with turn.context.database.transaction() as session:
        turn.has_place = take_place(session, turn.claim, turn.context.share)
    if not turn.has_place:
        raise NoPlace


def _resolve(turn: LaneTurn, step: Step, row: OrderStepRow) -> Next:
    """The call was sent, and no answer is known: ask whether it has happened; where not, send it again."""
    following = outcome(step, Answer(heard=Heard.SILENCE), key_age=_key_age(turn, row))
    if isinstance(following, Ask):
        look_up = following.look_up
        following = _adopt(turn, step, row, turn.ask(look_up))
    if not isinstance(following, Again):
        return _settle(turn, step, row, following)
    if following.new_key:
        _settle(turn, step, row, following)
        return _send(turn, step)
    with turn.context.database.transaction() as session:
        renew(session, turn.claim)
        record_sent_again(session, turn.order_id, row.n)
    return _make_call(turn, step, row, again=True)


def _make_call(turn: LaneTurn, step: Step, row: OrderStepRow, *, again: bool = False) -> Next:
    """The bytes go here, and only here, after the transaction that says so.

    `again`: the answer to the same bytes was lost. A tenant's error then says nothing of that call, which may still run
    and which only its key keeps from being done twice; but no permission is what Zuora keeps under the key.
    """
    answer = turn.hear(row.method, row.path, body=row.body, key=row.idempotency_key)
    following = outcome(step, answer, key_age=_key_age(turn, row))
    if answer.heard is Heard.TENANT and turn.trouble is not None:
        new_key = not again or isinstance(turn.trouble, PermissionRefused)
        following = Again(new_key=new_key, after=answer.retry_after or 0.0)
    is_anothers = answer.heard is Heard.KEY_REUSED
    if isinstance(following, Ask) and (following.refusal is not None or is_anothers):
        look_up, refusal = following.look_up, following.refusal
        _need_place(turn)
        following = _adopt(turn, step, row, turn.ask(look_up), refusal=refusal, new_key=is_anothers)
    return _settle(turn, step, row, following)


def _adopt(
    turn: LaneTurn,
    step: Step,
    row: OrderStepRow,
    found: Answer,
    *,
    refusal: Problem | None = None,
    new_key: bool = False,
) -> Next:
    """What the look-up says of the step, and of the refund inside it."""
    sent_at = moment_at(row.sent_at)
    following = adopt(step, found, sent_at=sent_at, key_age=_key_age(turn, row), refusal=refusal, new_key=new_key)
    look_up = refund_look_up_of(step, following)
    if look_up is None or not isinstance(following, Done):
        return following
    return adopt_refund(step, following, turn.ask(look_up), sent_at=sent_at)


def _settle(turn: LaneTurn, step: Step, row: OrderStepRow, following: Next) -> Next:
    """Commit what became of the call, before anything else is done."""
    state = _STATE_AFTER.get(type(following))
    if isinstance(following, Again) and following.new_key:
        state = StepState.AGAIN
    if state is None:
        return following
    answer = following.answer if isinstance(following, Done) else None
    problem = following.problem if isinstance(following, Skipped | Refused | Replan | Held) else None
    with turn.context.database.transaction() as session:
        at = renew(session, turn.claim)
        record_answer(
            session,
            turn.order_id,
            row.n,
            state,
            at=at,
            answer=answer,
            error=problem.message if problem else None,
        )
    if answer is not None:
        turn.done.append((step, answer))
    return following


def _latest_call(turn: LaneTurn, step: Step) -> OrderStepRow | None:
    with turn.context.database.reading() as session:
        calls = [row for row in read_steps(session, turn.order_id) if row.name == step.name]
    return calls[-1] if calls else None


def _key_age(turn: LaneTurn, row: OrderStepRow) -> timedelta:
    with turn.context.database.reading() as session:
        return timedelta(milliseconds=session.now() - row.sent_at)
