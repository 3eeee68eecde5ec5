import json

import pytest

from sync_service.subscription.hints import Hints, read_fields, read_hints, read_subscription_key, why_echo


def hints_of(body: bytes | str | dict[str, object]) -> Hints:
    if isinstance(body, dict):
        body = json.dumps(body)
    return read_hints(read_fields(body.encode() if isinstance(body, str) else body))


@pytest.mark.parametrize(
    "name",
    [
        "Source__c",
        "source",
        "SOURCE__C",
        "Source_c",
        "InitiatedSource__c",
        "initiated_source",
        "initiatedSource",
        "OrderSource__c",
        "Order.Source__c",
        "Order.InitiatedSource__c",
        "OrderInitiatedSource__c",
        "order_source",
        "DataSource.Order.Source__c",
        "DataSourceOrderSource__c",
        "OrderAction.Order.Source__c",
        "customFields.Source__c",
    ],
)
def test_the_source_is_found_under_every_reasonable_name(name: str) -> None:
    assert hints_of({name: "shop"}).sources == ("shop",)
    assert hints_of(f"{name}=shop").sources == ("shop",)
    assert hints_of(f'<callout><parameter name="{name}">shop</parameter></callout>').sources == ("shop",)


def test_the_source_is_found_inside_nested_objects() -> None:
    body = {"order": {"orderNumber": "O-00000001", "customFields": {"Source__c": "shop", "InitiatedSource__c": "csr"}}}

    assert hints_of(body) == Hints(sources=("shop", "csr"), order_number="O-00000001")


@pytest.mark.parametrize(
    "name",
    ["CreatedById", "createdBy", "created_by", "Order.CreatedById", "OrderCreatedById", "OrderAction.CreatedById"],
)
def test_the_order_s_creator_is_found(name: str) -> None:
    assert hints_of({name: "402892c74c9193cd014c96bbe7c101f9"}).created_by == ("402892c74c9193cd014c96bbe7c101f9",)


@pytest.mark.parametrize(
    "name",
    [
        "Subscription.CreatedById",  # who created the subscription once, not who changed it now
        "SubscriptionCreatedById",
        "Account.CreatedById",
        "Order.UpdatedById",
        "Subscription.Source__c",
        "AccountSource__c",
        "Resource",
        "PaymentSource",
    ],
)
def test_fields_of_other_objects_are_no_hint(name: str) -> None:
    assert hints_of({name: "shop"}) == Hints()


def test_a_nested_field_of_the_subscription_is_no_hint() -> None:
    assert hints_of({"subscription": {"customFields": {"Source__c": "shop"}, "createdById": "u"}}) == Hints()


def test_of_several_orders_in_one_body_none_speaks_for_all() -> None:
    assert hints_of({"orders": [{"Source__c": "shop"}, {"Source__c": "csr"}]}) == Hints()


@pytest.mark.parametrize("value", ["", "   ", "{{Order.Source__c}}", "<Order.Source__c>", "x" * 256, "a\x00b", None])
def test_what_did_not_resolve_counts_as_absent(value: str | None) -> None:
    assert hints_of({"Source__c": value}) == Hints()


def test_blanks_around_values_are_dropped_as_the_older_xml_has_them() -> None:
    parameter = '<parameter name="Source__c">\n\tshop\n\t</parameter>'
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<callout>\n\t{parameter}\n</callout>'

    assert hints_of(body).sources == ("shop",)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"Source__c": "shop"',
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b"<callout><parameter",
        b"\xff\xfe\x00",
        b"&" * 1000,
        b'"Source__c"',
        b'["Source__c", "shop"]',
        b"null",
        b'{"Source__c": ' + b"9" * 5000 + b"}",
        b"\x00\x01\x02",
        b'<!DOCTYPE c [<!ENTITY e "shop">]><c><parameter name="Source__c">&e;</parameter></c>',
        b'<?xml version="1.0" encoding="no-such"?><c><parameter name="Source__c">shop</parameter></c>',
        b'<!DOCTYPE c SYSTEM "http://127.0.0.1/x"><c><parameter name="Source__c">shop</parameter></c>',
    ],
)
def test_a_body_that_cannot_be_read_counts_as_absent(body: bytes) -> None:
    assert hints_of(body) == Hints()


def test_fields_outside_the_body_count_as_well() -> None:
    fields = read_fields(b"not a body", [("source", "salesforce"), ("orderNumber", "O-7")])

    assert read_hints(fields) == Hints(sources=("salesforce",), order_number="O-7")


@pytest.mark.parametrize(
    ("hints", "is_echo"),
    [
        (Hints(sources=("shop",)), True),
        (Hints(sources=("Shop",)), True),
        (Hints(sources=("csr", "SALESFORCE")), True),
        (Hints(sources=("csr",)), False),
        (Hints(sources=("shopify",)), False),
        (Hints(), False),
        (Hints(order_number="O-1"), False),
        (Hints(created_by=("2C92A0FF",)), True),
        (Hints(created_by=("someone",)), False),
    ],
)
def test_only_orders_of_our_own_are_an_echo(hints: Hints, is_echo: bool) -> None:
    why = why_echo(hints, ("shop", "salesforce"), ("2c92a0ff",))

    assert (why is not None) == is_echo


@pytest.mark.parametrize(
    "body",
    [
        '{"subscriptionID":"A-S00012345","type":"RenewSubscription","data":{"subscriptionId":"other"}}',
        '{"data":{"subscriptionId":"other"},"subscriptionID":"A-S00012345"}',
        '{"SubscriptionName": "A-S00012345"}',
        '{"subscription": {"number": "A-S00012345"}}',
        '{"OrderAction.Subscription.Name": "A-S00012345"}',
        "subscription_id=A-S00012345",
        '<callout><parameter name="SubscriptionId">A-S00012345</parameter></callout>',
    ],
)
def test_an_event_names_its_subscription(body: str) -> None:
    assert read_subscription_key(read_fields(body.encode())).strip() == "A-S00012345"


def test_a_merge_field_without_a_value_is_sent_as_null_and_says_nothing() -> None:
    body = json.dumps({"subscriptionID": "Null", "subscriptionNumber": "A-1", "Source__c": "null"}).encode()

    assert read_subscription_key(read_fields(body)) == "A-1"
    assert hints_of({"Order": {"Source__c": "null", "CreatedById": "NULL"}}) == Hints()


@pytest.mark.parametrize(
    "body",
    ["", "{}", '{"type":"RenewSubscription"}', '{"subscriptionID": ""}', "{broken", '{"subscriptionID": "null"}'],
)
def test_an_event_without_a_subscription_names_none(body: str) -> None:
    assert read_subscription_key(read_fields(body.encode())) == ""
