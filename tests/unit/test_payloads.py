"""Reading Zuora's answers: documented samples whole, and every odd form that Zuora or a proxy may give them."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import asdict, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_service.errors import PayloadInvalid
from sync_service.subscription.zuora import ChargeSegment, Contact, PreviewItem, StatusPeriod, Tier
from sync_service.zuora.payloads import PreviewRow, read_account, read_preview_rows, read_subscription

PAYLOADS = Path(__file__).parents[1] / "zuora_payloads"


def sample(name: str) -> Any:
    """A documented or recorded answer of Zuora, with exact numbers."""
    return json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"), parse_float=Decimal)


def a_subscription(**fields: Any) -> dict[str, Any]:
    """The recorded subscription with these fields changed."""
    return {**sample("subscription_recorded"), **fields}


def with_charge(**fields: Any) -> dict[str, Any]:
    """The recorded subscription with these fields of its charge changed."""
    payload: dict[str, Any] = sample("subscription_recorded")
    payload["ratePlans"][0]["ratePlanCharges"][0].update(fields)
    return payload


def only_segment(payload: dict[str, Any]) -> ChargeSegment:
    (segment,) = read_subscription(payload).segments
    return segment


def test_a_recorded_subscription_is_read_whole() -> None:
    read = read_subscription(sample("subscription_recorded"))

    assert read.id == "71a11cc8ded9d71b8b7d75c31295009a"
    assert read.number == "A-S00974337"
    assert (read.version, read.is_latest, read.status) == (2, True, "Active")
    assert (read.invoice_owner_number, read.payer_number, read.renewal_term) == ("A00991426", "A00991426", 12)
    assert (read.account_id, read.account_number) == ("8ad083f0961a05fc019620184f8722ec", "A00991426")
    assert read.invoice_owner_id == "8ad083f0961a05fc019620184f8722ec"
    assert read.account_name == "001UD00000GXdmDYAT"
    assert read.term_type == "TERMED"
    assert (read.start, read.end) == (date(2025, 4, 10), date(2027, 4, 10))
    assert (read.term_start, read.term_end) == (date(2026, 4, 10), date(2027, 4, 10))
    assert read.auto_renew is True
    assert (read.current_term, read.current_term_period) == (12, "Month")
    assert read.currency == "GBP"
    assert read.order_number == "O-01177630"
    assert (read.create_time, read.update_time) == ("2026-04-10 06:00:11", "2026-04-19 06:00:12")
    assert read.status_history == (
        StatusPeriod(status="Active", start=date(2025, 4, 10), end=date(2027, 4, 10)),
        StatusPeriod(status="OutOfTerm", start=date(2027, 4, 10), end=None),
    )
    assert read.bill_to == Contact(
        id="8ad083f0961a05fc019620184fa222ff",
        first_name="Test",
        last_name="User",
        address1="Kings Place, York Way",
        city="London",
        postal_code="N19GU",
        country="United Kingdom",
        work_email="test.user@example.com",
        of_subscription=False,
    )
    assert read.segments == (
        ChargeSegment(
            charge_number="C-01700806",
            segment=1,
            name="Sunday",
            product_name="Newspaper Delivery",
            plan_number="SRP-01663631",
            plan_name="Weekend",
            plan_id="2c92c0f955c3cf0f0155c5d9df433bf7",
            product_id="2c92c0f955c3cf0f0155c5d9ddc53bc3",
            type="Recurring",
            model="FlatFee",
            currency="GBP",
            price=Decimal("16.99"),
            quantity=Decimal("1.0"),
            billing_period="Month",
            billing_timing="IN_ADVANCE",
            billing_day="ChargeTriggerDay",
            billing_period_alignment="AlignToCharge",
            list_price_base="Per_Billing_Period",
            effective_start=date(2025, 4, 19),
            effective_end=date(2027, 4, 10),
            charged_through=date(2026, 5, 19),
            processed_through=date(2026, 4, 19),
            end_condition="Subscription_End",
            price_change="NoChange",
        ),
    )


def test_the_documented_subscription_is_read_with_its_three_charges() -> None:
    read = read_subscription(sample("subscription"))

    assert (read.number, read.version, read.is_latest) == ("A-S00007412", 1, True)
    assert read.invoice_schedule_id == "ec6f0d5dc8af451ab95343fb3c588c1a"
    assert [(each.charge_number, each.model, each.price) for each in read.segments] == [
        ("C-00032238", "FlatFee", Decimal(100)),
        ("C-00032239", "DiscountFixedAmount", None),
        ("C-00032240", "Delivery", Decimal(9)),
    ]
    assert [each.is_discount for each in read.segments] == [False, True, False]


def test_the_documented_one_time_charge_is_read_with_its_tiers() -> None:
    (charge,) = read_subscription(sample("subscription_one_time_tiered")).segments

    assert (charge.type, charge.billing_period, charge.billing_timing) == ("OneTime", None, None)
    assert charge.tiers == (Tier(price=Decimal(20)), Tier(price=Decimal(4)))


def test_every_subscription_of_the_documented_list_is_read() -> None:
    payload = sample("subscriptions_of_account")

    assert [read_subscription(each).number for each in payload["subscriptions"]] == ["A-S00007412"]


def test_the_documented_account_is_read_with_both_contacts() -> None:
    read = read_account(sample("account"))

    assert (read.id, read.number, read.name) == ("402892c74c9193cd014c91d35b0a0132", "A00000001", "Test")
    assert (read.currency, read.bill_cycle_day) == ("USD", 1)
    assert read.bill_to == Contact(
        id="2c9081a03c6d7b51013c6d7e46c80a17",
        first_name="Test",
        last_name="Test",
        work_email="contact@example.com",
    )
    assert read.sold_to is not None
    assert read.sold_to.id == "2c9081a03c6d7b51013c6d7e46cf0a18"


def test_the_documented_preview_is_read() -> None:
    rows = read_preview_rows(sample("billing_preview"))

    assert rows[0] == PreviewRow(
        subscription_number="A-S00000346",
        item=PreviewItem(
            charge_number="C-00000950",
            charge_name="Monthly Fee",
            product_name="Music service",
            service_start=date(2024, 8, 1),
            service_end=date(2024, 8, 31),
            amount=Decimal(10),
            quantity=Decimal(1),
        ),
    )
    assert [row.item.service_start for row in rows] == [date(2024, 8, 1), date(2024, 9, 1)]


# --- what is missing, and what is odd -------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["id", "subscriptionNumber", "version", "status", "termType"])
@pytest.mark.parametrize("how", ["absent", "null"])
def test_what_we_need_of_a_subscription_is_named_when_it_is_missing(field: str, how: str) -> None:
    payload = a_subscription(**{field: None})
    if how == "absent":
        del payload[field]

    with pytest.raises(PayloadInvalid, match=rf"^{field} is missing in Zuora's subscription$"):
        read_subscription(payload)


@pytest.mark.parametrize("plans", [{}, {"ratePlans": None}])
def test_an_answer_without_rate_plans_says_that_nothing_is_known_of_charges(plans: dict[str, Any]) -> None:
    payload = {key: value for key, value in a_subscription().items() if key != "ratePlans"} | plans

    read = read_subscription(payload)

    assert (read.segments, read.names_rate_plans) == ((), False)
    assert read_subscription(a_subscription(ratePlans=[])).names_rate_plans is True


def test_an_account_without_its_basics_still_tells_its_contacts() -> None:
    payload = {key: value for key, value in sample("account").items() if key != "basicInfo"}

    assert read_account(payload).bill_to == read_account(sample("account")).bill_to is not None


def test_all_problems_of_one_object_are_named_together() -> None:
    payload = a_subscription(status=" ", termEndDate="soon", version="two")

    with pytest.raises(PayloadInvalid) as refusal:
        read_subscription(payload)

    assert str(refusal.value) == (
        "version is not a number; status is missing; termEndDate is not a date in Zuora's subscription"
    )


def test_a_refusal_names_the_place_and_repeats_no_value() -> None:
    with pytest.raises(PayloadInvalid) as refusal:
        read_subscription(with_charge(effectiveEndDate="secret"))

    assert str(refusal.value) == (
        "ratePlans[0].ratePlanCharges[0].effectiveEndDate is not a date in Zuora's subscription"
    )


@pytest.mark.parametrize("field", ["number", "type", "model"])
def test_what_we_need_of_a_charge_is_named_when_it_is_missing(field: str) -> None:
    with pytest.raises(PayloadInvalid, match=rf"^ratePlans\[0\].ratePlanCharges\[0\].{field} is missing"):
        read_subscription(with_charge(**{field: None}))


@pytest.mark.parametrize(
    "payload",
    [
        a_subscription(ratePlans={}),
        a_subscription(ratePlans=["plan"]),
        a_subscription(ratePlans=[{"ratePlanCharges": "none"}]),
        a_subscription(statusHistory=[{}]),
        a_subscription(billToContact="Test User"),
        with_charge(tiers=[1]),
        with_charge(chargeSegments=[None]),
    ],
)
def test_lists_and_objects_of_the_wrong_kind_are_refused(payload: dict[str, Any]) -> None:
    with pytest.raises(PayloadInvalid):
        read_subscription(payload)


@pytest.mark.parametrize("payload", [None, [], "text", 3, [{}]])
def test_an_answer_that_is_no_object_is_refused(payload: Any) -> None:
    for read in (read_subscription, read_account, read_preview_rows):
        with pytest.raises(PayloadInvalid):
            read(payload)


def test_everything_that_we_can_do_without_may_be_null() -> None:
    needed = {"id", "subscriptionNumber", "version", "status", "termType", "ratePlans"}
    payload = {key: value if key in needed else None for key, value in sample("subscription_recorded").items()}
    charge = payload["ratePlans"][0]["ratePlanCharges"][0]
    payload["ratePlans"][0]["ratePlanCharges"][0] = {
        key: value if key in {"number", "type", "model"} else None for key, value in charge.items()
    }

    read = read_subscription(payload)

    assert (read.bill_to, read.term_end, read.auto_renew, read.status_history) == (None, None, False, ())
    (segment,) = read.segments
    assert replace(segment, plan_number="", plan_name="", plan_id="", product_id="") == ChargeSegment(
        charge_number="C-01700806", product_name="Newspaper Delivery"
    )


def test_unknown_fields_and_words_pass() -> None:
    payload = with_charge(model="Quantum", billingPeriod="Fortnight", newIn2027={"a": [1]})
    payload |= {"Source__c": "shop", "ramp": {"id": 1}, "status": "Frozen"}

    read = read_subscription(payload)

    assert read.status == "Frozen"
    assert (read.segments[0].model, read.segments[0].billing_period) == ("Quantum", "Fortnight")


def test_rate_plans_without_charges_have_no_segments() -> None:
    assert read_subscription(a_subscription(ratePlans=[{"ratePlanName": "Empty"}])).segments == ()
    assert read_subscription(a_subscription(ratePlans=[])).segments == ()


# --- versions and statuses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "status", "expected"),
    [(True, "Active", True), (False, "Active", False), (None, "Active", True), (None, "Expired", False)],
)
def test_a_version_is_the_latest_unless_zuora_says_otherwise(told: bool | None, status: str, expected: bool) -> None:
    assert read_subscription(a_subscription(isLatestVersion=told, status=status)).is_latest is expected


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("PendingActivation", "Pending Activation"),
        ("Pending Acceptance", "Pending Acceptance"),
        ("CANCELLED", "Cancelled"),
        ("Canceled", "Cancelled"),
        ("Out Of Term", "OutOfTerm"),
    ],
)
def test_a_status_gets_zuoras_own_spelling(printed: str, expected: str) -> None:
    read = read_subscription(a_subscription(status=printed, statusHistory=[{"status": printed}]))

    assert read.status == expected
    assert read.status_history == (StatusPeriod(status=expected, start=None),)


# --- numbers, dates, texts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        (16.99, Decimal("16.99")),
        (Decimal("402.827419349"), Decimal("402.827419349")),
        ("1.000000000", Decimal(1)),
        ("0E-9", Decimal(0)),
        (-5, Decimal(-5)),
        ("  12.50 ", Decimal("12.50")),
        ("", None),
        (None, None),
    ],
)
def test_a_price_is_exact_however_it_is_printed(printed: Any, expected: Decimal | None) -> None:
    assert only_segment(with_charge(price=printed)).price == expected


@pytest.mark.parametrize("printed", ["NaN", "Infinity", "1_000", "1,000.00", "١٢", True, [], {}, Decimal("1E+99")])
def test_a_price_that_is_no_number_is_refused(printed: Any) -> None:
    with pytest.raises(PayloadInvalid, match=r"ratePlanCharges\[0\].price is "):
        read_subscription(with_charge(price=printed))


@pytest.mark.parametrize(("printed", "expected"), [("2", 2), (3, 3), (Decimal("4.0"), 4), (None, None)])
def test_a_count_may_be_printed_as_text(printed: Any, expected: int | None) -> None:
    assert only_segment(with_charge(specificBillingPeriod=printed)).specific_billing_period == expected


@pytest.mark.parametrize("printed", [Decimal("1.5"), 2**31, "many", False])
def test_a_version_that_is_no_count_is_refused(printed: Any) -> None:
    with pytest.raises(PayloadInvalid, match="version is not a"):
        read_subscription(a_subscription(version=printed))


@pytest.mark.parametrize(
    "printed", ["2027-04-10", " 2027-04-10 ", "2027-04-10 00:00:00", "2027-04-10T00:00:00.000+01:00"]
)
def test_a_date_may_have_a_time_behind_it(printed: str) -> None:
    assert read_subscription(a_subscription(termEndDate=printed)).term_end == date(2027, 4, 10)


@pytest.mark.parametrize(
    "printed",
    ["20270410", "2027-W15-6", "2027-4-10", "2027-02-30", "10/04/2027", "2027-04-10x", "0001-01-01", 20270410, True],
)
def test_a_date_in_any_other_form_is_refused(printed: Any) -> None:
    with pytest.raises(PayloadInvalid, match=r"^termEndDate is "):
        read_subscription(a_subscription(termEndDate=printed))


def test_a_flag_may_be_a_text_and_nothing_else() -> None:
    assert read_subscription(a_subscription(autoRenew="false")).auto_renew is False
    with pytest.raises(PayloadInvalid, match="autoRenew is neither true nor false"):
        read_subscription(a_subscription(autoRenew=1))


@pytest.mark.parametrize("field", ["upToPeriods", "discountAmount", "mrr", "amendedByOrderOn", "triggerDate"])
def test_a_field_that_decides_nothing_stops_nothing(field: str) -> None:
    assert only_segment(with_charge(**{field: {"odd": True}})).price == Decimal("16.99")


def test_no_text_holds_what_a_database_cannot_store() -> None:
    read = read_subscription(a_subscription(accountName="a\x00b\ud800c", orderNumber=7))

    assert (read.account_name, read.order_number) == ("ab?c", "7")


# --- contacts -------------------------------------------------------------------------------------------------------


def contact(**fields: Any) -> Contact | None:
    return read_subscription(a_subscription(billToContact=fields)).bill_to


def test_a_contact_that_says_nothing_is_none() -> None:
    assert contact() is None
    assert contact(address1=" ", city="", isSpecifiedInSubscription=False) is None
    assert read_subscription(a_subscription(billToContact=None)).bill_to is None


def test_blank_fields_of_a_contact_are_none() -> None:
    assert contact(firstName="Ada", lastName="  ", city="") == Contact(first_name="Ada")


def test_a_postal_code_is_read_by_either_name() -> None:
    assert contact(zipCode="N1") == Contact(postal_code="N1")
    assert contact(postalCode="N2", zipCode="N1") == Contact(postal_code="N2")
    assert contact(postalCode="", zipCode=12345) == Contact(postal_code="12345")


def test_each_phone_is_read_by_itself_and_the_home_phone_is_nothing_of_limios() -> None:
    told = contact(
        mobilePhone="1", workPhone="2", otherPhone="3", homePhone="4", county="Kent", workEmail="a@b.example"
    )

    assert told == Contact(mobile_phone="1", work_phone="2", other_phone="3", county="Kent", work_email="a@b.example")
    assert contact(homePhone="4") is None


# --- segments -------------------------------------------------------------------------------------------------------


def test_all_segments_of_a_charge_are_read_with_the_charges_fields_beneath() -> None:
    segments = [
        {"segment": 1, "price": 10, "effectiveStartDate": "2026-01-01", "effectiveEndDate": "2026-07-01"},
        {"segment": 2, "price": 12, "chargedThroughDate": None, "tiers": [{"startingUnit": 0, "price": 3}]},
    ]

    first, second = read_subscription(with_charge(chargeSegments=segments)).segments

    assert (first.segment, first.price, first.effective_end) == (1, Decimal(10), date(2026, 7, 1))
    assert (first.charge_number, first.billing_period, first.name) == ("C-01700806", "Month", "Sunday")
    assert first.charged_through == date(2026, 5, 19)
    assert (second.segment, second.price, second.effective_end) == (2, Decimal(12), date(2027, 4, 10))
    assert second.tiers == (Tier(price=Decimal(3)),)
    # A null of the segment is the segment's word: this one was never billed.
    assert second.charged_through is None


@pytest.mark.parametrize("segments", [None, []])
def test_without_segments_the_charge_itself_is_the_segment(segments: Any) -> None:
    assert only_segment(with_charge(chargeSegments=segments)).price == Decimal("16.99")


# --- previews -------------------------------------------------------------------------------------------------------


def a_line(**fields: Any) -> dict[str, Any]:
    """A line of the documented preview with these fields changed."""
    return {**sample("billing_preview")["invoiceItems"][0], **fields}


def only_item(payload: dict[str, Any]) -> PreviewItem:
    (row,) = read_preview_rows(payload)
    return row.item


def test_a_preview_of_nothing_has_no_lines_with_or_without_the_list() -> None:
    assert read_preview_rows({"success": True}) == ()
    assert read_preview_rows({"invoiceItems": []}) == ()
    assert read_preview_rows({"invoiceItems": None, "creditMemoItems": None}) == ()


def test_only_the_lines_of_the_number_asked_for_are_read() -> None:
    odd = a_line(subscriptionNumber="OTHER", serviceStartDate="never", chargeAmount=None)

    rows = read_preview_rows({"invoiceItems": [odd, a_line()]}, "A-S00000346")

    assert [row.subscription_number for row in rows] == ["A-S00000346"]


def test_a_line_that_names_no_subscription_is_refused_for_everybody() -> None:
    with pytest.raises(PayloadInvalid, match=r"^invoiceItems\[0\].subscriptionNumber is missing"):
        read_preview_rows({"invoiceItems": [a_line(subscriptionNumber=None, subscriptionName=None)]}, "A-S00000346")


def test_an_old_answers_line_is_told_by_its_subscription_name() -> None:
    line = a_line()
    del line["subscriptionNumber"]

    assert len(read_preview_rows({"invoiceItems": [line]}, "A-S00000346")) == 1


def test_amounts_are_exact_and_without_tax() -> None:
    item = only_item({"invoiceItems": [a_line(chargeAmount="20.83", taxAmount=Decimal("4.16"))]})

    assert (item.amount, item.tax_amount) == (Decimal("20.83"), Decimal("4.16"))


def test_a_line_without_an_amount_is_refused_unless_it_is_usage() -> None:
    assert only_item({"invoiceItems": [a_line(chargeType="Usage", chargeAmount=3)]}).amount is None
    assert only_item({"invoiceItems": [a_line(chargeType="Usage", chargeAmount=None)]}).amount is None
    with pytest.raises(PayloadInvalid, match=r"^invoiceItems\[0\].chargeAmount is missing"):
        read_preview_rows({"invoiceItems": [a_line(chargeAmount=None)]})


def test_a_discount_line_keeps_its_sign_and_kind() -> None:
    item = only_item({"invoiceItems": [a_line(processingType="Discount", chargeAmount=-2, chargeNumber=None)]})

    assert (item.processing_type, item.amount, item.charge_number) == ("Discount", Decimal(-2), None)


def test_a_credit_memos_line_is_negative_and_without_tax() -> None:
    """Names from the schema POSTBillingPreviewCreditMemoItem of Zuora's specification."""
    credit = {
        "amount": 12,
        "amountWithoutTax": 10,
        "chargeNumber": "C-1",
        "chargeType": "Recurring",
        "comment": "returned",
        "processingType": "Charge",
        "quantity": 1,
        "serviceStartDate": "2026-01-01",
        "serviceEndDate": "2026-01-31",
        "skuName": "Paper",
        "subscriptionNumber": "A-S1",
    }

    (row,) = read_preview_rows({"invoiceItems": [], "creditMemoItems": [credit]})

    assert row == PreviewRow(
        subscription_number="A-S1",
        item=PreviewItem(
            charge_number="C-1",
            charge_name="Paper",
            charge_description="returned",
            service_start=date(2026, 1, 1),
            service_end=date(2026, 1, 31),
            amount=Decimal(-10),
            tax_amount=Decimal(-2),
            quantity=Decimal(1),
        ),
    )
    assert only_item({"invoiceItems": [], "creditMemoItems": [credit | {"amountWithoutTax": None}]}).amount == -12


