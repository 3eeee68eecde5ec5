"""Zuora's contacts against Limio's addresses."""

from __future__ import annotations

from typing import Any

import pytest

from sync_service.subscription.contacts import compare_addresses
from sync_service.subscription.plan import Create
from sync_service.subscription.zuora import Contact, ZuoraAccount
from tests.unit.builders import a_contact, a_subscription, an_account, an_address

BOTH = [an_address("billing"), an_address("delivery")]


def created(
    addresses: list[dict[str, Any]], account: ZuoraAccount | None, **contacts: Contact | None
) -> dict[str, dict[str, Any]]:
    changes, _ = compare_addresses(addresses, a_subscription(**contacts), account)
    assert all(isinstance(change, Create) for change in changes)
    return {change.document["relationship_type"]: change.document["data"] for change in changes}


def test_agreeing_addresses_are_left_alone() -> None:
    assert created(BOTH, an_account()) == {}


def test_sold_to_is_the_delivery_address_and_bill_to_the_billing_address() -> None:
    moved = an_account(bill_to=a_contact(city="Bath"), sold_to=a_contact(city="Leeds"))

    assert {kind: data["city"] for kind, data in created(BOTH, moved).items()} == {
        "billing": "Bath",
        "delivery": "Leeds",
    }


@pytest.mark.parametrize("specified", [True, None])
def test_the_subscriptions_own_contact_comes_before_the_accounts(specified: bool | None) -> None:
    own = a_contact(city="York", of_subscription=specified)

    assert created(BOTH, an_account(), sold_to=own)["delivery"]["city"] == "York"


def test_a_contact_that_is_the_accounts_is_read_from_the_account() -> None:
    copy = a_contact(city="Old town", of_subscription=False)

    assert created(BOTH, an_account(), sold_to=copy) == {}
    assert created(BOTH, None, sold_to=copy)["delivery"]["city"] == "Old town"


def test_an_absent_contact_changes_nothing() -> None:
    assert created(BOTH, an_account(bill_to=None, sold_to=None), bill_to=None, sold_to=None) == {}
    assert created(BOTH, None, bill_to=None, sold_to=None) == {}


@pytest.mark.parametrize("blank", [None, "", "  "])
def test_null_absent_and_blank_are_equal(blank: str | None) -> None:
    stored = [
        an_address(kind, data={"address2": blank, "phone": blank, "state": blank}) for kind in ("billing", "delivery")
    ]
    without = [an_address(kind, data={}) for kind in ("billing", "delivery")]
    for address in without:
        del address["data"]["address2"]

    assert created(stored, an_account()) == {}
    assert created(without, an_account()) == {}


@pytest.mark.parametrize(
    ("stored", "told", "same"),
    [
        ({"country": "GB"}, {"country": "England"}, True),
        ({"country": "United Kingdom"}, {"country": "GBR"}, True),
        ({"country": "GB"}, {"country": "Ireland"}, False),
        ({"country": "US", "state": "CA"}, {"country": "United States", "state": "California"}, True),
        ({"country": "US", "state": "California"}, {"country": "USA", "state": "CA"}, True),
        ({"country": "US", "state": "CO"}, {"country": "USA", "state": "California"}, False),
        ({"country": "Atlantis"}, {"country": "ATLANTIS"}, True),
    ],
)
def test_country_and_state_agree_by_name_or_by_code(stored: dict[str, str], told: dict[str, str], same: bool) -> None:
    account = an_account(bill_to=a_contact(**told), sold_to=None)

    assert (created([an_address(data=stored)], account, sold_to=None) == {}) is same


def test_a_new_address_is_the_old_ones_data_with_our_fields_replaced() -> None:
    old = an_address(data={"company": "Analytical Ltd", "email": "ada@work.example", "phone": "1", "city": "Bath"})

    data = created([old], an_account(sold_to=None), sold_to=None)["billing"]

    assert data == {
        "firstName": "Ada",
        "lastName": "Byron",
        "address1": "12 St James's Square",
        "address2": "",
        "city": "London",
        "county": "",
        "state": "",
        "postalCode": "SW1Y 4JH",
        "country": "GB",
        "phone": "",
        "workPhone": "",
        "otherPhone": "",
        "workEmail": "",
        "company": "Analytical Ltd",
        "email": "ada@work.example",
    }


@pytest.mark.parametrize(
    ("country", "state", "written"),
    [
        ("United States", "California", ("US", "CA")),
        ("Canada", "Quebec", ("CA", "QC")),
        ("Australia", "Victoria", ("AU", "VIC")),
        ("Germany", "Bayern", ("DE", "Bayern")),
        ("USA", "Outer Space", ("US", "Outer Space")),
        ("England", None, ("GB", "")),
        (None, None, ("", "")),
    ],
)
def test_codes_are_written_for_the_state_only_where_the_country_uses_them(
    country: str | None, state: str | None, written: tuple[str, str]
) -> None:
    account = an_account(bill_to=a_contact(country=country, state=state, city="Anywhere"), sold_to=None)

    data = created(BOTH, account, sold_to=None)["billing"]

    assert (data["country"], data["state"]) == written


def test_an_unknown_country_is_kept_as_it_is_and_said() -> None:
    account = an_account(bill_to=a_contact(country="Atlantis"), sold_to=None)

    changes, notes = compare_addresses(BOTH, a_subscription(sold_to=None), account)

    assert changes[0].document["data"]["country"] == "Atlantis"
    assert len(notes) == 1
    assert "billing address" in notes[0]


def test_the_newest_active_address_of_a_kind_is_the_one_that_counts() -> None:
    addresses = [
        an_address(id="address-1", start="2026-01-01T00:00:00.000Z", data={"city": "Bath"}),
        an_address(id="address-2", start="2026-03-01T00:00:00.000Z"),
        an_address(id="address-3", start="2026-05-01T00:00:00.000Z", status="cancelled", data={"city": "Leeds"}),
        an_address("delivery"),
    ]

    assert created(addresses, an_account()) == {}
    assert created(addresses[::-1], an_account()) == {}


def test_starts_are_compared_as_moments() -> None:
    addresses = [
        an_address(id="address-1", start="2026-03-01T01:00:00.000+02:00", data={"city": "Bath"}),
        an_address(id="address-2", start="2026-03-01"),
        an_address("delivery"),
    ]

    assert created(addresses, an_account()) == {}


def test_a_subscription_without_addresses_gets_both() -> None:
    assert set(created([], an_account())) == {"billing", "delivery"}
