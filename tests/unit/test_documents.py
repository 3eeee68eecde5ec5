"""Limio documents: ids, references, timestamps, values deep inside, merging, the envelope of a new object."""

from __future__ import annotations

import copy
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_service.subscription.limio.documents import (
    Birth,
    complete,
    get_value,
    id_of,
    merge,
    moment_of,
    reference_of,
    set_value,
    timestamp_of,
)
from sync_service.subscription.plan import as_json

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)
ANY_DOCUMENT = st.dictionaries(st.sampled_from(["id", "data", "status", "a", "b"]), ANY_JSON, max_size=5)

BIRTH = Birth(
    id="address-0123456789abcdef0123456789abcdef",
    reference="0123456789AB",
    relationship_id="rel-00000000000000000000000000000001",
    at="2026-03-01T12:00:00.000Z",
    owner="id-1",
    customer="cus-1",
    subscription_id="sub-1",
)


@pytest.mark.parametrize(
    ("record_type", "expected"),
    [("subscription", "sub-ff"), ("identity", "id-ff"), ("customer", "cus-ff"), ("payment_method", "pm-ff")],
)
def test_an_id_begins_with_limios_prefix(record_type: str, expected: str) -> None:
    assert id_of(record_type, "ff") == expected


def test_a_reference_counts_in_base_32() -> None:
    assert reference_of(0) == "000000000000"
    assert reference_of(33) == "000000000011"
    assert reference_of(2**60 - 1) == "VVVVVVVVVVVV"


@given(st.integers(min_value=0, max_value=2**60 - 1))
def test_every_reference_looks_like_limios(bits: int) -> None:
    assert re.fullmatch("[0-9A-V]{12}", reference_of(bits))


def test_a_timestamp_has_milliseconds_and_z() -> None:
    assert timestamp_of(0) == "1970-01-01T00:00:00.000Z"
    # date -u -d '2024-03-22 12:13:29' +%s is 1711109609
    assert timestamp_of(1_711_109_609_718) == "2024-03-22T12:13:29.718Z"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-03-22T12:13:29.718Z", datetime(2024, 3, 22, 12, 13, 29, 718000, tzinfo=UTC)),
        ("2024-03-22T12:13:29+02:00", datetime(2024, 3, 22, 10, 13, 29, tzinfo=UTC)),
        ("2024-03-22", datetime(2024, 3, 22, tzinfo=UTC)),
        ("0001-01-01T00:00:00+10:00", None),
        ("yesterday", None),
        ("", None),
        (7, None),
        (None, None),
    ],
)
def test_a_moment_is_read_from_what_limio_writes_and_from_nothing_else(text: Any, expected: datetime | None) -> None:
    assert moment_of(text) == expected


def test_a_value_is_found_by_its_dotted_path() -> None:
    document = {"data": {"attributes": {"autoRenew": False}, "offers": [1]}}

    assert get_value(document, "data.attributes.autoRenew") is False
    assert get_value(document, "data.attributes.gift") is None
    assert get_value(document, "data.offers.autoRenew") is None
    assert get_value(document, "status.deep") is None


def test_setting_a_value_leaves_the_original_and_its_other_values_alone() -> None:
    document = {"id": "sub-1", "data": {"attributes": {"gift": True, "autoRenew": True}, "quantity": 1}}
    before = copy.deepcopy(document)

    changed = set_value(document, "data.attributes.autoRenew", False)

    assert changed == {"id": "sub-1", "data": {"attributes": {"gift": True, "autoRenew": False}, "quantity": 1}}
    assert document == before


def test_setting_a_value_makes_the_parts_that_lead_to_it() -> None:
    assert set_value({}, "data.attributes.autoRenew", True) == {"data": {"attributes": {"autoRenew": True}}}
    assert set_value({"data": "text"}, "data.name", "x") == {"data": {"name": "x"}}
    assert set_value({"data": {"name": "x"}}, "data.name", None) == {"data": {"name": None}}


def test_merging_keeps_what_only_one_has_and_prefers_the_upper() -> None:
    below = {"status": "active", "data": {"name": "Monthly", "attributes": {"gift": False}, "addOns": [1, 2]}}
    above = {"status": "cancelled", "data": {"attributes": {"autoRenew": True}, "addOns": []}, "mode": "production"}

    assert merge(below, above) == {
        "status": "cancelled",
        "mode": "production",
        "data": {"name": "Monthly", "attributes": {"gift": False, "autoRenew": True}, "addOns": []},
    }


@given(ANY_DOCUMENT, ANY_DOCUMENT)
def test_merging_changes_neither_document_and_again_changes_nothing(
    below: dict[str, Any], above: dict[str, Any]
) -> None:
    before = copy.deepcopy((below, above))

    merged = merge(below, above)

    assert (below, above) == before
    assert merge(merged, above) == merged
    assert merge(merged, {}) == merged == merge({}, merged)
    assert set(merged) == set(below) | set(above)


@given(ANY_DOCUMENT, st.lists(st.sampled_from(["data", "a", "b"]), min_size=1, max_size=4), ANY_JSON)
def test_what_was_set_is_what_is_found(document: dict[str, Any], keys: list[str], value: Any) -> None:
    path = ".".join(keys)

    assert get_value(set_value(document, path, value), path) == value


def test_dates_and_decimals_become_text_wherever_they_stand() -> None:
    value = {"due": date(2026, 1, 31), "lines": [{"amount": Decimal("17.50")}, (1, None)]}

    assert as_json(value) == {"due": "2026-01-31", "lines": [{"amount": "17.50"}, [1, None]]}


def test_a_new_address_points_at_itself_and_carries_its_relationship() -> None:
    address = complete("address", {"relationship_type": "billing", "data": {"city": "London"}}, BIRTH)

    assert address == {
        "id": "address-0123456789abcdef0123456789abcdef",
        "service": "limio",
        "record_type": "address",
        "status": "active",
        "mode": "production",
        "reference": "0123456789AB",
        "owner": "id-1",
        "related": "address-0123456789abcdef0123456789abcdef",
        "relationship_id": "rel-00000000000000000000000000000001",
        "relationship_type": "billing",
        "start": "2026-03-01T12:00:00.000Z",
        "created": "2026-03-01T12:00:00.000Z",
        "updated": "2026-03-01T12:00:00.000Z",
        "data": {"city": "London"},
    }


def test_a_new_schedule_entry_waits_for_zuora_and_names_its_subscription() -> None:
    entry = complete("schedule", {"data": {"amount": "17.50"}}, BIRTH)

    assert entry["status"] == "pending-external"
    assert entry["related"] == "sub-1"


def test_a_new_subscription_is_named_by_its_reference() -> None:
    subscription = complete("subscription", {"reference": "A-S00000271", "data": {}}, BIRTH)

    assert (subscription["name"], subscription["reference"]) == ("A-S00000271", "A-S00000271")
    assert (subscription["owner"], subscription["customer"]) == ("id-1", "cus-1")


def test_an_identity_owns_itself() -> None:
    assert complete("identity", {}, BIRTH)["owner"] == BIRTH.id
