"""The whole difference: what a plan holds, what it leaves, and what it never does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sync_service.errors import PreviewIncomplete
from sync_service.subscription.plan import Cancel, Change, Create, LimioState, SyncPlan, Update
from sync_service.subscription.reconcile import reconcile
from sync_service.subscription.zuora import StatusPeriod, ZuoraState
from tests.unit.builders import (
    LONDON,
    TODAY,
    a_contact,
    a_customer,
    a_limio_state,
    a_limio_subscription,
    a_preview,
    a_preview_item,
    a_segment,
    a_subscription,
    a_zuora_state,
    an_account,
    an_entry,
    day,
    months,
)
from tests.unit.paper_store import apply_on_paper


def plan_for(current: LimioState | None = None, zuora: ZuoraState | None = None) -> SyncPlan:
    return reconcile(current or a_limio_state(), zuora or a_zuora_state(), TODAY, LONDON)


def of_type(plan: SyncPlan, record_type: str) -> list[Change]:
    return [change for change in plan.changes if change.record_type == record_type]


def cancelled_now() -> ZuoraState:
    subscription = a_subscription(
        status="Cancelled",
        end=TODAY,
        term_end=TODAY,
        status_history=(
            StatusPeriod(status="Active", start=day("2026-01-01"), end=TODAY),
            StatusPeriod(status="Cancelled", start=TODAY),
        ),
        segments=(a_segment(effective_end=TODAY),),
    )
    credit = a_preview_item("2026-06-15", "-9.33", service_end=day("2026-06-30"))
    return a_zuora_state(subscription=subscription, preview=a_preview(credit))


def test_the_first_sync_of_a_subscription_that_limio_made_and_zuora_agrees_with_is_empty() -> None:
    plan = plan_for(a_limio_state(linked_account_id=None))

    assert plan == SyncPlan(number="A-S00000001", look_again_on=day("2027-01-01"))


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"is_latest": False}, "not the latest"),
        ({"status": "Expired"}, "not the latest"),
        ({"status": "Draft"}, "draft"),
    ],
)
def test_an_old_version_and_a_draft_change_nothing_and_say_so(fields: dict[str, Any], word: str) -> None:
    other = a_subscription(term_end=day("2030-01-01"), bill_to=a_contact(city="Leeds"), **fields)

    for current in (a_limio_state(), LimioState()):
        plan = plan_for(current, a_zuora_state(subscription=other))

        assert plan.is_empty
        assert word in plan.notes[0]


def test_an_incomplete_preview_stops_everything() -> None:
    with pytest.raises(PreviewIncomplete):
        plan_for(zuora=a_zuora_state(preview=a_preview(a_preview_item(charge_number="C-OTHER", charge_name="Other"))))


def test_without_a_preview_the_schedule_is_left_alone_and_the_rest_is_not() -> None:
    renewed = a_subscription(term_end=day("2028-01-01"), end=day("2028-01-01"))

    plan = plan_for(zuora=a_zuora_state(subscription=renewed, preview=None))

    assert [change.record_type for change in plan.changes] == ["subscription"]


def test_a_cancellation_at_once_cancels_the_subscription_and_what_was_to_come() -> None:
    plan = plan_for(zuora=cancelled_now())

    assert isinstance(plan.changes[0], Update)
    assert {field.path: field.after for field in plan.changes[0].fields} == {
        "data.termEndDate": "2026-06-15",
        "data.attributes.autoRenew": False,
        "status": "cancelled",
    }
    assert [change.id for change in plan.changes[1:] if isinstance(change, Cancel)] == [
        f"schedule-{on}" for on in months("2026-07-01", 7)
    ]


def test_the_currency_comes_from_the_account_where_the_subscription_names_none() -> None:
    zuora = a_zuora_state(subscription=a_subscription(currency=None), account=an_account(currency="JPY"))

    plan = plan_for(a_limio_state(schedule=()), zuora)

    assert {
        change.document["data"]["currency"] for change in of_type(plan, "schedule") if isinstance(change, Create)
    } == {"JPY"}


def test_a_new_payment_is_called_by_the_offers_name_where_limio_sold_it() -> None:
    plan = plan_for(a_limio_state(schedule=()))

    assert {change.document["data"]["description"] for change in plan.changes if isinstance(change, Create)} == {
        "Monthly Offer"
    }


# Import.


def test_an_import_creates_the_owner_the_subscription_its_payments_and_its_addresses() -> None:
    plan = plan_for(LimioState())

    assert all(isinstance(change, Create) for change in plan.changes)
    assert [change.record_type for change in plan.changes] == [
        "identity",
        "customer",
        "subscription",
        *["schedule"] * 7,
        *["address"] * 2,
    ]


def test_an_imported_subscription_is_external_and_bears_zuoras_number() -> None:
    created = of_type(plan_for(LimioState()), "subscription")[0]

    assert isinstance(created, Create)
    assert created.document == {
        "name": "A-S00000001",
        "reference": "A-S00000001",
        "status": "active",
        "start": "2026-01-01",
        "data": {
            "startDate": "2026-01-01T00:00:00.000Z",
            "termStartDate": "2026-01-01T00:00:00.000Z",
            "termEndDate": "2027-01-01",
            "attributes": {"autoRenew": True, "external": True},
        },
    }


def test_an_import_into_an_account_that_has_an_owner_creates_no_people() -> None:
    plan = plan_for(LimioState(account_owner="id-1", account_customer="cus-1"))

    assert of_type(plan, "identity") == of_type(plan, "customer") == []


def test_an_import_names_the_customer_by_the_bill_to_contact() -> None:
    created = of_type(plan_for(LimioState()), "customer")[0]

    assert isinstance(created, Create)
    assert created.document["data"] == {"name": "Ada Byron", "email": "ada@example.com"}


def test_an_import_without_an_account_takes_the_subscriptions_contacts() -> None:
    created = of_type(plan_for(LimioState(), a_zuora_state(account=None)), "customer")[0]

    assert isinstance(created, Create)
    assert created.document["data"]["name"] == "Ada Byron"


# The customer.

OTHER_NAME = a_zuora_state(account=an_account(bill_to=a_contact(last_name="Lovelace")))


def test_a_changed_name_is_written_to_the_customer() -> None:
    plan = plan_for(zuora=OTHER_NAME)

    update = of_type(plan, "customer")[0]
    assert isinstance(update, Update)
    assert (update.id, update.fields[0].before, update.fields[0].after) == ("cus-1", "Ada Byron", "Ada Lovelace")


def test_an_account_that_does_not_write_the_customer_leaves_it() -> None:
    plan = plan_for(a_limio_state(writes_customer=False), OTHER_NAME)

    assert of_type(plan, "customer") == []
    assert not plan.again


def test_a_customer_compared_with_a_newer_read_is_left_and_the_number_comes_again() -> None:
    plan = plan_for(a_limio_state(customer_is_newer=True), OTHER_NAME)

    assert of_type(plan, "customer") == []
    assert plan.again


def test_a_newer_customer_that_agrees_needs_no_second_look() -> None:
    assert not plan_for(a_limio_state(customer_is_newer=True)).again


def test_without_the_account_the_customer_is_left_alone() -> None:
    """The short way: the contacts are those of the last good run."""
    assert (
        of_type(plan_for(a_limio_state(customer=a_customer(name="?")), a_zuora_state(account=None)), "customer") == []
    )


# An owner transfer.

TRANSFERRED = a_zuora_state(
    subscription=a_subscription(account_id="acc2", account_number="A-2"),
    account=an_account(id="acc2", number="A-2"),
)


def owner_changes(plan: SyncPlan) -> dict[str, Any]:
    return {
        field.path: field.after
        for change in of_type(plan, "subscription")
        if isinstance(change, Update)
        for field in change.fields
    }


def test_a_transfer_moves_the_subscription_to_the_accounts_owner() -> None:
    current = a_limio_state(account_owner="id-2", account_customer="cus-2", customer=None)

    plan = plan_for(current, TRANSFERRED)

    assert owner_changes(plan) == {"owner": "id-2", "customer": "cus-2"}
    assert of_type(plan, "identity") == of_type(plan, "customer") == []


def test_a_transfer_to_an_account_without_an_owner_creates_one() -> None:
    plan = plan_for(a_limio_state(account_owner=None, account_customer=None, customer=None), TRANSFERRED)

    assert [change.record_type for change in plan.changes] == ["identity", "customer", "subscription"]
    assert owner_changes(plan) == {"owner": None, "customer": None}


def test_a_transfer_does_not_touch_the_old_customer() -> None:
    old = a_customer(name="Another Name")
    current = a_limio_state(account_owner="id-2", account_customer="cus-2", customer=old)

    assert of_type(plan_for(current, TRANSFERRED), "customer") == []


def test_a_transfer_compares_the_new_customer() -> None:
    new = a_customer(name="Another Name") | {"id": "cus-2"}
    current = a_limio_state(account_owner="id-2", account_customer="cus-2", customer=new)

    assert [
        change.id for change in of_type(plan_for(current, TRANSFERRED), "customer") if isinstance(change, Update)
    ] == ["cus-2"]


@pytest.mark.parametrize("linked", [None, "acc1"])
def test_the_same_account_or_none_read_before_is_no_transfer(linked: str | None) -> None:
    assert plan_for(a_limio_state(linked_account_id=linked, account_owner="id-9", account_customer="cus-9")).is_empty


# Drastic plans.


def test_cancelling_the_subscription_is_drastic() -> None:
    current = a_limio_state()

    assert plan_for(current, cancelled_now()).is_drastic
    assert plan_for(replace(current, schedule=()), cancelled_now()).is_drastic


def test_taking_every_coming_payment_is_drastic() -> None:
    suspended = a_zuora_state(
        subscription=a_subscription(
            status="Suspended",
            auto_renew=False,
            status_history=(StatusPeriod(status="Suspended", start=TODAY),),
            segments=(a_segment(effective_end=TODAY),),
        ),
        preview=a_preview(a_preview_item("2026-01-01", charge_number="C-GONE")),
    )
    current = a_limio_state()

    assert plan_for(current, suspended).is_drastic


@pytest.mark.parametrize(
    "zuora",
    [
        a_zuora_state(),
        # One payment of several goes: the renewal's.
        a_zuora_state(subscription=a_subscription(auto_renew=False)),
        # All go and others come.
        a_zuora_state(
            subscription=a_subscription(
                segments=(a_segment(effective_start=day("2026-01-15"), charged_through=day("2026-06-15")),),
                auto_renew=False,
            ),
            preview=a_preview(a_preview_item("2026-06-15")),
        ),
    ],
)
def test_what_leaves_something_to_come_is_not_drastic(zuora: ZuoraState) -> None:
    current = a_limio_state()

    assert not plan_for(current, zuora).is_drastic


def test_an_import_is_never_drastic() -> None:
    assert not plan_for(LimioState(), cancelled_now()).is_drastic


# Afterwards.


@pytest.mark.parametrize(
    ("current", "zuora"),
    [
        (a_limio_state(), cancelled_now()),
        (LimioState(), a_zuora_state()),
        (LimioState(), cancelled_now()),
        (a_limio_state(account_owner=None, account_customer=None, customer=None), TRANSFERRED),
        (a_limio_state(), OTHER_NAME),
        (a_limio_state(schedule=(an_entry("2026-07-15"),), addresses=()), a_zuora_state()),
        (a_limio_state(subscription=a_limio_subscription(status="initial", data={"attributes": {}})), a_zuora_state()),
    ],
)
def test_a_plan_that_was_applied_leaves_nothing_to_do(current: LimioState, zuora: ZuoraState) -> None:
    plan = plan_for(current, zuora)
    assert not plan.is_empty

    assert plan_for(apply_on_paper(current, plan, zuora.subscription), zuora).is_empty
