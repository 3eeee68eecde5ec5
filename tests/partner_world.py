"""Two partners, N and C, their subscriptions, and those of direct customers: the world of the partner tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask.testing import FlaskClient

from sync_service.access.clients import add_partner_client
from sync_service.partner.organisations import Organisation, Partners
from sync_service.store.engine import Database
from sync_service.store.tables import (
    AddOnRow,
    CustomerRow,
    IdentityRow,
    OrderRow,
    PaymentMethodRow,
    ScheduleRow,
    SubscriptionOfferRow,
    SubscriptionRow,
)

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


@dataclass
class PartnerWorld:
    """The organisations' ids, and headers of a token of each."""

    orgs: dict[str, str]
    headers: dict[str, dict[str, str]]


def open_partner_world(database: Database, client: FlaskClient) -> PartnerWorld:
    """N pays for what it orders; C's customers pay themselves."""
    partners = Partners(database, "test")
    orgs = {
        "N": partners.add(Organisation(name="North", zuora_account_id="A-N", is_invoice_owner=True)).id,
        "C": partners.add(
            Organisation(name=f"Coast {CANARY}", zuora_account_id=f"A-C-{CANARY}", is_invoice_owner=False)
        ).id,
    }
    with database.transaction() as session:
        for subscription_id, owner, partner in SUBSCRIPTIONS:
            org = orgs.get(partner or "")
            for row in _objects(subscription_id, owner, org, "" if partner == "N" else CANARY):
                session.merge(row)
    return PartnerWorld(orgs, {name: log_in(database, client, org, name) for name, org in orgs.items()})


def log_in(database: Database, client: FlaskClient, partner_org: str, name: str) -> dict[str, str]:
    """The header of a token of a new client of `partner_org`."""
    client_id, secret = add_partner_client(database, f"shop of {name}", partner_org)
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    answer = client.post("/oauth2/token", data=form)
    assert answer.status_code == 200, answer.json
    return {"Authorization": f"Bearer {answer.json['access_token']}"}


def _objects(subscription_id: str, owner: str, org: str | None, mark: str) -> list[Any]:
    """A subscription with one object of each kind beside it."""
    number, customer = subscription_id.removeprefix("sub-"), f"cus-{owner.removeprefix('id-')}"

    def document(id: str, record_type: str, **more: Any) -> dict[str, Any]:
        return {"id": id, "record_type": record_type, "service": "limio", "data": {"mark": mark}, **more}

    def named(email: str) -> dict[str, Any]:
        return {"data": {"name": f"{mark} {owner}", "email": email, "defaultPaymentMethodId": f"pm-{number}"}}

    email = f"{owner.removeprefix('id-')}@{mark or 'north'}.example"

    def of_subscription(row_class: type[Any], prefix: str) -> Any:
        id = f"{prefix}-{number}"
        return row_class(
            id=id,
            owner=owner,
            subscription_id=subscription_id,
            document=document(id, row_class.record_type_name, owner=owner),
        )

    return [
        IdentityRow(id=owner, owner=owner, partner_org=org, document=document(owner, "identity")),
        CustomerRow(
            id=customer,
            owner=owner,
            partner_org=org,
            email_folded=email,
            name_folded=f"{mark} {owner}".strip(),
            document=document(customer, "customer", owner=owner) | named(email),
        ),
        OrderRow(id=f"order-{number}", owner=owner, partner_org=org, document=document(f"order-{number}", "order")),
        SubscriptionRow(
            id=subscription_id,
            owner=owner,
            customer=customer,
            reference=f"{mark}{number}TEAM",
            partner_org=org,
            document=document(subscription_id, "subscription", owner=owner, customer=customer),
        ),
        of_subscription(ScheduleRow, "schedule"),
        of_subscription(SubscriptionOfferRow, "subscription_offer"),
        of_subscription(AddOnRow, "add_on"),
        of_subscription(PaymentMethodRow, "pm"),
    ]
