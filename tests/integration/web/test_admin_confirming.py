"""What cannot be taken back, or concerns many, is asked first on a page of its own, with and without scripts."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from sqlalchemy import text

from sync_service.access.clients import SYNC_SCOPE, add_client
from sync_service.access.users import Role, put_user
from sync_service.partner.organisations import Organisation, Partners
from sync_service.store.engine import Database
from tests.integration.web.admin import PASSWORD, Visitor, put_failure, put_subscription, visit
from tests.integration.web.test_admin_orders import put_deliveries, put_order

#: What is done, the form, and the page that it stands on; {} is the id of a client, or of a partner.
DONE = {
    "new client secret": ("/clients/{client}/rotate", {}, "/clients"),
    "disable a person": ("/users/disable", {"email": "vera@example.com"}, "/users"),
    "log a person out": ("/users/logout", {"email": "vera@example.com"}, "/users"),
    "new password": ("/users/password", {"email": "vera@example.com"}, "/users"),
    "forget a sign-on": ("/users/forget", {"email": "vera@example.com"}, "/users"),
    "disable a partner": ("/partners/{partner}/disable", {}, "/partners"),
    "give up an order": ("/orders/order-O-1/decide", {"choice": "fail"}, "/orders"),
    "give up orders": ("/inbox/orders/fail", {"chosen": "order-O-2"}, "/inbox"),
    "disable a webhook": ("/webhooks/ep_1/disable", {}, "/webhooks"),
    "new webhook secret": ("/webhooks/ep_1/rotate", {}, "/webhooks"),
    "retry all": ("/inbox/failed/retry", {"all": "yes"}, "/inbox"),
    "sync the tenant": ("/jobs/backfill", {"source": "tenant"}, "/jobs"),
    "send all again": ("/webhooks/replay", {"all": "yes"}, "/webhooks"),
    "dismiss webhooks": ("/inbox/webhooks/dismiss", {"endpoint": "ep_1"}, "/inbox"),
    "revoke": ("/clients/{client}/revoke", {}, "/clients"),
    "remove a webhook": ("/webhooks/ep_1/remove", {}, "/webhooks"),
    "log out everywhere": ("/account/log-out", {}, "/account"),
}


def test_nothing_is_done_before_the_page_that_asks_was_answered(sqlite_database: Database) -> None:
    visitor, ids = _stage(sqlite_database)
    wrong = []
    for name, (path, form, page) in DONE.items():
        address, before = path.format(**ids), _everything(visitor)

        asked = visitor.post(address, form, page=page)

        kept = {unescape(each): unescape(value) for each, value in _HIDDEN.findall(asked.text.split("<main")[1])}
        is_asked = asked.status_code == 200 and asked.text.count("<h1") == 1 and "Go back</a>" in asked.text
        is_kept = kept.items() >= {**form, "confirmed": "yes"}.items()
        is_untouched = _everything(visitor) == before
        answered = visitor.client.post(f"/admin{address}", data=kept)
        is_done = answered.status_code == 303 and _everything(visitor) != before
        if not (is_asked and is_kept and is_untouched and is_done):
            wrong.append((name, is_asked, is_kept, is_untouched, is_done))

    assert wrong == []


_HIDDEN = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)">')


def _stage(database: Database) -> tuple[Visitor, dict[str, str]]:
    """One of everything that can be decided about."""
    client_id, _ = add_client(database, "Salesforce", [SYNC_SCOPE], actor="a test")
    put_user(database, "vera@example.com", Role.VIEWER, PASSWORD, actor="test")
    partner = Partners(database, "test").add(
        Organisation(name="Reseller", zuora_account_id="A1", is_invoice_owner=False)
    )
    for number in ("O-1", "O-2"):
        put_order(database, number, "held", choices=["retry", "fail"])
    put_deliveries(database)
    put_subscription(database, "A-S1")
    put_failure(database, "A-S2")
    return visit(database, Role.OPERATOR), {"client": client_id, "partner": partner.id}


def _everything(visitor: Visitor) -> dict[str, list[Any]]:
    """All rows, but for what a look leaves."""
    with visitor.web.database.reading() as session:
        run = session.connection().execute
        names = run(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars().all()
        return {name: run(text(f'SELECT * FROM "{name}"')).all() for name in names if name != "admin_session"}
