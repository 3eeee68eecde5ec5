"""A store in which every value that a page shows is what a mean or careless person could have put there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from werkzeug.serving import make_server

from sync_service.access.users import Role, put_user
from sync_service.app import create_app
from sync_service.settings import Settings
from sync_service.store.engine import Database, connect
from sync_service.store.object_rows import new_row
from sync_service.store.tables import (
    AdminActionRow,
    CalloutRow,
    JobRow,
    OauthClientRow,
    OrderWorkRow,
    PartnerOrgRow,
    SyncCauseRow,
    SyncRequestRow,
    SyncRunRow,
    WebhookDeliveryRow,
    WebhookEndpointRow,
    ZuoraLinkRow,
)
from tests.databases import new_sqlite

TEXTS = {
    "html": "</td></table></main><img src='http://127.0.0.1:9/x' onerror='alert(1)'><script>alert(1)</script>",
    "quotes": "\"'><svg onload=alert(1)> {{ 7 * 7 }} ${7} javascript:alert(1)",
    "long": "many words " * 900,
    "unbroken": "W" * 10_000,
    "right-to-left": "\u202e\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \u2067txt.exe",
    "emoji": "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1fa\U0001f1f3 Z\u0351\u036b\u0343a\u0349l\u0321go",
    "null": "a\0b\u2028c\x1b[31m",
    "empty": "",
}
#: A column of text holds no more.
_COLUMN = 500


@contextmanager
def serve_hostile(folder: Path, email: str, password: str) -> Iterator[tuple[str, list[str]]]:
    """The service in a thread on such a store: its address, and the paths of all pages that show something of it."""
    database = connect(new_sqlite(folder / "hostile.db"))
    put_user(database, email, Role.OPERATOR, password, actor="test")
    paths = [path for name, text in TEXTS.items() for path in _put(database, name, text)]
    app = create_app(Settings(secret_key="k" * 40), database, check=lambda _: None)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", paths
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        database.engine.dispose()


def _put(database: Database, name: str, text: str) -> list[str]:
    """One of everything with `text` wherever text may stand; returns the pages of these alone."""
    cut = text[:_COLUMN]
    number = f"{name} {cut}"[:200]
    with database.transaction() as session:
        now = session.now()
        session.add_all(_limio(name, text, cut))
        session.add(
            ZuoraLinkRow(
                number=number,
                subscription_id=f"sub-{name}",
                zuora_id=f"z-{name}",
                version=3,
                account_number=cut,
                read_began=1,
                read_ended=2,
            )
        )
        run: dict[str, Any] = {"kind": "subscription", "key": number, "began_at": now, "ended_at": now, "actor": cut}
        failed = SyncRunRow(
            **run, seq_from=0, seq_to=1, outcome="failed", trigger=cut, error_code=cut[:100] or None, error=text
        )
        session.add(failed)
        session.add(SyncRunRow(**run, seq_from=1, seq_to=2, outcome="held", trigger="admin", plan=_plan(number, text)))
        session.add(SyncRunRow(**run, seq_from=1, seq_to=2, outcome=cut or "none", trigger="admin"))
        session.add(SyncCauseRow(kind="subscription", key=number, seq=1, trigger=cut, actor=cut, at=now))
        session.add(
            SyncRequestRow(
                kind="subscription",
                key=number,
                requested_seq=2,
                failed_seq=2,
                priority=1,
                requested_at=now,
                last_error=text,
            )
        )
        for key in (number, cut):
            callout = CalloutRow(received_at=now, key=key, verdict="rejected" if key == cut else "accepted")
            callout.reason = callout.source = callout.order_number = callout.notification_id = cut
            session.add(callout)
        session.add(
            JobRow(name=f"{name} {cut}"[:100], due_at=now, progress={cut or "none": text, "n": 1}, last_error=text)
        )
        session.add(
            OauthClientRow(client_id=f"client-{name}", name=f"{name} {cut}", secret_hash="-", scope=cut, created_at=now)
        )
        session.add(AdminActionRow(at=now, actor=cut, action=cut or "sync", target=cut))
        session.add_all(_waiting(name, text, cut, now))
        session.flush()
        run_id = failed.id
    if text.isprintable():
        put_user(
            database, f"{name}{cut.replace(' ', '').replace('@', '')}@example.com"[-250:], Role.VIEWER, actor="test"
        )
    pages = ("subscriptions/sub", "customers/cus", "webhooks/ep", "orders/order", "partners/org")
    return [*(f"/{page}-{name}" for page in pages), f"/history/run/{run_id}"]


def _waiting(name: str, text: str, cut: str, now: int) -> list[Any]:
    """What is decided or looked after by page: endpoints, an order, a partner, a dry run."""
    order: dict[str, Any] = {"order_id": f"order-{name}", "number": f"{name} {cut}"[:100], "order_type": cut or "none"}
    order |= {"state": "held", "choices": ["retry", "fail"], "error": text, "notes": [text], "lane": name, "seq": 1}
    delivery: dict[str, Any] = {"message_id": f"msg_{name}", "endpoint_id": f"ep-{name}", "type": cut, "body": "{}"}
    delivery |= {"object_id": name, "state": "dead", "ended_at": now, "made_at": now, "last_error": text}
    told: dict[str, Any] = {"looked": 2, "changed": 1, "changes": {cut or "none": 2}, "would_change": [[cut, text]]}
    told |= {"source": "list", "value": cut, "failures": [{"key": cut, "reason": text}], "complete": True}
    return [
        OrderWorkRow(**order, names={}, payload="{}", client=cut, submitted_at=now, ended_at=now),
        WebhookEndpointRow(
            id=f"ep-{name}", url=f"https://{cut}", types=[cut], created_at=now, tested_at=now, test_error=text
        ),
        WebhookDeliveryRow(**delivery),
        PartnerOrgRow(
            id=f"org-{name}",
            name=cut,
            zuora_account_id=f"{name} {cut}",
            is_invoice_owner=True,
            created_at=now,
            modified_at=now,
        ),
        JobRow(name=f"dry run {name} {cut}"[:100], due_at=now + 10**13, last_ended=now, progress=told),
    ]


def _limio(name: str, text: str, cut: str) -> list[Any]:
    customer = {"id": f"cus-{name}", "owner": cut, "data": {"name": cut, "email": cut}}
    subscription = {
        "id": f"sub-{name}",
        "reference": cut,
        "status": cut,
        "customer": f"cus-{name}",
        "owner": cut,
        "created": cut,
        "data": {"termStartDate": "2026-01-01", "termEndDate": "2027-01-01", "name": text},
    }
    address = {"id": f"address-{name}", "status": "active", "relationship_type": cut}
    address["data"] = dict.fromkeys(("firstName", "address1", "address2", "city", "postalCode", "country"), text)
    made: list[Any] = [
        new_row("customer", customer, subscription_id=None, synced_at=None),
        new_row("subscription", subscription, subscription_id=None, synced_at=None),
        new_row("address", address, subscription_id=f"sub-{name}", synced_at=None),
    ]
    for index, amount in enumerate(("17.50", "1e40", text)):
        data: dict[str, Any] = {"date": "2026-12-01T00:00:00.000", "amount": amount, "currency": cut, "type": cut}
        data["lineItems"] = [{"chargeName": text, "amount": text}, {"name": text, "amount": 1}, text, None]
        entry = {"id": f"schedule-{name}-{index}", "status": cut, "data": data}
        made.append(new_row("schedule", entry, subscription_id=f"sub-{name}", synced_at=None))
    return made


def _plan(number: str, text: str) -> dict[str, Any]:
    document = {"relationship_type": text, "data": {"address1": text, "city": text, "name": text, "amount": text}}
    return {
        "number": number,
        "changes": [
            {
                "change": "update",
                "record_type": "subscription",
                "id": "s",
                "fields": [{"path": f"data.{text}", "before": text, "after": [text]}],
                "reason": text,
            },
            {"change": "create", "record_type": "address", "document": document, "reason": text},
            {"change": "cancel", "record_type": "schedule", "id": "p", "document": document, "reason": text},
        ],
        "notes": [text],
    }
