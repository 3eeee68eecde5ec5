"""The catalog in the store: loaded from Limio, read from Zuora, and led to by orders."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from sync_service.commerce.catalog import ProductCharge, RatePlan, find_item
from sync_service.commerce.order import CatalogRef
from sync_service.commerce.state import InStore
from sync_service.store.engine import Database
from sync_service.store.load_lines import LoadReport, load_objects
from sync_service.store.offers import newest_items, read_catalog, read_whole_catalog, write_rate_plans
from tests.unit.commerce.world import AUDIO, MONTHLY, a_subscription_offer, an_order, names, ref

PRODUCT = {
    "record_type": "product",
    "path": "/products/M",
    "syncedFrom": "product-M",
    "updated": "2026-01-01T00:00:00Z",
}
PLAN = RatePlan(
    id="rp1",
    product_id="product-M",
    name="Plan M",
    number="PRP-1",
    since=date(2026, 1, 1),
    until=date(2027, 1, 1),
    charges=(
        ProductCharge(id="ch1", name="Monthly", type="Recurring", model="FlatFee", prices={"GBP": Decimal("12.50")}),
    ),
)
ORDER = {
    "order_type": "change_offer",
    "forSubscription": {"name": "39IEQEBLLT60"},
    "offer": ref(MONTHLY),
}


def load(database: Database, *values: Any) -> LoadReport:
    return load_objects(database, [json.dumps(value) for value in values])


def test_a_load_keeps_every_version_of_an_offer(database: Database) -> None:
    other = {**MONTHLY, "version": "9" * 40, "updated": "2026-05-01T00:00:00.000Z"}

    report = load(database, MONTHLY, other, AUDIO, PRODUCT)

    with database.reading() as session:
        catalog = read_whole_catalog(session)
    assert report.problems == []
    assert {name: counts.created for name, counts in report.counts.items()} == {
        "offer": 2,
        "catalog_add_on": 1,
        "product": 1,
    }
    assert [offer.ref.version for offer in newest_items(catalog) if offer.record_type == "offer"] == ["9" * 40]
    assert find_item(catalog, CatalogRef(**ref(MONTHLY)), "offer").document == MONTHLY


def test_loading_the_catalog_again_changes_nothing(database: Database) -> None:
    load(database, MONTHLY, PRODUCT)

    report = load(database, MONTHLY, PRODUCT)

    assert {name: counts.unchanged for name, counts in report.counts.items()} == {"offer": 1, "product": 1}


def test_an_older_answer_about_a_product_is_not_taken(database: Database) -> None:
    load(database, PRODUCT)

    load(database, {**PRODUCT, "syncedFrom": "old", "updated": "2025-01-01T00:00:00Z"})

    with database.reading() as session:
        order = an_order(ORDER, names("2C50V1J7K3C0"))
        assert read_catalog(session, order, InStore(offers=(a_subscription_offer(MONTHLY),))).products == {
            "/products/M": "product-M"
        }


def test_an_order_leads_to_its_offer_its_product_and_the_rate_plans(database: Database) -> None:
    load(database, MONTHLY, PRODUCT)
    with database.transaction() as session:
        write_rate_plans(session, [PLAN])

    with database.reading() as session:
        catalog = read_catalog(session, an_order(ORDER, names("2C50V1J7K3C0")), InStore())

    assert catalog.rate_plans == {"product-M": (PLAN,)}
    assert find_item(catalog, CatalogRef(id=MONTHLY["id"]), "offer").name == "Offer M"


def test_what_zuora_sells_no_longer_is_forgotten(database: Database) -> None:
    other = replace(PLAN, id="rp2", product_id="product-A")
    with database.transaction() as session:
        write_rate_plans(session, [PLAN, other])

    with database.transaction() as session:
        write_rate_plans(session, [replace(PLAN, id="rp3"), other])

    load(database, MONTHLY, PRODUCT)
    with database.reading() as session:
        assert [plan.id for plan in read_whole_catalog(session).rate_plans["product-M"]] == ["rp3"]
    with database.transaction() as session:
        write_rate_plans(session, [])
    with database.reading() as session:
        assert read_whole_catalog(session).rate_plans == {}
