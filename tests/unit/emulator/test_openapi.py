"""The emulator's answers against Zuora's OpenAPI file and samples: every deviation is in docs/emulator.md."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.order_bodies.bodies import fill, read_examples
from tests.order_bodies.world import NUMBER, TODAY, World
from tests.zuora_openapi.extract import OPERATIONS
from tests.zuora_openapi.validating import find_deviations, find_places
from zuora_emulator import seeds, zoql
from zuora_emulator.emulator import Emulator
from zuora_emulator.messages import Request
from zuora_emulator.zuora_api import CLIENT_ID, CLIENT_SECRET

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "emulator.md"

#: Which shape an operation answers, and where in the answer it stands.
SHAPES = {
    "POST /oauth/token": ("token", ""),
    "GET /v1/subscriptions/{subscription-key}": ("subscription", ""),
    "GET /v1/subscriptions/{subscription-key}/versions/{version}": ("subscription", ""),
    "GET /v1/subscriptions/accounts/{account-key}": ("subscription", "subscriptions[]."),
    "GET /v1/accounts/{account-key}": ("account", ""),
    "POST /v1/accounts": ("created account", ""),
    "PUT /v1/accounts/{account-key}": ("success", ""),
    "GET /v1/contacts/{contactId}": ("contact", ""),
    "POST /v1/contacts": ("contact", ""),
    "PUT /v1/contacts/{contactId}": ("contact", ""),
    "GET /v1/orders/{orderNumber}": ("order", "order."),
    "GET /v1/orders/subscription/{subscriptionNumber}": ("order", "orders[]."),
    "GET /v1/orders": ("order", "orders[]."),
    "GET /v1/orders/invoiceOwner/{accountNumber}": ("order", "orders[]."),
    "POST /v1/orders": ("placed order", ""),
    "POST /v1/orders/preview": ("order preview", ""),
    "DELETE /v1/orders/{orderNumber}": ("success", ""),
    "PUT /v1/orders/{orderNumber}/customFields": ("success", ""),
    "PUT /v1/subscriptions/{subscriptionNumber}/customFields": ("success", ""),
    "GET /v1/catalog/products": ("product", "products[]."),
    "GET /v1/catalog/products/{product-key}": ("product", ""),
    "GET /v1/products/{product-key}/product-rate-plans": ("product rate plan", "productRatePlans[]."),
    "GET /v1/product-rate-plans/{id}": ("product rate plan", ""),
    "GET /object-query/product-rate-plans": ("queried rate plan", "data[]."),
    "GET /object-query/product-rate-plans/{key}": ("queried rate plan", ""),
    "GET /v1/paymentgateways": ("payment gateway", "paymentgateways[]."),
    "GET /v1/payment-methods/{payment-method-id}": ("payment method", ""),
    "PUT /v1/payment-methods/{payment-method-id}": ("success", ""),
    "GET /v1/accounts/{account-key}/payment-methods": ("payment methods", ""),
    "PUT /v1/payment-profile": ("success", ""),
    "POST /v1/credit-memos": ("credit memo", ""),
    "GET /v1/credit-memos/{creditMemoKey}": ("credit memo", ""),
    "POST /v1/credit-memos/{creditMemoKey}/refund": ("refund", ""),
    "POST /v1/debit-memos": ("debit memo", ""),
    "GET /v1/debit-memos/{debitMemoKey}": ("debit memo", ""),
    "POST /v1/debit-memos/{debitMemoKey}/collect": ("collected memo", ""),
    "PUT /v1/debit-memos/{debitMemoKey}/write-off": ("written off", ""),
    "POST /v1/payments": ("payment", ""),
    "GET /v1/payments": ("payment", "payments[]."),
    "GET /v1/payments/{paymentKey}": ("payment", ""),
    "GET /v1/refunds": ("refund", "refunds[]."),
    "GET /v1/refunds/{refundKey}": ("refund", ""),
    "GET /v1/invoices/{invoiceKey}": ("invoice", ""),
    "GET /v1/invoices/{invoiceKey}/items": ("invoice items", "invoiceItems[]."),
    "GET /v1/invoices/{invoiceKey}/files": ("invoice files", "invoiceFiles[]."),
    "GET /object-query/invoices": ("queried invoice", "data[]."),
    "GET /object-query/invoices/{key}": ("queried invoice", ""),
    "GET /v1/billing-documents": ("billing document", "documents[]."),
    "POST /v1/operations/billing-preview": ("billing preview", ""),
    "GET /object-query/subscriptions": ("queried subscription", "data[]."),
    "GET /object-query/subscriptions/{key}": ("queried subscription", ""),
    "GET /object-query/accounts": ("queried account", "data[]."),
    "GET /object-query/accounts/{key}": ("queried account", ""),
    "GET /object-query/contacts": ("queried contact", "data[]."),
    "GET /object-query/contacts/{key}": ("queried contact", ""),
    "POST /v1/action/query": ("ZOQL", ""),
    "POST /v1/action/queryMore": ("ZOQL", ""),
    "GET /v1/notification-history/callout": ("callout history", ""),
    "GET /events/event-triggers": ("event trigger", "data[]."),
    "POST /events/event-triggers": ("event trigger", ""),
    "GET /events/event-triggers/{id}": ("event trigger", ""),
    "PUT /events/event-triggers/{id}": ("event trigger", ""),
    "GET /notifications/callout-templates": ("callout template", "data[]."),
    "POST /notifications/callout-templates": ("callout template", ""),
    "GET /notifications/callout-templates/{id}": ("callout template", ""),
    "PUT /notifications/callout-templates/{id}": ("callout template", ""),
    "GET /notifications/notification-definitions": ("notification definition", "data[]."),
    "POST /notifications/notification-definitions": ("notification definition", ""),
    "GET /notifications/notification-definitions/{id}": ("notification definition", ""),
    "PUT /notifications/notification-definitions/{id}": ("notification definition", ""),
}
#: The documented answers, and the recorded one, in tests/zuora_payloads.
SAMPLES = {
    "token": "POST /oauth/token",
    "subscription": "GET /v1/subscriptions/{subscription-key}",
    "subscription_recorded": "GET /v1/subscriptions/{subscription-key}",
    "subscription_one_time_tiered": "GET /v1/subscriptions/{subscription-key}/versions/{version}",
    "subscriptions_of_account": "GET /v1/subscriptions/accounts/{account-key}",
    "account": "GET /v1/accounts/{account-key}",
    "contact": "GET /v1/contacts/{contactId}",
    "order": "GET /v1/orders/{orderNumber}",
    "orders_of_subscription": "GET /v1/orders/subscription/{subscriptionNumber}",
    "billing_preview": "POST /v1/operations/billing-preview",
    "object_query_subscriptions": "GET /object-query/subscriptions",
    "object_query_accounts": "GET /object-query/accounts",
    "object_query_contacts": "GET /object-query/contacts",
    "placed_order": "POST /v1/orders",
    "order_preview": "POST /v1/orders/preview",
    "billing_documents": "GET /v1/billing-documents",
    "query_more": "POST /v1/action/queryMore",
}
#: A shape, a place in it, and what is otherwise there; `left out` is what a sample has and the emulator never says.
Finding = tuple[str, str, str]


@dataclass
class Seen:
    """Deviations of answers, and all fields that they had, by shape."""

    deviations: set[Finding] = field(default_factory=set)
    places: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, operation: str, answer: Any) -> None:
        shape, prefix = SHAPES[operation]
        for place, kind in find_deviations(operation, answer):
            self.deviations.add((shape, place.removeprefix(prefix), kind))
        self.places[shape].update(place.removeprefix(prefix) for place in find_places(answer))


class Caller:
    """Signs in to an emulator that runs in this process, and keeps what its answers show."""

    def __init__(self, beside: Caller | None = None) -> None:
        self.emulator = Emulator(today=TODAY)
        self.seen, self.asked = (beside.seen, beside.asked) if beside else (Seen(), set[str]())
        form = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "grant_type": "client_credentials"}
        token = self.send("POST /oauth/token", body=urlencode(form).encode())
        self.headers = {"authorization": f"Bearer {token['access_token']}", "zuora-version": "2025-08-12"}

    def ask(self, operation: str, *keys: str, query: str = "", **body: Any) -> Any:
        """The answer to an operation; `keys` go where its path has names in braces."""
        return self.send(operation, *keys, query=query, body=json.dumps(body).encode() if body else b"")

    def send(self, operation: str, *keys: str, query: str = "", body: bytes) -> Any:
        method, path = operation.split(" ")
        for key in keys:
            path = re.sub(r"\{[\w-]+\}", key, path, count=1)
        headers = getattr(self, "headers", {})
        answer = self.emulator.answer(Request(method, path, query, headers, body))
        assert answer.status == 200, (operation, keys, answer.body)
        shape = json.loads(answer.encode())
        self.asked.add(operation)
        self.seen.add(operation, shape)
        return shape

    def tell(self, method: str, path: str, body: Any) -> Any:
        """The answer to a request whose path has its keys already."""
        shapes = {each: re.sub(r"\{[\w-]+\}", "[^/]+", each) for each in SHAPES}
        operation = next(each for each, shape in shapes.items() if re.fullmatch(shape, f"{method} {path}"))
        keys = [part for piece, part in zip(operation.split("/"), path.split("/"), strict=True) if piece[:1] == "{"]
        return self.send(operation, *keys, body=json.dumps(body).encode())

    def do(self, action: str, **values: Any) -> Any:
        return self.emulator.actions.do(action, values)


def live(caller: Caller) -> None:
    """The demo's customers, and what else may happen to a subscription."""
    seeds.fill(caller.emulator.tenant)
    caller.do("create_account", number="A1", first_name="Ada", last_name="Byron", city="London", country="Norway")
    seats = {"name": "Seats", "price": "3", "model": "PerUnit", "quantity": "4", "unit": "Seat"}
    for number, plan in {
        "S-usage": {"name": "Calls", "type": "Usage", "price": "0.1"},
        "S-weeks": {"name": "Weekly", "price": "2", "billing_period": "Specific_Weeks", "every": "2"},
        "S-fixed": {"name": "Off", "amount": "3"},
        "S-evergreen": {"name": "On and on", "price": "7", "evergreen": True},
        "S-seats": seats,
        "S-tiers": {"name": "Licences", "model": "Tiered", "tiers": "5:3.00, 2.50", "quantity": "8"},
    }.items():
        caller.do("create_subscription", account="A1", number=number, **plan)
    for number, action, values in (
        ("S-seats", "change_price", {"quantity": "6", "on": "2027-01-20"}),
        ("S-seats", "change_terms", {"auto_renew": False, "notes": "agreed on the phone"}),
        ("S-weeks", "suspend", {"on": "2026-12-01"}),
        ("S-weeks", "resume", {"on": "2027-01-01", "extend_term": True}),
        ("S-evergreen", "cancel", {"on": "2027-02-20", "reason": "Too dear"}),
        ("S-fixed", "transfer_owner", {"account": "A00000001"}),
        ("S-usage", "renew", {}),
    ):
        caller.do(action, key=number, **values)


