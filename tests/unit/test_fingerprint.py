"""What a sync may do without asking again."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from sync_service.subscription.fingerprint import (
    Fingerprint,
    account_from_contacts,
    may_skip_account,
    may_skip_preview,
    take_fingerprint,
)
from sync_service.subscription.zuora import Contact, ZuoraSubscription

TODAY = date(2026, 11, 21)
CONTACT = Contact(first_name="Ada", city="London", of_subscription=False)
SUBSCRIPTION = ZuoraSubscription(
    id="1" * 32,
    number="A-S1",
    version=3,
    is_latest=True,
    status="Active",
    account_id="a" * 32,
    account_number="A1",
    account_name="Ada Ltd",
    update_time="2026-11-01 06:00:00",
    bill_to=CONTACT,
    sold_to=CONTACT,
)


def test_nothing_is_skipped_before_the_first_good_run() -> None:
    assert not may_skip_account(SUBSCRIPTION, None)
    assert not may_skip_preview(SUBSCRIPTION, None, TODAY, pays_renewal=bool)


def test_an_answer_equal_to_the_last_one_needs_no_preview_on_the_same_day() -> None:
    last = take_fingerprint(SUBSCRIPTION, preview_day=TODAY)

    assert may_skip_preview(SUBSCRIPTION, last, TODAY, pays_renewal=bool)
    assert may_skip_account(SUBSCRIPTION, last)


@pytest.mark.parametrize(
    ("what", "now"),
    [
        ("a new version", replace(SUBSCRIPTION, version=4)),
        ("another version with a number that was deleted", replace(SUBSCRIPTION, id="c" * 32)),
        ("a bill run, which moves the update time alone", replace(SUBSCRIPTION, update_time="2026-11-02 06:00:00")),
        ("another address", replace(SUBSCRIPTION, sold_to=replace(CONTACT, city="Leeds"))),
        ("another account", replace(SUBSCRIPTION, account_id="b" * 32)),
        ("a contact that is missing", replace(SUBSCRIPTION, bill_to=None)),
    ],
)
def test_what_moved_is_read_again(what: str, now: ZuoraSubscription) -> None:
    last = take_fingerprint(SUBSCRIPTION, preview_day=TODAY)

    assert not may_skip_preview(now, last, TODAY, pays_renewal=bool), what


@pytest.mark.parametrize(("field", "skips"), [("notes", True), ("autoRenew", True), ("scheduledCancelDate", False)])
def test_a_new_version_is_previewed_unless_no_payment_follows_from_what_it_changed(field: str, skips: bool) -> None:
    before = replace(SUBSCRIPTION, answer={"version": 3, field: None, "ratePlans": []})
    last = take_fingerprint(before, preview_day=TODAY)
    now = replace(SUBSCRIPTION, version=4, answer={"version": 4, field: "another", "ratePlans": []})

    assert may_skip_preview(now, last, TODAY, pays_renewal=bool) is skips


@pytest.mark.parametrize(
    ("price", "skips"),
    [
        pytest.param(Decimal("1.50"), True, id="the same"),
        pytest.param(Decimal("1.500000000000000001"), False, id="another in the eighteenth place"),
        pytest.param(None, False, id="none"),
        pytest.param("\ud800", False, id="half of a character"),
    ],
)
def test_what_is_billed_is_compared_to_the_last_digit_within_lists_but_for_ids(price: object, skips: bool) -> None:
    charges = [[{"id": "1", "price": Decimal("1.50")}], [{"id": "2", "price": price}]]
    before, now = ({"ratePlans": [{"ratePlanCharges": each}]} for each in charges)
    last = take_fingerprint(replace(SUBSCRIPTION, answer=before), preview_day=TODAY)

    assert may_skip_preview(replace(SUBSCRIPTION, version=4, answer=now), last, TODAY, pays_renewal=bool) is skips


@pytest.mark.parametrize("pays", [True, False])
def test_auto_renew_that_was_switched_is_compared_with_a_payment_of_the_renewal(pays: bool) -> None:
    before = replace(SUBSCRIPTION, auto_renew=True, answer={"version": 3, "autoRenew": True})
    now = replace(SUBSCRIPTION, version=4, auto_renew=False, answer={"version": 4, "autoRenew": False})
    last = take_fingerprint(before, preview_day=TODAY)

    assert may_skip_preview(now, last, TODAY, pays_renewal=lambda: pays) is not pays


def test_the_preview_is_read_again_on_the_next_day() -> None:
    last = take_fingerprint(SUBSCRIPTION, preview_day=date(2026, 11, 20))

    assert not may_skip_preview(SUBSCRIPTION, last, TODAY, pays_renewal=bool)


def test_the_preview_is_read_again_where_it_was_incomplete() -> None:
    last = take_fingerprint(SUBSCRIPTION, preview_day=None)

    assert not may_skip_preview(SUBSCRIPTION, last, TODAY, pays_renewal=bool)


def test_a_fingerprint_survives_storage_and_holds_no_personal_data() -> None:
    last = take_fingerprint(SUBSCRIPTION, preview_day=TODAY)

    assert Fingerprint.from_json(last.as_json()) == last
    assert "Ada" not in str(last.as_json())


@pytest.mark.parametrize("stored", [None, {}, {"version": 3}, {"from": "another release"}])
def test_a_fingerprint_that_cannot_be_read_counts_as_none(stored: dict[str, object] | None) -> None:
    assert Fingerprint.from_json(stored) is None


def test_the_accounts_own_contacts_stand_for_the_account() -> None:
    account = account_from_contacts(SUBSCRIPTION)

    assert account is not None
    assert (account.number, account.name, account.bill_to) == ("A1", "Ada Ltd", CONTACT)


@pytest.mark.parametrize("said", [True, None])
def test_contacts_of_the_subscription_do_not_stand_for_the_account(said: bool | None) -> None:
    assert account_from_contacts(replace(SUBSCRIPTION, bill_to=replace(CONTACT, of_subscription=said))) is None
