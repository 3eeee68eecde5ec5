"""What another service knows of us is changed there and here, as docs/hardening.md says, and nothing is lost."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from sync_service.access.clients import add_partner_client
from sync_service.cli.main import main
from sync_service.jobs.notify import notify
from sync_service.queue.jobs import ensure_job, take
from sync_service.store.engine import Database
from sync_service.store.tables import NotificationRow
from tests.integration.callout_receivers import Received, Receiver, Reply
from tests.integration.test_notifications import HELD, SETTINGS, choose, note, notifications
from tests.integration.web.conftest import build
from tests.integration.web.portal import USERS, PortalVisitor, open_portal
from tests.mail_server import MailServer, serve_mail
from tests.partner_world import open_partner_world
from tests.webhook_world import add_endpoint, deliver, deliveries, let_time_pass, tell

OLD, NEW = "the secret before it was changed", "the secret after it was changed"


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with serve_mail() as server:
        server.password = OLD
        yield server


def reached(mail: MailServer, password: str) -> dict[str, object]:
    """Settings of a service that sends by this server."""
    server = {"smtp_host": "127.0.0.1", "smtp_port": mail.port, "smtp_security": "none"}
    return {**server, "smtp_username": "sync", "smtp_password": password, "mail_from": "sync@example.com"}


def test_a_notification_waits_while_only_the_mail_server_knows_the_new_password(
    sqlite_database: Database, mail: MailServer
) -> None:
    before = replace(SETTINGS, **reached(mail, OLD))  # type: ignore[arg-type]
    after = replace(SETTINGS, **reached(mail, NEW))  # type: ignore[arg-type]
    choose(sqlite_database)
    note(sqlite_database, HELD)
    mail.password = NEW
    ensure_job(sqlite_database, "notify")
    lease = take(sqlite_database, "notify")
    assert lease

    assert notify(sqlite_database, before, lease)["failed"] == 1
    assert mail.mails.empty()
    with sqlite_database.transaction() as session:
        [row] = session.exec(notifications.select(NotificationRow))
        assert (row.state, row.attempts) == ("pending", 1)
        assert "SMTPAuthenticationError 535" in str(row.error)
        row.due_at = 0

    assert notify(sqlite_database, after, lease)["sent"] == 1
    assert notify(sqlite_database, after, lease)["sent"] == 0
    assert "Changes that the safety stop holds" in mail.mails.get(timeout=60).get_content()
    assert mail.mails.empty()


def test_a_partners_person_gets_a_code_again_once_both_know_the_new_password(
    sqlite_database: Database, mail: MailServer
) -> None:
    open_portal(sqlite_database)
    before, after = (PortalVisitor(build(sqlite_database, **reached(mail, password)).client) for password in (OLD, NEW))
    mail.password = NEW
    assert before.ask_for_code(USERS["N"]).status_code == 303
    assert mail.refused.get(timeout=60) == "sync"

    assert after.ask_for_code(USERS["N"]).status_code == 303
    code = re.search(r"\b\d{6}\b", mail.mails.get(timeout=60).get_content())
    assert code, "one mail, and in it a code"
    assert after.give_code(code[0]).status_code == 303
    assert after.get().status_code == 200
    assert mail.mails.empty()


def basic(password: str) -> str:
    return "Basic " + b64encode(f"limio:{password}".encode()).decode()


def test_webhooks_wait_while_only_the_receiver_knows_the_new_credentials(
    sqlite_database: Database, receiver: Receiver
) -> None:
    good = [OLD]
    taken: list[str] = []

    def reply(came: Received) -> Reply:
        known = came.headers.get("Authorization") == basic(good[0])
        taken.extend([came.body["about"]] if known else [])
        return Reply(200 if known else 401)

    def deliver_by(password: str) -> list[tuple[str, int | None]]:
        let_time_pass(sqlite_database)
        deliver(sqlite_database, webhook_credentials=(("127.0.0.1", "limio", password),))
        return [(row.state, row.last_status) for row in deliveries(sqlite_database)]

    receiver.reply = reply
    add_endpoint(sqlite_database, receiver.url)
    tell(sqlite_database, "sub-1")
    assert deliver_by(OLD) == [("delivered", 200)]

    good[0] = NEW
    tell(sqlite_database, "sub-2")
    tell(sqlite_database, "sub-3")
    refused = deliver_by(OLD)
    assert {state for state, _ in refused[1:]} == {"pending"}
    assert 401 in {status for _, status in refused}
    assert taken == ["sub-1"]

    assert deliver_by(NEW) == [("delivered", 200)] * 3
    assert taken == ["sub-1", "sub-2", "sub-3"]


def test_a_partner_gets_a_new_secret_and_its_baskets_stay(sqlite_database: Database) -> None:
    web = build(sqlite_database)
    world = open_partner_world(sqlite_database, web.client)
    client_id, first = add_partner_client(sqlite_database, "North's shop", world.orgs["N"], actor="a test")
    opening = {"order": {"forSubscription": {"id": "sub-1"}, "order_type": "update_subscription"}}
    token = ask_for_token(web.client, client_id, first)
    basket = web.client.post("/api/partner/mma/checkout", json=opening, headers=bearer(token)).json

    second = run(sqlite_database, "client", "rotate", client_id)["client_secret"]
    assert all(ask_for_token(web.client, client_id, secret) for secret in (first, second))

    run(sqlite_database, "client", "end-old-secret", client_id)
    assert ask_for_token(web.client, client_id, first) is None
    fresh = ask_for_token(web.client, client_id, second)
    for held in (token, fresh):  # a token outlives the secret that it was asked for with
        again = web.client.get("/api/partner/mma/subscriptions", headers=bearer(held))
        assert [each["id"] for each in again.json["items"]] == ["sub-1", "sub-2", "sub-4", "sub-6"]
    changed = {"order": {**opening["order"], "checkoutId": basket["order"]["checkoutId"], "orderItems": []}}
    assert web.client.put("/api/partner/mma/checkout", json=changed, headers=bearer(fresh)).status_code == 200


def ask_for_token(client: FlaskClient, client_id: str, secret: str) -> str | None:
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    answer = client.post("/oauth2/token", data=form)
    assert answer.status_code in (200, 401), answer.text
    token: str | None = answer.json.get("access_token")
    return token


def bearer(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def run(database: Database, *words: str) -> dict[str, str]:
    """What a command of the service prints."""
    environ = {"DATABASE_URL": database.engine.url.render_as_string(hide_password=False)}
    done = CliRunner(env=environ).invoke(main, [*words, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    printed: dict[str, str] = json.loads(done.stdout)
    return printed
