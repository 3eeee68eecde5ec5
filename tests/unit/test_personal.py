"""What of an object or a plan is personal: everything that names a person goes, dates and amounts stay."""

from __future__ import annotations

from typing import Any

from sync_service.subscription.limio.personal import erase_object, erase_plan, erase_text, personal_values
from tests.unit.builders import a_customer, a_limio_subscription, an_address, an_entry

ADA = {"Ada Byron", "ada@example.com"}


def test_a_customer_keeps_only_what_ties_it_to_others() -> None:
    customer = a_customer(phone="+44 20 7946 0001", marketing={"newsletter": True, "channel": "post"})

    assert erase_object("customer", customer) == {
        "id": "cus-1",
        "record_type": "customer",
        "status": "active",
        "data": {"name": "", "email": "", "phone": "", "marketing": {"newsletter": True, "channel": ""}},
    }


def test_of_an_address_the_country_the_kind_and_the_dates_stay() -> None:
    erased = erase_object("address", an_address(data={"phone": "0123", "validFrom": "2026-01-01"}))

    assert erased["relationship_type"] == "billing"
    assert erased["start"] == "2026-01-01T09:30:00.000Z"
    assert {key: value for key, value in erased["data"].items() if value} == {
        "country": "GB",
        "validFrom": "2026-01-01",
    }


def test_a_postal_code_that_looks_like_a_number_or_a_date_goes_all_the_same() -> None:
    erased = erase_object(
        "address", an_address(data={"postalCode": "10001", "address1": "2026-01-01", "houseNumber": 7})
    )

    assert {erased["data"][key] for key in ("postalCode", "address1", "houseNumber")} == {""}


def test_a_payment_method_keeps_the_reference_that_it_is_charged_by() -> None:
    # The shape of Limio's payment methods: facts of its objects, 1.7.
    card = {
        "CreditCardHolderName": "Ada Byron",
        "CreditCardMaskNumber": "************4242",
        "CreditCardType": "Visa",
    }
    zuora = {"refId": "8ad083f0961a05fc019620184f8722ec", "success": True, "result": card}
    document = {"id": "pm-1", "data": {"type": "zuora", "zuora": zuora}}

    erased = erase_object("payment_method", document)

    assert erased["data"]["zuora"] == {
        "refId": "8ad083f0961a05fc019620184f8722ec",
        "success": True,
        "result": {"CreditCardHolderName": "", "CreditCardMaskNumber": "", "CreditCardType": "Visa"},
    }


def test_a_subscription_and_its_payments_keep_everything_that_names_no_person() -> None:
    assert erase_object("subscription", a_limio_subscription(), ADA) == a_limio_subscription()
    assert erase_object("schedule", an_entry(), ADA) == an_entry()


def test_an_order_loses_the_person_in_it_and_keeps_its_own_state() -> None:
    order = {
        "id": "order-1",
        "reference": "ada@example.com",
        "data": {
            "state": "complete",
            "total": "17.50",
            "customerDetails": {"firstName": "Ada", "lastName": "Byron", "email": "ada@example.com", "state": "Kent"},
            "note": "call Ada  BYRON before noon",
            "recipients": [{"full-name": "Ada Byron", "date": "2026-01-01"}],
        },
    }

    assert erase_object("order", order, ADA) == {
        "id": "order-1",
        "reference": "ada@example.com",
        "data": {
            "state": "complete",
            "total": "17.50",
            "customerDetails": {"firstName": "", "lastName": "", "email": "", "state": ""},
            "note": "",
            "recipients": [{"full-name": "", "date": "2026-01-01"}],
        },
    }


def test_a_known_value_inside_another_word_is_not_the_person() -> None:
    event: dict[str, Any] = {"data": {"message": "Order A-N1-1AA0 for X"}}

    assert erase_object("event", event, {"N1-1AA"}) == event
    assert erase_text("sent to N1-1AA.", {"N1-1AA"}) == "(erased)"


def test_a_plan_keeps_what_it_did_and_when_and_loses_for_whom() -> None:
    plan = {
        "number": "A-S1",
        "notes": ["Zuora went back.", "Ada Byron moved."],
        "changes": [
            {
                "change": "update",
                "record_type": "customer",
                "id": "cus-1",
                "fields": [{"path": "data.email", "before": None, "after": "ada@example.com"}],
                "reason": "The account's bill-to contact differs.",
            },
            {"change": "create", "record_type": "address", "document": an_address(), "reason": "new"},
            {"change": "cancel", "record_type": "schedule", "id": "s-1", "document": an_entry(), "reason": "gone"},
            {
                "change": "update",
                "record_type": "subscription",
                "id": "sub-1",
                "fields": [{"path": "data.termEndDate", "before": "2026-01-01", "after": "2027-01-01"}],
                "reason": "Version 2",
            },
        ],
    }

    erased = erase_plan(plan, ADA)

    customer, address, schedule, subscription = erased["changes"]
    assert erased["notes"] == ["Zuora went back.", "(erased)"]
    assert customer["id"] == "cus-1"
    assert customer["fields"] == [{"path": "data.email", "before": None, "after": "(erased)"}]
    assert address["document"]["data"]["city"] == "(erased)"
    assert (schedule, subscription) == (plan["changes"][2], plan["changes"][3])
    assert erase_plan(erased, ADA) == erased


def test_what_is_looked_for_elsewhere_names_one_person_and_hardly_anything_else() -> None:
    values = personal_values("address", an_address(data={"phone": "020 7946 0001", "postalCode": "12345"}))

    assert values == {"Ada Byron", "12 St James's Square", "020 7946 0001"}
    assert personal_values("identity", {"name": "A-00000001", "id": "id-1"}) == set()
