"""Whatever Zuora's OpenAPI file allows, and every documented answer: read and compared, or refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync_service.errors import PayloadInvalid, PreviewIncomplete
from sync_service.subscription.plan import LimioState
from sync_service.subscription.reconcile import reconcile
from sync_service.subscription.schedule.computed import CannotCompute, compute_preview
from sync_service.subscription.terms import Rules, TermOnDay
from sync_service.subscription.zuora import Preview, ZuoraState, ZuoraSubscription
from sync_service.zuora import schemas
from sync_service.zuora.listing import (
    ACCOUNT_FIELDS,
    CONTACT_FIELDS,
    SUBSCRIPTION_FIELDS,
    read_listed_account,
    read_listed_contact,
    read_listed_subscription,
)
from sync_service.zuora.payloads import read_account, read_preview_rows, read_subscription
from sync_service.zuora.schemas import ZuoraSchema
from tests.unit.builders import TODAY, a_customer, a_limio_subscription, an_address, an_entry
from tests.unit.paper_store import apply_on_paper
from tests.zuora_openapi.validating import read_subset

PAYLOADS = Path(__file__).parents[1] / "zuora_payloads"
NUMBER = "A-S00000001"
RULES = Rules(tenant_zone=ZoneInfo("America/Los_Angeles"), horizon_months=12)
STORE = LimioState(
    subscription=a_limio_subscription(),
    schedule=tuple(an_entry(f"2026-{month:02}-01") for month in (6, 7, 8, 9)),
    addresses=(an_address("billing"),),
    customer=a_customer(),
    linked_account_id="acc1",
    account_owner="id-1",
    account_customer="cus-1",
)

#: The words of fields that are no more than texts in the file, from the reference's prose; and some of no meaning.
WORDS: dict[str, tuple[Any, ...]] = {
    "subscriptionNumber": (NUMBER,),
    "subscriptionName": (NUMBER,),
    "chargeNumber": ("C-1", "C-2", "C-3"),
    "number": ("C-1", "C-2", "C-3"),
    "id": ("8ad083f0961a05fc019620184f8722ec", "acc1"),
    "accountId": ("acc1", "acc2"),
    "accountNumber": ("A-1",),
    "version": (1, 2, "3"),
    "termType": ("TERMED", "TERMED", "EVERGREEN"),
    "status": ("Active", "Active", "Cancelled", "Suspended", "Pending Activation", "OutOfTerm", "Expired", "Odd"),
    "type": ("Recurring", "Recurring", "OneTime", "Usage"),
    "chargeType": ("Recurring", "OneTime", "Usage"),
    "model": ("FlatFee", "PerUnit", "Volume", "Tiered", "TieredWithOverage", "Delivery", "DiscountPercentage"),
    "processingType": ("Charge", "Discount"),
    "billingPeriod": (
        *("Month", "Quarter", "Semi_Annual", "Annual", "Eighteen_Months", "Two_Years", "Three_Years", "Five_Years"),
        *("Specific_Months", "Specific_Weeks", "Specific_Days", "Subscription_Term", "Week", "Fortnight"),
    ),
    "billingTiming": ("IN_ADVANCE", "IN_ARREARS"),
    "billingDay": (
        *("DefaultFromCustomer", "ChargeTriggerDay", "SubscriptionStartDay", "TermStartDay", "TermEndDay"),
        *("SpecificDayofMonth(#31st)", "SpecificDayofWeek/Monday"),
    ),
    "currency": ("GBP", "JPY", "KWD", "XXX"),
    "listPriceBase": ("Per_Billing_Period", "Per_Month", "Per_Week", "Per_Year", "Per_Specific_Months"),
    "currentTermPeriodType": ("Month", "Year", "Day", "Week"),
    "isLatestVersion": (True, True, True, False),
    "country": ("United Kingdom", "England", "KR", "Atlantis"),
}
DAYS = st.sampled_from(
    [f"2026-{month:02}-{day:02}" for month in range(1, 13) for day in (1, 15, 28)]
    + ["2024-02-29", "2027-01-01", "2028-02-29", "2026-07-31T00:00:00.000+09:00", "2026-08-31 00:00:00"]
)
NUMBERS = st.sampled_from([0, 1, 12, Decimal("17.50"), Decimal("402.827419349"), Decimal("0E-9"), "12.50", "3", -5])
WHOLES = st.sampled_from([0, 1, 3, "2", Decimal("4.0")])
TEXTS = st.sampled_from(["", " ", "Monthly", "Ada", "SE1 9GU", "李", "\u0627", "a\x00b", "x" * 300])

ODD = st.none() | st.sampled_from(["odd", 7, True, [], {}, [None], "2026-02-30", "NaN"])


@cache
def names_read() -> frozenset[str]:
    """Every field that the reader looks at; what else the file allows is passed over unread."""
    kinds = [each for each in vars(schemas).values() if isinstance(each, type) and issubclass(each, ZuoraSchema)]
    inside = {"ratePlans", "ratePlanCharges", "chargeSegments", "tiers", "statusHistory", "billToContact"}
    inside |= {"soldToContact", "basicInfo", "billingAndPayment", "invoiceItems", "creditMemoItems"}
    inside |= {"data", "subscriptionName", *SUBSCRIPTION_FIELDS, *ACCOUNT_FIELDS, *CONTACT_FIELDS}
    return frozenset(inside | {str(field.data_key) for kind in kinds for field in kind().load_fields.values()})


@cache
def names_needed() -> frozenset[str]:
    """What an answer is refused without; `spoiled` takes such a field away now and then."""
    kinds = [each for each in vars(schemas).values() if isinstance(each, type) and issubclass(each, ZuoraSchema)]
    needed = {str(field.data_key) for kind in kinds for field in kind().load_fields.values() if field.required}
    return frozenset({*needed, *WORDS, "basicInfo", "chargeAmount", "amountWithoutTax", "effectiveStartDate"})


def documents(schema: Any, name: str = "") -> st.SearchStrategy[Any]:
    """Documents of a schema, a null here and there, and now and then something unexpected."""
    found = _as_the_file_has_it(schema, name)
    return st.integers(0, 99).flatmap(lambda at: ODD if at == 0 else st.none() if at < 9 else found)


@cache
def _of_schema(name: str) -> st.SearchStrategy[Any]:
    return _as_the_file_has_it(read_subset()["schemas"][name])


def _as_the_file_has_it(schema: Any, name: str = "") -> st.SearchStrategy[Any]:
    if "$ref" in schema:
        return _of_schema(schema["$ref"].rsplit("/", 1)[-1])
    if "properties" in schema:
        read = {key: each for key, each in schema["properties"].items() if key in names_read()}
        sure = {
            key: _as_the_file_has_it(read[key], key) for key in read if key in names_needed() or "items" in read[key]
        }
        return st.fixed_dictionaries(sure, optional={key: documents(read[key], key) for key in read.keys() - sure})
    if name in WORDS:
        return st.sampled_from(WORDS[name])
    if "items" in schema:
        return st.lists(_as_the_file_has_it(schema["items"]), min_size=1, max_size=3)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    form = schema.get("format")
    # The file has amounts of previews as texts, and Zuora prints them as numbers.
    named = schema.get("type")
    named = next(each for each in named if each != "null") if isinstance(named, list) else named
    kind = "number" if form == "decimal" else "day" if form == "date" or name.endswith("Date") else named
    kinds = {"number": NUMBERS, "integer": WHOLES, "boolean": st.booleans() | st.just("true"), "day": DAYS}
    return kinds.get(kind, TEXTS)


def spoiled(answers: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Answers of which some lack a field that the reader needs, or have something else there."""

    @st.composite
    def draw_one(draw: st.DrawFn) -> Any:
        answer = draw(answers)
        if isinstance(answer, dict) and answer and draw(st.integers(0, 9)) == 0:
            answer[draw(st.sampled_from(sorted(answer)))] = draw(ODD)
        return answer

    return draw_one()