# --- anything at all ------------------------------------------------------------------------------------------------

any_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["2026-01-01", "9999-12-31", "0000-00-00", "1E+999999", "-0", "Expired", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


def places(payload: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value inside a JSON value."""
    inner = payload.items() if isinstance(payload, dict) else enumerate(payload) if isinstance(payload, list) else ()
    found = [path] if path else []
    for key, value in inner:
        found += places(value, (*path, key))
    return found


def put(payload: Any, path: tuple[Any, ...], value: Any) -> None:
    """Set the value at the end of `path`, unless an earlier change took the path away."""
    try:
        for key in path[:-1]:
            payload = payload[key]
        payload[path[-1]] = value
    except (KeyError, IndexError, TypeError):
        return


CASES: dict[str, Any] = {
    "subscription_recorded": read_subscription,
    "subscription": read_subscription,
    "account": read_account,
    "billing_preview": read_preview_rows,
}
SAMPLES = {name: sample(name) for name in CASES}
SAMPLES["subscription_recorded"]["ratePlans"][0]["ratePlanCharges"][0]["chargeSegments"] = [{"segment": 1, "price": 1}]
SAMPLES["billing_preview"]["creditMemoItems"] = [deepcopy(SAMPLES["billing_preview"]["invoiceItems"][0])]


@pytest.mark.parametrize("name", CASES)
@given(data=st.data())
def test_whatever_stands_where_a_reader_refuses_or_reads_and_never_breaks(name: str, data: st.DataObject) -> None:
    payload = deepcopy(SAMPLES[name])
    for path in data.draw(st.lists(st.sampled_from(places(payload)), min_size=1, max_size=3)):
        put(payload, path, data.draw(any_json))

    try:
        read = CASES[name](payload)
    except PayloadInvalid:
        return

    values = [asdict(each) for each in read] if isinstance(read, tuple) else asdict(read)
    stored = json.dumps(values, default=str, ensure_ascii=False)
    assert stored.encode("utf-8")
    assert "\\u0000" not in stored
