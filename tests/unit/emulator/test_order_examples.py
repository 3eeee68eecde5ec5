"""The emulator takes every request that an order of Limio's may become, from the state that the example starts from."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from tests.order_bodies.bodies import Example, fill, read_examples
from zuora_emulator.emulator import Emulator
from zuora_emulator.messages import Request

TODAY = date(2026, 12, 1)
NUMBER = "39IEQEBLLT60"
#: The catalog that the examples speak of: product, plan and what its one charge is.
CATALOG: dict[str, dict[str, Any]] = {
    "M": {"product": "Digital", "plan": "Monthly", "price": "12"},
    "A": {"product": "Digital", "plan": "Annual", "price": "100", "billing_period": "Annual"},
    "S": {"product": "Seats", "plan": "Per seat", "price": "15", "model": "PerUnit", "unit": "Seat"},
    "U": {"product": "Add-ons", "plan": "Audio", "price": "3"},
    "D": {"product": "Discounts", "plan": "Save", "percent": "0"},
    "G": {"product": "Gifts", "plan": "Annual gift", "price": "120", "billing_period": "Annual"},
    "C": {"product": "Service", "plan": "Goodwill", "price": "0", "type": "OneTime"},
}
#: Those that sell to somebody new: there is no subscription yet.
NEW = ("E1", "E2", "E3", "E4", "E5", "E7")


class World:
    """A tenant in which an example can happen."""

    def __init__(self, *, seats: bool = False, subscribed: bool = True) -> None:
        self.emulator = Emulator(today=TODAY, time_zone="Europe/London")
        self.tenant = self.emulator.tenant
        self.ids: dict[str, str] = {"subscriptionNumber": NUMBER, "account-key": "A00000007"}
        for name, said in CATALOG.items():
            made = self.do("product", **said)
            self.ids |= {f"rp{name}": made["plan"], f"ch{name}": made["charge"]}
        self.ids["gw"] = self.tenant.payment_methods.gateways[0].id
        person = {"first_name": "Ada", "last_name": "Lovelace", "personal_email": "ada@example.com", "country": "GB"}
        self.do("create_account", number="A00000007", currency="GBP", **person)
        self.ids["pm"] = self.do("payment_method")["id"]
        self.ids["contact"] = self.ids["contactId"] = str(self.tenant.accounts["A00000007"].bill_to)
        self.ids["payment-method-id"] = self.ids["pm"]
        if subscribed:
            self._subscribe(seats)

    def do(self, action: str, **values: Any) -> Any:
        return self.emulator.actions.do(action, values)

    def _subscribe(self, seats: bool) -> None:
        """As of the examples: monthly, charged through 16 December, with an add-on, until March."""
        plan = {"price": "15", "model": "PerUnit", "quantity": "5", "unit": "Seat"} if seats else {"price": "17.50"}
        start = {"start": "2026-11-16", "term_end": "2027-03-01"}
        self.do("create_subscription", account="A00000007", number=NUMBER, start=start["start"], name="Monthly", **plan)
        self.do("change_terms", key=NUMBER, term_end=start["term_end"])
        self.do("add_product", key=NUMBER, name="Audio", product="Add-ons", price="3", on=start["start"])
        self.do("bill_run", key=NUMBER)
        self.ids["subV"] = self.tenant.subscriptions[NUMBER].latest.id
        self.own_the_method()

    def own_the_method(self) -> None:
        self.do("payment_method", id=self.ids["pm"], account="A00000007", default=True)

    def send(self, example: Example) -> dict[str, Any]:
        """Send an example as it is; the answer, which must be good."""
        filled = fill(example, self.ids)
        return self.ask(filled.method, filled.path, filled.body)

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        token = self.emulator.api.access.tokens.setdefault("token", 1e12)
        assert token
        headers = {"authorization": "Bearer token", "zuora-version": "2025-08-12"}
        answer = self.emulator.answer(Request(method, path, "", headers, json.dumps(body).encode() if body else b""))
        shown: dict[str, Any] = json.loads(answer.encode())
        assert (answer.status, shown.get("success")) == (200, True), shown
        return shown


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
