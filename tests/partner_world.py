"""Two partners, N and C, what they sell, their customers' subscriptions, and a direct customer's.

The world of the worked examples: today is 26 November 2026, the tenant's zone is UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlmodel import col, select

from sync_service.access.clients import add_partner_client
from sync_service.partner.organisations import Organisation, Partners
from sync_service.store.engine import Database, Session
from sync_service.store.object_rows import new_row
from sync_service.store.offers import write_arrival
from sync_service.store.tables import AttributedObject, LimioObject
from sync_service.subscription.limio.arrivals import Arrival
from tests.partner_catalog import PRODUCT, catalog
from zuora_emulator.records import hex_id

TODAY = date(2026, 11, 26)
#: Stands in everything that is C's or a direct customer's: no answer to N may hold it.
CANARY = "canary-7f3a"
#: Subscription, its owner and its partner (N, C, or none).
SUBSCRIPTIONS = (
    ("sub-1", "id-ada", "N"),
    ("sub-2", "id-bea", "N"),
    ("sub-3", "id-bob", "C"),
    ("sub-4", "id-bea", "N"),
    ("sub-5", "id-dan", None),
    ("sub-6", "id-eve", "N"),
)
#: What each holds: offers and add-ons with their quantity, and where they begin or end later.
_HELD: Mapping[str, tuple[tuple[Any, ...], ...]] = {
    "sub-1": (("Team", 5), ("PR", 5)),
    "sub-2": (("Business", 2), ("AU", 2)),
    "sub-3": (("Team", 1),),
    "sub-4": (("Business", 1, "2026-11-10", "2026-12-10"), ("Team", 1, "2026-12-10")),
    "sub-5": (("Team", 1),),
    "sub-6": (("Team", 1),),
}


@dataclass
class PartnerWorld:
    """The organisations' ids, and headers of a token of each."""

    database: Database
    orgs: dict[str, str]
    headers: dict[str, dict[str, str]]
    catalog: dict[str, dict[str, Any]] = field(default_factory=dict)

    def log_in(self, client: FlaskClient, partner: str, name: str) -> dict[str, str]:
        """The header of a token of one more client of N or C."""
        return log_in(self.database, client, self.orgs[partner], name)

    def assign(self, key: str, partner: str) -> None:
        """Let a subscription go to N or C."""
        Partners(self.database, "test").assign(key, self.orgs[partner])

    def publish(self, document: dict[str, Any]) -> None:
        """Let the catalog hold this version of an offer or add-on."""
        with self.database.transaction() as session:
            write_arrival(session, Arrival(line=1, record_type="offer", document=document))


def stop_clock(patch: pytest.MonkeyPatch, day: date = TODAY) -> None:
    """Let the database's clock stand at noon of `day` for everything that decides in code."""
    at = int(datetime.combine(day, time(12), UTC).timestamp() * 1000)
    patch.setattr(Session, "now", lambda _: at)


def open_partner_world(database: Database, client: FlaskClient) -> PartnerWorld:
    """N pays for what it orders; C's customers pay themselves."""
    partners = Partners(database, "test")
    orgs = {
        "N": partners.add(Organisation(name="North", zuora_account_id="A-N", is_invoice_owner=True)).id,
        "C": partners.add(
            Organisation(name=f"Coast {CANARY}", zuora_account_id=f"A-C-{CANARY}", is_invoice_owner=False)
        ).id,
    }
    sold = {each["name"].removesuffix(CANARY): each for each in catalog(orgs["N"], orgs["C"], CANARY)}
    world = PartnerWorld(database, orgs, {}, sold)
    for document in sold.values():
        world.publish(document)
    with database.transaction() as session:
        product = {
            "path": PRODUCT,
            "record_type": "product",
            "syncedFrom": hex_id("product", PRODUCT.rpartition("/")[2]),
            "data": {},
        }
        write_arrival(session, Arrival(line=1, record_type="product", document=product))
        rows: dict[str, LimioObject] = {}  # one person may own several subscriptions
        for subscription_id, owner, partner in SUBSCRIPTIONS:
            org = orgs.get(partner or "")
            for document in _objects(sold, subscription_id, owner, "" if partner == "N" else CANARY):
                row = new_row(
                    document["record_type"], document, subscription_id=document.get("related"), synced_at=None
                )
                if isinstance(row, AttributedObject):
                    row.partner_org = org
                rows[document["id"]] = row
        known = _known(session, rows)  # to another world of the same store
        session.add_all(row for id, row in rows.items() if id not in known)
        for id in known:
            session.merge(rows[id])
    world.headers = {name: log_in(database, client, org, name) for name, org in orgs.items()}
    return world