#: The examples that can follow one another in one tenant: sales, changes and money, in this order.
STORY = (
    *("E11", "E14a", "E13", "E14b", "E16", "E6a", "E6b", "E6c", "E17a", "E17b", "E24"),
    *("E19a", "E19b", "E20a", "E20b", "E20d", "E21", "E23"),
)


def order(caller: Caller) -> None:
    """A catalog, and orders, memos and payments of every kind, as Limio's orders make them."""
    world = World(caller.emulator)
    gifts = {**world.ids, "pm": world.do("payment_method")["id"], "debitMemoKey": "DM-2AG0V1J7K3C0"}
    for name in STORY:
        example = next(each for each in read_examples() if each.id == name)
        example = fill(example, gifts if name.startswith("E6") else world.ids)
        if name == "E14b":
            caller.ask("DELETE /v1/orders/{orderNumber}", "2G20V1J7K3C0")
        caller.tell(example.method, example.path, example.body)
        world.ids["creditMemoKey"] = "CM-2J50V1J7K3C0"
    profile = {"subscriptionId": world.tenant.subscriptions[NUMBER].latest.id, "paymentMethodId": world.ids["pm"]}
    caller.ask("PUT /v1/payment-profile", bulkPaymentOptionItems=[profile])
    caller.ask("PUT /v1/orders/{orderNumber}/customFields", "2G20V1J7K3C0", customFields={"Source__c": "shop"})
    pay_invoice(caller, world)
    charge = {"productRatePlanChargeId": world.ids["chG"], "amount": 5}
    memo = {"accountNumber": "A00000007", "number": "DM-2", "autoPost": True, "charges": [charge]}
    caller.ask("POST /v1/debit-memos", **memo)
    caller.ask("PUT /v1/debit-memos/{debitMemoKey}/write-off", "DM-2", memoDate=str(TODAY))
    for kind, key in (("credit", "CM-2J50V1J7K3C0"), ("debit", "DM-2AG0V1J7K3C0")):
        caller.ask(f"GET /v1/{kind}-memos/{{{kind}MemoKey}}", key)
    product = next(iter(world.tenant.catalog.products))
    for place in ("GET /v1/catalog/products/{product-key}", "GET /v1/products/{product-key}/product-rate-plans"):
        caller.ask(place, product)
    caller.ask("GET /v1/product-rate-plans/{id}", world.ids["rpM"])
    caller.ask("GET /object-query/product-rate-plans/{key}", world.ids["rpM"])
    expand = "product,productrateplancharges,productrateplancharges.productrateplanchargetiers"
    caller.ask("GET /object-query/product-rate-plans", query=f"expand[]={expand}")
    for place in ("catalog/products", "paymentgateways", "orders", "payments", "refunds"):
        caller.ask(f"GET /v1/{place}")
    caller.ask("GET /v1/orders/invoiceOwner/{accountNumber}", "A00000007")
    caller.ask("GET /v1/accounts/{account-key}/payment-methods", "A00000007")
    caller.ask("GET /v1/payment-methods/{payment-method-id}", world.ids["pm"])
    caller.ask("GET /v1/billing-documents", query="accountNumber=A00000007")


