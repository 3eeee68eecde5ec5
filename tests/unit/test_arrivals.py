"""Limio's answers taken apart: the shapes that a line may have, and what is said of those that it must not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_service.subscription.limio.arrivals import read_answer
from tests.unit.test_documents import ANY_JSON


def read(value: Any) -> tuple[list[tuple[str, str, str | None]], list[str]]:
    arrivals, problems = read_answer(7, json.dumps(value))
    assert {arrival.line for arrival in arrivals} | {problem.line for problem in problems} <= {7}
    return (
        [(arrival.record_type, arrival.id, arrival.subscription_id) for arrival in arrivals],
        [problem.message for problem in problems],
    )


def test_a_single_object_names_its_own_type() -> None:
    assert read({"id": "cus-1", "record_type": "customer"}) == ([("customer", "cus-1", None)], [])


def test_an_object_that_names_no_type_is_told_by_its_id() -> None:
    assert read({"id": "subscription_offer-1"}) == ([("subscription_offer", "subscription_offer-1", None)], [])


def test_what_a_subscription_carries_inside_becomes_objects_of_their_own() -> None:
    arrivals, problems = read_answer(
        1,
        json.dumps(
            {
                "id": "sub-1",
                "record_type": "subscription",
                "data": {"addOns": ["kept"]},
                "offers": [{"id": "subscription_offer-1"}],
                "schedule": [{"id": "schedule-1", "record_type": "schedule"}],
                "addOns": [{"id": "add_on-1"}],
            }
        ),
    )

    assert problems == []
    assert [(arrival.record_type, arrival.id, arrival.subscription_id) for arrival in arrivals] == [
        ("subscription", "sub-1", None),
        ("subscription_offer", "subscription_offer-1", "sub-1"),
        ("add_on", "add_on-1", "sub-1"),
        ("schedule", "schedule-1", "sub-1"),
    ]
    assert arrivals[0].document == {"id": "sub-1", "record_type": "subscription", "data": {"addOns": ["kept"]}}


def test_the_partners_shape_has_the_same_beside_the_subscription() -> None:
    found, problems = read({"subscription": {"id": "sub-1"}, "schedule": [{"id": "schedule-1"}], "offers": []})

    assert found == [("subscription", "sub-1", None), ("schedule", "schedule-1", "sub-1")]
    assert problems == []


def test_items_belong_to_the_subscription_that_they_are_related_to() -> None:
    found, _ = read({"related_to": "sub-1", "items": [{"id": "address-1", "record_type": "address"}, {"id": "pm-1"}]})

    assert found == [("address", "address-1", "sub-1"), ("payment_method", "pm-1", "sub-1")]


def test_a_list_answer_holds_several_objects() -> None:
    found, _ = read({"items": [{"id": "cus-1"}, {"id": "cus-2"}], "queryMore": "DnF1ZXJ5"})

    assert found == [("customer", "cus-1", None), ("customer", "cus-2", None)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "This is no JSON: Expecting property name enclosed in double quotes at character 2."),
        ("nothing", "This is no JSON: Expecting value at character 1."),
        ('{"id": NaN}', "This is no JSON: NaN is no number."),
        ('{"id": 1e999}', "It holds a number that is too large."),
        ('{"id": ' + "9" * 5000 + "}", "It holds a number that is too long."),
        ("[" * 5000 + "]" * 5000, "This nests deeper than 60 levels."),
        ("[" * 100 + "]" * 100, "This nests deeper than 60 levels."),
        ('{"id": "sub-1", "name": "\\u0000"}', "It holds a NUL character."),
        ('{"id": "sub-1", "\\ud800": 1}', "It holds characters that are not Unicode: is the file UTF-8?"),
        ('"sub-1"', "This is no object."),
        ('["sub-1"]', "This is no object."),
        ("{}", "An object without an id cannot be kept."),
        ('{"id": ""}', "An object without an id cannot be kept."),
        ('{"id": 5}', "An object without an id cannot be kept."),
        (
            '{"id": "user_entitlement-1"}',
            "user_entitlement-1: objects of the type nothing that we know are not kept here.",
        ),
        ('{"id": "x", "record_type": "basket"}', "x: objects of the type basket are not kept here."),
        ('{"related_to": "cus-1", "items": []}', "related_to must be the id of a subscription (sub-…)."),
        ('{"related_to": 4, "items": []}', "related_to must be the id of a subscription, and items a list."),
        ('{"related_to": "sub-1"}', "related_to must be the id of a subscription, and items a list."),
    ],
)
def test_a_line_that_cannot_be_kept_says_why(text: str, message: str) -> None:
    arrivals, problems = read_answer(3, text)

    assert arrivals == []
    assert [(problem.line, problem.message) for problem in problems] == [(3, message)]


def test_one_bad_item_does_not_cost_the_others() -> None:
    found, problems = read({"id": "sub-1", "schedule": [{"id": "schedule-1"}, {"data": {}}, 5], "offers": "none"})

    assert found == [("subscription", "sub-1", None), ("schedule", "schedule-1", "sub-1")]
    assert problems == ["In schedule: An object without an id cannot be kept.", "In schedule: This is no object."]


@given(
    st.dictionaries(st.sampled_from(["id", "items", "related_to", "subscription", "offers", "record_type"]), ANY_JSON)
)
def test_nothing_that_json_can_say_makes_reading_fail(value: dict[str, Any]) -> None:
    read_answer(1, json.dumps(value))


@given(st.text())
def test_no_text_makes_reading_fail(text: str) -> None:
    read_answer(1, text)


OFFER = {"id": "1" * 40, "version": "2" * 40, "path": "/offers2/M", "record_type": "offer", "data": {}}


@pytest.mark.parametrize(
    ("document", "record_type"),
    [
        (OFFER, "offer"),
        ({**OFFER, "record_type": "add_on", "data": {"attributes": {}}}, "catalog_add_on"),
        ({"record_type": "product", "path": "/products/M", "syncedFrom": "8a80"}, "product"),
        ({"id": "add_on-1", "record_type": "add_on", "data": {"add_on": OFFER}}, "add_on"),
    ],
)
def test_the_catalog_is_told_from_what_a_subscription_holds(document: dict[str, Any], record_type: str) -> None:
    [arrival], problems = read_answer(1, json.dumps(document))

    assert (arrival.record_type, problems) == (record_type, [])


def test_a_part_of_the_catalog_that_nothing_can_name_is_reported() -> None:
    _, [problem] = read_answer(1, json.dumps({"record_type": "product", "id": "x"}))

    assert problem.message == "A part of the catalog without a path."
