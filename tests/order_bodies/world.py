"""A tenant in which the worked examples of orders can happen, and words to ask it."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

from tests.order_bodies.bodies import Example, fill
from zuora_emulator.emulator import Emulator
from zuora_emulator.messages import Answer, Request

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


class World:
    """A tenant in which an example can happen."""

    def __init__(self, emulator: Emulator | None = None, *, seats: bool = False, subscribed: bool = True) -> None:
        self.emulator = emulator or Emulator(today=TODAY, time_zone="Europe/London")
        self.tenant = self.emulator.tenant
        self.ids: dict[str, str] = {"subscriptionNumber": NUMBER, "account-key": "A00000007"}
        for name, said in CATALOG.items():
            made = self.do("product", **said)
            self.ids |= {f"rp{name}": made["plan"], f"ch{name}": made["charge"]}
        self.ids["gw"] = self.tenant.payment_methods.gateways[0].id
        person = {"first_name": "Ada", "last_name": "Lovelace", "personal_email": "ada@example.com", "country": "GB"}
        if self.tenant.find_account("A00000007") is None:
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
        """The answer to a request, which must be good."""
        answer = self.request(method, path, body)
        shown: dict[str, Any] = json.loads(answer.encode())
        assert (answer.status, shown.get("success")) == (200, True), shown
        return shown

    def ask_query(self, path: str) -> dict[str, Any]:
        """The answer of Object Query, whose good answers do not say so."""
        answer = self.request("GET", path)
        assert answer.status == 200, answer.body
        shown: dict[str, Any] = json.loads(answer.encode())
        return shown

    def request(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Answer:
        """The answer, whatever it is."""
        self.emulator.api.access.tokens["token"] = float("inf")
        headers = {"authorization": "Bearer token", "zuora-version": "2025-08-12"}
        headers |= {"idempotency-key": key} if key else {}
        path, _, query = path.partition("?")
        content = b"" if body is None else json.dumps(body).encode()
        return self.emulator.answer(Request(method, path, query, headers, content))