def pay_invoice(caller: Caller, world: World) -> None:
    """An invoice that an order made without collecting it, paid by a payment of its own."""
    plan = {"productRatePlanId": world.ids["rpS"]}
    terms = {"initialTerm": {"termType": "TERMED", "period": 1, "periodType": "Month"}}
    created = {"type": "CreateSubscription", "createSubscription": {"terms": terms, "subscribeToRatePlans": [plan]}}
    placed = caller.ask(
        "POST /v1/orders",
        query="returnIds=true",
        orderDate=TODAY.isoformat(),
        existingAccountNumber="A00000007",
        processingOptions={"runBilling": True},
        subscriptions=[{"orderActions": [created]}],
    )
    invoice = placed["invoiceIds"][0]
    payment = caller.ask(
        "POST /v1/payments",
        accountNumber="A00000007",
        type="Electronic",
        amount=15,
        currency="GBP",
        invoices=[{"invoiceId": invoice, "amount": 15}],
    )
    caller.ask("GET /v1/payments/{paymentKey}", payment["id"])
    caller.ask("GET /v1/refunds/{refundKey}", "R-00000001")
    caller.ask("GET /object-query/invoices")
    caller.ask("GET /object-query/invoices/{key}", invoice)
    for part in ("", "/items", "/files"):
        caller.ask(f"GET /v1/invoices/{{invoiceKey}}{part}", invoice)


