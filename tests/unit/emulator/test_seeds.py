"""The first customers, the bulk, and the Limio objects that go with them."""

from __future__ import annotations

import json
import re
from datetime import date
from typing import Any

import pytest

from tests.unit.emulator.tenants import TODAY, a_tenant, coming
from zuora_emulator import shop
from zuora_emulator.answers import subscription
from zuora_emulator.bulk import Bulk, BulkStock
from zuora_emulator.limio_objects import limio_objects
from zuora_emulator.seeds import SEEDS, fill
from zuora_emulator.tenant import Tenant


def filled(today: date = TODAY) -> Tenant:
    tenant = Tenant(today=today)
    fill(tenant)
    return tenant


def limio_subscription(number: str, today: date = TODAY) -> Any:
    return next(each for each in limio_objects(today) if each.get("reference") == number)


def payments(number: str) -> list[tuple[str, str]]:
    return [(each["data"]["date"][:10], each["data"]["amount"]) for each in limio_subscription(number)["schedule"]]


def test_the_first_customers_cover_what_subscriptions_can_be() -> None:
    tenant = filled()
    latest = [each.latest for each in tenant.subscriptions.values()]

    assert len(SEEDS) == len(latest)
    assert tenant.today == TODAY
    assert {"Active", "Suspended", "Cancelled"} == {each.status_on(TODAY) for each in latest}
    assert {"TERMED", "EVERGREEN"} == {each.term_type for each in latest}
    assert {"GBP", "USD", "EUR", "JPY"} == {each.currency for each in latest}
    assert any(each.account != each.invoice_owner for each in latest)
    assert any(each.sold_to for each in latest)


def test_filling_twice_gives_the_same_ids() -> None:
    first, second = filled(), filled()

    assert {each.number: each.latest.id for each in first.subscriptions.values()} == {
        each.number: each.latest.id for each in second.subscriptions.values()
    }


@pytest.mark.parametrize("today", [date(2026, 1, 31), date(2028, 2, 29), date(2026, 12, 31), date(2026, 3, 1)])
def test_any_day_will_do_to_begin_with(today: date) -> None:
    tenant = filled(today)

    assert today == tenant.today
    for each in tenant.subscriptions.values():
        assert json.dumps(subscription(tenant, each, each.latest, detail="all-segments"))


def test_a_subscription_begun_two_years_ago_has_been_renewed_twice() -> None:
    latest = filled().subscriptions["7Q0D3N5TJ2C8"].latest

    assert (3, date(2026, 9, 17), date(2027, 9, 17)) == (latest.version, latest.term_start, latest.term_end)


def test_limios_schedule_has_every_payment_and_the_renewal_at_the_end_of_the_term() -> None:
    # Begun on 15 August 2026 for twelve months: thirteen payments, the last one renews.
    found = payments("4F7K2M9QH0B1")

    assert found[0] == ("2026-08-15", "9.99")
    assert found[-1] == ("2027-08-15", "9.99")
    assert len(found) == 13


def test_limios_schedule_ends_with_a_pending_cancellation() -> None:
    # Begun on 10 May 2026, cancelled from the end of the running period: 10 December 2026.
    limio = limio_subscription("E2U9G7KB5J0P")

    assert limio["schedule"][-1]["data"]["date"][:10] == "2026-11-10"
    assert (
        limio["status"],
        limio["data"]["termEndDate"],
        limio["data"]["attributes"]["autoRenew"],
    ) == ("active", "2026-12-10", False)


def test_limios_schedule_of_an_evergreen_subscription_reaches_twelve_months() -> None:
    found = payments("C0P7E2ND9G4M")

    assert (found[0][0], found[-1][0]) == ("2026-07-14", "2027-11-14")
    assert "termEndDate" not in limio_subscription("C0P7E2ND9G4M")["data"]


