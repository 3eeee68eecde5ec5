"""The customer's name and email."""

from __future__ import annotations

from typing import Any

import pytest

from sync_service.subscription.contacts import compare_customer, customer_values
from tests.unit.builders import a_contact, a_customer, an_account


def changed(customer: dict[str, Any], **account: Any) -> dict[str, Any]:
    return {field.path: field.after for field in compare_customer(customer, an_account(**account))}


def test_an_agreeing_customer_is_left_alone() -> None:
    assert changed(a_customer()) == {}


def test_name_and_email_come_from_the_bill_to_contact() -> None:
    married = a_contact(last_name="Lovelace", personal_email="lovelace@example.com")

    assert changed(a_customer(), bill_to=married) == {
        "data.name": "Ada Lovelace",
        "data.email": "lovelace@example.com",
    }


def test_the_work_email_does_where_there_is_no_personal_one() -> None:
    assert customer_values(an_account(bill_to=a_contact(personal_email=None, work_email="a@work.example")))[
        "email"
    ] == ("a@work.example")
    assert customer_values(an_account(bill_to=a_contact(work_email="a@work.example")))["email"] == "ada@example.com"


def test_sold_to_does_where_there_is_no_bill_to() -> None:
    assert changed(a_customer(), bill_to=None, sold_to=a_contact(first_name="Anne")) == {"data.name": "Anne Byron"}


def test_sold_to_is_not_asked_for_what_bill_to_does_not_say() -> None:
    assert (
        changed(a_customer(), bill_to=a_contact(personal_email=None), sold_to=a_contact(personal_email="x@y.example"))
        == {}
    )


@pytest.mark.parametrize(
    "account",
    [{"bill_to": None, "sold_to": None}, {"bill_to": a_contact(first_name=None, last_name=None, personal_email=None)}],
)
def test_what_zuora_does_not_say_changes_nothing(account: dict[str, Any]) -> None:
    assert changed(a_customer(), **account) == {}


def test_a_customer_without_a_name_gets_one() -> None:
    assert changed({"id": "cus-1", "data": {}}) == {"data.name": "Ada Byron", "data.email": "ada@example.com"}
