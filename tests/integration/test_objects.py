"""Limio's object reads: one object, pages that neither lose nor repeat, everything related to one."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from sqlmodel import select

from sync_service.store.engine import Database
from sync_service.store.objects import (
    MAX_RELATED_SUBSCRIPTIONS,
    CursorInvalid,
    UnknownObjectType,
    list_objects,
    read_object,
    read_related,
)
from sync_service.store.tables import CustomerRow, EventRow, IdentityRow, SubscriptionRow
from tests.integration.test_load import load, load_samples

pytestmark = pytest.mark.either_database


@pytest.fixture
def samples(database: Database) -> Database:
    load_samples(database, "self_service", "related", "single_objects")
    return database


@pytest.fixture
def one_kind(sqlite_database: Database) -> Database:
    """The same where the kind of database makes no difference."""
    load_samples(sqlite_database, "self_service", "related", "single_objects")
    return sqlite_database


def id_of(database: Database, reference: str) -> str:
    with database.reading() as session:
        return session.exec(select(SubscriptionRow).where(SubscriptionRow.reference == reference)).one().id


def related(database: Database, path_type: str, object_id: str) -> list[tuple[str, str | None]]:
    """What is related, as record type and a word that tells one from another."""
    with database.reading() as session:
        found = read_related(session, path_type, object_id)
    assert found is not None
    assert found.query_more is None
    return sorted((each["record_type"], _word(each)) for each in found.items)


def _word(document: dict[str, Any]) -> str:
    data = document["data"]
    word = {
        "address": f"{document.get('relationship_type')} {data.get('address1')}",
        "schedule": str(data.get("date"))[:10],
        "event": data.get("message"),
        "subscription": document.get("reference"),
        "order": data.get("source"),
        "payment_method": data.get("type"),
    }
    return str(word.get(document["record_type"], document.get("name") or data.get("name", "")))


@pytest.mark.parametrize("path_type", ["subscriptions", "subscription"])
def test_an_object_is_answered_whole_under_both_forms_of_its_type(one_kind: Database, path_type: str) -> None:
    subscription_id = id_of(one_kind, "29CVVO5SJFR0")

    with one_kind.reading() as session:
        found = read_object(session, path_type, subscription_id)

    assert found is not None
    assert (found["id"], found["data"]["price"]["amount"]) == (subscription_id, 17.5)


@pytest.mark.parametrize(
    "path_type",
    ["orders", "customers", "identities", "address", "schedules", "payment_methods", "subscription_offers", "events"],
)
def test_each_of_limios_types_has_a_list(one_kind: Database, path_type: str) -> None:
    with one_kind.reading() as session:
        assert list_objects(session, path_type, 10).items


@pytest.mark.parametrize("path_type", ["user_entitlements", "gift_code", "promo_codes_v2", "process"])
def test_types_that_limio_has_and_we_do_not_are_empty(one_kind: Database, path_type: str) -> None:
    with one_kind.reading() as session:
        assert list_objects(session, path_type, 10).items == ()
        assert read_object(session, path_type, "x-1") is None
        assert read_related(session, path_type, "x-1") is None


@pytest.mark.parametrize("path_type", ["invoices", "", "sync_run", "limio_customer"])
def test_a_type_that_limio_does_not_have_is_refused(one_kind: Database, path_type: str) -> None:
    with one_kind.reading() as session, pytest.raises(UnknownObjectType):
        list_objects(session, path_type, 10)


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 100])
def test_pages_hold_every_object_once(samples: Database, limit: int) -> None:
    seen: list[str] = []
    query_more: str | None = None
    pages = 0
    while True:
        with samples.reading() as session:
            page = list_objects(session, "subscriptions", limit, query_more)
        seen += [item["id"] for item in page.items]
        query_more = page.query_more
        pages += 1
        if query_more is None:
            break

    assert len(seen) == len(set(seen)) == 4
    assert pages == -(-4 // limit)


def test_a_page_goes_on_after_what_was_written_meanwhile(database: Database) -> None:
    load(database, {"id": "cus-b"}, {"id": "cus-d"}, {"id": "cus-f"})
    with database.reading() as session:
        first = list_objects(session, "customers", 2)

    load(database, {"id": "cus-a"}, {"id": "cus-e"})
    with database.transaction() as session:
        session.delete(session.get_one(CustomerRow, "cus-d"))
    with database.reading() as session:
        second = list_objects(session, "customers", 2, first.query_more)

    assert [item["id"] for item in first.items] == ["cus-b", "cus-d"]
    assert [item["id"] for item in second.items] == ["cus-e", "cus-f"]
    assert second.query_more is None


def _cursor(**content: Any) -> str:
    return urlsafe_b64encode(json.dumps(content).encode()).decode()


@pytest.mark.parametrize(
    "query_more",
    [
        "DnF1ZXJ5VGhlbkZldGNo",
        "%%%",
        "é",
        "e30",
        _cursor(v=1, t="order", a="order-1"),
        _cursor(v=2, t="subscription", a="sub-1"),
        _cursor(v=1, t="subscription", a=7),
        _cursor(v=1, t="subscription", a="\0"),
        _cursor(v=1, t="subscription", a="\ud800"),
        urlsafe_b64encode(b"[" * 100_000).decode(),
    ],
)
def test_a_cursor_that_we_did_not_give_out_is_refused(one_kind: Database, query_more: str) -> None:
    with one_kind.reading() as session, pytest.raises(CursorInvalid):
        list_objects(session, "subscriptions", 10, query_more)


def test_everything_of_a_subscription_is_related_to_it(samples: Database) -> None:
    assert related(samples, "subscriptions", id_of(samples, "29CVVO5SJFR0")) == [
        ("address", "billing 1 Old Street"),
        ("address", "billing 12 St James's Square"),
        ("address", "delivery 12 St James's Square"),
        ("customer", "Ada Lovelace"),
        ("event", "Order Received"),
        ("identity", "Ada Lovelace"),
        ("order", "shop"),
        ("payment_method", "zuora"),
        ("schedule", "2024-04-29"),
        ("schedule", "2024-05-29"),
        ("subscription_offer", "Monthly Offer"),
    ]


def test_what_two_subscriptions_share_is_related_to_both(samples: Database) -> None:
    found = related(samples, "subscription", id_of(samples, "BVFJTQ232RC0"))

    assert [each for each in found if each[0] in ("address", "payment_method", "customer", "add_on")] == [
        ("add_on", ""),
        ("address", "billing 12 St James's Square"),
        ("address", "delivery 12 St James's Square"),
        ("customer", "Ada Lovelace"),
        ("payment_method", "zuora"),
    ]


def test_a_customer_leads_to_all_its_subscriptions_and_what_they_have(samples: Database) -> None:
    with samples.reading() as session:
        ada = session.exec(select(CustomerRow).where(CustomerRow.email == "ada@example.com")).one()

    found = related(samples, "customers", ada.id)

    assert [word for kind, word in found if kind == "subscription"] == ["29CVVO5SJFR0", "BVFJTQ232RC0"]
    assert [word for kind, word in found if kind == "order"] == ["salesforce", "shop"]
    assert [word for kind, word in found if kind == "identity"] == ["Ada Lovelace"]
    assert [kind for kind, _ in found].count("payment_method") == 1
    assert related(samples, "identities", str(ada.owner)) == [
        (kind, word) for kind, word in sorted([*found, ("customer", "Ada Lovelace")]) if kind != "identity"
    ]


def test_an_order_and_a_payment_lead_back_to_their_subscription(samples: Database) -> None:
    subscription_id = id_of(samples, "3V053CN9SFIG")
    with samples.reading() as session:
        order_id = str(session.get_one(SubscriptionRow, subscription_id).order_id)
        entries = [item for item in list_objects(session, "schedules", 10).items if item["related"] == subscription_id]

    assert ("subscription", "3V053CN9SFIG") in related(samples, "orders", order_id)
    assert related(samples, "schedules", entries[0]["id"]) == [
        ("customer", "Ben Müller"),
        ("identity", "Ben Müller"),
        ("subscription", "3V053CN9SFIG"),
    ]


def test_an_owner_of_many_subscriptions_is_told_in_pages(one_kind: Database) -> None:
    numbers = [f"sub-many-{n:03}" for n in range(2 * MAX_RELATED_SUBSCRIPTIONS + 7)]
    with one_kind.transaction() as session:
        session.add(IdentityRow(id="id-many", document={"id": "id-many", "record_type": "identity", "data": {}}))
        session.flush()
        for number in numbers:
            document = {"id": number, "record_type": "subscription", "data": {}}
            session.add(SubscriptionRow(id=number, reference=number, owner="id-many", document=document))
        session.flush()
        for number in numbers:
            document = {"id": f"event-{number}", "record_type": "event", "data": {}}
            session.add(EventRow(id=f"event-{number}", subscription_id=number, document=document))

    pages: list[list[str]] = []
    query_more: str | None = None
    with one_kind.reading() as session:
        while query_more is not None or not pages:
            page = read_related(session, "identities", "id-many", query_more)
            assert page is not None
            pages.append([item["id"] for item in page.items])
            query_more = page.query_more

    assert [len(page) for page in pages] == [2 * MAX_RELATED_SUBSCRIPTIONS] * 2 + [14]
    assert sorted(item for page in pages for item in page) == sorted(
        [*numbers, *(f"event-{number}" for number in numbers)]
    )
    with one_kind.reading() as session:
        first = read_related(session, "identities", "id-many")
        assert first is not None
        with pytest.raises(CursorInvalid):
            read_related(session, "subscriptions", numbers[0], first.query_more)


def test_nothing_is_related_to_an_unknown_object(one_kind: Database) -> None:
    with one_kind.reading() as session:
        assert read_related(session, "subscriptions", "sub-0") is None