def ask_all(caller: Caller) -> None:
    """Every operation, of everything there is."""
    tenant = caller.emulator.tenant
    for number, of in tenant.subscriptions.items():
        for detail in ("all-segments", "last-segment", "current-segment"):
            caller.ask("GET /v1/subscriptions/{subscription-key}", number, query=f"charge-detail={detail}")
        caller.ask("GET /v1/subscriptions/{subscription-key}/versions/{version}", number, "1")
        caller.ask("GET /v1/orders/subscription/{subscriptionNumber}", number)
        caller.ask("GET /object-query/subscriptions/{key}", of.latest.id)
    for number in tenant.orders:
        caller.ask("GET /v1/orders/{orderNumber}", number)
    for number, account in tenant.accounts.items():
        caller.ask("GET /v1/accounts/{account-key}", number)
        caller.ask("GET /v1/subscriptions/accounts/{account-key}", number, query="pageSize=1")
        caller.ask("GET /v1/contacts/{contactId}", str(account.bill_to))
        caller.ask("GET /object-query/accounts/{key}", account.id)
        caller.ask("GET /object-query/contacts/{key}", str(account.bill_to))
        asked = {"accountId": account.id, "targetDate": "2028-01-15", "includingEvergreenSubscription": True}
        caller.ask("POST /v1/operations/billing-preview", **asked)
    for kind in ("subscriptions", "accounts", "contacts"):
        caller.ask(f"GET /object-query/{kind}", query="pageSize=5")
    caller.ask("POST /v1/action/query", queryString="select Id, Name, TermEndDate from Subscription")
    caller.ask("POST /v1/action/queryMore", queryLocator=f"{b'select Id from Account'.hex()}-0")
    provision(caller)
    caller.ask("GET /v1/notification-history/callout")


