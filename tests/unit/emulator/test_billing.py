"""Previews: amounts and dates by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

from tests.unit.emulator.tenants import a_tenant, act, billed, coming, subscribe
from zuora_emulator.billing import Assumptions, preview


def test_a_preview_begins_where_billing_ended_and_ends_with_the_target_date() -> None:
    tenant = a_tenant()
    subscribe(tenant)
    version = billed(tenant)

    expected = [
        ("Digital", "2026-12-15", "2027-01-15", "9.99"),
    ]
    assert expected == coming(version, date(2027, 1, 14))


def test_what_was_never_billed_is_previewed_from_its_start() -> None:
    version = subscribe(a_tenant())

    assert len(coming(version, date(2026, 11, 15))) == 11
    assert coming(version, date(2026, 11, 15))[0][1] == "2026-01-15"


def test_no_preview_goes_past_the_term_unless_renewal_is_assumed() -> None:
    tenant = a_tenant()
    subscribe(tenant)
    version = billed(tenant)

    assert [each[1] for each in coming(version, date(2027, 3, 1))] == ["2026-12-15"]
    expected = ["2026-12-15", "2027-01-15", "2027-02-15"]
    assert expected == [each[1] for each in coming(version, date(2027, 3, 1), renewal="Autorenew")]


def test_autorenew_is_assumed_only_of_what_renews_itself() -> None:
    tenant = a_tenant()
    subscribe(tenant, auto_renew=False)
    version = billed(tenant)

    assert len(coming(version, date(2027, 3, 1), renewal="Autorenew")) == 1
    assert len(coming(version, date(2027, 3, 1), renewal="All")) == 3


def test_an_evergreen_subscription_is_left_out_unless_asked_for() -> None:
    tenant = a_tenant()
    subscribe(tenant, evergreen=True)
    version = billed(tenant)

    assert coming(version, date(2027, 1, 1)) == []
    assert [each[1] for each in coming(version, date(2027, 1, 1), evergreen=True)] == ["2026-12-15"]


def test_units_cost_their_number() -> None:
    version = subscribe(a_tenant(), model="PerUnit", price="3.00", quantity="5")

    assert coming(version, date(2026, 1, 15))[0] == ("Digital", "2026-01-15", "2026-02-15", "15.00")


def test_yen_have_no_decimals() -> None:
    tenant = a_tenant()
    tenant.put_account(replace(tenant.accounts["A1"], currency="JPY"))
    version = subscribe(tenant, price="3000")

    assert coming(version, date(2026, 1, 15))[0][3] == "3000"


def test_arrears_are_billed_on_the_day_after_the_period() -> None:
    version = subscribe(a_tenant(), timing="IN_ARREARS", start="2026-10-15")

    assert coming(version, date(2026, 11, 14)) == []
    assert coming(version, date(2026, 11, 15)) == [("Digital", "2026-10-15", "2026-11-15", "9.99")]


def test_a_one_time_charge_is_one_line_of_one_day() -> None:
    tenant = a_tenant()
    subscribe(tenant)
    billed(tenant)
    version = act(tenant, "add_product", name="Set-up", price="25", type="OneTime", on="2026-12-01")

    assert ("Set-up", "2026-12-01", "2026-12-02", "25.00") in coming(version, date(2026, 12, 31))
    assert all(
        each[0] != "Set-up" for each in coming(version, date(2026, 12, 31), without_types=frozenset({"OneTime"}))
    )


def test_a_percentage_off_is_a_negative_line_of_its_own_for_each_charge_while_it_lasts() -> None:
    tenant = a_tenant()
    subscribe(tenant, start="2026-10-15", price="20.00")
    act(tenant, "add_product", name="Print", price="5.55", on="2026-10-15")
    version = act(tenant, "add_product", name="Welcome", percent="20", on="2026-10-15", until="2026-11-15")

    expected = [
        ("Digital", "2026-10-15", "2026-11-15", "20.00"),
        ("Welcome", "2026-10-15", "2026-11-15", "-4.00"),
        ("Digital", "2026-11-15", "2026-12-15", "20.00"),
        ("Print", "2026-10-15", "2026-11-15", "5.55"),
        ("Welcome", "2026-10-15", "2026-11-15", "-1.11"),
        ("Print", "2026-11-15", "2026-12-15", "5.55"),
    ]
    assert expected == coming(version, date(2026, 11, 20))


def test_a_fixed_amount_off_is_given_once_a_period_and_never_more_than_the_price() -> None:
    tenant = a_tenant()
    subscribe(tenant, start="2026-11-15", price="6.00")
    act(tenant, "add_product", name="Print", price="8.00", on="2026-11-15")
    version = act(tenant, "add_product", name="Ten off", amount="10.00", on="2026-11-15")

    expected = [("Digital", "6.00"), ("Ten off", "-6.00"), ("Print", "8.00"), ("Ten off", "-4.00")]
    assert expected == [(each[0], each[3]) for each in coming(version, date(2026, 11, 20))]


def test_tax_that_a_price_includes_is_told_apart() -> None:
    # 24.99 with 20 % in it is 20.83 and 4.16, as a recorded preview has it.
    version = subscribe(a_tenant(), price="24.99", tax_rate="0.2", start="2026-11-15")

    (item,) = preview([version], Assumptions(target=date(2026, 11, 20)))

    assert (Decimal("20.83"), Decimal("4.16")) == (item.amount, item.tax)


def test_nothing_is_due_while_suspended_and_after_a_cancellation() -> None:
    tenant = a_tenant()
    subscribe(tenant)
    billed(tenant)

    suspended = act(tenant, "suspend")
    assert coming(suspended, date(2027, 1, 1)) == []
    assert len(coming(act(tenant, "resume"), date(2027, 1, 1))) == 1
    assert coming(act(tenant, "cancel", on="period_end"), date(2027, 1, 1)) == []


def test_tiers_cost_each_step_and_a_volume_the_step_that_is_reached() -> None:
    def priced(model: str) -> str:
        tenant = a_tenant()
        version = subscribe(tenant, start="2026-11-15", model=model, tiers="5:3.00, 2.00", quantity="7", price=None)
        return coming(version, date(2026, 11, 20))[0][3]

    assert priced("Tiered") == "19.00"  # 5 x 3 + 2 x 2
    assert priced("Volume") == "14.00"  # 7 x 2
