"""Orders that an operator places for a partner: what they make is its own, and what cannot be meant is refused."""

from __future__ import annotations

from typing import Any

import pytest

from sync_service.access.clients import ORDER_SCOPE
from sync_service.partner.organisations import Organisation, Partners
from sync_service.store.tables import OrderRow, OrderWorkRow, SubscriptionRow
from tests.integration.web.conftest import Web
from tests.order_world import cancel, hold_subscription

#: Where orders may name a partner.
ADMIN = "/api/admin/order"


def add_partner(web: Web, name: str, *, pays: bool) -> str:
    organisation = Organisation(name=name, zuora_account_id=f"A-{name}", is_invoice_owner=pays)
    return Partners(web.database, "olga").add(organisation).id


def place(
    web: Web, headers: dict[str, str], payload: dict[str, Any], status: int = 200, *, path: str = "/api/order"
) -> Any:
    answer = web.client.post(path, json=payload, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json


def test_an_order_of_a_partners_subscription_belongs_to_the_partner(web: Web) -> None:
    hold_subscription(web.database)
    north = add_partner(web, "North", pays=True)
    Partners(web.database, "olga").assign("39IEQEBLLT60", north)
    headers = web.token(ORDER_SCOPE, name="shop")

    place(web, headers, cancel(forPartner=north))
    place(web, headers, cancel(forPartner=north, external_id="EXT-2"), path=ADMIN)

    assert [row.partner_org for row in web.rows(OrderRow)] == [north, north]


def test_also_where_the_order_names_no_partner(sqlite_web: Web) -> None:
    hold_subscription(sqlite_web.database)
    north = add_partner(sqlite_web, "North", pays=True)
    Partners(sqlite_web.database, "olga").assign("39IEQEBLLT60", north)

    place(sqlite_web, sqlite_web.token(ORDER_SCOPE, name="shop"), cancel())

    assert [row.partner_org for row in sqlite_web.rows(OrderRow)] == [north]


@pytest.mark.parametrize("wanted", ["", "partner_org-none", "disabled", "another", 7, {"id": "x"}])
def test_a_partner_that_it_cannot_be_for_is_refused_and_nothing_is_stored(sqlite_web: Web, wanted: Any) -> None:
    hold_subscription(sqlite_web.database)
    partners = Partners(sqlite_web.database, "olga")
    partners.assign("39IEQEBLLT60", add_partner(sqlite_web, "North", pays=True))
    known = {name: add_partner(sqlite_web, name, pays=True) for name in ("disabled", "another")}
    partners.set_disabled(known["disabled"], disabled=True)
    for_partner = known.get(wanted, wanted) if isinstance(wanted, str) else wanted

    refused = place(sqlite_web, sqlite_web.token(ORDER_SCOPE, name="shop"), cancel(forPartner=for_partner), status=400)

    assert [each["field"] for each in refused["errors"]] == ["forPartner"]
    assert sqlite_web.rows(OrderWorkRow) == []


def test_a_direct_customers_subscription_is_no_partners(sqlite_web: Web) -> None:
    hold_subscription(sqlite_web.database)
    north = add_partner(sqlite_web, "North", pays=True)
    headers = sqlite_web.token(ORDER_SCOPE, name="shop")

    place(sqlite_web, headers, cancel(forPartner=north), status=400)
    place(sqlite_web, headers, cancel())

    assert [row.partner_org for row in sqlite_web.rows(OrderRow)] == [None]
    assert [row.partner_org for row in sqlite_web.rows(SubscriptionRow)] == [None]
