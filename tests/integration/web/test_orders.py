"""The door for orders: who may order, what is refused and how, and that asking twice is one order."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC
from typing import Any

import pytest
from werkzeug.test import TestResponse

from sync_service.access.clients import ORDER_PREVIEW_SCOPE, ORDER_SCOPE, REFUND_SCOPE, SYNC_SCOPE
from sync_service.commerce.order import Order, OrderType
from sync_service.commerce.payload import read_order
from sync_service.commerce.steps import Choice
from sync_service.queue.claims import claim
from sync_service.queue.limit import Share
from sync_service.queue.orders.acceptance import DOUBLE_CLICK_MS, KEY_LIFE_MS
from sync_service.queue.orders.lanes import OrderState, begin_turn, decide, end_turn, find_work
from sync_service.store.engine import Database
from sync_service.store.tables import (
    LimioObject,
    OrderRequestRow,
    OrderRow,
    OrderWorkRow,
    SubscriptionRow,
    SyncRequestRow,
)
from sync_service.web.openapi import describe
from tests.integration.web.conftest import Web, build
from tests.order_world import cancel, hold_subscription
from tests.webhook_world import add_endpoint, deliveries

pytestmark = pytest.mark.either_database


class Shop:
    """A client that orders."""

    def __init__(self, web: Web, *scopes: str) -> None:
        hold_subscription(web.database)
        self.web = web
        self.token = web.token(*(scopes or (ORDER_SCOPE,)), name="shop")

    def order(self, payload: Any, path: str = "/api/order", **headers: str) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.web.client.post(path, json=payload, headers={**self.token, **named})

    def orders(self) -> list[OrderWorkRow]:
        return self.web.rows(OrderWorkRow)


@pytest.fixture
def shop(web: Web) -> Shop:
    return Shop(web)


@pytest.fixture
def sqlite_shop(sqlite_web: Web) -> Shop:
    return Shop(sqlite_web)


def end_orders(
    database: Database, state: OrderState, error: str | None = None, choices: tuple[Choice, ...] = ()
) -> None:
    """A worker ends everything that waits."""
    for each in claim(database, 8, Share(8)):
        with database.transaction() as session:
            work = begin_turn(session, each)
            assert work is not None
            end_turn(session, each, work.order_id, state, error_code="zuora", error=error, choices=choices)


def age_requests(database: Database, by_ms: int) -> None:
    with database.transaction() as session:
        session.run("UPDATE order_request SET at = at - :by", {"by": by_ms})


# --- who may --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/order", "/api/admin/order"])
def test_ordering_needs_its_own_scope(sqlite_web: Web, path: str) -> None:
    other = sqlite_web.token(SYNC_SCOPE, ORDER_PREVIEW_SCOPE, name="other")

    assert sqlite_web.client.post(path, json=cancel()).status_code == 401
    refusal = sqlite_web.client.post(path, json=cancel(), headers=other)

    assert refusal.status_code == 403
    assert "api/order:create" in refusal.json["message"]
    assert sqlite_web.rows(OrderWorkRow) == []


def test_only_a_client_that_may_refund_has_its_orders_marked_so(sqlite_web: Web) -> None:
    plain = Shop(sqlite_web)
    refunding = sqlite_web.token(ORDER_SCOPE, REFUND_SCOPE, name="finance")

    plain.order(cancel(external_id="plain"))
    sqlite_web.client.post("/api/order", json=cancel(external_id="refunding"), headers=refunding)

    assert {row.external_id: row.may_refund for row in plain.orders()} == {"plain": False, "refunding": True}


# --- what is refused ------------------------------------------------------------------------------------------------


def test_every_wrong_field_is_named_in_one_answer_and_nothing_is_stored(shop: Shop) -> None:
    answer = shop.order({"order_type": "new", "orderItems": [], "process_immediately": "yes"})

    assert answer.status_code == 400
    fields = {error["field"] for error in answer.json["errors"]}
    assert {"orderItems", "billingDetails", "payment", "checkoutId", "country", "process_immediately"} <= fields
    assert all(error["message"] in answer.json["message"] for error in answer.json["errors"])
    for table in (OrderWorkRow, OrderRow, OrderRequestRow, SyncRequestRow):
        assert shop.web.rows(table) == []


def test_a_body_over_the_limit_is_told_the_limit(sqlite_shop: Shop) -> None:
    answer = sqlite_shop.web.client.post("/api/order", json={"note": "x" * 70_000}, headers=sqlite_shop.token)

    assert answer.status_code == 413
    assert "64 KiB" in answer.json["message"]


@pytest.mark.parametrize("body", [b"", b"[]", b"no json", b'{"a": NaN', b'"text"', b"[" * 100_000])
def test_what_is_no_json_object_is_a_bad_request(sqlite_shop: Shop, body: bytes) -> None:
    headers = {**sqlite_shop.token, "Content-Type": "application/json"}

    answer = sqlite_shop.web.client.post("/api/order", data=body, headers=headers)

    assert answer.status_code in (400, 413)
    assert sqlite_shop.orders() == []


@pytest.mark.parametrize(
    "value",
    ["NaN", "1e9999999", "1e-9999999", r'"\u0000"', r'"\ud800"', "[" * 400 + "]" * 400],
    ids=lambda value: value[:9],
)
def test_what_no_database_keeps_is_a_bad_request(shop: Shop, value: str) -> None:
    body = json.dumps(cancel(unknown="?")).replace('"?"', value)
    headers = {**shop.token, "Content-Type": "application/json"}

    answer = shop.web.client.post("/api/order", data=body, headers=headers)

    assert answer.status_code == 400, answer.json
    assert shop.orders() == []


def test_an_offers_version_that_the_catalog_does_not_know_is_404_and_leaves_nothing(shop: Shop) -> None:
    switch = {"order_type": "change_offer", "forSubscription": {"id": "sub-1"}}

    answer = shop.order({**switch, "offer": {"id": "1" * 40, "version": "9" * 40}})

    assert answer.status_code == 404, answer.json
    assert answer.json["errors"][0]["field"] == "offer"
    assert shop.orders() == []


def test_an_unknown_subscription_is_404(shop: Shop) -> None:
    answer = shop.order(cancel(forSubscription={"name": "UNKNOWN"}))

    assert answer.status_code == 404
    assert [error["field"] for error in answer.json["errors"]] == ["forSubscription"]
    assert shop.web.rows(OrderRequestRow) == []


def test_a_subscription_that_was_imported_takes_no_orders(sqlite_shop: Shop) -> None:
    with sqlite_shop.web.database.transaction() as session:
        row = session.get(SubscriptionRow, "sub-1")
        assert row is not None
        row.document = {**row.document, "data": {"attributes": {"external": True}}}

    assert sqlite_shop.order(cancel()).status_code == 400


def test_an_order_for_a_partner_that_is_not_known_is_refused(sqlite_shop: Shop) -> None:
    answer = sqlite_shop.order(cancel(forPartner="acme"), path="/api/admin/order")

    assert answer.status_code == 400
    assert answer.json["errors"] == [
        {"field": "forPartner", "message": "There is no such partner organisation, or it is disabled."}
    ]
    assert sqlite_shop.order(cancel(), path="/api/admin/order").status_code == 200


def test_card_secrets_are_in_no_table_no_log_and_no_webhook(
    shop: Shop, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    add_endpoint(shop.web.database, "http://127.0.0.1:9/limio")
    secrets = {"token": "tok-4711", "signature": "sig-4711"}
    payment = {"type": "zuora", "zuora": {"refId": "8" * 32, "paymentGateway": "UK", **secrets}}

    answer = shop.order({"order_type": "change_payment", "forSubscription": {"id": "sub-1"}, "payment": payment})

    assert answer.status_code == 200, answer.json
    with shop.web.database.reading() as session:
        tables = list(LimioObject.metadata.sorted_tables)
        rows = [str(row) for table in tables for row in session.connection().execute(table.select())]
    assert any("8" * 32 in row for row in rows)
    assert {each.type for each in deliveries(shop.web.database)} >= {"Payment Method Change", "Payment Method Added"}
    said = capsys.readouterr()
    assert not any("4711" in text for text in (*rows, said.out, said.err, caplog.text))


@pytest.mark.parametrize("order_type", OrderType)
def test_the_description_has_an_example_of_every_order_type_that_can_be_read(order_type: OrderType) -> None:
    examples = describe("")["components"]["requestBodies"]["Order"]["content"]["application/json"]["examples"]

    order = read_order(examples[order_type]["value"], UTC)

    assert isinstance(order, Order), order
    assert order.type is order_type


# --- asking twice ---------------------------------------------------------------------------------------------------


def test_the_same_key_and_body_are_the_same_order(shop: Shop) -> None:
    first = shop.order(cancel(), Idempotency_Key="k1")
    second = shop.order(cancel(), Idempotency_Key="k1")

    assert first.json == second.json
    assert len(shop.orders()) == 1


def test_the_same_key_with_another_body_is_422(sqlite_shop: Shop) -> None:
    sqlite_shop.order(cancel(), Idempotency_Key="k1")

    answer = sqlite_shop.order(cancel("2097-01-01"), Idempotency_Key="k1")

    assert answer.status_code == 422
    assert len(sqlite_shop.orders()) == 1


def test_a_key_that_a_refused_order_came_with_can_be_used_again(sqlite_shop: Shop) -> None:
    assert sqlite_shop.order(cancel(forSubscription={"name": "UNKNOWN"}), Idempotency_Key="k1").status_code == 404

    assert sqlite_shop.order(cancel(), Idempotency_Key="k1").status_code == 200


def test_after_a_day_a_key_is_new(sqlite_shop: Shop) -> None:
    first = sqlite_shop.order(cancel(), Idempotency_Key="k1").json["id"]
    age_requests(sqlite_shop.web.database, KEY_LIFE_MS)

    assert sqlite_shop.order(cancel(), Idempotency_Key="k1").json["id"] != first


def test_two_clients_may_use_the_same_key(sqlite_shop: Shop) -> None:
    other = sqlite_shop.web.token(ORDER_SCOPE, name="other")
    first = sqlite_shop.order(cancel(), Idempotency_Key="k1").json["id"]

    answer = sqlite_shop.web.client.post("/api/order", json=cancel(), headers={**other, "Idempotency-Key": "k1"})

    assert answer.json["id"] != first


def test_a_double_click_is_one_order_and_a_later_one_is_another(sqlite_shop: Shop) -> None:
    first, again = sqlite_shop.order(cancel()).json["id"], sqlite_shop.order(cancel()).json["id"]
    age_requests(sqlite_shop.web.database, DOUBLE_CLICK_MS)
    later = sqlite_shop.order(cancel()).json["id"]

    assert first == again
    assert later != first


def test_the_external_id_alone_makes_no_two_orders_the_same(sqlite_shop: Shop) -> None:
    one = sqlite_shop.order(cancel(external_id="sub-1")).json["id"]
    other = sqlite_shop.order(cancel("2097-01-01", external_id="sub-1")).json["id"]

    assert one != other


def test_twenty_at_once_with_one_key_are_one_order(shop: Shop) -> None:
    answers: list[TestResponse] = []
    app = shop.web.client.application

    def order() -> None:
        headers = {**shop.token, "Idempotency-Key": "k1"}
        answers.append(app.test_client().post("/api/order", json=cancel(), headers=headers))

    threads = [threading.Thread(target=order) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json["id"] for answer in answers}) == 1
    assert len(shop.orders()) == 1


# --- waiting for the outcome ----------------------------------------------------------------------------------------


def ended_by(shop: Shop, state: OrderState, error: str | None = None) -> threading.Thread:
    """A worker that ends the order as soon as it is there."""

    def work() -> None:
        deadline = time.monotonic() + 30
        while not shop.orders() and time.monotonic() < deadline:
            time.sleep(0.01)
        end_orders(shop.web.database, state, error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_with_process_immediately_the_answer_is_the_result(shop: Shop) -> None:
    worker = ended_by(shop, OrderState.COMPLETE)

    answer = shop.order(cancel(process_immediately=True))
    worker.join()

    assert (answer.status_code, answer.json["status"]) == (200, "complete")


def test_an_order_that_failed_while_its_caller_waited_is_502_with_zuoras_words(sqlite_shop: Shop) -> None:
    worker = ended_by(sqlite_shop, OrderState.FAILED, "[53100020] Card declined.")

    answer = sqlite_shop.order(cancel(process_immediately=True), Idempotency_Key="k1")
    worker.join()
    replayed = sqlite_shop.order(cancel(process_immediately=True), Idempotency_Key="k1")

    assert (answer.status_code, answer.json["status"]) == (502, "failed")
    assert answer.json["message"] == "[53100020] Card declined."
    assert (replayed.status_code, replayed.json) == (502, answer.json)


def test_what_has_not_ended_within_the_wait_is_answered_as_submitted(sqlite_database: Database) -> None:
    shop = Shop(build(sqlite_database, wait_limit_seconds=0))

    answer = shop.order(cancel(process_immediately=True))

    assert (answer.status_code, answer.json["status"]) == (200, "submitted")


def test_a_key_whose_order_is_still_being_placed_is_409(sqlite_database: Database) -> None:
    shop = Shop(build(sqlite_database, wait_limit_seconds=0))
    shop.order(cancel(process_immediately=True), Idempotency_Key="k1")

    assert shop.order(cancel(process_immediately=True), Idempotency_Key="k1").status_code == 409

    end_orders(sqlite_database, OrderState.COMPLETE)
    assert shop.order(cancel(process_immediately=True), Idempotency_Key="k1").json["status"] == "complete"


def test_an_order_that_a_person_has_to_decide_is_submitted_to_its_caller(sqlite_shop: Shop) -> None:
    worker = ended_by(sqlite_shop, OrderState.HELD, "Zuora's state is unknown.")

    answer = sqlite_shop.order(cancel(process_immediately=True))
    worker.join()

    assert (answer.status_code, answer.json["status"]) == (200, "submitted")


def test_what_a_person_decides_puts_the_order_back_into_its_lane(sqlite_shop: Shop) -> None:
    order_id = sqlite_shop.order(cancel()).json["id"]
    end_orders(sqlite_shop.web.database, OrderState.HELD, "Zuora's state is unknown.", (Choice.RETRY,))

    with sqlite_shop.web.database.transaction() as session:
        work = find_work(session, order_id)
        assert work is not None
        decide(session, work, Choice.RETRY, actor="ada")

    (claimed,) = claim(sqlite_shop.web.database, 8, Share(8))
    with sqlite_shop.web.database.transaction() as session:
        taken = begin_turn(session, claimed)
    assert taken is not None
    assert (taken.order_id, taken.state) == (order_id, "running")


def test_the_database_that_cannot_commit_accepts_no_order(sqlite_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise TimeoutError("the database is busy")

    monkeypatch.setattr("sync_service.web.orders.take_order", fail)

    assert sqlite_shop.order(cancel()).status_code == 503


def test_amounts_are_stored_as_they_were_written(sqlite_shop: Shop) -> None:
    body = json.dumps(cancel()).replace('"moving"', '"moving", "paid": 17.10')
    headers = {**sqlite_shop.token, "Content-Type": "application/json"}

    sqlite_shop.web.client.post("/api/order", data=body, headers=headers)

    assert '"paid":17.1' in sqlite_shop.orders()[0].payload
    assert sqlite_shop.web.rows(OrderRow)[0].document["data"]["data"]["reason"]["paid"] == 17.1