def _known(session: Session, rows: Mapping[str, LimioObject]) -> set[str]:
    """Which of these the store has."""
    classes = {type(row) for row in rows.values()}
    return {id for each in classes for id in session.exec(select(each.id).where(col(each.id).in_(rows)))}


def log_in(database: Database, client: FlaskClient, partner_org: str, name: str) -> dict[str, str]:
    """The header of a token of a new client of `partner_org`."""
    client_id, secret = add_partner_client(database, f"shop of {name}", partner_org, actor="a test")
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    answer = client.post("/oauth2/token", data=form)
    assert answer.status_code == 200, answer.json
    return {"Authorization": f"Bearer {answer.json['access_token']}"}


def _objects(sold: Mapping[str, dict[str, Any]], subscription_id: str, owner: str, mark: str) -> list[dict[str, Any]]:
    """A subscription with what hangs on it, its customer and its identity."""
    number, person = subscription_id.removeprefix("sub-"), owner.removeprefix("id-")
    customer, email = f"cus-{person}", f"{person}@{mark or 'north'}.example"

    def document(id: str, record_type: str, data: dict[str, Any], **more: Any) -> dict[str, Any]:
        envelope = {"id": id, "record_type": record_type, "service": "limio", "status": "active", "owner": owner}
        return {**envelope, **more, "data": {"mark": mark, **data}}

    def hanging(prefix: str, record_type: str, data: dict[str, Any]) -> dict[str, Any]:
        return document(f"{prefix}-{number}", record_type, data, related=subscription_id)

    def held(name: str, quantity: int, start: str = "2026-11-01", end: str | None = None) -> dict[str, Any]:
        of = sold[name]
        kind = of["record_type"]
        record_type = "add_on" if kind == "add_on" else "subscription_offer"
        said = {kind: of, "name": name, "quantity": quantity, "start": f"{start}T00:00:00.000Z"}
        made = hanging(record_type, record_type, {**said, **({"end": end} if end else {})})
        return {**made, "id": f"{record_type}-{name.lower()}-{number}"}

    term = ("2026-11-10", "2026-12-10") if subscription_id == "sub-4" else ("2026-11-01", "2026-12-01")
    return [
        document(owner, "identity", {}),
        document(
            customer,
            "customer",
            {"name": f"{mark} {person}".strip(), "email": email, "defaultPaymentMethodId": f"pm-{number}"},
        ),
        document(f"order-{number}", "order", {}),
        document(
            subscription_id,
            "subscription",
            {
                "termStartDate": f"{term[0]}T00:00:00.000Z",
                "termEndDate": term[1],
                "purchaseCountry": "GB",
                "price": {"currency": "GBP"},
                "attributes": {"external": subscription_id == "sub-6", "autoRenew": True},
            },
            customer=customer,
            reference=f"{mark}{number}TEAM" if mark else f"N{number}TEAM{int(number):06}",
        ),
        hanging("schedule", "schedule", {"type": "payment", "date": f"{term[0]}T00:00:00.000"}),
        *(held(*each) for each in _HELD[subscription_id]),
        hanging("pm", "payment_method", {}),
    ]
