"""Orders from the door to their end: durable when they are answered, placed once, written whole or not at all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from threading import Thread
from typing import Any

import pytest
from werkzeug.test import TestResponse

from sync_service.access.clients import ORDER_PREVIEW_SCOPE, ORDER_SCOPE
from sync_service.commerce.order import Order
from sync_service.commerce.payload import read_order
from sync_service.commerce.steps import Choice
from sync_service.ordering.context import OrderContext
from sync_service.ordering.placing import run_claim
from sync_service.ordering.previews import answer_preview
from sync_service.queue.orders.lanes import NotToDecide, decide, find_work
from sync_service.queue.requests import Cause, Kind, Priority, enqueue
from sync_service.store.engine import Database
from sync_service.store.order_state import read_in_store
from sync_service.store.tables import (
    CustomerRow,
    EventRow,
    OrderRow,
    OrderStepRow,
    OrderWorkRow,
    ProcessRow,
    SubscriptionRow,
    SyncRequestRow,
    WebhookDeliveryRow,
    WebhookEndpointRow,
    ZuoraLimitRow,
)
from sync_service.subscription.trigger import Trigger
from sync_service.sync.attempt import SyncContext
from sync_service.sync.worker import Ordering, Worker
from tests.integration.web.conftest import Web, build
from tests.order_world import (
    READ_SUBSCRIPTION,
    Zuora,
    answer_reads,
    cancel,
    hold_subscription,
    order_context,
    refused,
    running_zuora,
    work_on_orders,
)

pytestmark = pytest.mark.either_database

CANCELLED = (200, {"success": True, "orderNumber": "?", "accountNumber": "A00000007", "status": "Completed"})


@dataclass
class Shop:
    """A client that orders, our service, and Zuora behind it."""

    web: Web
    context: OrderContext
    zuora: Zuora
    token: dict[str, str]

    @property
    def database(self) -> Database:
        return self.web.database

    def order(self, payload: dict[str, Any], **headers: str) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.web.client.post("/api/order", json=payload, headers={**self.token, **named})

    def work(self) -> None:
        work_on_orders(self.context)

    def the_order(self) -> OrderWorkRow:
        (row,) = self.web.rows(OrderWorkRow)
        return row


@pytest.fixture
def shop(database: Database) -> Iterator[Shop]:
    yield from open_shop(database)


@pytest.fixture
def sqlite_shop(sqlite_database: Database) -> Iterator[Shop]:
    yield from open_shop(sqlite_database)


def open_shop(database: Database) -> Iterator[Shop]:
    web = build(database)
    hold_subscription(database)
    with running_zuora() as zuora, order_context(database, zuora) as context:
        yield Shop(web, context, zuora, web.token(ORDER_SCOPE, name="shop"))


def test_an_accepted_order_is_durable_and_answered_as_submitted(shop: Shop) -> None:
    answer = shop.order(cancel(external_id="EXT-1"))

    assert answer.status_code == 200, answer.json
    work = shop.the_order()
    assert answer.json == {
        "id": work.order_id,
        "order_reference": work.number,
        "status": "submitted",
        "external_id": "EXT-1",
        "subscriptionReference": "39IEQEBLLT60",
        "owner": "id-ada",
    }
    (order,) = shop.web.rows(OrderRow)
    assert (order.id, order.status, order.reference) == (work.order_id, "submitted", work.number)
    (event,) = shop.web.rows(EventRow)
    assert event.document["data"]["type"] == "order.cancel_subscription"
    assert not shop.zuora.calls


def test_an_order_is_placed_once_and_ends_with_everything_written_and_the_number_to_be_synced(shop: Shop) -> None:
    answer_reads(shop.zuora)
    shop.zuora.will_say("POST", "/v1/orders", CANCELLED)
    shop.order(cancel())

    shop.work()

    work = shop.the_order()
    assert (work.state, work.error) == ("complete", None)
    (sent,) = shop.zuora.asked("POST")
    assert sent.json["orderNumber"] == work.number
    assert sent.json["subscriptions"][0]["orderActions"][0]["cancelSubscription"] == {
        "cancellationPolicy": "SpecificDate",
        "cancellationEffectiveDate": "2098-01-01",
    }
    (order,) = shop.web.rows(OrderRow)
    assert order.status == "complete"
    (process,) = shop.web.rows(ProcessRow)
    assert process.document["status"] == "complete"
    data = process.document["data"]
    assert data["event"] == shop.web.rows(EventRow)[0].id
    assert [(each["method"], each["endpoint"], each["status"]) for each in data["callouts"]] == [
        ("GET", "/v1/subscriptions/39IEQEBLLT60?charge-detail=all-segments", "answered"),
        ("GET", "/v1/accounts/A00000007", "answered"),
        ("POST", "/v1/orders", "answered"),
    ]
    lane, number = sorted(shop.web.rows(SyncRequestRow), key=lambda row: row.kind)
    assert (lane.kind, lane.due_at) == ("order", None)
    assert (number.kind, number.key, number.full) == ("subscription", "39IEQEBLLT60", 1)
    assert number.due_at is not None


def test_an_order_holds_the_customer_before_the_subscription_as_a_sync_does(postgres: Database) -> None:
    hold_subscription(postgres)
    order = read_order(cancel(), UTC)
    assert isinstance(order, Order)

    def hold() -> None:
        with postgres.transaction() as session:
            read_in_store(session, order, lock=True)

    thread = Thread(target=hold)
    with postgres.transaction() as session:
        session.get(CustomerRow, "cus-ada", with_for_update=True)
        thread.start()
        while not session.run("SELECT 1 FROM pg_locks WHERE NOT granted").first():
            time.sleep(0.01)
        # The order waits for the customer, and has not taken what a sync takes next.
        session.run("SET LOCAL lock_timeout = 1000")
        assert session.get(SubscriptionRow, "sub-1", with_for_update=True) is not None
    thread.join(20)

    assert not thread.is_alive()


def test_an_order_that_zuora_refuses_fails_in_zuoras_words_and_tells_the_error_webhook(shop: Shop) -> None:
    answer_reads(shop.zuora)
    shop.zuora.will_say("POST", "/v1/orders", refused(53100020, "The cancel date is wrong."))
    with shop.database.transaction() as session:
        session.add(WebhookEndpointRow(id="ep_1", url="https://example.com", created_at=1))
    shop.order(cancel())

    shop.work()

    work = shop.the_order()
    assert (work.state, work.error) == ("failed", "[53100020] The cancel date is wrong.")
    assert shop.web.rows(OrderRow)[0].status == "failed"
    types = [row.type for row in sorted(shop.web.rows(WebhookDeliveryRow), key=lambda row: row.id)]
    assert types == ["Subscription Cancellation", "Error"]


def test_orders_of_one_subscription_are_placed_one_after_another_each_on_a_fresh_read(sqlite_shop: Shop) -> None:
    answer_reads(sqlite_shop.zuora)
    sqlite_shop.zuora.will_say("POST", "/v1/orders", CANCELLED, CANCELLED)
    sqlite_shop.order(cancel(external_id="first"))
    sqlite_shop.order(cancel("2097-01-01", external_id="second"))

    sqlite_shop.work()

    made = [call.json["orderNumber"] for call in sqlite_shop.zuora.asked("POST")]
    by_external_id = {row.external_id: row.number for row in sqlite_shop.web.rows(OrderWorkRow)}
    assert made == [by_external_id["first"], by_external_id["second"]]
    assert [call.method for call in sqlite_shop.zuora.calls] == ["GET", "GET", "POST", "GET", "GET", "POST"]


def test_what_the_reads_meet_is_waited_for(sqlite_shop: Shop) -> None:
    sqlite_shop.zuora.will_say("GET", "/v1/subscriptions/39IEQEBLLT60?charge-detail=all-segments", refused(70, "", 429))
    answer_reads(sqlite_shop.zuora)
    sqlite_shop.zuora.will_say("POST", "/v1/orders", CANCELLED)
    sqlite_shop.order(cancel())

    sqlite_shop.work()

    assert sqlite_shop.the_order().state == "complete"


PREVIEWED = {
    "success": True,
    "previewResult": {
        "creditMemos": [
            {
                "amount": 8.47,
                "creditMemoItems": [
                    {
                        "serviceStartDate": "2098-01-01",
                        "amountWithoutTax": 8.47,
                        "taxAmount": 0,
                        "chargeName": "Monthly",
                        "productName": "Digital",
                    }
                ],
            }
        ]
    },
}


@pytest.fixture
def working(sqlite_shop: Shop) -> Iterator[Shop]:
    """The shop with a worker that answers what is asked."""
    loop = Worker(
        SyncContext(
            database=sqlite_shop.database, zuora=sqlite_shop.context.zuora, settings=sqlite_shop.context.settings
        ),
        2,
        Ordering(place=partial(run_claim, sqlite_shop.context), preview=partial(answer_preview, sqlite_shop.context)),
    )
    thread = Thread(target=loop.run)
    thread.start()
    yield sqlite_shop
    loop.stop()
    thread.join(60)


def preview(shop: Shop, payload: dict[str, Any]) -> TestResponse:
    token = shop.web.token(ORDER_PREVIEW_SCOPE, name="preview")
    return shop.web.client.post("/api/order/preview", json=payload, headers=token)


def test_a_preview_asks_zuora_with_the_body_that_would_be_placed_and_places_nothing(working: Shop) -> None:
    answer_reads(working.zuora)
    working.zuora.will_say("POST", "/v1/orders/preview", (200, PREVIEWED))

    answer = preview(working, cancel())

    assert answer.status_code == 200, answer.json
    assert answer.json["preview"]["previewResult"] == PREVIEWED["previewResult"]
    (payment,) = answer.json["schedule"]
    assert (payment["data"]["date"], payment["data"]["amount"], payment["data"]["currency"]) == (
        "2098-01-01T00:00:00.000",
        "-8.47",
        "GBP",
    )
    (asked,) = working.zuora.asked("POST")
    assert asked.json["previewOptions"]["specificPreviewThruDate"] == "2098-01-01"
    assert "orderNumber" not in asked.json
    assert working.web.rows(OrderWorkRow) == []


def test_a_preview_of_what_cannot_be_placed_says_why(working: Shop) -> None:
    answer_reads(working.zuora)

    refused_here = preview(working, cancel(forSubscription={"name": "UNKNOWN"}))

    assert refused_here.status_code == 404


@pytest.mark.parametrize("said", [refused(40000050, "Locked.", 409), refused(40000060, "Internal.", 500)])
def test_a_preview_that_zuora_cannot_make_now_pauses_nothing(working: Shop, said: Any) -> None:
    answer_reads(working.zuora)
    working.zuora.will_say("POST", "/v1/orders/preview", said)

    answer = preview(working, cancel())

    assert answer.status_code == 502
    assert not any(row.trouble for row in working.web.rows(ZuoraLimitRow))


def test_a_preview_that_zuora_refuses_is_502_in_zuoras_words(working: Shop) -> None:
    answer_reads(working.zuora)
    working.zuora.will_say("POST", "/v1/orders/preview", refused(53100020, "The cancel date is wrong."))

    answer = preview(working, cancel())

    assert (answer.status_code, answer.json["message"]) == (502, "[53100020] The cancel date is wrong.")


def test_a_waiting_caller_gets_the_outcome_from_a_worker(working: Shop) -> None:
    answer_reads(working.zuora)
    working.zuora.will_say("POST", "/v1/orders", CANCELLED)

    answer = working.order(cancel(process_immediately=True))

    assert (answer.status_code, answer.json["status"]) == (200, "complete")


def test_a_worker_that_dies_in_the_finish_leaves_nothing_half_written(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_reads(shop.zuora)
    shop.zuora.will_say("POST", "/v1/orders", CANCELLED)
    shop.order(cancel())
    with monkeypatch.context() as patch:
        patch.setattr("sync_service.ordering.finish._want_syncs", _killed)
        with pytest.raises(KeyboardInterrupt):
            shop.work()

    assert shop.the_order().state == "running"
    assert (shop.web.rows(OrderRow)[0].status, shop.web.rows(ProcessRow)) == ("submitted", [])
    with shop.database.transaction() as session:
        session.run("UPDATE sync_request SET lease_until = 1, due_at = 1")

    shop.work()

    assert shop.the_order().state == "complete"
    assert len(shop.zuora.asked("POST")) == 1
    assert len(shop.web.rows(OrderStepRow)) == 1


def _killed(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


# --- what only a person can decide ----------------------------------------------------------------------------------


def wear_out(shop: Shop) -> None:
    """Zuora answers nothing, and nothing is there when it is asked, until the attempts are used up."""
    shop.zuora.will_say("POST", "/v1/orders", *[None] * 60)
    shop.order(cancel())
    shop.work()


def held_order(shop: Shop) -> OrderWorkRow:
    work = shop.the_order()
    assert (work.state, work.choices) == ("held", ["retry", "fail"]), work.error
    return work


def decide_on(shop: Shop, choice: Choice) -> None:
    with shop.database.transaction() as session:
        work = find_work(session, shop.the_order().order_id)
        assert work is not None
        decide(session, work, choice, actor="grace")


def test_an_order_that_zuora_never_answers_is_held_for_a_person_and_keeps_no_caller_waiting(sqlite_shop: Shop) -> None:
    answer_reads(sqlite_shop.zuora)
    wear_out(sqlite_shop)

    held = held_order(sqlite_shop)

    assert held.error == "Zuora gave no answer, so that it is not known whether the step has happened."
    assert len({call.key for call in sqlite_shop.zuora.asked("POST")}) == 1
    assert sqlite_shop.web.rows(OrderRow)[0].status == "submitted"
    sqlite_shop.zuora.script.clear()
    answer_reads(sqlite_shop.zuora)
    sqlite_shop.zuora.will_say("POST", "/v1/orders", CANCELLED)
    sqlite_shop.order(cancel("2097-01-01", external_id="later"))
    sqlite_shop.work()
    assert {row.external_id: row.state for row in sqlite_shop.web.rows(OrderWorkRow)} == {
        None: "held",
        "later": "complete",
    }


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_zuora_does_not_do_for_one_order_alone_holds_that_order_and_pauses_no_other(
    sqlite_shop: Shop, method: str
) -> None:
    """Our user may lack one permission, and one subscription may be too large to be read in time."""
    if method == "GET":
        sqlite_shop.zuora.will_say("GET", READ_SUBSCRIPTION, *[(504, {"message": "Timeout."})] * 60)
    else:
        answer_reads(sqlite_shop.zuora)
        sqlite_shop.zuora.will_say("POST", "/v1/orders", *[refused(40000010, "No permission.", 403)] * 60)
    sqlite_shop.order(cancel())

    sqlite_shop.work()

    held_order(sqlite_shop)
    assert not any(row.trouble for row in sqlite_shop.web.rows(ZuoraLimitRow))


def test_a_held_order_that_is_tried_again_goes_on_where_it_stood(sqlite_shop: Shop) -> None:
    answer_reads(sqlite_shop.zuora)
    wear_out(sqlite_shop)
    sqlite_shop.zuora.script.clear()
    sqlite_shop.zuora.will_say("GET", f"/v1/orders/{held_order(sqlite_shop).number}", CANCELLED)
    posted = len(sqlite_shop.zuora.asked("POST"))

    decide_on(sqlite_shop, Choice.RETRY)
    sqlite_shop.work()

    assert sqlite_shop.the_order().state == "complete"
    assert len(sqlite_shop.zuora.asked("POST")) == posted


def test_a_held_order_that_is_given_up_fails_with_the_name_of_who_did(shop: Shop) -> None:
    answer_reads(shop.zuora)
    wear_out(shop)
    shop.zuora.script.clear()

    decide_on(shop, Choice.FAIL)
    shop.work()

    work = shop.the_order()
    assert (work.state, work.error) == ("failed", "grace gave the order up.")
    wanted = {(row.kind, row.key) for row in shop.web.rows(SyncRequestRow) if row.due_at is not None}
    assert wanted == {("subscription", "39IEQEBLLT60")}  # a call may have happened whose answer never came
    assert shop.web.rows(OrderRow)[0].status == "failed"


def test_only_what_is_offered_can_be_decided(sqlite_shop: Shop) -> None:
    sqlite_shop.order(cancel())

    with pytest.raises(NotToDecide):
        decide_on(sqlite_shop, Choice.RETRY)


def test_a_worker_that_dies_of_an_order_again_and_again_leaves_it_to_a_person(sqlite_shop: Shop) -> None:
    sqlite_shop.order(cancel())
    with sqlite_shop.database.transaction() as session:
        session.run("UPDATE sync_request SET attempts = 10 WHERE kind = 'order'")

    sqlite_shop.work()

    work = held_order(sqlite_shop)
    assert "the worker died" in (work.error or "")
    assert not sqlite_shop.zuora.calls


def test_a_crash_of_ours_is_tried_again_and_then_held(sqlite_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: Any) -> None:
        raise ZeroDivisionError

    sqlite_shop.order(cancel())
    with monkeypatch.context() as patch:
        patch.setattr("sync_service.ordering.placing.journeys", crash)
        answer_reads(sqlite_shop.zuora, times=20)
        sqlite_shop.work()

    assert "ZeroDivisionError" in (held_order(sqlite_shop).error or "")
    assert not sqlite_shop.zuora.asked("POST")


@pytest.fixture
def postgres_shop(postgres: Database) -> Iterator[Shop]:
    yield from open_shop(postgres)


def wait_for_a_lock(database: Database) -> None:
    """Until another transaction waits for ours."""
    for _ in range(600):
        with database.reading() as session:
            if session.run("SELECT 1 FROM pg_locks WHERE NOT granted").first() is not None:
                return
        time.sleep(0.05)
    raise AssertionError("nothing waits")


@pytest.mark.parametrize("who", ["the end of an order", "the next order"])
def test_requests_are_locked_before_the_objects_as_by_every_other_writer(postgres_shop: Shop, who: str) -> None:
    """Else an order and a sync of its subscription, or two orders of it, would wait for each other."""
    answer_reads(postgres_shop.zuora)
    postgres_shop.zuora.will_say("POST", "/v1/orders", CANCELLED)
    postgres_shop.order(cancel())
    ends = who == "the end of an order"
    doing = Thread(target=postgres_shop.work if ends else lambda: postgres_shop.order(cancel(external_id="next")))

    with postgres_shop.database.transaction(lock_timeout_ms=1000) as session:
        kind = Kind.SUBSCRIPTION if ends else Kind.ORDER
        enqueue(session, kind, "39IEQEBLLT60", Cause(Trigger.API), priority=Priority.EVENT)
        doing.start()
        wait_for_a_lock(postgres_shop.database)
        session.get(SubscriptionRow, "sub-1", with_for_update=True)
    doing.join(60)

    states = {row.external_id: row.state for row in postgres_shop.web.rows(OrderWorkRow)}
    assert states == ({None: "complete"} if ends else {None: "submitted", "next": "submitted"})
    (lane,) = [row for row in postgres_shop.web.rows(SyncRequestRow) if row.kind == Kind.ORDER]
    assert lane.token == ends  # at the first attempt


def test_an_order_for_what_limio_alone_keeps_needs_no_zuora(sqlite_shop: Shop) -> None:
    sqlite_shop.order({"order_type": "cancel_intent", "forSubscription": {"id": "sub-1"}, "cancelInformation": {}})

    sqlite_shop.work()

    assert sqlite_shop.the_order().state == "complete"
    assert not sqlite_shop.zuora.calls