def provision(caller: Caller) -> None:
    """An event of the tenant's own, a template and a definition: made, listed, read and changed."""
    event = {"name": "Renamed", "displayName": "Renamed", "description": "A name changed"}
    path, condition = "events/event-triggers", "changeType == 'UPDATE'"
    _make(caller, path, {"baseObject": "Account", "condition": condition, "eventType": event, "active": True})
    template = {
        "name": "Tell",
        "eventTypeName": "Renamed",
        "calloutBaseurl": "https://sync.example.com/",
        "httpMethod": "POST",
        "requiredAuth": True,
        "calloutAuth": {"username": "zuora", "password": "secret", "preemptive": True},
        "calloutParams": {"number": "{{Account.AccountNumber}}"},
    }
    made = _make(caller, "notifications/callout-templates", template)
    definition = {"name": "Tell us", "eventTypeName": "Renamed", "calloutActive": True, "calloutTemplateIds": [made]}
    _make(caller, "notifications/notification-definitions", definition)


def _make(caller: Caller, path: str, row: dict[str, Any]) -> str:
    made: str = caller.ask(f"POST /{path}", **row)["id"]
    caller.ask(f"GET /{path}")
    caller.ask(f"GET /{path}/{{id}}", made)
    caller.ask(f"PUT /{path}/{{id}}", made, **row)
    return made


@cache
def emulated() -> Caller:
    caller = Caller()
    live(caller)
    order(Caller(beside=caller))
    # No server listens there: the history has an attempt that failed.
    caller.emulator.callouts.send("OrderProcessed", "1", "http://127.0.0.1:9/", b"{}", caller.emulator.tenant.now())
    assert caller.emulator.callouts.wait_until_idle(10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zoql, "_PAGE", 5)
        ask_all(caller)
    caller.emulator.stop()
    return caller


@cache
def documented() -> Seen:
    seen = Seen()
    for name, operation in SAMPLES.items():
        path = ROOT / "tests" / "zuora_payloads" / f"{name}.json"
        seen.add(operation, json.loads(path.read_text(encoding="utf-8")))
    return seen


def left_out() -> set[Finding]:
    """What samples have and no answer of the emulator has; of what is missing whole, only its own name."""
    findings = set()
    for shape, every in documented().places.items():
        shown, places = emulated().seen.places[shape], {each for each in every if "__" not in each}
        for place in places:
            steps = place.split(".")
            above = [".".join(steps[: length + 1]).removesuffix("[]") for length in range(len(steps))]
            top = next((each for each in above if not _is_shown(each, places, shown)), None)
            if top is not None:
                findings.add((shape, top, "left out"))
    return findings


def _is_shown(place: str, sampled: set[str], shown: set[str]) -> bool:
    """Whether a field is there, and of an object or a list that a sample fills something inside."""
    inside = (f"{place}.", f"{place}[")
    filled = any(each.startswith(inside) for each in sampled)
    return any(each.startswith(inside) for each in shown) if filled else place in shown


def listed() -> Iterator[Finding]:
    """The table of the page: shape, where in it, fields, what is otherwise, why."""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]
        if len(cells) == 5 and cells[2].startswith("`"):
            where = cells[1].strip("`")
            for name in re.findall(r"`([^`]+)`", cells[2]):
                yield (cells[0], f"{where}.{name}" if where else name, cells[3])


def test_every_operation_was_asked() -> None:
    assert emulated().asked == set(OPERATIONS) == set(SHAPES)


def test_the_page_lists_every_deviation_from_zuoras_openapi_file_that_no_sample_shows_and_none_that_is_gone() -> None:
    found = (emulated().seen.deviations - documented().deviations) | left_out()

    assert sorted(found - set(listed())) == []
    assert sorted(set(listed()) - found) == []


def test_no_deviation_is_listed_twice() -> None:
    rows = list(listed())

    assert len(rows) == len(set(rows)) > 0


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"termEndDate": "20 November 2026"}, "format"),
        ({"version": "one"}, "type"),
        ({"subscriptionNumbr": "A-S1"}, "unknown"),
        ({"ratePlans": None}, "null"),
    ],
)
def test_what_is_not_as_the_file_has_it_is_found(change: dict[str, Any], kind: str) -> None:
    found = find_deviations("GET /v1/subscriptions/{subscription-key}", {"success": True, **change})

    assert found == {(next(iter(change)), kind)}
