"""Orders read from their payloads: both generations, what is kept, and everything that is wrong named at once."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_service.commerce.order import (
    CatalogRef,
    ItemUpdate,
    Order,
    OrderType,
    ProblemCode,
    Refusal,
    UpdateAction,
)
from sync_service.commerce.payload import read_order, without_secrets
from tests.unit.commerce.world import EXAMPLES, LONDON, MONTHLY, ref, with_ids
from tests.unit.test_documents import ANY_JSON

E1: dict[str, Any] = with_ids(EXAMPLES[0]["limio_order"])
CANCEL = {"order_type": "cancel_subscription", "forSubscription": {"id": "sub-1"}}


def read(payload: Any) -> Order:
    order = read_order(payload, LONDON)
    assert isinstance(order, Order), order
    return order


def problems(payload: Any) -> dict[str, ProblemCode]:
    refusal = read_order(payload, LONDON)
    assert isinstance(refusal, Refusal)
    return {problem.field: problem.code for problem in refusal.problems}


@pytest.mark.parametrize(
    "naming",
    [
        {"subscriptionId": "sub-1"},
        {"subscriptionId": "sub-1", "subscriptionRef": "39IEQEBLLT60"},
        {"forSubscription": {"id": "sub-1"}},
        {"forSubscription": {"id": "sub-1", "name": "39IEQEBLLT60"}},
    ],
)
def test_a_subscription_is_named_in_either_generation(naming: dict[str, Any]) -> None:
    assert read({"order_type": "cancel_subscription", **naming}).subscription_key == "sub-1"


def test_a_subscription_may_be_named_by_its_reference() -> None:
    assert read({"order_type": "cancel_intent", "forSubscription": {"name": "REF"}}).subscription_key == "REF"
    assert read({"order_type": "cancel_subscription", "subscriptionRef": "REF"}).subscription_key == "REF"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("credit_memo_order", OrderType.CREDIT_MEMO),
        ("default_payment", OrderType.CHANGE_DEFAULT_PAYMENT),
        ("change_default_payment_method", OrderType.CHANGE_DEFAULT_PAYMENT),
    ],
)
def test_types_whose_names_are_not_documented_are_known_by_several(name: str, meant: OrderType) -> None:
    payload = {
        "order_type": name,
        "subscriptionId": "sub-1",
        "offer": {"id": "1" * 40},
        "amount": 5,
        "payment": {"zuora": {"refId": "a" * 32}},
    }

    assert read(payload).type is meant


def test_unknown_fields_are_kept() -> None:
    assert read({**CANCEL, "__spec_version": "2", "mode": "production"}).document["__spec_version"] == "2"


def test_card_secrets_are_kept_nowhere() -> None:
    zuora = {"refId": "a" * 32, "token": "tok", "signature": "sig", "result": {"Token": "tok", "cardNumber": "4111"}}
    zuora["id_token"] = "tok"

    order = read({**E1, "payment": {"type": "zuora", "zuora": zuora, "cvv": "123"}})

    text = json.dumps(order.document)
    assert order.payment is not None
    assert order.payment.method_id == "a" * 32
    assert not any(secret in text for secret in ("tok", "sig", "4111", "123"))


@given(ANY_JSON)
def test_dropping_secrets_takes_them_alone_however_deep(value: Any) -> None:
    kept = without_secrets({"key": [{"kept": 1, "cardToken": value}], "signature": value})

    assert kept == {"key": [{"kept": 1}]}
    assert without_secrets(without_secrets(value)) == without_secrets(value)


@pytest.mark.parametrize(
    ("moment", "zone", "day"),
    [
        ("2026-12-01T23:30:00Z", "Europe/Paris", date(2026, 12, 2)),
        ("2026-12-01T23:30:00Z", "Europe/London", date(2026, 12, 1)),
        ("2026-12-01T03:30:00Z", "America/New_York", date(2026, 11, 30)),
        ("2026-12-01", "America/New_York", date(2026, 12, 1)),
    ],
)
def test_a_moment_is_a_day_in_the_tenants_zone(moment: str, zone: str, day: date) -> None:
    order = read_order({**E1, "orderDate": moment}, ZoneInfo(zone))

    assert isinstance(order, Order)
    assert order.start == day


@pytest.mark.parametrize("wrong", [20261201, True, ["2026-12-01"], "soon"])
def test_what_is_no_date_is_told_what_a_date_is(wrong: Any) -> None:
    refusal = read_order({**E1, "orderDate": wrong}, LONDON)

    assert isinstance(refusal, Refusal)
    (problem,) = refusal.problems
    assert problem.message == "orderDate must be a date or a date with time in ISO 8601."


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"owner": "id-" + "a" * 62}, "owner"),
        ({"owner": "id-1\n2"}, "owner"),
        ({"userDetails": {"sub": "id-1\x1b[2J"}}, "userDetails.sub"),
    ],
)
def test_an_owner_is_an_id_that_limio_could_have_given(payload: dict[str, Any], field: str) -> None:
    refusal = read_order({**E1, **payload}, LONDON)

    assert isinstance(refusal, Refusal)
    assert [(each.field, each.message) for each in refusal.problems] == [
        (field, f"{field} must be an id of at most 64 printable characters.")
    ]
    assert read({**E1, "userDetails": {"sub": "id-hfmd3qJIYU8XZZo-5JI2UOkdacXd0JXBYlptgRGcLMM"}}).owner is not None


def test_updates_are_read_in_either_generation() -> None:
    old = {
        "type": "add",
        "record_type": "add_on",
        "id": "a",
        "version": "v",
        "quantity": 2,
        "effective_date": "2026-12-16",
    }
    new = {"orderItemActionType": "add", "type": "addon", "offer": {"id": "a", "version": "v"}, "quantity": 2}
    wanted = ItemUpdate(
        action=UpdateAction.ADD, record_type="add_on", item=CatalogRef(id="a", version="v"), quantity=Decimal(2)
    )
    base = {"order_type": "update_subscription", "subscriptionId": "sub-1"}

    assert read({**base, "orderItems": [new]}).updates == (wanted,)
    assert read({**base, "updates": [{**old, "effective_date": None}]}).updates == (wanted,)
    assert read({**base, "updates": [old]}).updates[0].effective == date(2026, 12, 16)


def test_a_full_name_is_a_first_and_a_last_name() -> None:
    payload = {
        "order_type": "update_customer_details",
        "forSubscription": {"name": "REF"},
        "customerDetails": {"full_name": "Ada King of Lovelace", "company_name": "Engines"},
    }

    customer = read(payload).customer

    assert customer is not None
    assert (customer.first_name, customer.last_name, customer.company) == ("Ada", "King of Lovelace", "Engines")


def test_everything_that_is_wrong_is_named_at_once() -> None:
    payload = {
        **E1,
        "orderDate": "tomorrow",
        "process_immediately": "yes",
        "orderItems": [{"offer": {"version": "v"}, "quantity": 0}, {}],
        "billingDetails": "here",
        "external_id": 7,
    }
    del payload["checkoutId"]

    assert problems(payload) == {
        "orderDate": ProblemCode.INVALID,
        "process_immediately": ProblemCode.INVALID,
        "orderItems[0].offer.id": ProblemCode.MISSING,
        "orderItems[1].offer": ProblemCode.MISSING,
        "billingDetails": ProblemCode.INVALID,
        "external_id": ProblemCode.INVALID,
        "checkoutId": ProblemCode.MISSING,
    }


@pytest.mark.parametrize(
    ("payload", "field", "code"),
    [
        ({}, "order_type", ProblemCode.MISSING),
        ({"order_type": "add_charge"}, "order_type", ProblemCode.UNSUPPORTED),
        ({"order_type": ["new"]}, "order_type", ProblemCode.UNSUPPORTED),
        ({"order_type": "cancel_subscription"}, "forSubscription", ProblemCode.MISSING),
        ({**CANCEL, "cancelDate": "2026-02-30"}, "cancelDate", ProblemCode.INVALID),
        ({**CANCEL, "order_type": "change_offer"}, "offer", ProblemCode.MISSING),
        (
            {**CANCEL, "order_type": "change_address", "type": "home", "address": {"city": "x"}},
            "type",
            ProblemCode.INVALID,
        ),
        ({**CANCEL, "order_type": "change_address", "type": "billing"}, "address", ProblemCode.MISSING),
        ({**CANCEL, "order_type": "update_subscription"}, "updates", ProblemCode.MISSING),
        ({**CANCEL, "order_type": "update_subscription", "updates": []}, "updates", ProblemCode.INVALID),
        (
            {**CANCEL, "order_type": "update_subscription", "updates": [{"type": "swap", "id": "a"}]},
            "updates[0].type",
            ProblemCode.INVALID,
        ),
        ({**CANCEL, "order_type": "change_payment", "payment": {}}, "payment", ProblemCode.MISSING),
        (
            {**CANCEL, "order_type": "change_payment", "payment": {"type": "zuora"}},
            "payment.zuora.refId",
            ProblemCode.MISSING,
        ),
        ({**CANCEL, "order_type": "refund", "offer": {"id": "a"}}, "amount", ProblemCode.MISSING),
        ({**CANCEL, "order_type": "refund", "offer": {"id": "a"}, "amount": -5}, "amount", ProblemCode.INVALID),
        ({**CANCEL, "order_type": "refund", "offer": {"id": "a"}, "amount": "1e99"}, "amount", ProblemCode.INVALID),
        ({**CANCEL, "order_type": "refund", "offer": {"id": "a"}, "amount": True}, "amount", ProblemCode.INVALID),
        ({**CANCEL, "order_type": "credit_memo", "offer": {"id": "a"}}, "amount", ProblemCode.MISSING),
        ({"order_type": "pay_invoice", "invoice": {"balance": 1}, "amount": 1}, "invoice.id", ProblemCode.MISSING),
        ({**E1, "orderItems": [{"offer": {"id": "a"}}] * 51}, "orderItems", ProblemCode.INVALID),
        (
            {**E1, "orderItems": [{"offer": ref(MONTHLY), "quantity": 1.5}]},
            "orderItems[0].quantity",
            ProblemCode.INVALID,
        ),
        ({**E1, "customerDetails": {"firstName": "A" * 101}}, "customerDetails.firstName", ProblemCode.INVALID),
        ({**E1, "customerDetails": {"email": "no address"}}, "customerDetails.email", ProblemCode.INVALID),
        ({**E1, "orderDiscount": {"name": "x"}}, "orderDiscount.productDetails.product.path", ProblemCode.MISSING),
    ],
)
def test_bad_input_names_its_field(payload: dict[str, Any], field: str, code: ProblemCode) -> None:
    assert problems(payload).get(field) is code


def test_a_redemption_needs_its_code_and_no_payment() -> None:
    redemption = {"order_type": "new", "isRedeem": True, "orderItems": [{"offer": ref(MONTHLY)}], "country": "GB"}

    assert problems(redemption) == {
        "redeemCode": ProblemCode.MISSING,
        "customerDetails": ProblemCode.MISSING,
    }
    given_code = {**redemption, "payment": {"gift_code": "7QK2M9X4"}, "customerDetails": {"firstName": "Grace"}}
    assert read(given_code).redeem_code == "7QK2M9X4"


@given(ANY_JSON)
def test_no_payload_is_a_traceback(value: Any) -> None:
    assert isinstance(read_order(value, LONDON), Order | Refusal)


@given(
    st.dictionaries(st.sampled_from([*E1, "updates", "offer", "amount", "forSubscription", "effectiveDate"]), ANY_JSON)
)
def test_no_field_of_any_shape_is_a_traceback(fields: dict[str, Any]) -> None:
    for kind in OrderType:
        assert isinstance(read_order({**E1, **fields, "order_type": kind.value}, LONDON), Order | Refusal)
