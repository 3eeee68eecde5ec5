"""One step of an order, whatever Zuora answers and wherever the worker dies: never twice, never blindly again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from sync_service.commerce.order import Names, Order, OrderType
from sync_service.commerce.steps import (
    Again,
    Ask,
    Choice,
    Done,
    Evidence,
    Held,
    Judge,
    Next,
    Refused,
    Silence,
    Step,
    StepKind,
)
from sync_service.errors import LeaseLost
from sync_service.ordering.calls import LaneTurn, carry_out
from sync_service.ordering.context import OrderContext
from sync_service.queue.claims import claim
from sync_service.queue.limit import Share
from sync_service.queue.orders.lanes import begin_turn, decide, read_work, submit_order
from sync_service.queue.orders.steps import StepState, read_steps
from sync_service.queue.requests import Claim
from sync_service.store.engine import Database
from sync_service.store.tables import OrderStepRow
from tests.order_world import GOOD, Zuora, order_context, refused, running_zuora

PLACED = (200, {"success": True, "orderNumber": "232POEEK2ABG", "accountNumber": "A1"})
CREATE = Step(
    name="create",
    method="POST",
    path="/v1/orders",
    body={"orderNumber": "232POEEK2ABG"},
    silence=Silence(evidence=Evidence.EXISTS, path="/v1/orders/232POEEK2ABG"),
)
PUT = Step(name="default", method="PUT", path="/v1/accounts/A1", body={"autoPay": True})


@pytest.fixture
def zuora() -> Iterator[Zuora]:
    with running_zuora() as zuora:
        yield zuora


@pytest.fixture
def context(sqlite_database: Database, zuora: Zuora) -> Iterator[OrderContext]:
    with order_context(sqlite_database, zuora) as context:
        yield context


def submit(context: OrderContext, number: str = "232POEEK2ABG", lane: str = "39IEQEBLLT60") -> None:
    names = Names(order_id=f"order-{number}", reference=number)
    with context.database.transaction() as session:
        submit_order(session, Order(type=OrderType.NEW, document={}, names=names), lane)


def take(context: OrderContext, *, lease_ms: int = 90_000) -> LaneTurn:
    """A worker takes the order."""
    (claimed,) = claim(context.database, 1, Share(8), lease_ms=lease_ms)
    with context.database.transaction() as session:
        work = begin_turn(session, claimed)
    assert work is not None
    return LaneTurn(context=context, claim=claimed, order_id=work.order_id)


def die(context: OrderContext) -> None:
    """The worker dies: its lease runs out."""
    with context.database.transaction() as session:
        session.run("UPDATE sync_request SET lease_until = 1, due_at = 1")


def calls(context: OrderContext, order_id: str = "order-232POEEK2ABG") -> list[OrderStepRow]:
    with context.database.reading() as session:
        return read_steps(session, order_id)


def carry_out_anew(context: OrderContext, step: Step) -> Next:
    """Another worker takes the order up after the first one died."""
    die(context)
    return carry_out(take(context), step)


def test_a_good_answer_is_kept_with_the_bytes_that_were_sent(context: OrderContext, zuora: Zuora) -> None:
    submit(context)
    zuora.will_say("POST", "/v1/orders", PLACED)

    following = carry_out(take(context), CREATE)

    assert following == Done(answer=PLACED[1])
    (call,) = calls(context)
    (sent,) = zuora.calls
    assert (call.state, call.body, call.idempotency_key) == (StepState.ANSWERED, sent.body, sent.key)
    assert sent.key
    assert sent.json == {"orderNumber": "232POEEK2ABG"}


def test_the_step_is_committed_as_sent_before_its_bytes_go(context: OrderContext, zuora: Zuora) -> None:
    submit(context)
    seen: list[tuple[str, str | None]] = []

    def look(_: Any) -> Any:
        seen.extend((call.state, call.body) for call in calls(context))
        return PLACED

    zuora.will_say("POST", "/v1/orders", look)

    carry_out(take(context), CREATE)

    assert seen == [(StepState.SENT, '{"orderNumber":"232POEEK2ABG"}')]


def test_a_step_that_was_answered_is_not_sent_again(context: OrderContext, zuora: Zuora) -> None:
    submit(context)
    zuora.will_say("POST", "/v1/orders", PLACED)
    carry_out(take(context), CREATE)

    following = carry_out_anew(context, CREATE)

    assert following == Done(answer=PLACED[1])
    assert len(zuora.calls) == 1


def test_after_silence_our_own_number_is_asked_for_and_what_is_there_is_taken(
    context: OrderContext, zuora: Zuora
) -> None:
    submit(context)
    zuora.will_say("POST", "/v1/orders", None, None)
    zuora.will_say("GET", "/v1/orders/232POEEK2ABG", PLACED)

    first = carry_out(take(context), CREATE)
    second = carry_out_anew(context, CREATE)

    assert isinstance(first, Ask)
    assert second == Done(answer=PLACED[1])
    assert [call.state for call in calls(context)] == [StepState.ANSWERED]


def test_what_did_not_happen_is_sent_again_under_the_same_key(context: OrderContext, zuora: Zuora) -> None:
    submit(context)
    zuora.will_say("POST", "/v1/orders", None, None, PLACED)

    carry_out(take(context), CREATE)
    following = carry_out_anew(context, CREATE)

    assert following == Done(answer=PLACED[1])
    assert len({call.key for call in zuora.asked("POST")}) == 1
    (call,) = calls(context)
    assert call.sends == 2


def test_a_worker_that_died_before_its_bytes_went_is_taken_for_one_whose_answer_was_lost(
    context: OrderContext, zuora: Zuora
) -> None:
    submit(context)
    zuora.will_say("POST", "/v1/orders", PLACED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sync_service.ordering.calls.hear", _killed)
        with pytest.raises(KeyboardInterrupt):
            carry_out(take(context), CREATE)

    following = carry_out_anew(context, CREATE)

    assert following == Done(answer=PLACED[1])
    assert [call.method for call in zuora.calls] == ["GET", "POST"]


def test_a_first_call_that_still_runs_is_waited_for(context: OrderContext, zuora: Zuora) -> None:
    submit(context)
    running = (409, {"success": False, "message": "The request is being processed."})
    zuora.will_say("POST", "/v1/orders", None, None, running, PLACED)

    carry_out(take(context), CREATE)
    second = carry_out_anew(context, CREATE)
    third = carry_out_anew(context, CREATE)

    assert isinstance(second, Again)
    assert not second.new_key
    assert third == Done(answer=PLACED[1])
    assert len({call.key for call in zuora.asked("POST")}) == 1


def age_calls(context: OrderContext, hours: int) -> None:
    with context.database.transaction() as session:
        session.run("UPDATE order_step SET sent_at = sent_at - :by", {"by": hours * 3_600_000})


def test_after_a_day_zuora_has_forgotten_the_key_so_our_number_is_asked_for_and_a_new_key_taken(
    context: OrderContext, zuora: Zuora
) -> None:
    submit(context)
    zuora.will_say("POST", "/v1/orders", None, None, PLACED)
    carry_out(take(context), CREATE)
    age_calls(context, 25)

    following = carry_out_anew(context, CREATE)

    assert following == Done(answer=PLACED[1])
    assert [call.method for call in zuora.calls] == ["POST", "POST", "GET", "POST"]
    assert zuora.calls[0].key != zuora.calls[3].key


def test_what_was_done_before_an_outage_of_a_day_is_found_and_not_done_again(
    context: OrderContext, zuora: Zuora
) -> None:
    submit(context)
    zuora.will_say("POST", "/v1/orders", None, None)
    zuora.will_say("GET", "/v1/orders/232POEEK2ABG", PLACED)
    carry_out(take(context), CREATE)
    age_calls(context, 25)

    following = carry_out_anew(context, CREATE)

    assert following == Done(answer=PLACED[1])
    assert len(zuora.asked("POST")) == 2  # one call, repeated at once because the connection was cut


def test_a_key_that_zuora_knows_for_something_else_is_resolved_by_asking_for_our_number(
    context: OrderContext, zuora: Zuora
) -> None:
    submit(context)
    zuora.will_say("POST", "/v1/orders", (422, {"message": "The key was used for another request."}))
    zuora.will_say("GET", "/v1/orders/232POEEK2ABG", PLACED)

    following = carry_out(take(context), CREATE)

    assert following == Done(answer=PLACED[1])
    assert len(zuora.asked("POST")) == 1


def test_a_replay_that_comes_as_a_conflict_is_the_answer(context: OrderContext, zuora: Zuora) -> None:
    submit(context)
    zuora.will_say("POST", "/v1/orders", None, None, (409, PLACED[1]))

    carry_out(take(context), CREATE)

    assert carry_out_anew(context, CREATE) == Done(answer=PLACED[1])


def test_after_a_lock_the_step_goes_again_under_a_new_key(context: OrderContext, zuora: Zuora) -> None:
    submit(context)
    locked = refused(40000050, "Locked.", 409)
    zuora.will_say("POST", "/v1/orders", locked, locked, PLACED)

    first = carry_out(take(context), CREATE)
    second = carry_out_anew(context, CREATE)
    third = carry_out_anew(context, CREATE)

    assert isinstance(first, Again)
    assert isinstance(second, Again)
    assert third == Done(answer=PLACED[1])
    assert len({call.key for call in zuora.asked("POST")}) == 3
    assert [call.state for call in calls(context)] == [StepState.AGAIN, StepState.AGAIN, StepState.ANSWERED]


def test_a_refusal_is_final_and_in_zuoras_words(context: OrderContext, zuora: Zuora) -> None:
    submit(context)
    zuora.will_say("POST", "/v1/orders", refused(40000020, 'Rate plan "M" is not effective.'))

    following = carry_out(take(context), CREATE)
    again = carry_out_anew(context, CREATE)

    assert isinstance(following, Refused)
    assert following.problem.message == '[40000020] Rate plan "M" is not effective.'
    assert isinstance(again, Refused)
    assert len(zuora.asked("POST")) == 1


@pytest.mark.parametrize("code", [40000060, 40000061])
def test_an_error_inside_zuora_is_looked_up_before_it_is_repeated(
    context: OrderContext, zuora: Zuora, code: int
) -> None:
    submit(context)
    zuora.will_say("POST", "/v1/orders", refused(code, "Internal.", 500))
    zuora.will_say("GET", "/v1/orders/232POEEK2ABG", PLACED)

    first = carry_out(take(context), CREATE)
    second = carry_out_anew(context, CREATE)

    assert isinstance(first, Ask)
    assert second == Done(answer=PLACED[1])


@pytest.mark.parametrize("status", [408, 500, 503])
def test_a_server_error_without_a_code_is_silence(context: OrderContext, zuora: Zuora, status: int) -> None:
    submit(context)
    zuora.will_say("POST", "/v1/orders", (status, {"message": "Service unavailable."}))
    zuora.will_say("GET", "/v1/orders/232POEEK2ABG", PLACED)

    first = carry_out(take(context), CREATE)
    second = carry_out_anew(context, CREATE)

    assert isinstance(first, Ask)
    assert second == Done(answer=PLACED[1])


def test_a_gateway_that_declines_is_a_refusal(context: OrderContext, zuora: Zuora) -> None:
    submit(context)
    zuora.will_say("POST", "/v1/orders", refused(40000099, "Card declined.", 500))

    assert isinstance(carry_out(take(context), CREATE), Refused)


@pytest.mark.parametrize(("code", "status"), [(40000010, 403), (70, 429)])
def test_where_the_tenant_is_at_fault_the_step_did_not_happen_and_goes_again_under_a_new_key(
    context: OrderContext, zuora: Zuora, code: int, status: int
) -> None:
    submit(context)
    zuora.will_say("POST", "/v1/orders", refused(code, "Not now.", status), PLACED)
    turn = take(context)

    first = carry_out(turn, CREATE)
    second = carry_out_anew(context, CREATE)

    assert isinstance(first, Again)
    assert turn.trouble is not None
    assert second == Done(answer=PLACED[1])
    one, other = zuora.asked("POST")
    assert one.key != other.key


@pytest.mark.parametrize(("code", "same_key"), [(70, True), (10, False)])
def test_a_call_whose_answer_was_lost_keeps_its_key_until_zuora_says_what_became_of_it(
    context: OrderContext, zuora: Zuora, code: int, *, same_key: bool
) -> None:
    """Too many calls says nothing of the first one, which may still run; no permission is that one's own result."""
    submit(context)
    zuora.will_say("POST", "/v1/orders", None, None, refused(code, "Not now.", 429 if code == 70 else 403), PLACED)

    carry_out(take(context), CREATE)
    second = carry_out_anew(context, CREATE)
    third = carry_out_anew(context, CREATE)

    assert isinstance(second, Again)
    assert third == Done(answer=PLACED[1])
    assert len({call.key for call in zuora.asked("POST")}) == (1 if same_key else 2)


