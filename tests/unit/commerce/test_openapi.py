"""Every body that orders send is one that Zuora's OpenAPI file allows: the worked ones, and those of varied orders."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_service.commerce.build import preview_step
from sync_service.commerce.fields import write_json
from sync_service.commerce.order import Order
from sync_service.commerce.payload import read_order
from sync_service.commerce.state import PAYER
from sync_service.commerce.steps import Judge, Plan, Step
from tests.unit.commerce import world
from tests.unit.commerce.test_examples import CASES, checked, sent
from tests.unit.commerce.world import ANNUAL, AUDIO, EXAMPLES, NUMBER, SAVE, SEATS, an_order, names, ref
from tests.zuora_openapi.extract import REQUESTS
from tests.zuora_openapi.validating import Deviation, find_faults

_OPERATIONS = {
    operation: re.compile(operation.split(" ")[0] + " " + re.sub(r"\{[^}]+\}", "[^/]+", operation.split(" ")[1]))
    for operation in REQUESTS
}
#: The file calls them UUIDs; every answer and every other request has 32 hex digits without hyphens.
_IDS_OF_PROFILES = {
    f"bulkPaymentOptionItems[].{name}" for name in ("subscriptionId", "paymentMethodId", "paymentGatewayId")
}


def faults(step: Step) -> set[Deviation]:
    """What the file says against a step's body."""
    if step.body is None:
        return set()
    said = f"{step.method} {step.path}"
    operation = next(name for name, form in _OPERATIONS.items() if form.fullmatch(said))
    return {
        fault
        for fault in find_faults(operation, json.loads(step.body_text or ""))
        if fault.place not in _IDS_OF_PROFILES
    }


def every_step(plan: Plan) -> list[Step]:
    return [*plan.steps, *(step.undo for step in plan.steps if step.undo)]


@pytest.mark.parametrize(("name", "index"), [(name, index) for name, _, index in CASES])
def test_a_worked_body_is_one_that_the_file_allows(name: str, index: int) -> None:
    make = next(make for known, make, _ in CASES if known == name)

    assert faults(sent(make(), index)) == set()


def test_what_takes_a_step_back_is_allowed_too() -> None:
    make = {name: make for name, make, _ in CASES}

    undone = [step.undo for name in ("E6a", "E10") for step in checked(make[name]()).steps if step.undo]

    assert len(undone) == 2
    assert [faults(step) for step in undone] == [set(), set()]


def test_the_check_finds_a_name_a_type_and_a_word_that_the_file_lacks() -> None:
    step = checked(CASES[0][1]()).steps[0]
    body = json.loads(write_json(step.body))
    body["ordernumber"] = body.pop("orderNumber")
    body["newAccount"]["billCycleDay"] = "first"
    body["subscriptions"][0]["orderActions"][0]["triggerDates"][0]["name"] = "Contract"

    assert {fault.kind for fault in faults(replace(step, body=body))} == {"unknown", "type", "enum"}


def test_an_order_under_a_partners_account_is_allowed() -> None:
    """Also its preview, which makes no account either."""
    order = an_order(
        {**EXAMPLES[0]["limio_order"], "payment": {"type": "invoice"}}, names("2AAAAAAAAAAA", "3AAAAAAAAAA0")
    )
    answers = {PAYER: world.an_account()}

    [step] = checked(world.plan(replace(order, payer_account="A00000007"), zuora=answers)).steps

    assert step.body is not None
    assert step.body["existingAccountNumber"] == "A00000007"
    [action] = step.body["subscriptions"][0]["orderActions"]
    assert action["createSubscription"]["invoiceOwnerAccountNumber"] == "A00000007"
    assert action["createSubscription"]["newSubscriptionOwnerAccount"]["name"] == "Ada Lovelace"
    assert faults(step) == set()
    assert faults(preview_step(dict(step.body), date(2027, 1, 1), Judge.PLAIN)) == set()


ZONES = st.sampled_from(["Europe/London", "America/Los_Angeles", "Asia/Tokyo", "UTC", "Pacific/Kiritimati"])
DAYS = st.dates(date(2026, 1, 1), date(2029, 12, 31))
_FIRST, _LAST = datetime(2026, 1, 1), datetime(2029, 12, 31)  # noqa: DTZ001 - the zone is another strategy's
MOMENTS = st.datetimes(_FIRST, _LAST, timezones=ZONES.map(ZoneInfo))
AMOUNTS = st.decimals("0.01", "99999.99", places=2)
CURRENCIES = st.sampled_from(["GBP", "USD", "EUR", "JPY", "KWD"])
QUANTITIES = st.integers(1, 10_000)
OPTIONS = st.builds(
    lambda **given: replace(world.OPTIONS, **given),
    collect_payment=st.booleans(),
    one_account_per_owner=st.booleans(),
    payment_profiles=st.booleans(),
    combine_invoices=st.booleans(),
    one_subscription_per_order=st.booleans(),
    advanced_payment_manager=st.booleans(),
    refund_cancelled=st.booleans(),
    disable_auto_pay=st.booleans(),
    renewal_removes_old_plan=st.booleans(),
)
TERMS = st.builds(
    lambda length, unit: {"renewal_type": "TERMED", "length": length, "type": unit},
    st.integers(1, 60),
    st.sampled_from(["days", "weeks", "months", "years"]),
) | st.just({"renewal_type": "EVERGREEN"})
E1 = EXAMPLES[0]["limio_order"]


