"""The emulator takes every request that an order of Limio's may become, from the state that the example starts from."""

from __future__ import annotations

import json

import pytest

from tests.order_bodies.bodies import read_examples
from tests.order_bodies.world import NUMBER, World

EXAMPLES = {each.id: each for each in read_examples()}


@pytest.fixture(params=["E1", "E2", "E3", "E4", "E5", "E7"])
def sale(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_there_are_32_examples() -> None:
    assert len(EXAMPLES) == 32


def test_a_sale_makes_the_subscription_that_the_order_names(sale: str) -> None:
    world = World(subscribed=False)
    if sale == "E3":
        world.own_the_method()

    answer = world.send(EXAMPLES[sale])

    number = answer["subscriptions"][0]["subscriptionNumber"]
    body = EXAMPLES[sale].body
    created = body["subscriptions"][0]["orderActions"][0]["createSubscription"]
    shown = world.ask("GET", f"/v1/subscriptions/{number}")
    assert answer["orderNumber"] == shown["orderNumber"] == body["orderNumber"]
    assert number == created["subscriptionNumber"]
    assert shown["status"] == ("Pending Activation" if sale == "E5" else "Active")
    assert answer["status"] == ("Pending" if sale == "E5" else "Completed")
    assert len(shown["ratePlans"]) == len(created["subscribeToRatePlans"])


@pytest.mark.parametrize(("sale_that_collects", "amount"), [("E1", "17.50"), ("E3", "17.50")])
def test_a_sale_that_collects_is_paid(sale_that_collects: str, amount: str) -> None:
    world = World(subscribed=False)
    if sale_that_collects == "E3":
        world.own_the_method()

    answer = world.send(EXAMPLES[sale_that_collects])

    payment = world.ask("GET", f"/v1/payments/{answer['paymentNumber']}")
    invoice = world.ask("GET", f"/v1/invoices/{answer['invoiceNumbers'][0]}")
    assert answer["paidAmount"] == amount
    assert (payment["status"], payment["amount"]) == ("Processed", float(amount))
    assert (invoice["amount"], invoice["balance"]) == (float(amount), 0)


@pytest.mark.parametrize("change", ["E8", "E9", "E10", "E11", "E12", "E13", "E14b", "E15", "E18"])
def test_a_change_makes_the_next_version_of_the_subscription(change: str) -> None:
    world = World(seats=change == "E18")
    before = world.tenant.subscriptions[NUMBER].latest.version

    answer = world.send(EXAMPLES[change])

    order = world.ask("GET", f"/v1/orders/{answer['orderNumber']}")["order"]
    part = order["subscriptions"][0]
    wanted = [each["type"] for each in EXAMPLES[change].body["subscriptions"][0]["orderActions"]]
    assert (part["baseVersion"], part["newVersion"]) == (before, before + 1)
    assert [each["type"] for each in part["orderActions"]] == wanted
    assert order["customFields"]["Source__c"] == "shop"


def test_a_switch_ends_one_plan_begins_the_other_and_restarts_the_term() -> None:
    world = World()

    answer = world.send(EXAMPLES["E8"])

    shown = world.ask("GET", f"/v1/subscriptions/{NUMBER}")
    ends = {plan["ratePlanName"]: plan["ratePlanCharges"][0]["effectiveEndDate"] for plan in shown["ratePlans"]}
    assert ends == {"Monthly": "2026-12-01", "Audio": "2027-12-01", "Annual": "2027-12-01"}
    assert (shown["termStartDate"], shown["termEndDate"]) == ("2026-12-01", "2027-12-01")
    # 100 for the year less the 15 of 30 days for which 17.50 was paid: 8.75.
    assert answer["paidAmount"] == "91.25"


def test_a_cancel_gives_back_what_was_paid_for_the_days_to_come() -> None:
    world = World()
    preview = world.send(EXAMPLES["E14a"])["previewResult"]["invoices"]

    answer = world.send(EXAMPLES["E14b"])

    memo = world.ask("GET", f"/v1/credit-memos/{answer['creditMemoNumbers'][0]}")
    # 15 of 30 days of 17.50 and of 3.00.
    assert [each["amount"] for each in preview] == [-10.25]
    assert answer["refunds"] == [{"status": "Success", "number": "R-00000001", "refundInvoiceNumbers": []}]
    assert (memo["amount"], memo["refundAmount"], memo["unappliedAmount"]) == (10.25, 8.47, 1.78)
    assert world.ask("GET", f"/v1/subscriptions/{NUMBER}")["status"] == "Cancelled"


def test_a_renewal_of_a_lapsed_subscription_is_a_new_one_on_its_account() -> None:
    world = World()

    answer = world.send(EXAMPLES["E16"])

    owner = {each["subscriptionNumber"]: each["subscriptionOwnerNumber"] for each in answer["subscriptions"]}
    assert owner == {"3E2EQEBLLT60": "A00000007"}


def test_a_gift_is_an_account_a_debit_memo_and_its_payment() -> None:
    world = World(subscribed=False)

    world.send(EXAMPLES["E6a"])
    memo = world.send(EXAMPLES["E6b"])
    world.ids["debitMemoKey"] = memo["number"]
    collected = world.send(EXAMPLES["E6c"])

    after = world.ask("GET", f"/v1/debit-memos/{memo['number']}")
    assert (memo["amount"], memo["balance"], after["balance"]) == (120, 120, 0)
    assert collected["processedPayment"]["status"] == "Processed"
    assert after["GiftCode__c"] == "7QK2M9X4"


def test_a_refund_is_a_credit_memo_and_money_back() -> None:
    world = World()

    memo = world.send(EXAMPLES["E17a"])
    world.ids["creditMemoKey"] = memo["number"]
    refund = world.send(EXAMPLES["E17b"])

    assert (refund["status"], refund["amount"]) == ("Processed", 5)
    assert world.ask("GET", f"/v1/credit-memos/{memo['number']}")["unappliedAmount"] == 0


def test_a_credit_memo_waits_for_the_next_invoice() -> None:
    world = World()

    memo = world.send(EXAMPLES["E24"])

    assert (memo["amount"], memo["reasonCode"], memo["excludeFromAutoApplyRules"]) == (12, "Service outage", False)


def test_a_new_address_is_a_contact_to_which_the_account_points() -> None:
    world = World()

    contact = world.send(EXAMPLES["E19a"])
    world.ids["contact"] = contact["id"]
    world.send(EXAMPLES["E19b"])

    shown = world.ask("GET", f"/v1/subscriptions/{NUMBER}")
    assert (shown["soldToContact"]["city"], shown["billToContact"]["city"]) == ("Leeds", None)


def test_another_payment_method_pays_from_now_on() -> None:
    world = World()
    world.do("payment_method", id=world.ids["pm"], account="-")

    for step in ("E20a", "E20b", "E20c", "E20d", "E21"):
        world.send(EXAMPLES[step])

    paying = world.ask("GET", "/v1/accounts/A00000007")["billingAndPayment"]
    assert (paying["defaultPaymentMethodId"], paying["paymentGateway"]) == (world.ids["pm"], "CreditCard_UK")
    assert world.ask("GET", f"/v1/subscriptions/{NUMBER}")["PaymentGateway__c"] == "CreditCard_UK"


def test_an_invoice_is_paid_once() -> None:
    world = World(subscribed=False)
    world.own_the_method()
    unpaid = json.loads(json.dumps(EXAMPLES["E3"].body))
    unpaid["processingOptions"] = {"runBilling": True, "billingOptions": {"targetDate": "2026-12-01"}}
    made = world.send(EXAMPLES["E3"]._replace(body=unpaid))
    world.ids["inv"] = world.ask("GET", f"/v1/invoices/{made['invoiceNumbers'][0]}")["id"]

    payment = world.send(EXAMPLES["E22"])

    assert (payment["status"], payment["gatewayOrderId"]) == ("Processed", "2L80V1J7K3C0")
    assert world.ask("GET", f"/v1/invoices/{world.ids['inv']}")["balance"] == 0


def test_a_customer_has_another_name() -> None:
    world = World()

    world.send(EXAMPLES["E23"])

    shown = world.ask("GET", "/v1/accounts/A00000007")["billToContact"]
    assert (shown["firstName"], shown["lastName"]) == ("Ada", "King")
    assert shown["personalEmail"] == "ada.king@example.com"