def test_a_key_that_is_anothers_is_replaced_once_our_number_is_not_there(context: OrderContext, zuora: Zuora) -> None:
    submit(context)
    used = (422, {"success": False, "message": "The key was used for another request."})
    zuora.will_say("POST", "/v1/orders", used, PLACED)

    first = carry_out(take(context), CREATE)
    second = carry_out_anew(context, CREATE)

    assert isinstance(first, Again)
    assert first.new_key
    assert second == Done(answer=PLACED[1])
    one, other = zuora.asked("POST")
    assert one.key != other.key


def test_a_refund_that_failed_inside_is_still_told_by_the_worker_that_takes_over(
    context: OrderContext, zuora: Zuora
) -> None:
    submit(context)
    step = replace(CREATE, judge=Judge.ORDER)
    zuora.will_say("POST", "/v1/orders", (200, {"success": True, "refunds": [{"status": "Error"}]}))

    first = carry_out(take(context), step)
    second = carry_out_anew(context, step)

    assert isinstance(first, Done)
    assert first.notes
    assert second == first


def test_an_order_that_is_found_is_kept_as_if_its_own_answer_had_come(context: OrderContext, zuora: Zuora) -> None:
    """ "Retrieve an order" answers with the order inside `order`."""
    submit(context)
    zuora.will_say("POST", "/v1/orders", None, None)
    found = {"success": True, "order": {"orderNumber": "232POEEK2ABG", "status": "Pending"}}
    zuora.will_say("GET", "/v1/orders/232POEEK2ABG", (200, found))
    step = replace(CREATE, judge=Judge.ORDER)

    carry_out(take(context), step)

    assert carry_out_anew(context, step) == Done(answer=found["order"])