def read(payload: Mapping[str, Any], zone: str, *, numbers: int = 2) -> Order:
    order = read_order(world.with_ids(dict(payload)), ZoneInfo(zone))
    assert isinstance(order, Order), order
    return replace(order, names=names("2AAAAAAAAAAA", *(f"3AAAAAAAAAA{n}" for n in range(numbers))))


@given(
    start=MOMENTS,
    zone=ZONES,
    today=DAYS,
    price=AMOUNTS,
    seats=QUANTITIES,
    currency=CURRENCIES,
    options=OPTIONS,
    terms=TERMS,
    renews=st.booleans(),
)
def test_any_purchase_is_allowed_and_keeps_its_numbers(
    start: Any,
    zone: str,
    today: date,
    price: Decimal,
    seats: int,
    currency: str,
    options: Any,
    terms: dict[str, Any],
    renews: bool,
) -> None:
    offer = world.an_offer(SEATS, price__limio=world.a_price(str(price), currency), term__limio=terms)
    items = [{"offer": ref(SEATS), "quantity": seats, "addOns": [ref(AUDIO)]}]
    order = read({**E1, "orderItems": items, "orderDate": start.isoformat(), "autoRenew": renews}, zone, numbers=1)

    plan = checked(world.plan(order, catalog=world.a_catalog(offer), options=options, today=today))

    assert [faults(step) for step in plan.steps] == [set()] * len(plan.steps)
    body = json.loads(plan.steps[-1].body_text or "", parse_float=Decimal)
    [action] = body["subscriptions"][0]["orderActions"]
    created = action["createSubscription"]
    pricing = created["subscribeToRatePlans"][0]["chargeOverrides"][0]["pricing"]["recurringPerUnit"]
    assert (Decimal(pricing["listPrice"]), pricing["quantity"]) == (price, seats)
    day = start.astimezone(ZoneInfo(zone)).date().isoformat()
    assert {each["triggerDate"] for each in action["triggerDates"]} == {day}
    assert body["orderDate"] == today.isoformat()
    assert "processingOptions" in body


CHANGES = st.sampled_from(
    [
        {"order_type": "change_offer", "offer": ref(ANNUAL)},
        {"order_type": "add_offer", "change_type": "cancel_save", "offer": ref(SAVE)},
        {"order_type": "cancel_subscription"},
        {"order_type": "renew", "orderItems": [{"offer": ref(ANNUAL), "quantity": 1}]},
        {"order_type": "renew"},
        {"order_type": "update_subscription", "updates": [{"type": "add", "record_type": "add_on", **ref(AUDIO)}]},
        {"order_type": "change_address", "type": "billing", "address": {"address1": "2 Low Road", "country": "GB"}},
    ]
)


@given(change=CHANGES, today=DAYS, ahead=st.integers(1, 900), billed=st.integers(-40, 40), options=OPTIONS)
def test_any_change_is_allowed_and_happens_within_the_term(
    change: dict[str, Any], today: date, ahead: int, billed: int, options: Any
) -> None:
    begin, end = today - timedelta(days=30), today + timedelta(days=ahead)
    charge = world.a_charge(
        "M",
        "C-1",
        effectiveStartDate=begin.isoformat(),
        effectiveEndDate=end.isoformat(),
        chargedThroughDate=(today + timedelta(days=billed)).isoformat(),
    )
    subscription = world.a_subscription(
        termStartDate=begin.isoformat(),
        termEndDate=end.isoformat(),
        statusHistory=[],
        ratePlans=[world.a_rate_plan("M", "SRP-00000001", charge)],
    )
    order = read({**change, "forSubscription": {"name": NUMBER}, "source": "shop"}, "Europe/London", numbers=1)

    plan = checked(world.plan(order, zuora={"subscription": subscription}, options=options, today=today))

    for step in every_step(plan):
        assert faults(step) == set()
        for part in (step.body or {}).get("subscriptions", ()):
            days = [action["triggerDates"][0]["triggerDate"] for action in part["orderActions"]]
            assert days == sorted(days)
            assert begin.isoformat() <= days[0]
            assert days[-1] <= end.isoformat()


@given(quantity=QUANTITIES, day=DAYS)
def test_any_quantity_is_the_one_that_zuora_is_told(quantity: int, day: date) -> None:
    updates = [
        {"type": "remove", "record_type": "offer", "id": SEATS["id"], "effective_date": day.isoformat()},
        {"type": "add", "record_type": "offer", **ref(SEATS), "quantity": quantity, "effective_date": day.isoformat()},
    ]
    order = read({"order_type": "update_subscription", "forSubscription": {"name": NUMBER}, "updates": updates}, "UTC")

    plan = checked(world.plan(order, store=world.in_store(SEATS), zuora={"subscription": world.a_subscription("S")}))

    [step] = plan.steps
    assert faults(step) == set()
    [action] = (step.body or {})["subscriptions"][0]["orderActions"]
    assert action["triggerDates"][0]["triggerDate"] == day.isoformat()
    [update] = action["updateProduct"]["chargeUpdates"]
    assert update["pricing"] == {"recurringPerUnit": {"quantity": quantity}}
