"""Orders, a store, and a Zuora that answers what a test says, call by call: what tests of placing say of the world."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from sqlmodel import select

from sync_service.ordering.context import OrderContext
from sync_service.ordering.placing import run_claim
from sync_service.queue.claims import claim
from sync_service.queue.requests import Kind
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.store.object_rows import new_row
from sync_service.store.tables import OrderWorkRow
from sync_service.zuora.client import ZuoraClient

#: A status and a JSON body; None: the connection ends without an answer.
Said = tuple[int, Mapping[str, Any]] | None
GOOD: Said = (200, {"success": True})


def refused(code: int, message: str = "No.", status: int = 400) -> Said:
    """A refusal in Zuora's own envelope."""
    return status, {"success": False, "reasons": [{"code": code, "message": message}]}


@dataclass(frozen=True)
class Call:
    """One call as Zuora got it."""

    method: str
    path: str
    body: str
    key: str | None

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Zuora:
    """A tenant on localhost. Each line of `script` answers one call of that method and path; others get a 404."""

    script: list[tuple[str, str, Said | Callable[[Call], Said]]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    url: str = ""

    def will_say(self, method: str, path: str, *answers: Said | Callable[[Call], Said]) -> None:
        """The next calls of this method and path get these answers."""
        self.script += [(method, path, answer) for answer in answers]

    def asked(self, method: str) -> list[Call]:
        """The calls of this method so far."""
        return [call for call in self.calls if call.method == method]

    def answer(self, call: Call) -> Said:
        """What is said to `call`."""
        self.calls.append(call)
        for line in self.script:
            if line[:2] == (call.method, call.path):
                self.script.remove(line)
                return line[2](call) if callable(line[2]) else line[2]
        return refused(50000040, "Not found.", 404)


@contextmanager
def running_zuora() -> Iterator[Zuora]:
    """A tenant that listens."""
    zuora = Zuora()

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            if self.path == "/oauth/token":
                said: Said = (
                    200,
                    {"access_token": "a", "token_type": "bearer", "expires_in": 3599, "scope": "tenant.1"},
                )
            else:
                said = zuora.answer(Call(self.command, self.path, body, self.headers.get("Idempotency-Key")))
            if said is None:
                self.connection.close()
                return
            status, content = said
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_DELETE = handle_one  # noqa: N815 - http.server calls them by these names

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    zuora.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield zuora
    finally:
        server.shutdown()
        server.server_close()


ACCOUNT = {
    "success": True,
    "basicInfo": {"id": "a" * 32, "accountNumber": "A00000007", "name": "Ada Lovelace"},
    "billingAndPayment": {"currency": "GBP", "autoPay": True, "defaultPaymentMethodId": "b" * 32},
    "billToContact": {"id": "c" * 32, "firstName": "Ada", "lastName": "Lovelace"},
    "soldToContact": {"id": "c" * 32, "firstName": "Ada", "lastName": "Lovelace"},
}
SUBSCRIPTION = {
    "success": True,
    "id": "d" * 32,
    "subscriptionNumber": "39IEQEBLLT60",
    "version": 1,
    "accountId": "a" * 32,
    "accountNumber": "A00000007",
    "invoiceOwnerAccountNumber": "A00000007",
    "status": "Active",
    "termType": "TERMED",
    "subscriptionStartDate": "2026-01-01",
    "termStartDate": "2026-01-01",
    "termEndDate": "2099-01-01",
    "autoRenew": True,
    "currency": "GBP",
    "ratePlans": [],
}
READ_SUBSCRIPTION = "/v1/subscriptions/39IEQEBLLT60?charge-detail=all-segments"
#: How often any one thing is waited for before a test gives up.
_MAX_TURNS = 20


def cancel(on: str = "2098-01-01", **changed: Any) -> dict[str, Any]:
    """A cancellation as Limio's components send it."""
    return {
        "order_type": "cancel_subscription",
        "forSubscription": {"name": "39IEQEBLLT60"},
        "cancelDate": on,
        "data": {"reason": {"id": "moving"}},
        **changed,
    }


def hold_subscription(database: Database) -> None:
    """Limio has the subscription that the orders of tests concern, with its customer."""
    with database.transaction() as session:
        for record_type, document in (
            ("identity", {"id": "id-ada"}),
            ("customer", {"id": "cus-ada", "owner": "id-ada", "data": {"name": "Ada Lovelace"}}),
            (
                "subscription",
                {
                    "id": "sub-1",
                    "reference": "39IEQEBLLT60",
                    "name": "39IEQEBLLT60",
                    "status": "active",
                    "owner": "id-ada",
                    "customer": "cus-ada",
                    "data": {"attributes": {"external": False}},
                },
            ),
        ):
            session.add(new_row(record_type, document, subscription_id=None, synced_at=None))


def answer_reads(zuora: Zuora, times: int = 5) -> None:
    """Zuora knows the subscription and its account."""
    zuora.will_say("GET", READ_SUBSCRIPTION, *[(200, SUBSCRIPTION)] * times)
    zuora.will_say("GET", "/v1/accounts/A00000007", *[(200, ACCOUNT)] * times)


def work_on_orders(context: OrderContext) -> None:
    """Workers place what is due, and what waits is due at once, until nothing is left to do."""
    for _ in range(_MAX_TURNS):
        claims = [each for each in claim(context.database, 8, context.share) if each.kind is Kind.ORDER]
        for each in claims:
            run_claim(context, each)
        if not claims:
            return
        with context.database.transaction() as session:
            session.run("UPDATE sync_request SET due_at = 1 WHERE kind = 'order' AND due_at IS NOT NULL")
            session.run("UPDATE zuora_limit SET trouble = 0, open_until = NULL, doubtful = '[]'")
    raise AssertionError("orders go on for ever")


def orders(database: Database) -> dict[str, OrderWorkRow]:
    """All orders by their id."""
    with database.reading() as session:
        return {row.order_id: row for row in session.exec(select(OrderWorkRow))}


@contextmanager
def order_context(database: Database, zuora: Zuora, **settings: Any) -> Iterator[OrderContext]:
    """What a worker places orders with."""
    client = ZuoraClient(zuora.url, "our-client", "our-secret")
    try:
        yield OrderContext(database=database, zuora=client, settings=Settings(**settings))
    finally:
        client.close()