def test_an_undo_that_is_refused_stays_held_and_goes_again_under_a_new_key(context: OrderContext, zuora: Zuora) -> None:
    """Under the same key Zuora would repeat its refusal."""
    submit(context)
    undo = replace(CREATE, kind=StepKind.UNDO)
    zuora.will_say("POST", "/v1/orders", refused(40000020, "Not effective."), PLACED)

    first = carry_out(take(context), undo)
    second = carry_out_anew(context, undo)
    assert isinstance(first, Held)
    assert second == first
    with context.database.transaction() as session:
        work = read_work(session, "order-232POEEK2ABG")
        work.state, work.choices = "held", [choice.value for choice in first.choices]
        decide(session, work, Choice.RETRY, actor="grace")

    assert carry_out_anew(context, undo) == Done(answer=PLACED[1])
    one, other = zuora.asked("POST")
    assert one.key != other.key


def test_a_put_carries_no_key_and_is_simply_repeated(context: OrderContext, zuora: Zuora) -> None:
    submit(context)
    zuora.will_say("PUT", "/v1/accounts/A1", None, None, GOOD)

    first = carry_out(take(context), PUT)
    second = carry_out_anew(context, PUT)

    assert isinstance(first, Again)
    assert isinstance(second, Done)
    assert {call.key for call in zuora.asked("PUT")} == {None}


