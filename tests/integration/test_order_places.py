"""Calls that create or preview orders: Zuora counts them apart, so that no sync waits for one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from sync_service.commerce.steps import CallClass, Done
from sync_service.ordering.calls import NoPlace, carry_out
from sync_service.ordering.context import OrderContext
from sync_service.queue.limit import Share
from sync_service.queue.orders.steps import leave_place, take_place
from sync_service.queue.requests import Claim, Kind
from sync_service.queue.story_lease import hold_story_lease
from sync_service.store.engine import Database
from tests.integration.test_order_calls import CREATE, PLACED, PUT, calls, submit
from tests.integration.test_order_calls import take as take_order
from tests.order_world import GOOD, Zuora, order_context, refused, running_zuora
from tests.queue_world import empty, expire_leases, finish, release, take, take_one, want

#: One call at a time besides one that creates an order.
ONE = Share(max_concurrency=1, max_orders=1)
ORDER = replace(CREATE, call_class=CallClass.ORDERS)


@pytest.fixture(autouse=True)
def _empty(database: Database) -> None:
    empty(database)


@pytest.fixture
def zuora() -> Iterator[Zuora]:
    with running_zuora() as zuora:
        yield zuora


@pytest.fixture
def context(sqlite_database: Database, zuora: Zuora) -> Iterator[OrderContext]:
    with order_context(sqlite_database, zuora, zuora_max_concurrency=1) as context:
        yield context


def take_lane(database: Database, lane: str) -> Claim:
    want(database, lane, kind=Kind.ORDER)
    return take_one(database, ONE)


def leave(database: Database, claim: Claim) -> bool:
    with database.transaction() as session:
        return leave_place(session, claim, ONE)


def come_back(database: Database, claim: Claim) -> bool:
    with database.transaction() as session:
        return take_place(session, claim, ONE)


def test_while_an_order_is_created_another_may_call(database: Database) -> None:
    lane = take_lane(database, "lane 1")
    want(database, "A-S1")
    assert take(database, 1, ONE) == []

    assert leave(database, lane)

    assert [claim.key for claim in take(database, 1, ONE)] == ["A-S1"]


def test_only_so_many_orders_are_created_at_once_and_the_next_one_keeps_its_place(database: Database) -> None:
    assert leave(database, take_lane(database, "lane 1"))

    assert not leave(database, take_lane(database, "lane 2"))

    want(database, "A-S1")
    assert take(database, 1, ONE) == []


def test_a_lane_has_its_place_again_only_where_one_is_free(database: Database) -> None:
    lane = take_lane(database, "lane 1")
    leave(database, lane)
    want(database, "A-S1")
    sync = take_one(database, ONE)
    assert not come_back(database, lane)

    finish(database, sync)

    assert come_back(database, lane)
    want(database, "A-S2")
    assert take(database, 1, ONE) == []


def test_a_lane_that_is_claimed_anew_holds_a_place_whatever_became_of_the_claim_before(database: Database) -> None:
    leave(database, take_lane(database, "lane 1"))
    expire_leases(database)

    again = take_one(database, ONE)

    want(database, "A-S1")
    assert take(database, 1, ONE) == []
    assert leave(database, again)


def test_a_preview_leaves_its_place_for_the_call_that_previews(database: Database) -> None:
    want(database, "A-S1")
    with hold_story_lease(database, "ask", ONE) as place:
        assert take(database, 1, ONE) == []

        place.leave()

        assert not leave(database, take_one(database, ONE))


def test_a_step_of_another_kind_after_the_order_waits_until_there_is_a_place(
    context: OrderContext, zuora: Zuora
) -> None:
    submit(context)
    turn = take_order(context)
    sync: list[Claim] = []

    def meanwhile(_: object) -> tuple[int, dict[str, object]]:
        want(context.database, "A-S1")
        sync.append(take_one(context.database, context.share))
        return PLACED

    zuora.will_say("POST", "/v1/orders", meanwhile)
    zuora.will_say("PUT", "/v1/accounts/A1", GOOD)
    assert isinstance(carry_out(turn, ORDER), Done)

    with pytest.raises(NoPlace):
        carry_out(turn, PUT)

    assert [call.method for call in zuora.calls] == ["POST"]
    finish(context.database, sync[0])
    assert isinstance(carry_out(turn, PUT), Done)
    assert [call.name for call in calls(context)] == ["create", "default"]


def test_a_refused_order_is_asked_for_only_with_a_place_and_is_refused_all_the_same(
    context: OrderContext, zuora: Zuora
) -> None:
    submit(context)
    turn = take_order(context)
    sync: list[Claim] = []

    def meanwhile(_: object) -> object:
        want(context.database, "A-S1")
        sync.append(take_one(context.database, context.share))
        return refused(40000099, "Transaction declined.")

    zuora.will_say("POST", "/v1/orders", meanwhile, refused(40000099, "Transaction declined."))
    with pytest.raises(NoPlace):
        carry_out(turn, ORDER)
    assert zuora.asked("GET") == []
    release(context.database, turn.claim)
    finish(context.database, sync[0])

    outcome = carry_out(take_order(context), ORDER)

    # Our number is asked for first, then the same bytes bring Zuora's refusal again, and our number is not there.
    assert type(outcome).__name__ == "Refused"
    assert [call.method for call in zuora.calls] == ["POST", "GET", "POST", "GET"]
    assert len({call.key for call in zuora.asked("POST")}) == 1
