"""Limio's shop before a running service: its catalog, its customers' cards, and the orders that it sends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import requests

from sync_service.access.clients import ORDER_PREVIEW_SCOPE, ORDER_SCOPE, REFUND_SCOPE, add_client
from sync_service.store.load_lines import load_objects
from tests.acceptance.processes import wait_until
from tests.acceptance.service import Service
from zuora_emulator.shop import limio_catalog, offer_ref

#: How a service is set up whose orders move money.
SETTINGS = {
    "order_collect_payment": "on",
    "order_refund_cancelled": "on",
    "order_custom_fields": "Order.Source__c,Order.InitiatedSource__c,Subscription.CancellationReason__c,"
    "DebitMemo.GiftCode__c",
}
_FROM = {"initiated_source": "shop", "source": "shop"}
_ENDED = ("complete", "failed", "held")


class Shop:
    """Sends orders to a service; `service` runs or will."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.tenant = service.tenant
        self.tenant.do("shop")
        load_objects(service.database, [json.dumps(each) for each in limio_catalog()])
        assert service.tell("catalog", "refresh")["rate_plans"] > 0
        scopes = (ORDER_SCOPE, ORDER_PREVIEW_SCOPE, REFUND_SCOPE)
        self._client = add_client(service.database, "shop", scopes, actor="a test")
        self._people = 0
        self._token = ""

    @property
    def today(self) -> date:
        """The tenant's day: a soak may see another one begin."""
        return datetime.now(UTC).date()

    # --- what is sent ---

    def send(self, payload: Mapping[str, Any]) -> requests.Response:
        """Send an order; the answer, whatever it is."""
        with requests.Session() as http:
            http.trust_env = False
            if not self._token:
                words = {"client_id": self._client[0], "client_secret": self._client[1]}
                asked = {"grant_type": "client_credentials", **words}
                self._token = http.post(f"{self.service.url}/oauth2/token", data=asked, timeout=30).json()[
                    "access_token"
                ]
            headers = {"Authorization": f"Bearer {self._token}"}
            return http.post(f"{self.service.url}/api/order", json={**_FROM, **payload}, headers=headers, timeout=60)

    def place(self, payload: Mapping[str, Any]) -> str:
        """Send an order that must be accepted; its id."""
        answer = self.send(payload)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def complete(self, payload: Mapping[str, Any]) -> str:
        """Send an order and wait until it is complete; the number of its subscription."""
        order = self.place(payload)
        state = self.wait_until_ended(order)
        assert state == "complete", self.describe(order)
        return str(self.subscription_of(order))

    def wait_until_ended(self, order: str) -> str:
        """Wait until the order has ended; how. No backoff or pause is waited for."""

        def ended() -> bool:
            self.service.pass_time()
            return self.state_of(order) in _ENDED

        wait_until(ended, f"the order {order} ends")
        return self.state_of(order)

    # --- what became of it ---

    def state_of(self, order: str) -> str:
        """Where the order stands."""
        return str(self.service.one("SELECT state FROM order_work WHERE order_id = :id", id=order))

    def subscription_of(self, order: str) -> str:
        """The number of the order's subscription."""
        return str(self.service.one("SELECT subscription_number FROM order_work WHERE order_id = :id", id=order))

    def describe(self, order: str) -> str:
        """The order with every call, for a test that fails."""
        work = self.service.rows("SELECT state, error FROM order_work WHERE order_id = :id", id=order)
        calls = self.service.rows(
            "SELECT n, name, method, path, state, sends, error FROM order_step WHERE order_id = :id ORDER BY n",
            id=order,
        )
        return "\n".join(map(str, [*work, *calls]))

    def counts(self) -> dict[str, int]:
        """How much of everything there is in Zuora."""
        state, money = self.tenant.show("state"), self.tenant.show("money")
        counted = {name: int(state[name]) for name in ("accounts", "contacts", "orders", "versions")}
        return counted | {name: int(money[name]) for name in ("documents", "payments", "refunds")}

    def gift_code(self, number: str) -> str:
        """The code of the gift whose subscription has this number."""
        statement = (
            "SELECT code FROM limio_gift_code"
            " WHERE subscription_id = (SELECT id FROM limio_subscription WHERE reference = :number)"
        )
        return str(self.service.one(statement, number=number))

    def bill_next_month(self, number: str) -> str:
        """Let Zuora bill the subscription's next month; the number of the invoice, of which nothing is paid."""
        self.tenant.do("bill_run", key=number, target=str(self.today + timedelta(days=40)))
        return str(self.tenant.show("ledger")["documents"][-1]["number"])

    # --- orders ---

    def card(self, **more: Any) -> str:
        """A payment method that Zuora's hosted page has just made."""
        return str(self.tenant.do("payment_method", **more)["id"])

    def new(
        self, offer: str = "Digital Monthly", card: str | None = None, quantity: int = 1, **more: Any
    ) -> dict[str, Any]:
        """A new customer subscribes."""
        self._people += 1
        who = {"firstName": "Ada", "lastName": f"Lovelace {self._people}"}
        home = {"address1": "1 High Street", "city": "London", "postalCode": "SE1 3ER", "country": "GB"}
        return {
            "order_type": "new",
            "orderItems": [{"offer": offer_ref(offer), "quantity": quantity}],
            "billingDetails": {**who, **home},
            "customerDetails": {**who, "email": f"ada{self._people}@example.com", "phone": "+447700900001"},
            "payment": _zuora(card or self.card()),
            "checkoutId": f"basket-{self._people}",
            "country": "GB",
            **more,
        }

    def gift(self) -> dict[str, Any]:
        """A gift for another person."""
        return self.new("Gift of a year", isGift=True)

    def redeem(self, code: str) -> dict[str, Any]:
        """The recipient redeems a gift."""
        order = self.new("Gift of a year", isRedeem=True, redeemCode=code)
        return {**order, "payment": {"gift_code": code}}

    def give_back(self, number: str) -> dict[str, Any]:
        """A gift is taken back before anybody redeemed it."""
        return _of("gift_refund", number)

    def switch(self, number: str, offer: str = "Digital Annual") -> dict[str, Any]:
        """Another offer from today on."""
        return {**_of("change_offer", number), "offer": offer_ref(offer), "effectiveDate": str(self.today)}

    def add_on(self, number: str) -> dict[str, Any]:
        """An add-on from today on."""
        wanted = {"type": "add", "record_type": "add_on", **offer_ref("Audio"), "quantity": 1}
        return {**_of("update_subscription", number), "updates": [{**wanted, "effective_date": str(self.today)}]}

    def seat(self, number: str, seats: int) -> dict[str, Any]:
        """Another number of seats from today on."""
        day = {"record_type": "offer", **offer_ref("Seats"), "effective_date": str(self.today)}
        updates = [{"type": "remove", **day, "quantity": 1}, {"type": "add", **day, "quantity": seats}]
        return {**_of("update_subscription", number), "updates": updates}

    def stay(self, number: str) -> dict[str, Any]:
        """A discount for who wanted to cancel."""
        return {**_of("add_offer", number), "change_type": "cancel_save", "offer": offer_ref("Stay at half price")}

    def cancel(self, number: str, *, days: int = 0) -> dict[str, Any]:
        """A cancellation, today with a refund of what is paid ahead."""
        return {**_of("cancel_subscription", number), "cancelDate": str(self.today + timedelta(days=days))}

    def renew(self, number: str) -> dict[str, Any]:
        """Another term of the same."""
        return _of("renew", number)

    def move(self, number: str, street: str = "2 Low Road") -> dict[str, Any]:
        """Another delivery address."""
        home = {"address1": street, "city": "Leeds", "postalCode": "LS1 1AA", "country": "GB"}
        return {**_of("change_address", number), "type": "delivery", "address": home}

    def pay_by(self, number: str, card: str | None = None) -> dict[str, Any]:
        """Another card."""
        return {**_of("change_payment", number), "payment": _zuora(card or self.card())}

    def prefer(self, number: str, card: str) -> dict[str, Any]:
        """Another of the account's cards pays from now on."""
        return {**_of("change_default_payment", number), "payment": _zuora(card)}

    def pay_invoice(self, number: str, invoice: str) -> dict[str, Any]:
        """An open invoice is paid by the card that pays otherwise, in part."""
        return {**_of("pay_invoice", number), "invoice": {"id": invoice}, "payment": {"amount": "5.00"}}

    def rename(self, number: str, name: str = "Ada King") -> dict[str, Any]:
        """Another name."""
        return {**_of("update_customer_details", number), "customerDetails": {"full_name": name}}

    def refund(self, number: str, amount: str = "2.00") -> dict[str, Any]:
        """Money back for something that went wrong."""
        return {**_of("refund", number), "offer": offer_ref("Goodwill"), "amount": amount}

    def credit(self, number: str, amount: str = "3.00") -> dict[str, Any]:
        """A credit that the next invoice uses."""
        return {**_of("credit_memo", number), "offer": offer_ref("Goodwill"), "amount": amount}


def _of(order_type: str, number: str) -> dict[str, Any]:
    return {"order_type": order_type, "forSubscription": {"name": number}, "data": {"reason": {"id": "moving"}}}


def _zuora(card: str) -> dict[str, Any]:
    return {"type": "zuora", "zuora": {"refId": card, "paymentGateway": "CreditCard_UK", "token": "secret token"}}