def answers_of(operation: str) -> st.SearchStrategy[Any]:
    return spoiled(_as_the_file_has_it(read_subset()["operations"][operation]))


subscription_answers = answers_of("GET /v1/subscriptions/{subscription-key}")
MANY = settings(suppress_health_check=list(HealthCheck))


def read_or_none(read: Callable[[Any], Any], answer: Any) -> Any:
    """What is read; None where it is refused by name."""
    try:
        return read(answer)
    except PayloadInvalid:
        return None


@MANY
@given(
    subscription_answers,
    answers_of("GET /v1/accounts/{account-key}"),
    answers_of("POST /v1/operations/billing-preview"),
)
def test_answers_as_the_file_allows_them_are_compared_or_refused_and_a_plan_is_whole(
    subscription: Any, account: Any, preview: Any
) -> None:
    found = read_or_none(read_subscription, subscription)
    rows = read_or_none(lambda answer: read_preview_rows(answer, NUMBER), preview)
    if found is None:
        return
    items = None if rows is None else tuple(row.item for row in rows)
    zuora = ZuoraState(
        subscription=replace(found, number=NUMBER),
        account=read_or_none(read_account, account),
        preview=None if items is None else Preview(items=items, target_date=date(2028, 6, 1)),
    )
    for current in (STORE, LimioState()):
        settle(current, zuora)
    settle(STORE, replace(zuora, preview=computed(zuora.subscription)))


