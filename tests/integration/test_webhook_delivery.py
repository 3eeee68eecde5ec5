"""Delivering the outbox to real receivers: what they get, in which order, and what becomes of what they refuse."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

import pytest
from sqlalchemy import text
from sqlmodel import select
from standardwebhooks import Webhook, WebhookVerificationError

from sync_service.queue.outbox import WebhookType, read_outbox
from sync_service.store.engine import Database
from sync_service.store.tables import WebhookEndpointRow
from sync_service.webhooks.address import DestinationRefused
from sync_service.webhooks.delivery import Deliverer
from sync_service.webhooks.delivery_log import MessageUnknown, replay, replay_dead
from sync_service.webhooks.endpoints import ROTATION_MS, EndpointRefused, Endpoints, EndpointUnknown
from sync_service.webhooks.turn import MAX_ATTEMPTS, MAX_FAILURES
from tests.integration.callout_receivers import Received, Receiver, Reply
from tests.webhook_world import SETTINGS, add_endpoint, deliver, deliveries, let_time_pass, tell


@pytest.fixture
def other_receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


def refuse(_: Received) -> Reply:
    return Reply(status=500)


def abouts(receiver: Receiver) -> list[str]:
    return [each.body["about"] for each in receiver.received]


def test_a_receiver_gets_the_message_once_and_can_verify_it(database: Database, receiver: Receiver) -> None:
    _, secret = add_endpoint(database, f"{receiver.url}/hook")
    tell(database, "sub-1", name="Zoë")

    deliver(database)
    deliver(database)

    [came] = receiver.received
    assert came.path == "/hook"
    assert Webhook(secret).verify(came.raw.decode(), dict(came.headers)) == {"about": "sub-1", "name": "Zoë"}
    assert came.headers["Content-Type"] == "application/json"
    [row] = deliveries(database)
    assert (row.state, row.attempts, row.last_status) == ("delivered", 1, 200)
    assert came.headers["webhook-id"] == row.message_id


def test_limios_types_are_the_object_itself_with_basic_by_host(sqlite_database: Database, receiver: Receiver) -> None:
    add_endpoint(sqlite_database, receiver.url, WebhookType.ORDER_SUBMITTED)
    tell(sqlite_database, "order-1", WebhookType.ORDER_SUBMITTED, status="submitted")
    tell(sqlite_database, "order-1", WebhookType.ERROR)

    deliver(sqlite_database, webhook_credentials=(("127.0.0.1", "limio", "pass word"), ("other.example", "x", "y")))

    [came] = receiver.received
    assert came.body == {"about": "order-1", "status": "submitted"}
    assert came.headers["X-Limio-Event"] == "Order Submitted"
    assert came.headers["Authorization"] == f"Basic {base64.b64encode(b'limio:pass word').decode()}"


def test_no_password_of_the_environment_is_sent(
    sqlite_database: Database, receiver: Receiver, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = f"{tmp_path}/netrc"
    with open(netrc, "w") as file:
        file.write("machine 127.0.0.1 login someone password secret\n")
    monkeypatch.setenv("NETRC", netrc)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # a client that used it would reach nothing
    add_endpoint(sqlite_database, receiver.url)
    tell(sqlite_database, "sub-1")

    deliver(sqlite_database)

    assert [came.headers.get("Authorization") for came in receiver.received] == [None]


def test_what_was_refused_is_sent_again_with_the_same_id_and_a_later_time(
    sqlite_database: Database, receiver: Receiver
) -> None:
    _, secret = add_endpoint(sqlite_database, receiver.url)
    receiver.reply = refuse
    tell(sqlite_database, "sub-1")
    deliver(sqlite_database)
    [row] = deliveries(sqlite_database)
    assert (row.state, row.attempts, row.last_status) == ("pending", 1, 500)
    assert row.last_error == "The endpoint answered 500."

    receiver.reply = lambda _: Reply()
    let_time_pass(sqlite_database)
    deliver(sqlite_database)

    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert int(first.headers["webhook-timestamp"]) <= int(second.headers["webhook-timestamp"])
    assert first.raw == second.raw
    Webhook(secret).verify(second.raw.decode(), dict(second.headers))
    assert [each.state for each in deliveries(sqlite_database)] == ["delivered"]


@pytest.mark.parametrize("status", [199 + 102, 302, 307, 400, 401, 410, 429, 503])
def test_only_a_2xx_is_a_delivery_and_no_redirect_is_followed(
    sqlite_database: Database, receiver: Receiver, status: int
) -> None:
    add_endpoint(sqlite_database, f"{receiver.url}/hook")
    receiver.reply = lambda _: Reply(status=status, headers={"Location": f"{receiver.url}/elsewhere"})
    tell(sqlite_database, "sub-1")

    deliver(sqlite_database)

    assert [came.path for came in receiver.received] == ["/hook"]
    assert [(each.state, each.last_status) for each in deliveries(sqlite_database)] == [("pending", status)]


def test_messages_about_one_object_keep_their_order_and_others_do_not_wait(
    database: Database, receiver: Receiver
) -> None:
    add_endpoint(database, receiver.url)
    receiver.reply = lambda came: Reply(status=500 if came.body == {"about": "sub-1", "step": "first"} else 200)
    tell(database, "sub-1", step="first")
    tell(database, "sub-1", step="second")
    tell(database, "sub-2")
    deliver(database)
    assert [(each.object_id, each.state) for each in deliveries(database)] == [
        ("sub-1", "pending"),
        ("sub-1", "pending"),
        ("sub-2", "delivered"),
    ]

    receiver.reply = lambda _: Reply()
    let_time_pass(database)
    deliver(database)

    assert [came.body.get("step") for came in receiver.received] == ["first", None, "first", "second"]


def test_what_keeps_failing_is_given_up_and_lets_later_messages_pass(
    sqlite_database: Database, receiver: Receiver
) -> None:
    add_endpoint(sqlite_database, receiver.url)
    receiver.reply = lambda came: Reply(status=500 if "poison" in came.body else 200)
    tell(sqlite_database, "sub-1", poison="yes")
    tell(sqlite_database, "sub-1")

    for _ in range(MAX_ATTEMPTS):
        assert [each.state for each in deliveries(sqlite_database)] == ["pending", "pending"]
        deliver(sqlite_database)
        let_time_pass(sqlite_database)
    deliver(sqlite_database)

    assert [(each.state, each.attempts) for each in deliveries(sqlite_database)] == [
        ("dead", MAX_ATTEMPTS),
        ("delivered", 1),
    ]


def test_a_dead_message_is_replayed_under_its_id(sqlite_database: Database, receiver: Receiver) -> None:
    add_endpoint(sqlite_database, receiver.url)
    tell(sqlite_database, "sub-1")
    with sqlite_database.transaction() as session:
        session.connection().execute(
            text("UPDATE webhook_delivery SET state = 'dead', due_at = NULL, ended_at = 1, attempts = 16")
        )

    assert replay_dead(sqlite_database) == 1
    deliver(sqlite_database)

    [row] = deliveries(sqlite_database)
    assert (row.state, row.attempts) == ("delivered", 1)
    assert [came.headers["webhook-id"] for came in receiver.received] == [row.message_id]
    assert replay_dead(sqlite_database) == 0


def test_a_delivered_message_is_replayed_when_asked_by_its_id(sqlite_database: Database, receiver: Receiver) -> None:
    add_endpoint(sqlite_database, receiver.url)
    tell(sqlite_database, "sub-1")
    tell(sqlite_database, "sub-2")
    deliver(sqlite_database)

    assert replay(sqlite_database, [deliveries(sqlite_database)[0].message_id]) == 1
    deliver(sqlite_database)

    assert abouts(receiver) == ["sub-1", "sub-2", "sub-1"]
    with pytest.raises(MessageUnknown, match="msg_nothing"):
        replay(sqlite_database, ["msg_nothing", deliveries(sqlite_database)[0].message_id])
    assert all(each.state == "delivered" for each in deliveries(sqlite_database))


def test_a_slow_endpoint_delays_no_other(
    sqlite_database: Database, receiver: Receiver, other_receiver: Receiver
) -> None:
    slow_has_it = Event()

    def hang(_: Received) -> Reply:
        slow_has_it.set()
        receiver.released.wait(30)
        return Reply()

    receiver.reply = hang
    add_endpoint(sqlite_database, receiver.url)
    add_endpoint(sqlite_database, other_receiver.url)
    for number in range(5):
        tell(sqlite_database, f"sub-{number}")
    deliverer = Deliverer(sqlite_database, SETTINGS)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(deliverer.run_until_idle)
        assert slow_has_it.wait(30)
        while len(other_receiver.received) < 5 and not running.done():
            slow_has_it.wait(0.01)
        assert len(receiver.received) == 1  # it still has the first in hand
        receiver.released.set()

    assert sorted(abouts(other_receiver)) == sorted(abouts(receiver)) == [f"sub-{number}" for number in range(5)]


def test_an_endpoint_that_is_down_is_left_alone_and_then_gets_everything(
    sqlite_database: Database, receiver: Receiver
) -> None:
    add_endpoint(sqlite_database, receiver.url)
    receiver.reply = refuse
    for number in range(MAX_FAILURES + 5):
        tell(sqlite_database, f"sub-{number}")

    deliver(sqlite_database)
    assert len(receiver.received) == MAX_FAILURES  # then it is paused: the rest is not tried for nothing
    assert sum(each.attempts for each in deliveries(sqlite_database)) == MAX_FAILURES

    receiver.reply = lambda _: Reply()
    let_time_pass(sqlite_database)
    deliver(sqlite_database)
    assert all(each.state == "delivered" for each in deliveries(sqlite_database))


def test_two_processes_never_deliver_the_same_message_at_the_same_time(database: Database, receiver: Receiver) -> None:
    add_endpoint(database, receiver.url)
    for number in range(30):
        tell(database, f"sub-{number}")

    with ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(deliver, database) for _ in range(4)]:
            each.result()
    deliver(database)

    assert sorted(abouts(receiver)) == sorted(f"sub-{number}" for number in range(30))


def test_an_answer_without_end_is_not_read(sqlite_database: Database, receiver: Receiver) -> None:
    add_endpoint(sqlite_database, receiver.url)
    receiver.reply = lambda _: Reply(body=b"x" * 5_000_000)
    tell(sqlite_database, "sub-1")
    tell(sqlite_database, "sub-2")

    deliver(sqlite_database)

    assert [each.state for each in deliveries(sqlite_database)] == ["delivered", "delivered"]


def test_an_endpoint_that_became_private_is_refused_at_delivery(sqlite_database: Database, receiver: Receiver) -> None:
    add_endpoint(sqlite_database, receiver.url)
    tell(sqlite_database, "sub-1")

    deliver(sqlite_database, webhook_allowed_networks=())

    assert receiver.received == []
    assert "not a public address" in (deliveries(sqlite_database)[0].last_error or "")


def test_a_rotated_secret_signs_beside_the_new_one_for_a_day(sqlite_database: Database, receiver: Receiver) -> None:
    endpoint_id, old = add_endpoint(sqlite_database, receiver.url)
    new = Endpoints(sqlite_database, SETTINGS).rotate(endpoint_id)
    tell(sqlite_database, "sub-1")
    deliver(sqlite_database)
    came = receiver.received[-1]
    for secret in (old, new):
        Webhook(secret).verify(came.raw.decode(), dict(came.headers))

    with sqlite_database.transaction() as session:
        session.connection().execute(
            text("UPDATE webhook_endpoint SET previous_until = previous_until - :day"), {"day": ROTATION_MS}
        )
    tell(sqlite_database, "sub-2")
    deliver(sqlite_database)

    came = receiver.received[-1]
    Webhook(new).verify(came.raw.decode(), dict(came.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(came.raw.decode(), dict(came.headers))


def test_secrets_are_sealed_in_the_database_and_another_key_opens_none(
    sqlite_database: Database, receiver: Receiver
) -> None:
    _, secret = add_endpoint(sqlite_database, receiver.url)
    tell(sqlite_database, "sub-1")
    with sqlite_database.reading() as session:
        stored = session.connection().execute(text("SELECT secret FROM webhook_endpoint")).scalar_one()
    assert secret not in stored
    assert secret.removeprefix("whsec_") not in stored

    deliver(sqlite_database, secret_key="another key of thirty-two characters")

    assert receiver.received == []
    assert "webhooks rotate" in (deliveries(sqlite_database)[0].last_error or "")


def test_the_endpoints_of_the_settings_come_and_go_with_them(sqlite_database: Database, receiver: Receiver) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    given: dict[str, object] = {
        "webhooks": (f"Error={receiver.url}/limio", f"Order Submitted={receiver.url}/limio", f"{receiver.url}/all"),
        "webhook_secret": secret,
    }
    _take_over(sqlite_database, given)
    _take_over(sqlite_database, given)
    tell(sqlite_database, "order-1", WebhookType.ORDER_SUBMITTED)
    tell(sqlite_database, "sub-1")
    deliver(sqlite_database, **given)

    assert sorted((came.path, came.body["about"]) for came in receiver.received) == [
        ("/all", "order-1"),
        ("/all", "sub-1"),
        ("/limio", "order-1"),
    ]
    for came in receiver.received:
        Webhook(secret).verify(came.raw.decode(), dict(came.headers))

    _take_over(sqlite_database, {})
    tell(sqlite_database, "sub-2")
    assert deliveries(sqlite_database) == []


def _take_over(database: Database, given: dict[str, object]) -> None:
    Endpoints(database, replace(SETTINGS, **given)).take_over_settings()  # type: ignore[arg-type]


def test_a_test_that_a_person_wants_is_sent_once_and_ends_a_pause(
    sqlite_database: Database, receiver: Receiver
) -> None:
    endpoint_id, secret = add_endpoint(sqlite_database, f"{receiver.url}/hook")
    endpoints = Endpoints(sqlite_database, SETTINGS)
    receiver.reply = refuse
    endpoints.want_test(endpoint_id)
    deliver(sqlite_database)
    deliver(sqlite_database)
    [tried] = receiver.received
    assert Webhook(secret).verify(tried.raw.decode(), dict(tried.headers))["type"] == "webhook.test"
    row = endpoint_row(sqlite_database)
    assert (row.test_wanted_at, row.test_status, row.test_error) == (None, 500, "The endpoint answered 500.")
    assert deliveries(sqlite_database) == [], "it is in no log"

    with sqlite_database.transaction() as session:
        session.run("UPDATE webhook_endpoint SET failures = 9, paused_until = {now} + 99999999", {})
    tell(sqlite_database, "sub-1")
    receiver.reply = lambda _: Reply()
    endpoints.want_test(endpoint_id)
    deliver(sqlite_database)

    assert [each.body.get("type", each.body.get("about")) for each in receiver.received[1:]] == [
        "webhook.test",
        "sub-1",
    ]
    row = endpoint_row(sqlite_database)
    assert (row.test_status, row.test_error, row.failures, row.paused_until) == (200, None, 0, None)


def test_a_disabled_endpoint_keeps_what_waits_and_hears_nothing_of_what_happens_meanwhile(
    sqlite_database: Database, receiver: Receiver
) -> None:
    endpoint_id, _ = add_endpoint(sqlite_database, f"{receiver.url}/hook")
    endpoints = Endpoints(sqlite_database, SETTINGS)
    tell(sqlite_database, "before")
    endpoints.set_disabled(endpoint_id, disabled=True)
    endpoints.set_disabled(endpoint_id, disabled=True)
    tell(sqlite_database, "meanwhile")
    deliver(sqlite_database)
    assert receiver.received == []
    with sqlite_database.reading() as session:
        assert read_outbox(session).pending == 0, "nothing waits for us"
    endpoints.want_test(endpoint_id)
    deliver(sqlite_database)
    assert [each.body["type"] for each in receiver.received] == ["webhook.test"]

    endpoints.set_disabled(endpoint_id, disabled=False)
    tell(sqlite_database, "after")
    deliver(sqlite_database)

    assert abouts_of(receiver.received[1:]) == ["before", "after"]


def test_what_waits_goes_to_the_new_address_of_a_changed_endpoint(
    sqlite_database: Database, receiver: Receiver, other_receiver: Receiver
) -> None:
    endpoint_id, _ = add_endpoint(sqlite_database, f"{receiver.url}/hook")
    add_endpoint(sqlite_database, f"{receiver.url}/other")
    endpoints = Endpoints(sqlite_database, SETTINGS)
    tell(sqlite_database, "sub-1")

    endpoints.change(endpoint_id, f"{other_receiver.url}/new", [WebhookType.SYNC_CHANGED])
    with pytest.raises(EndpointRefused):
        endpoints.change(endpoint_id, f"{receiver.url}/other", [])
    with pytest.raises(DestinationRefused):
        endpoints.change(endpoint_id, "ftp://example.com", [])
    with pytest.raises(EndpointUnknown):
        endpoints.change("ep_none", "https://example.com", [])
    deliver(sqlite_database)

    assert [each.path for each in other_receiver.received] == ["/new"]
    assert [each.path for each in receiver.received] == ["/other"]


def abouts_of(received: list[Received]) -> list[str]:
    return [each.body["about"] for each in received]


def endpoint_row(database: Database) -> WebhookEndpointRow:
    with database.reading() as session:
        return session.exec(select(WebhookEndpointRow)).one()
