"""What the emulator's invoices, payments and memos say, and what it refuses about them."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from tests.order_bodies.world import NUMBER, World
from zuora_emulator.billing import credited, credits
from zuora_emulator.fields import Fields
from zuora_emulator.order_actions import cancel


def invoice_of(world: World) -> dict[str, Any]:
    """The one invoice of the account."""
    found = world.ask("GET", "/v1/billing-documents?accountNumber=A00000007")["documents"]
    assert [each["documentType"] for each in found] == ["Invoice"]
    return world.ask("GET", f"/v1/invoices/{found[0]['id']}")


def pay(world: World, amount: float, **more: Any) -> Any:
    body = {
        "accountNumber": "A00000007",
        "type": "Electronic",
        "amount": amount,
        "currency": "GBP",
        "invoices": [{"invoiceId": invoice_of(world)["id"], "amount": amount}],
    }
    return world.request("POST", "/v1/payments", {**body, **more})


def test_a_bill_run_invoices_what_it_bills() -> None:
    world = World()

    invoice = invoice_of(world)

    items = world.ask("GET", f"/v1/invoices/{invoice['id']}/items")["invoiceItems"]
    # One month of each plan, from 16 November on.
    assert [(each["chargeName"], each["chargeAmount"]) for each in items] == [("Monthly", 17.5), ("Audio", 3)]
    assert (invoice["amount"], invoice["balance"]) == (20.5, 20.5)


def test_the_pdf_of_an_invoice_is_a_pdf_that_names_it() -> None:
    world = World()
    invoice = invoice_of(world)
    file = world.ask("GET", f"/v1/invoices/{invoice['id']}/files")["invoiceFiles"][0]

    answer = world.request("GET", file["pdfFileUrl"])

    assert answer.content_type == "application/pdf"
    assert answer.encode().startswith(b"%PDF-")
    assert invoice["invoiceNumber"].encode() in answer.encode()


def test_the_invoices_of_an_account_are_queried_page_by_page() -> None:
    world = World()
    world.do("bill_run", key=NUMBER, target="2027-01-16")
    account = world.tenant.accounts["A00000007"].id

    first = world.ask_query(f"/object-query/invoices?filter[]=accountId.EQ:{account}&pageSize=1")
    second = world.ask_query(
        f"/object-query/invoices?filter[]=accountId.EQ:{account}&pageSize=1&cursor={first['nextPage']}"
    )

    assert len({each["id"] for page in (first, second) for each in page["data"]}) == 2
    assert second.get("nextPage") is None


@pytest.mark.parametrize(
    ("amount", "changed"),
    [(30.5, {}), (0, {}), (20.5, {"currency": "USD"}), (20.5, {"effectiveDate": "2026-12-02"})],
)
def test_a_payment_that_fits_nothing_is_refused(amount: float, changed: dict[str, Any]) -> None:
    world = World()

    answer = pay(world, amount, **changed)

    assert answer.status == 400
    assert world.tenant.ledger.payments == {}


def test_a_payment_in_error_pays_nothing() -> None:
    world = World()
    world.do("payment_method", id=world.ids["pm"], declines="Lost card")

    answer = pay(world, 20.5)

    assert (answer.status, answer.body["status"], answer.body["gatewayResponse"]) == (200, "Error", "Lost card")
    assert invoice_of(world)["balance"] == 20.5


def test_a_gateway_refuses_an_order_id_that_was_paid() -> None:
    world = World()

    first, second = (pay(world, 5, gatewayOrderId="2L80V1J7K3C0") for _ in range(2))

    assert (first.status, second.status) == (200, 500)
    assert invoice_of(world)["balance"] == 15.5


def test_payments_are_listed_by_their_account_with_their_order_id() -> None:
    world = World()
    pay(world, 5, gatewayOrderId="2L80V1J7K3C0")
    account = world.tenant.accounts["A00000007"].id

    listed = world.ask("GET", f"/v1/payments?accountId={account}")["payments"]
    of_others = world.ask("GET", "/v1/payments?accountId=0")["payments"]

    assert [each["gatewayOrderId"] for each in listed] == ["2L80V1J7K3C0"]
    assert of_others == []


@pytest.mark.parametrize("number", ["CM-2J50V1J7K3C0", "with space", "x" * 33])
def test_a_memo_number_is_used_once_and_is_of_letters_and_digits(number: str) -> None:
    world = World()
    body = {
        "accountNumber": "A00000007",
        "currency": "GBP",
        "effectiveDate": "2026-12-01",
        "autoPost": True,
        "charges": [{"productRatePlanChargeId": world.ids["chC"], "amount": 5}],
    }
    world.ask("POST", "/v1/credit-memos", {**body, "number": "CM-2J50V1J7K3C0"})

    assert world.request("POST", "/v1/credit-memos", {**body, "number": number}).status == 400


def test_no_more_is_refunded_than_the_memo_has_left() -> None:
    world = World()
    body = {
        "accountNumber": "A00000007",
        "currency": "GBP",
        "autoPost": True,
        "charges": [{"productRatePlanChargeId": world.ids["chC"], "amount": 5}],
    }
    memo = world.ask("POST", "/v1/credit-memos", body)["number"]
    refund = {"type": "Electronic", "totalAmount": 5}
    world.ask("POST", f"/v1/credit-memos/{memo}/refund", refund)

    assert world.request("POST", f"/v1/credit-memos/{memo}/refund", refund).status == 400
    assert world.tenant.ledger.sums()["Refund GBP"] == "5"


def test_a_debit_memo_that_is_written_off_has_nothing_left_to_pay() -> None:
    world = World()
    charge = {"productRatePlanChargeId": world.ids["chG"], "amount": 5}
    memo = {"accountNumber": "A00000007", "number": "DM-2", "currency": "GBP", "autoPost": True, "charges": [charge]}
    world.ask("POST", "/v1/debit-memos", memo)

    world.ask("PUT", "/v1/debit-memos/DM-2/write-off", {"memoDate": "2026-12-01"})

    again = world.request("PUT", "/v1/debit-memos/DM-2/write-off", {"memoDate": "2026-12-01"})
    assert world.ask("GET", "/v1/debit-memos/DM-2")["balance"] == 0
    assert again.status == 400


def test_a_payment_method_is_not_taken_from_another_account() -> None:
    world = World()
    world.do("create_account", number="A9", currency="GBP", first_name="Grace", last_name="Hopper")

    answer = world.request("PUT", f"/v1/payment-methods/{world.ids['pm']}", {"accountKey": "A9"})

    assert answer.status == 400
    assert world.tenant.payment_methods.need(world.ids["pm"]).account == "A00000007"


def test_credit_is_given_once_by_the_day_and_with_the_discount() -> None:
    world = World()
    world.do("add_product", key=NUMBER, name="Half", product="Discounts", percent="50", on="2026-11-16")
    before = world.tenant.subscriptions[NUMBER].latest
    after, _ = cancel(before, Fields({"on": "2026-12-01"}, today=date(2026, 12, 1)))

    given = [str(each.amount) for each in credits(before, after)]
    again = list(credits(before, credited(before, after)))

    # 15 of 30 days of 17.50 and of 3.00, each half off: -8.75 + 4.38 and -1.50 + 0.75.
    assert given == ["-8.75", "4.38", "-1.50", "0.75"]
    assert again == []


def test_a_cancellation_by_terms_happens_on_its_day() -> None:
    world = World()
    terms = {"type": "TermsAndConditions", "termsAndConditions": {"scheduledCancelDate": "2026-12-20"}}
    body = {
        "orderDate": "2026-12-01",
        "existingAccountNumber": "A00000007",
        "subscriptions": [{"subscriptionNumber": NUMBER, "orderActions": [terms]}],
    }
    world.ask("POST", "/v1/orders", body)
    before = world.ask("GET", f"/v1/subscriptions/{NUMBER}")

    world.do("advance", to="2026-12-20")

    after = world.ask("GET", f"/v1/subscriptions/{NUMBER}")
    assert (before["status"], before["scheduledCancelDate"]) == ("Active", "2026-12-20")
    assert (after["status"], after["termEndDate"]) == ("Cancelled", "2026-12-20")


def test_a_pending_subscription_begins_when_an_agent_says_so() -> None:
    world = World(subscribed=False)
    body = {
        "orderDate": "2026-12-01",
        "existingAccountNumber": "A00000007",
        "orderNumber": "O-pending",
        "subscriptions": [
            {
                "orderActions": [
                    {
                        "type": "CreateSubscription",
                        "triggerDates": [{"name": "ContractEffective", "triggerDate": "2026-12-01"}],
                        "createSubscription": {
                            "subscriptionNumber": NUMBER,
                            "terms": {"initialTerm": {"termType": "EVERGREEN"}},
                            "subscribeToRatePlans": [{"productRatePlanId": world.ids["rpM"]}],
                        },
                    }
                ]
            }
        ],
    }
    pending = world.ask("POST", "/v1/orders", body)["subscriptions"][0]["status"]

    world.do("activate", key=NUMBER)

    assert pending == "Pending Activation"
    assert world.ask("GET", f"/v1/subscriptions/{NUMBER}")["status"] == "Active"
    assert world.ask("GET", "/v1/orders/O-pending")["order"]["status"] == "Completed"
