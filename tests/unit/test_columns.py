"""The typed columns beside a document: what they hold, and that nothing in a document can make them fail."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_service.subscription.limio.columns import derive_columns
from sync_service.subscription.limio.documents import ID_PREFIXES
from tests.unit.test_documents import ANY_JSON

PATHS = ("status", "reference", "name", "owner", "ref", "related", "start", "relationship_type", "updated", "customer")
DATA = ("termStartDate", "termEndDate", "date", "amount", "email", "name", "attributes", "event", "currency", "type")


def test_a_subscription_shows_its_terms_and_its_order() -> None:
    columns = derive_columns(
        "subscription",
        {
            "status": "active",
            "customer": "cus-1",
            "ref": "order-f984/d25e6f75-7e11-4a6b-a88b-b0d793eca443",
            "data": {
                "termStartDate": "2024-04-29T16:48:48.011Z",
                "termEndDate": "2024-05-29",
                "attributes": {"autoRenew": True, "external": False},
            },
        },
    )

    assert columns.unfit == ()
    assert columns.values["term_start"] == date(2024, 4, 29)
    assert columns.values["term_end"] == date(2024, 5, 29)
    assert columns.values["auto_renew"] is True
    assert columns.values["external"] is False
    assert columns.values["order_id"] == "order-f984"
    assert columns.values["customer"] == "cus-1"


def test_a_schedule_entry_is_due_on_the_day_as_written() -> None:
    document = {"related": "sub-1", "data": {"date": "2024-05-29T00:00:00.000", "amount": "17.50", "type": "payment"}}

    values = derive_columns("schedule", document).values

    assert (values["due"], values["amount"], values["subscription_id"]) == (date(2024, 5, 29), "17.50", "sub-1")


@pytest.mark.parametrize(
    ("amount", "held", "unfit"),
    [
        (9.99, "9.99", ()),
        ("9.99", "9.99", ()),
        ("", None, ()),
        (None, None, ()),
        ("free", None, ("data.amount",)),
        ("NaN", None, ("data.amount",)),
        (True, None, ("data.amount",)),
        ({"value": 1}, None, ("data.amount",)),
    ],
)
def test_an_amount_is_a_decimal_as_text_or_named_as_unfit(
    amount: Any, held: str | None, unfit: tuple[str, ...]
) -> None:
    columns = derive_columns("schedule", {"data": {"amount": amount}})

    assert (columns.values["amount"], columns.unfit) == (held, unfit)


def test_the_customer_is_named_by_the_value_that_syncs_write() -> None:
    values = derive_columns("customer", {"name": "Old Name", "data": {"name": "Ada Lovelace", "email": "a@b.c"}}).values

    assert (values["name"], values["email"]) == ("Ada Lovelace", "a@b.c")


def test_an_event_belongs_to_the_subscription_that_it_names_inside() -> None:
    event = {"data": {"event": {"subscriptions": [{"id": "sub-1"}]}}}

    assert derive_columns("event", event).values["subscription_id"] == "sub-1"


def test_an_address_belongs_to_no_person_by_itself() -> None:
    assert "subscription_id" not in derive_columns("address", {"related": "sub-1"}).values


def test_a_text_too_long_for_an_index_is_named() -> None:
    columns = derive_columns("customer", {"data": {"email": "x" * 501}})

    assert (columns.values["email"], columns.unfit) == (None, ("data.email",))


@given(
    st.sampled_from(sorted(ID_PREFIXES)),
    st.dictionaries(st.sampled_from(PATHS), ANY_JSON),
    st.dictionaries(st.sampled_from(DATA), ANY_JSON) | ANY_JSON,
)
def test_no_document_is_too_odd_for_its_columns(record_type: str, document: dict[str, Any], data: Any) -> None:
    columns = derive_columns(record_type, {**document, "data": data})

    for name, value in columns.values.items():
        assert value is None or isinstance(value, str | bool | date), name
