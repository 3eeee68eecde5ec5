"""What order actions make of a subscription."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from tests.unit.emulator.tenants import TODAY, a_tenant, act, billed, subscribe
from zuora_emulator import orders
from zuora_emulator.answers import status_history
from zuora_emulator.fields import Fields, Refused
from zuora_emulator.order_records import By
from zuora_emulator.tenant import LIMIO_USER, SYSTEM_USER


def history(version: object) -> list[tuple[str, str, str | None]]:
    return [(each["status"], each["startDate"], each["endDate"]) for each in status_history(version)]  # type: ignore[arg-type]


def test_an_order_makes_a_version_with_another_id_and_leaves_the_one_before_as_it_was() -> None:
    tenant = a_tenant()
    first = subscribe(tenant)

    second = act(tenant, "renew")

    assert (2, first.id) == (second.version, second.previous_id)
    assert second.id != first.id
    assert tenant.subscriptions["A-S1"].versions[0].term_end == date(2027, 1, 15)


def test_a_renewal_adds_a_term_and_touches_no_charge() -> None:
    tenant = a_tenant()
    first = subscribe(tenant)

    version = act(tenant, "renew")

    assert (date(2027, 1, 15), date(2028, 1, 15)) == (version.term_start, version.term_end)
    assert first.rate_plans == version.rate_plans


def test_renewing_to_evergreen_leaves_no_end() -> None:
    tenant = a_tenant()
    subscribe(tenant)
    act(tenant, "change_terms", renewal_setting="RENEW_TO_EVERGREEN")

    version = act(tenant, "renew")

    assert (version.term_type, version.term_end) == ("EVERGREEN", None)
    assert history(version) == [("Active", "2026-01-15", None)]


def test_a_cancellation_to_come_ends_the_term_and_leaves_the_status_until_its_day() -> None:
    tenant = a_tenant()
    subscribe(tenant)
    billed(tenant)

    version = act(tenant, "cancel", on="period_end", reason="Too dear")

    assert (date(2026, 12, 15), True, "Too dear") == (version.term_end, version.auto_renew, version.cancel_reason)
    assert (version.status_on(TODAY), version.status_on(date(2026, 12, 15))) == ("Active", "Cancelled")
    assert history(version) == [("Active", "2026-01-15", "2026-12-15"), ("Cancelled", "2026-12-15", None)]


def test_withdrawing_a_cancellation_goes_back_to_the_version_before() -> None:
    tenant = a_tenant()
    before = subscribe(tenant)
    cancelled = act(tenant, "cancel", on="+30")
    subscription = tenant.subscriptions["A-S1"]

    orders.withdraw(tenant, subscription, expected="CancelSubscription")

    assert before.id == subscription.latest.id
    assert tenant.find_version(cancelled.id) is None
    assert cancelled.order_number not in tenant.orders
    assert cancelled.id != act(tenant, "cancel", on="+30").id


def test_the_order_that_created_a_subscription_cannot_be_deleted() -> None:
    tenant = a_tenant()
    subscribe(tenant)

    with pytest.raises(Refused, match="no order to delete"):
        orders.withdraw(tenant, tenant.subscriptions["A-S1"])


def test_a_suspension_stops_the_charges_and_a_resumption_goes_on_with_them() -> None:
    tenant = a_tenant()
    subscribe(tenant)

    suspended = act(tenant, "suspend", on="2026-11-20")
    assert suspended.status_on(TODAY) == "Suspended"
    assert [date(2026, 11, 20)] == [each.end for each in suspended.charges[0].segments]

    tenant.today = date(2026, 12, 3)
    resumed = act(tenant, "resume", extend_term="yes")
    assert resumed.status_on(tenant.today) == "Active"
    assert [(date(2026, 1, 15), date(2026, 11, 20)), (date(2026, 12, 3), None)] == [
        (each.start, each.end) for each in resumed.charges[0].segments
    ]
    assert date(2027, 1, 28) == resumed.term_end
    expected = [
        ("Active", "2026-01-15", "2026-11-20"),
        ("Suspended", "2026-11-20", "2026-12-03"),
        ("Active", "2026-12-03", "2027-01-28"),
        ("OutOfTerm", "2027-01-28", None),
    ]
    assert expected == history(resumed)


def test_resuming_on_the_day_of_the_suspension_leaves_the_charges_as_they_were() -> None:
    tenant = a_tenant()
    first = subscribe(tenant)
    act(tenant, "suspend")

    assert first.charges == act(tenant, "resume").charges


@pytest.mark.parametrize("action", ["renew", "cancel", "suspend", "change_terms", "remove_product"])
def test_a_suspended_subscription_takes_no_order_but_its_resumption(action: str) -> None:
    tenant = a_tenant()
    subscribe(tenant)
    act(tenant, "suspend")

    with pytest.raises(Refused, match="suspended"):
        act(tenant, action)


def test_a_price_change_makes_a_segment_from_where_billing_ended() -> None:
    tenant = a_tenant()
    subscribe(tenant)
    billed(tenant)

    version = act(tenant, "change_price", price="12.50")

    assert [(date(2026, 1, 15), date(2026, 12, 15), Decimal("9.99")), (date(2026, 12, 15), None, Decimal("12.50"))] == [
        (each.start, each.end, each.price) for each in version.charges[0].segments
    ]


def test_a_removed_product_stays_with_its_end() -> None:
    tenant = a_tenant()
    subscribe(tenant)
    act(tenant, "add_product", name="Print", price="5", on="2026-10-01")

    version = act(tenant, "remove_product", plan="Print")

    assert [plan.name for plan in version.rate_plans] == ["Digital", "Print"]
    assert version.rate_plans[1].last_change == "Remove"
    assert version.rate_plans[1].charges[0].segments[0].end == TODAY


def test_an_owner_transfer_moves_it_to_the_other_account() -> None:
    tenant = a_tenant()
    subscribe(tenant)
    from zuora_emulator import people

    people.create_account(tenant, Fields({"number": "A2", "first_name": "Bo"}, today=TODAY))

    act(tenant, "transfer_owner", account="A2")

    assert tenant.owned_by("A1") == []
    assert [each.number for each in tenant.owned_by("A2")] == ["A-S1"]
    assert [each.number for each in tenant.invoiced_to("A2")] == ["A-S1"]


def test_the_calendar_renews_on_the_day_the_term_ends_as_the_system_and_without_a_source() -> None:
    tenant = a_tenant()
    subscribe(tenant)
    subscribe(tenant, number="A-S2", auto_renew=False)
    subscribe(tenant, number="A-S3", term="1", start="2026-11-10")

    done = orders.advance(tenant, date(2027, 1, 20))

    assert [(order["subscriptions"][0]["subscriptionNumber"], order["orderDate"]) for order in done] == [
        ("A-S3", "2026-12-10"),
        ("A-S3", "2027-01-10"),
        ("A-S1", "2027-01-15"),
    ]
    assert {SYSTEM_USER} == {order["createdBy"] for order in done}
    assert {None} == {order["customFields"]["Source__c"] for order in done}
    assert date(2027, 1, 15) == tenant.subscriptions["A-S2"].latest.term_end


def test_the_calendar_does_not_go_back() -> None:
    with pytest.raises(Refused):
        orders.advance(a_tenant(), date(2026, 11, 19))


def test_an_order_says_who_made_it_and_from_where() -> None:
    tenant = a_tenant()
    subscribe(tenant)

    by = By.read(Fields({"source": "shop"}, today=TODAY))
    order = orders.place(tenant, tenant.subscriptions["A-S1"], "renew", Fields({}, today=TODAY), by)

    assert order["customFields"] == {"Source__c": "shop", "InitiatedSource__c": "shop"}
    assert order["createdBy"] == LIMIO_USER
    part = order["subscriptions"][0]
    assert (part["baseVersion"], part["newVersion"], part["orderActions"][0]["type"]) == (1, 2, "RenewSubscription")


def test_a_field_that_was_not_asked_for_is_refused_by_name() -> None:
    tenant = a_tenant()
    subscribe(tenant)

    with pytest.raises(Refused, match="unknown: when"):
        act(tenant, "cancel", when="tomorrow")
    assert tenant.subscriptions["A-S1"].latest.version == 1