def settle(current: LimioState, zuora: ZuoraState) -> None:
    """The plan, applied, leaves nothing to do, and can be stored; what contradicts itself makes no plan at all."""
    try:
        plan = reconcile(current, zuora, TODAY, RULES)
    except PreviewIncomplete:
        return
    assert json.dumps(plan.as_json(), ensure_ascii=False, allow_nan=False).encode("utf-8")
    after = apply_on_paper(current, plan, zuora.subscription)
    assert reconcile(after, zuora, TODAY, RULES).changes == ()


def computed(subscription: ZuoraSubscription) -> Preview | None:
    try:
        return compute_preview(TermOnDay(subscription, TODAY, RULES))
    except CannotCompute:
        return None


LISTS: dict[str, Callable[[Any], Any]] = {
    "subscriptions": read_listed_subscription,
    "accounts": read_listed_account,
    "contacts": read_listed_contact,
}


@pytest.mark.parametrize("kind", LISTS)
@given(data=st.data())
def test_rows_as_the_file_allows_them_are_read_or_refused(kind: str, data: st.DataObject) -> None:
    answer = data.draw(answers_of(f"GET /object-query/{kind}"))
    rows = answer.get("data") if isinstance(answer, dict) else None
    for row in rows if isinstance(rows, list) else []:
        read_or_none(LISTS[kind], row)


def payload(name: str) -> Any:
    return json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"), parse_float=Decimal)


@pytest.mark.parametrize(
    "answer",
    [
        payload("subscription"),
        payload("subscription_recorded"),
        payload("subscription_one_time_tiered"),
        *payload("subscriptions_of_account")["subscriptions"],
    ],
)
def test_a_documented_subscription_is_read_and_compared(answer: Any) -> None:
    zuora = ZuoraState(subscription=read_subscription(answer))

    settle(STORE, zuora)
    settle(LimioState(), zuora)
    assert reconcile(LimioState(), zuora, TODAY, RULES).changes


@pytest.mark.parametrize("kind", LISTS)
def test_a_documented_row_is_read(kind: str) -> None:
    (row,) = payload(f"object_query_{kind}")["data"]

    assert LISTS[kind](row).id == row["id"]
