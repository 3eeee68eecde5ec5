"""`webhooks`: what an operator sees and does, by command."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from standardwebhooks import Webhook

from tests.integration.callout_receivers import Receiver, Reply
from tests.integration.test_operating import Console, installed
from tests.webhook_world import SETTINGS, deliver, deliveries, tell

ALLOWED = {"SECRET_KEY": SETTINGS.secret_key, "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}


@pytest.fixture
def console(sqlite_url: str) -> Iterator[Console]:
    with installed(sqlite_url) as console:
        yield console


def test_an_endpoint_from_its_beginning_to_its_end(console: Console, receiver: Receiver) -> None:
    made = console.json("webhooks", "add", f"{receiver.url}/hook", "--type", "subscription.changed", **ALLOWED)
    tested = console.json("webhooks", "test", made["endpoint"], **ALLOWED)
    assert tested["status"] == 200
    [came] = receiver.received
    assert Webhook(made["secret"]).verify(came.raw.decode(), dict(came.headers))["type"] == "webhook.test"

    tell(console.database, "sub-1")
    receiver.reply = lambda _: Reply(status=500)
    deliver(console.database)
    [listed] = console.json("webhooks", "list")
    assert (listed["endpoint"], listed["types"], listed["pending"]) == (made["endpoint"], ["subscription.changed"], 1)
    [logged] = console.json("webhooks", "log", "--state", "pending")
    assert (logged["last_status"], logged["object_id"], "body" in logged) == (500, "sub-1", False)
    status = console.json("status")["webhooks"]
    assert (status["endpoints"], status["pending"], status["dead"]) == (1, 1, 0)

    rotated = console.json("webhooks", "rotate", made["endpoint"], **ALLOWED)
    assert rotated["secret"] != made["secret"]
    removed = console.json("webhooks", "remove", made["endpoint"], **ALLOWED)
    assert removed["undelivered"] == 1
    assert console.json("webhooks", "list") == []
    assert deliveries(console.database) == []


def test_for_people_it_is_a_table_and_plain_words(console: Console, receiver: Receiver) -> None:
    assert "webhooks add URL" in console.run("webhooks", "list").stdout
    assert "No delivery." in console.run("webhooks", "log").stdout
    shown = console.run("webhooks", "add", receiver.url, **ALLOWED).stdout
    endpoint = shown.split()[1]
    assert "whsec_" in shown
    assert "Delivered: the endpoint answered 200" in console.run("webhooks", "test", endpoint, **ALLOWED).stdout
    tell(console.database, "sub-1")
    assert endpoint in console.run("webhooks", "list").stdout
    assert "sub-1" in console.run("webhooks", "log").stdout
    message = deliveries(console.database)[0].message_id
    assert console.run("webhooks", "replay", message, **ALLOWED).stdout == "1 deliveries are due again.\n"


def test_a_test_that_is_refused_says_why_and_leaves_with_1(console: Console, receiver: Receiver) -> None:
    made = console.json("webhooks", "add", receiver.url, **ALLOWED)
    receiver.reply = lambda _: Reply(status=401)

    result = console.run("webhooks", "test", made["endpoint"], status=1, **ALLOWED)

    assert "Not delivered: The endpoint answered 401." in result.output


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://169.254.169.254/latest", "not a public address"),
        ("https://localhost/hook", "WEBHOOK_ALLOWED_NETWORKS"),
        ("ftp://example.com", "must be like https://"),
        ("https://no-such-host.invalid/", "cannot be looked up"),
    ],
)
def test_an_address_that_is_not_called_is_refused_with_the_remedy(console: Console, url: str, said: str) -> None:
    result = console.run("webhooks", "add", url, status=1, SECRET_KEY=SETTINGS.secret_key)

    assert said in result.output
    assert console.json("webhooks", "list") == []


def test_an_endpoint_that_does_not_exist_and_an_address_that_does_are_refused(
    console: Console, receiver: Receiver
) -> None:
    console.run("webhooks", "add", receiver.url, **ALLOWED)

    assert "There is an endpoint" in console.run("webhooks", "add", receiver.url, status=1, **ALLOWED).output
    for command in ("test", "rotate", "remove"):
        assert "no such webhook endpoint" in console.run("webhooks", command, "ep_x", status=1, **ALLOWED).output
    assert "No such message" in console.run("webhooks", "replay", "msg_x", status=1, **ALLOWED).output