def test_a_worker_whose_lease_was_given_away_commits_nothing(context: OrderContext, zuora: Zuora) -> None:
    submit(context)
    slow = take(context)

    def overtake(_: Any) -> Any:
        die(context)
        take(context)
        return PLACED

    zuora.will_say("POST", "/v1/orders", overtake)

    with pytest.raises(LeaseLost):
        carry_out(slow, CREATE)

    assert [call.state for call in calls(context)] == [StepState.SENT]
    with pytest.raises(LeaseLost):
        carry_out(slow, PUT)
    assert not zuora.asked("PUT")


def test_orders_of_one_lane_are_taken_one_after_another_and_others_meanwhile(context: OrderContext) -> None:
    submit(context, "1AAAAAAAAAAA", lane="S-1")
    submit(context, "2AAAAAAAAAAA", lane="S-1")
    submit(context, "3AAAAAAAAAAA", lane="S-2")

    claims: list[Claim] = claim(context.database, 8, Share(8))

    assert sorted(each.key for each in claims) == ["S-1", "S-2"]
    with context.database.transaction() as session:
        firsts = [begin_turn(session, each) for each in claims]
    assert sorted(work.number for work in firsts if work) == ["1AAAAAAAAAAA", "3AAAAAAAAAAA"]


def _killed(*_: Any, **__: Any) -> Any:
    raise KeyboardInterrupt
