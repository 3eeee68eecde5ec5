"""People at the admin pages, and a store with something to see."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sync_service.access.users import Role, put_user
from sync_service.queue.claims import claim
from sync_service.queue.limit import Share
from sync_service.queue.requests import Cause, Kind, Priority, enqueue, fail, finish
from sync_service.store.engine import Database
from sync_service.store.object_rows import new_row
from sync_service.store.tables import CalloutRow, JobRow, SubscriptionRow, SyncRunRow, ZuoraLinkRow
from sync_service.subscription.trigger import Trigger
from tests.integration.web.conftest import Web, build

PASSWORD = "correct horse battery"
SHARE = Share(8)


@dataclass
class Visitor:
    """A browser at the admin pages."""

    web: Web
    client: FlaskClient

    def get(self, path: str, **kwargs: Any) -> TestResponse:
        return self.client.get(f"/admin{path}", **kwargs)

    def post(self, path: str, form: Mapping[str, Any] | None = None, *, page: str = "/clients") -> TestResponse:
        """Send a form with the token of a page that this browser just saw."""
        return self.client.post(f"/admin{path}", data={"form_token": form_token(self.get(page)), **(form or {})})

    def decide(self, path: str, form: Mapping[str, Any] | None = None, *, page: str = "/clients") -> TestResponse:
        """The same, and yes to the question that is asked first."""
        return self.post(path, {**(form or {}), "confirmed": "yes"}, page=page)

    def log_in(self, email: str, password: str = PASSWORD, **form: str) -> TestResponse:
        token = form_token(self.get("/login"))
        return self.client.post(
            "/admin/login", data={"email": email, "password": password, "form_token": token, **form}
        )


def form_token(page: TestResponse) -> str:
    """The token of the first form of a page."""
    found = re.search(r'name="form_token" value="([0-9a-f]*)"', page.text)
    assert found, page.text
    return found[1]


def visit(database: Database, role: Role | None = None, **changed: Any) -> Visitor:
    """A browser of its own, logged in as a user of that role."""
    web = build(database, **changed)
    visitor = Visitor(web, web.client.application.test_client())
    if role is not None:
        email = f"{role.value}@example.com"
        put_user(database, email, role, PASSWORD, actor="test")
        assert visitor.log_in(email).status_code == 303
    return visitor


def put_subscription(
    database: Database,
    number: str,
    *,
    name: str = "Ada Lovelace",
    email: str = "ada@example.com",
    status: str = "active",
    created: str = "2026-01-01T00:00:00.000Z",
    term_end: str = "2027-01-01",
    auto_renew: bool = True,
    external: bool = False,
    linked: bool = True,
    entries: tuple[tuple[str, str, str], ...] = (),
) -> str:
    """A subscription with its customer, an address and a schedule of (date, amount, status); returns its Limio id."""
    key = number.replace("/", "-")
    with database.transaction() as session:
        customer = {"id": f"cus-{key}", "record_type": "customer", "data": {"name": name, "email": email}}
        session.add(new_row("customer", customer, subscription_id=None, synced_at=None))
        subscription = {
            "id": f"sub-{key}",
            "record_type": "subscription",
            "status": status,
            "reference": number,
            "name": number,
            "customer": f"cus-{key}",
            "owner": f"id-{key}",
            "created": created,
            "data": {
                "termStartDate": "2026-01-01",
                "termEndDate": term_end,
                "attributes": {"autoRenew": auto_renew, "external": external},
            },
        }
        row = new_row("subscription", subscription, subscription_id=None, synced_at=None)
        assert isinstance(row, SubscriptionRow)
        row.never_synced = not linked
        session.add(row)
        address = {
            "id": f"address-{key}",
            "status": "active",
            "relationship_type": "delivery",
            "data": {"firstName": name, "address1": "1 High Street", "city": "London", "country": "GB"},
        }
        session.add(new_row("address", address, subscription_id=f"sub-{key}", synced_at=None))
        for index, (due, amount, entry_status) in enumerate(entries):
            data = {"date": f"{due}T00:00:00.000", "amount": amount, "currency": "GBP", "type": "payment"}
            data["lineItems"] = [{"chargeName": name, "amount": amount}]
            entry = {"id": f"schedule-{key}-{index}", "status": entry_status, "data": data}
            session.add(new_row("schedule", entry, subscription_id=f"sub-{key}", synced_at=None))
        if linked:
            session.add(
                ZuoraLinkRow(
                    number=number,
                    subscription_id=f"sub-{key}",
                    zuora_id=f"z-{key}",
                    version=3,
                    account_number="A00000001",
                    read_began=1,
                    read_ended=2,
                    look_again_on=date(2027, 1, 1),
                )
            )
    return f"sub-{key}"


def put_failure(database: Database, number: str, error: str = "Zuora does not know this key.") -> None:
    """A request that was given up, with its run."""
    with database.transaction() as session:
        cause = Cause(Trigger.CALLOUT)
        enqueue(session, Kind.SUBSCRIPTION, number, cause, priority=Priority.EVENT)
    (claimed,) = claim(database, 1, SHARE)
    with database.transaction() as session:
        fail(session, claimed, error=error, code="gone from Zuora")
        session.add(make_run(number, "failed", seq=claimed.seen, error_code="gone from Zuora", error=error))


def put_done(database: Database, number: str) -> None:
    """A request that was served."""
    with database.transaction() as session:
        enqueue(session, Kind.SUBSCRIPTION, number, Cause(Trigger.CALLOUT), priority=Priority.EVENT)
    (claimed,) = claim(database, 1, SHARE)
    with database.transaction() as session:
        finish(session, claimed)


def make_run(number: str, outcome: str, *, seq: int = 1, **values: Any) -> SyncRunRow:
    """A run that ended."""
    known = {"trigger": "callout", "began_at": 1_790_000_000_000, "ended_at": 1_790_000_000_250, **values}
    return SyncRunRow(kind="subscription", key=number, seq_from=seq - 1, seq_to=seq, outcome=outcome, **known)


def plan_of(number: str, before: Any = "2026-12-31", after: Any = "2027-12-31", note: str = "") -> dict[str, Any]:
    """A stored plan with a change of each kind."""
    payment = {"data": {"date": "2027-01-01T00:00:00.000", "amount": "17.50", "currency": "GBP"}}
    field = {"path": "data.termEndDate", "before": before, "after": after}
    return {
        "number": number,
        "changes": [
            {
                "change": "update",
                "record_type": "subscription",
                "id": "s",
                "fields": [field],
                "reason": "Zuora renewed",
            },
            {"change": "create", "record_type": "schedule", "document": payment, "reason": "will be billed"},
            {"change": "cancel", "record_type": "schedule", "id": "p", "document": payment, "reason": "no longer due"},
        ],
        "notes": [note] if note else [],
    }


def put_rows(database: Database, *rows: SyncRunRow | CalloutRow | JobRow) -> None:
    """Keep rows as they are."""
    with database.transaction() as session:
        session.add_all(rows)
