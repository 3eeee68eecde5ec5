"""The emulator's callouts to a receiver, by Zuora's rules of what is success and what is tried again."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64decode
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import requests

from tests.integration.callout_receivers import Received, Receiver, Reply
from zuora_emulator.control import control, show
from zuora_emulator.delivery import Destination
from zuora_emulator.server import Options, Running, start
from zuora_emulator.zuora_api import CLIENT_ID, CLIENT_SECRET

TODAY = date(2026, 11, 20)
CHALLENGE = Reply(401, {"message": "who are you?"}, {"WWW-Authenticate": 'Basic realm="callouts"'})


@pytest.fixture
def emulator(receiver: Receiver) -> Iterator[Running]:
    destination = Destination(url=receiver.url, username="zuora", password="s3cret", interval_seconds=0.02)
    running = start(Options(today=TODAY, destination=destination))
    yield running
    running.stop()


def challenge_first(came: Received) -> Reply:
    return Reply() if "Authorization" in came.headers else CHALLENGE


def sent(emulator: Running) -> list[dict[str, Any]]:
    assert show(emulator.url, "wait", retries="true", seconds=10) == {"idle": True}
    callouts: list[dict[str, Any]] = show(emulator.url, "callouts")["callouts"]
    return callouts


def test_the_first_customers_send_nothing(emulator: Running, receiver: Receiver) -> None:
    assert sent(emulator) == []
    assert receiver.received == []


def test_credentials_come_only_after_a_challenge(emulator: Running, receiver: Receiver) -> None:
    receiver.reply = challenge_first

    control(emulator.url, "renew", key="A-S00000101")

    (callout,) = sent(emulator)
    first, second = receiver.received
    assert callout["state"] == "delivered"
    assert "Authorization" not in first.headers
    assert b64decode(second.headers["Authorization"].split()[1]) == b"zuora:s3cret"
    assert first.path == second.path == "/api/plugins/zuora/sync/subscription/A-S00000101"
    assert len(callout["attempts"]) == 1


def test_preemptive_credentials_come_with_the_first_request(emulator: Running, receiver: Receiver) -> None:
    control(emulator.url, "callouts", preemptive=True)

    control(emulator.url, "renew", key="A-S00000101")

    sent(emulator)
    (came,) = receiver.received
    assert came.headers["Authorization"].startswith("Basic ")


def test_a_401_without_a_challenge_is_a_failure_that_is_not_tried_again(emulator: Running, receiver: Receiver) -> None:
    receiver.reply = lambda _: Reply(401)

    control(emulator.url, "renew", key="A-S00000101")

    (callout,) = sent(emulator)
    assert (callout["state"], len(callout["attempts"])) == ("failed", 1)


def test_the_body_says_who_ordered_in_texts(emulator: Running, receiver: Receiver) -> None:
    done = control(emulator.url, "cancel", key="4F7K2M9QH0B1", on="+10", source="shop")
    control(emulator.url, "renew", key="A-S00000101")

    sent(emulator)
    shop, agent = (came.body for came in sorted(receiver.received, key=lambda came: came.path))
    assert shop["SubscriptionNumber"] == "4F7K2M9QH0B1"
    assert shop["OrderNumber"] == done["order"]["orderNumber"]
    assert (shop["OrderSource__c"], shop["OrderActionType"]) == ("shop", "CancelSubscription")
    assert shop["OrderCreatedById"] == done["order"]["createdBy"]
    assert agent["OrderSource__c"] == ""
    assert all(isinstance(value, str) for value in (*shop.values(), *agent.values()))


@pytest.mark.parametrize("status", [403, 408, 429, 500, 503])
def test_what_zuora_tries_again_is_tried_three_times_under_one_notification(
    emulator: Running, receiver: Receiver, status: int
) -> None:
    receiver.reply = lambda _: Reply(status)

    control(emulator.url, "renew", key="A-S00000101")

    (callout,) = sent(emulator)
    assert (callout["state"], [each["status"] for each in callout["attempts"]]) == ("failed", [status] * 3)
    assert len({came.headers["Zuora-Notification-Id"] for came in receiver.received}) == 1
    requested = {came.headers["Zuora-Request-Id"] for came in receiver.received}
    assert len(requested) == 3
    assert all(len(each) == 32 and "-" not in each for each in requested)


@pytest.mark.parametrize("status", [201, 202, 204, 301, 400, 404, 409, 422])
def test_every_other_answer_but_200_is_a_failure_for_good(emulator: Running, receiver: Receiver, status: int) -> None:
    receiver.reply = lambda _: Reply(status, b"" if status == 204 else {}, {"Location": receiver.url})

    control(emulator.url, "renew", key="A-S00000101")

    (callout,) = sent(emulator)
    assert (callout["state"], len(callout["attempts"])) == ("failed", 1)
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    "reply",
    [Reply(200, {"success": False}), Reply(200, {}), Reply(200, b"ok"), Reply(content_type="text/html")],
)
def test_a_200_that_does_not_say_success_in_json_is_tried_again(
    emulator: Running, receiver: Receiver, reply: Reply
) -> None:
    receiver.reply = lambda _: reply if len(receiver.received) == 1 else Reply()

    control(emulator.url, "renew", key="A-S00000101")

    (callout,) = sent(emulator)
    assert [each["failed"] for each in callout["attempts"]] == [True, False]
    assert callout["state"] == "delivered"


def test_without_parsing_any_200_will_do(emulator: Running, receiver: Receiver) -> None:
    control(emulator.url, "callouts", parse_response=False)
    receiver.reply = lambda _: Reply(200, b"ok", content_type="text/plain")

    control(emulator.url, "renew", key="A-S00000101")

    assert [each["state"] for each in sent(emulator)] == ["delivered"]


def test_an_answer_that_does_not_come_in_time_is_tried_again(emulator: Running, receiver: Receiver) -> None:
    control(emulator.url, "callouts", transfer_seconds=1)

    def late_once(_: Received) -> Reply:
        if len(receiver.received) == 1:
            receiver.released.wait(2)
        return Reply()

    receiver.reply = late_once
    control(emulator.url, "renew", key="A-S00000101")

    (callout,) = sent(emulator)
    assert callout["attempts"][0]["status"] < 0
    assert callout["state"] == "delivered"


def test_a_callout_to_a_host_that_does_not_listen_is_tried_again_and_then_kept_as_failed(
    emulator: Running, receiver: Receiver
) -> None:
    receiver.stop()

    control(emulator.url, "renew", key="A-S00000101")

    (callout,) = sent(emulator)
    assert [each["status"] < 0 for each in callout["attempts"]] == [True] * 3
    assert callout["state"] == "failed"


def test_a_share_is_lost_and_a_share_doubled(emulator: Running, receiver: Receiver) -> None:
    control(emulator.url, "callouts", drop_rate=1)
    control(emulator.url, "renew", key="A-S00000101")
    control(emulator.url, "callouts", drop_rate=0, duplicate_rate=1)
    control(emulator.url, "renew", key="A-S00000102")

    states = [each["state"] for each in sent(emulator)]

    assert states == ["dropped", "delivered", "delivered"]
    assert len(receiver.received) == 2


def test_the_nightly_renewals_send_callouts_without_a_source(emulator: Running, receiver: Receiver) -> None:
    control(emulator.url, "advance", days=5)

    sent(emulator)
    (came,) = receiver.received
    assert came.body["SubscriptionNumber"] == "A-S00000111"
    assert (came.body["OrderSource__c"], came.body["OrderActionType"]) == ("", "RenewSubscription")


def test_a_storm_is_one_order_for_each_of_many(emulator: Running, receiver: Receiver) -> None:
    answer = control(emulator.url, "storm", action="change_terms", auto_renew=False, count=3, source="shop")

    sent(emulator)
    assert answer == {"asked": 3, "done": 3}
    numbers = {came.body["SubscriptionNumber"] for came in receiver.received}
    assert numbers == {"4F7K2M9QH0B1", "7Q0D3N5TJ2C8", "9R2V6B1KP4E0"}
    assert {came.body["OrderSource__c"] for came in receiver.received} == {"shop"}


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        ("bill_run", {}),
        ("custom_fields", {"key": "A-S00000101", "fields": {"Mark__c": "x"}}),
        ("change_address", {"key": "A-S00000101", "city": "Bath"}),
        ("rename_account", {"key": "A00000101", "name": "Another"}),
        ("renew", {"key": "A-S00000101", "callout": False}),
    ],
)
def test_what_is_no_order_sends_no_callout(emulator: Running, receiver: Receiver, action: str, fields: Any) -> None:
    control(emulator.url, action, **fields)

    assert sent(emulator) == []
    assert receiver.received == []


def test_edits_of_accounts_are_told_where_the_tenant_made_an_event_of_them(
    emulator: Running, receiver: Receiver
) -> None:
    control(emulator.url, "callouts", account_events=True)

    control(emulator.url, "change_name", key="A-S00000101", last_name="Hahn")

    sent(emulator)
    (came,) = receiver.received
    assert came.path == "/api/plugins/zuora/sync/account/A00000101"


def test_a_signature_covers_the_body(emulator: Running, receiver: Receiver) -> None:
    control(emulator.url, "callouts", hmac_secret="key", hmac_header="X-Signature", hmac_prefix="sha256=")

    control(emulator.url, "renew", key="A-S00000101")

    (callout,) = sent(emulator)
    expected = hmac.new(b"key", callout["body"].encode(), hashlib.sha256).hexdigest()
    assert receiver.received[0].headers["X-Signature"] == f"sha256={expected}"


def sign_in(emulator: Running) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    form = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "grant_type": "client_credentials"}
    token = session.post(f"{emulator.url}/oauth/token", data=form, timeout=10).json()["access_token"]
    session.headers.update({"Authorization": f"Bearer {token}", "Zuora-Version": "2025-08-12"})
    return session


def test_zuoras_history_has_the_failed_ones_and_they_can_be_sent_again(emulator: Running, receiver: Receiver) -> None:
    receiver.reply = lambda _: Reply(404)
    control(emulator.url, "renew", key="A-S00000101")
    (failed,) = sent(emulator)

    with sign_in(emulator) as session:
        address = f"{emulator.url}/v1/notification-history/callout"
        (record,) = session.get(address, timeout=10).json()["calloutHistories"]
        assert (record["responseCode"], record["attemptedNum"]) == ("404", 1)
        assert record["requestUrl"].endswith("/subscription/A-S00000101")

        receiver.reply = lambda _: Reply()
        resent = session.post(f"{emulator.url}/notifications/callout-histories/resend", json=["any"], timeout=10)
    assert resent.status_code == 202

    (callout,) = sent(emulator)
    assert (callout["state"], callout["notification_id"]) == ("delivered", failed["notification_id"])


def test_provisioned_notifications_send_their_template_where_the_filter_holds(
    emulator: Running, receiver: Receiver
) -> None:
    control(emulator.url, "callouts", url="-")
    template = {
        "name": "sync",
        "calloutBaseurl": f"{receiver.url}/in/{{{{OrderAction.Subscription.Name}}}}",
        "httpMethod": "POST",
        "eventTypeName": "OrderActionProcessed",
        "eventTypeNamespace": "com.zuora.notification",
        "requiredAuth": True,
        "calloutAuth": {"username": "u", "password": "p", "preemptive": True},
        "customRequestBody": json.dumps({"number": "<Subscription.Name>", "order": "{{Order.OrderNumber}}"}),
    }
    with sign_in(emulator) as session:
        created = session.post(f"{emulator.url}/notifications/callout-templates", json=template, timeout=10).json()
        definition = {
            "name": "sync",
            "eventTypeName": "OrderActionProcessed",
            "eventTypeNamespace": "com.zuora.notification",
            "calloutActive": True,
            "calloutTemplateIds": [created["id"]],
            "filterRule": {
                "condition": "Order.Source__c != 'shop' && Order.Source__c != 'salesforce'",
                "parameters": {},
            },
        }
        definitions = f"{emulator.url}/notifications/notification-definitions"
        made = session.post(definitions, json=definition, timeout=10).json()

        control(emulator.url, "renew", key="4F7K2M9QH0B1", source="shop")
        control(emulator.url, "renew", key="A-S00000101")
        sent(emulator)

        listed = session.get(definitions, timeout=10).json()["data"]
        assert [each["id"] for each in listed] == [made["id"]]
        assert session.delete(f"{definitions}/{made['id']}", timeout=10).status_code == 204
        control(emulator.url, "renew", key="A-S00000102")
        sent(emulator)

    (came,) = receiver.received
    assert came.path == "/in/A-S00000101"
    assert came.body["number"] == "A-S00000101"
    assert came.headers["Authorization"].startswith("Basic ")
