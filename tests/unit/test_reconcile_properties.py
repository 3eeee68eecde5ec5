"""What holds for every difference, whatever Zuora says and whatever the store holds."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sync_service.errors import PreviewIncomplete
from sync_service.subscription.plan import Cancel, Create, LimioState, SyncPlan, Update
from sync_service.subscription.reconcile import reconcile
from sync_service.subscription.schedule.entries import coming_payments
from sync_service.subscription.schedule.periods import add_months
from sync_service.subscription.terms import Rules, TermOnDay
from sync_service.subscription.zuora import (
    ChargeSegment,
    Contact,
    Preview,
    PreviewItem,
    StatusPeriod,
    Tier,
    ZuoraState,
    ZuoraSubscription,
)
from tests.unit.builders import (
    TERM_START,
    TODAY,
    a_contact,
    a_customer,
    a_limio_subscription,
    a_line_item,
    a_segment,
    a_subscription,
    an_account,
    an_address,
    an_entry,
)
from tests.unit.paper_store import apply_on_paper

QUICK = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])

#: Few days, so that things fall on one: around the term, around today, and ends of months.
MEETING_DAYS = [
    *(add_months(TERM_START, index) for index in (0, 4, 5, 6, 7, 8, 12, 13)),
    *(date(2026, 1, 31), date(2026, 6, 30)),
    *(TODAY + timedelta(days=index) for index in (-1, 0, 1)),
]
some_days = st.sampled_from(MEETING_DAYS)
maybe_days = some_days | some_days | some_days | st.none()
prices = st.sampled_from([Decimal(text) for text in ("0", "5.00", "17.50", "0.01", "1234567.89")])
names = st.sampled_from(["Monthly", "Print", "Offer"])
numbers = st.sampled_from(["C-1", "C-2", "C-3"])


@st.composite
def segments(draw: st.DrawFn) -> ChargeSegment:
    return a_segment(
        draw(numbers),
        segment=draw(st.integers(1, 3)),
        name=draw(names),
        type=draw(st.sampled_from(["Recurring", "Recurring", "Recurring", "OneTime", "Usage"])),
        model=draw(st.sampled_from(["FlatFee", "FlatFee", "PerUnit", "Volume", "DiscountPercentage"])),
        price=draw(st.none() | prices),
        tiers=draw(st.sampled_from([(), (), (Tier(price=Decimal(3)),)])),
        quantity=draw(st.sampled_from([None, Decimal(0), Decimal(2)])),
        billing_period=draw(
            st.sampled_from(["Month", "Quarter", "Annual", "Specific_Weeks", "Subscription_Term", "Fortnight", None])
        ),
        specific_billing_period=draw(st.sampled_from([None, 2, 4])),
        billing_timing=draw(st.sampled_from(["IN_ADVANCE", "IN_ADVANCE", "IN_ARREARS", None])),
        billing_day=draw(st.sampled_from(["ChargeTriggerDay", "DefaultFromCustomer", None])),
        tax_mode=draw(st.sampled_from([None, None, "TaxExclusive"])),
        effective_start=draw(maybe_days),
        effective_end=draw(maybe_days),
        charged_through=draw(maybe_days),
        processed_through=draw(maybe_days),
        invoice_schedule_id=draw(st.sampled_from([None, None, None, "is-1"])),
    )


@st.composite
def items(draw: st.DrawFn) -> PreviewItem:
    start = draw(some_days)
    return PreviewItem(
        charge_number=draw(st.none() | numbers),
        charge_name=draw(names),
        product_name=draw(st.sampled_from(["", "Digital"])),
        charge_type=draw(st.sampled_from(["Recurring", "Recurring", "OneTime", "Usage"])),
        processing_type=draw(st.sampled_from(["Charge", "Charge", "Discount"])),
        service_start=start,
        service_end=start + timedelta(days=draw(st.integers(0, 31))),
        amount=draw(st.none() | prices | prices.map(lambda price: -price)),
        tax_amount=draw(st.sampled_from([Decimal(0), Decimal("1.17")])),
        quantity=draw(st.sampled_from([None, Decimal(1), Decimal(2)])),
    )


@st.composite
def subscriptions(draw: st.DrawFn) -> ZuoraSubscription:
    evergreen = draw(st.booleans())
    statuses = st.sampled_from(["Active", "Active", "Suspended", "Cancelled", "OutOfTerm", "Pending Activation", "Odd"])
    periods = st.builds(StatusPeriod, status=statuses, start=maybe_days, end=maybe_days)
    own = st.none() | st.sampled_from(
        [a_contact(), a_contact(city="Bath", of_subscription=True), a_contact(country="X")]
    )
    return a_subscription(
        term_type="EVERGREEN" if evergreen else "TERMED",
        status=draw(statuses),
        status_history=tuple(draw(st.lists(periods, max_size=3))),
        term_start=draw(maybe_days),
        term_end=None if evergreen else draw(maybe_days),
        end=draw(maybe_days),
        auto_renew=draw(st.booleans()),
        account_id=draw(st.sampled_from(["acc1", "acc1", "acc2", None])),
        scheduled_cancel=draw(st.none() | some_days),
        scheduled_suspend=draw(st.none() | some_days),
        bill_to=draw(own),
        sold_to=draw(own),
        segments=tuple(draw(st.lists(segments(), min_size=1, max_size=4))),
        invoice_schedule_id=draw(st.sampled_from([None, None, None, "is-1"])),
    )


@st.composite
def states(draw: st.DrawFn) -> ZuoraState:
    preview = Preview(
        items=tuple(draw(st.lists(items(), min_size=2, max_size=8))),
        target_date=draw(st.sampled_from([date(2026, 9, 30), date(2028, 1, 1)])),
        complete_until=draw(st.sampled_from([None, None, None, date(2026, 9, 1)])),
    )
    account = an_account(bill_to=draw(st.sampled_from([None, a_contact(last_name="Lovelace"), Contact(id="c")])))
    return ZuoraState(
        subscription=draw(subscriptions()),
        account=draw(st.none() | st.just(account)),
        preview=draw(st.sampled_from([preview, preview, preview, None])),
    )


#: What no entry should look like, and one day will.
oddities: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        {"lineItems": None},
        {"lineItems": "none"},
        {"lineItems": [None]},
        {"lineItems": [{"chargeName": None}]},
        {"amount": None},
        {"amount": "n/a"},
        {"date": "soon", "schedule_date": None},
        {"date": None},
        {"type": "refund"},
        {"taxAmount": "1.17"},
        {"currency": "JPY"},
    ]
)


@st.composite
def entries(draw: st.DrawFn, index: int) -> dict[str, Any]:
    lines = draw(st.lists(st.tuples(names, prices), min_size=1, max_size=2))
    amount = sum((price for _, price in lines), Decimal(0))
    data = {"lineItems": [a_line_item(name, str(price)) for name, price in lines]} | draw(oddities)
    return an_entry(
        draw(some_days).isoformat(),
        str(amount),
        id=f"schedule-{index}",
        status=draw(
            st.sampled_from(["pending-external", "pending-external", "pending-external", "cancelled", "pending"])
        ),
        data=data,
    )


@st.composite
def stores(draw: st.DrawFn) -> LimioState:
    if draw(st.integers(0, 4)) == 0:
        return LimioState(**draw(st.sampled_from([{}, {"account_owner": "id-1", "account_customer": "cus-1"}])))
    count = draw(st.integers(2, 6))
    addresses = draw(st.lists(st.sampled_from(["billing", "delivery"]), max_size=3))
    customer = draw(st.none() | st.just(a_customer()))
    return LimioState(
        subscription=draw(st.sampled_from([a_limio_subscription(), a_limio_subscription(status="initial", data={})])),
        schedule=tuple(draw(entries(index)) for index in range(count)),
        addresses=tuple(
            an_address(kind, id=f"address-{index}", start=f"2026-0{index + 1}-01T00:00:00.000Z")
            for index, kind in enumerate(addresses)
        ),
        customer=customer,
        writes_customer=draw(st.booleans()),
        customer_is_newer=draw(st.booleans()),
        linked_account_id=draw(st.sampled_from([None, "acc1", "acc2"])),
        account_owner=draw(st.sampled_from([None, "id-1", "id-2"])),
        account_customer=draw(st.sampled_from([None, "cus-1", "cus-2"])),
    )


ZONES = ["Etc/GMT+12", "Pacific/Honolulu", "UTC", "Europe/London", "Asia/Kolkata", "Pacific/Kiritimati"]
rules = st.builds(Rules, tenant_zone=st.sampled_from(ZONES).map(ZoneInfo), horizon_months=st.sampled_from([1, 12, 24]))


def plan_of(current: LimioState, zuora: ZuoraState, rule: Rules) -> SyncPlan:
    """The plan; a preview that contradicts the charges is no example."""
    try:
        return reconcile(current, zuora, TODAY, rule)
    except PreviewIncomplete:
        assume(False)
        raise


@QUICK
@given(stores(), states(), rules)
def test_a_plan_that_was_applied_leaves_nothing_to_do(current: LimioState, zuora: ZuoraState, rule: Rules) -> None:
    plan = plan_of(current, zuora, rule)

    after = apply_on_paper(current, plan, zuora.subscription)

    assert plan_of(after, zuora, rule).changes == ()


@QUICK
@given(stores(), states(), rules, st.randoms(use_true_random=False))
def test_the_order_in_which_things_are_listed_makes_no_difference(
    current: LimioState, zuora: ZuoraState, rule: Rules, random: Random
) -> None:
    def shuffled(values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(random.sample(values, len(values)))

    subscription = replace(
        zuora.subscription,
        segments=shuffled(zuora.subscription.segments),
        status_history=shuffled(zuora.subscription.status_history),
    )
    preview = zuora.preview and replace(zuora.preview, items=shuffled(zuora.preview.items))
    other_store = replace(current, schedule=shuffled(current.schedule), addresses=shuffled(current.addresses))

    plan = plan_of(current, zuora, rule)

    assert plan_of(other_store, replace(zuora, subscription=subscription, preview=preview), rule) == plan


@QUICK
@given(stores(), states(), rules)
def test_what_is_not_the_latest_version_never_changes_anything(
    current: LimioState, zuora: ZuoraState, rule: Rules
) -> None:
    old = replace(zuora, subscription=replace(zuora.subscription, is_latest=False))

    plan = reconcile(current, old, TODAY, rule)

    assert plan.is_empty
    assert plan.notes


@QUICK
@given(stores(), states(), rules)
def test_the_past_is_neither_changed_nor_cancelled_and_neither_is_what_zuora_does_not_bill(
    current: LimioState, zuora: ZuoraState, rule: Rules
) -> None:
    plan = plan_of(current, zuora, rule)

    ours_to_come = {entry["id"] for entry in coming_payments(current.schedule, TODAY)}
    touched = {
        change.id for change in plan.changes if change.record_type == "schedule" and isinstance(change, Update | Cancel)
    }
    assert touched <= ours_to_come


@QUICK
@given(stores(), states(), rules)
def test_without_a_preview_no_payment_is_touched(current: LimioState, zuora: ZuoraState, rule: Rules) -> None:
    plan = reconcile(current, replace(zuora, preview=None), TODAY, rule)

    assert all(change.record_type != "schedule" for change in plan.changes)


@QUICK
@given(stores(), states(), rules)
def test_every_entry_that_is_written_adds_up_to_the_cent(current: LimioState, zuora: ZuoraState, rule: Rules) -> None:
    plan = plan_of(current, zuora, rule)

    for change in plan.changes:
        if isinstance(change, Create) and change.record_type == "schedule":
            data = change.document["data"]
            without = sum(Decimal(line["amountWithoutTax"]) for line in data["lineItems"])
            tax = sum(Decimal(line["taxAmount"]) for line in data["lineItems"])
            assert (Decimal(data["amountWithoutTax"]), Decimal(str(data["taxAmount"]))) == (without, tax)
            assert Decimal(data["amount"]) == without + tax


@QUICK
@given(st.lists(items(), max_size=8), rules)
def test_after_a_sync_the_coming_days_cost_what_zuora_previews(lines: list[PreviewItem], rule: Rules) -> None:
    """With nothing billed and nothing of unknown amount, day by day, to the cent."""
    known = tuple(replace(line, charge_type="Recurring", amount=line.amount or Decimal(0)) for line in lines)
    zuora = ZuoraState(
        subscription=a_subscription(segments=()), preview=Preview(items=known, target_date=date(2028, 1, 1))
    )
    current = LimioState(subscription=a_limio_subscription(), schedule=(an_entry("2026-08-01"), an_entry("2026-07-15")))

    after = apply_on_paper(current, plan_of(current, zuora, rule), zuora.subscription)

    stored: dict[str, Decimal] = defaultdict(Decimal)
    for entry in coming_payments(after.schedule, TODAY):
        stored[entry["data"]["date"][:10]] += Decimal(entry["data"]["amount"])
    previewed: dict[str, Decimal] = defaultdict(Decimal)
    for line in known:
        if TODAY <= line.service_start < TermOnDay(zuora.subscription, TODAY, rule).schedule_end:
            previewed[line.service_start.isoformat()] += (line.amount or Decimal(0)) + line.tax_amount
    assert stored == previewed