def test_limios_payments_add_up_discounts_and_taxes() -> None:
    discounted = limio_subscription("A1M8S4GU7F3D")["schedule"]
    taxed = limio_subscription("F8H4J6LD1Q3R")["schedule"][0]["data"]

    amounts = [each["data"]["amount"] for each in discounted]
    assert amounts == ["16.00"] * 6 + ["20.00"] * 7
    assert [(line["amountWithoutTax"], line["processingType"]) for line in discounted[0]["data"]["lineItems"]] == [
        ("20.00", "Charge"),
        ("-4.00", "Discount"),
    ]
    assert (taxed["amount"], taxed["amountWithoutTax"], taxed["taxAmount"]) == ("12.00", "10.00", 2.0)
    assert {"3000"} == {amount for _, amount in payments("9R2V6B1KP4E0")}
    assert {"34.50"} == {amount for _, amount in payments("B5J3T8HC6K2L")}
    assert {"15.00"} == {amount for _, amount in payments("D6S1F5RA3H8N")}


def test_limio_objects_have_limios_shapes() -> None:
    found = list(limio_objects(TODAY))

    assert found == json.loads(json.dumps(found))
    subscriptions = [each for each in found if each.get("record_type") == "subscription"]
    assert len(subscriptions) == 10
    for each in subscriptions:
        assert re.fullmatch("[0-9A-V]{12}", each["reference"])
        assert re.fullmatch("sub-[0-9a-f]{32}", each["id"])
        assert each["name"] == each["reference"]
        assert all(entry["data"]["date"].endswith("T00:00:00.000") for entry in each["schedule"])
    related = [each for each in found if "related_to" in each]
    assert {each["id"] for each in subscriptions} == {each["related_to"] for each in related}
    assert {"billing", "delivery"} == {item["relationship_type"] for each in related for item in each["items"]}
    countries = {item["data"]["country"] for each in related for item in each["items"]}
    assert {"GB", "US", "JP", "FR", "DE"} == countries


def test_a_customer_with_two_subscriptions_is_told_once() -> None:
    ids = [each["id"] for each in limio_objects(TODAY) if each.get("record_type") in ("customer", "identity")]

    assert len(ids) == len(set(ids)) == 18


def test_a_bulk_is_made_only_when_looked_at() -> None:
    tenant = a_tenant()
    tenant.add_stock(BulkStock(Bulk(count=10_000, accounts=3_000), tenant))

    assert len(tenant.subscriptions) == 0
    assert len(tenant.updated["subscriptions"].entries) == 10_000
    found = tenant.find_subscription("A-S90009999")
    assert found is not None
    assert found.latest.account == "A90000999"
    by_id = tenant.find_version(found.latest.id)
    assert by_id is not None
    assert found is by_id[0]
    assert len(tenant.subscriptions) == 1


def test_a_bulk_answers_like_any_other() -> None:
    tenant = a_tenant()
    tenant.add_stock(BulkStock(Bulk(count=10, limios=True), tenant))
    found = tenant.find_subscription("BULK00000003")

    assert found is not None
    # Begun 22 days before: 29 October 2026; billed up to 29 November.
    assert (date(2026, 10, 29), date(2026, 11, 29)) == (found.latest.start, found.latest.charges[0].billed_through)
    assert coming(found.latest, date(2026, 12, 1)) == [("Digital Monthly", "2026-11-29", "2026-12-29", "19.99")]
    account = tenant.find_account("A90000003")
    assert account is not None
    assert [found] == tenant.owned_by(account.number)
    assert tenant.find_subscription("BULK0000000A") is None
    assert tenant.find_subscription("A-S90000001") is None


def test_every_offer_of_the_shop_leads_to_a_rate_plan_of_zuoras() -> None:
    tenant = Tenant(today=date(2026, 11, 20))
    shop.fill_catalog(tenant)
    objects = list(shop.limio_catalog())
    products = {each["path"]: each["syncedFrom"] for each in objects if each["record_type"] == "product"}
    offers = [each for each in objects if each["record_type"] != "product"]

    sold = [
        (each["name"], plan.name)
        for each in offers
        for bundle in each["data"]["productBundles"]
        for plan in tenant.catalog.products[products[bundle["product_path"]]].plans
        if plan.name == bundle["rate_plan"]
    ]

    assert sold == [(each["name"], each["name"]) for each in offers]
    assert len({each["id"] for each in objects}) == len(objects) == 12
