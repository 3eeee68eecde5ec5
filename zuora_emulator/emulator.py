"""The whole emulator without its HTTP server: a request comes in, an answer goes out, troubles included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from threading import Event, Thread, current_thread
from typing import Any

from zuora_emulator import messages, routes
from zuora_emulator.actions import NAMES, Actions
from zuora_emulator.announcements import Announcements
from zuora_emulator.answers import Json, text
from zuora_emulator.callouts import Callouts
from zuora_emulator.delivery import Destination, describe
from zuora_emulator.faults import ACTED_OUT, KINDS, Fault, Faults
from zuora_emulator.fields import Refused
from zuora_emulator.idempotency import Keys
from zuora_emulator.messages import Answer, Request
from zuora_emulator.notifications import Notifications
from zuora_emulator.tenant import Tenant
from zuora_emulator.traffic import Limits, Traffic
from zuora_emulator.zuora_api import Access, ZuoraApi

_HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"

_LOCKED = "Operation failed due to a lock competition, please retry later."
_Failure = Callable[[Fault, Request], Answer]
#: What a fault answers before the tenant hears of the request.
_OUTSIDE: dict[str, _Failure] = {
    "reset": lambda *_: Answer(manner="none"),
    "rate_limit": lambda fault, _: messages.rate_limited("minute", fault.retry_after),
    "concurrency": lambda fault, _: messages.too_many_at_once(fault.retry_after),
    "html": lambda fault, _: Answer(fault.status or 502, _HTML, content_type="text/html"),
    "unauthorized": lambda *_: messages.signed_out(),
}
#: What a fault has the tenant answer; an idempotency key keeps it like any other answer.
_INSIDE: dict[str, _Failure] = {
    "server_error": lambda fault, _: Answer(
        fault.status or 500, b"We're sorry, but something went wrong.", content_type="text/plain"
    ),
    "error": lambda fault, _: messages.refusal(fault.code, fault.message),
    "unsuccessful": lambda fault, _: messages.refusal(fault.code, fault.message, modern=False),
    "lock": lambda _, request: messages.refusal(routes.code_of(request, 50000050), _LOCKED),
    "preview_not_permitted": lambda *_: messages.refusal(
        50000010, "You do not have permission to perform this operation."
    ),
}
_HIGH_VOLUME = ("POST /v1/orders", "POST /v1/orders/preview", "POST /v1/accounts")


class Emulator:
    """A tenant with its API, its callouts, its traffic and its troubles."""

    def __init__(
        self,
        *,
        today: date,
        time_zone: str = "UTC",
        access: Access | None = None,
        destination: Destination | None = None,
        limits: Limits | None = None,
        seed: int = 0,
        callout_threads: int = 4,
    ) -> None:
        self.tenant = Tenant(today=today, time_zone=time_zone)
        self.traffic = Traffic(limits)
        self.faults = Faults(seed)
        self.callouts = Callouts(destination, threads=callout_threads, seed=seed)
        notifications = Notifications(self.callouts)
        announcements = Announcements(self.tenant, notifications)
        self.keys = Keys()
        self.api = ZuoraApi(
            self.tenant, self.traffic, self.callouts, notifications, announcements, access or Access(), keys=self.keys
        )
        self.actions = Actions(self.tenant, self.api, self.faults, self.traffic, notifications)
        self.stopping = Event()
        self._late: set[Thread] = set()

    def stop(self) -> None:
        """Let go of everything that waits, and send no more callouts."""
        self.stopping.set()
        self.callouts.stop()

    def finish_late(self, seconds: float) -> None:
        """Wait until every request that it gave no answer to in time is done: `seconds` for each at the most."""
        for thread in tuple(self._late):
            thread.join(seconds)

    def answer(self, request: Request) -> Answer:
        """Answer a request to Zuora's side or to the control side."""
        if request.parts[0] == "control":
            return self._control(request)
        drawn = self.faults.draw(f"{request.method} {request.path}")
        if request.path == "/oauth/token":
            answer = self._failed(drawn, request) or self.api.fetch_token(request)
            self.traffic.count(f"{request.method} /oauth/token", answer.status)
        else:
            kind = _class_of(request)
            answer = self._serve(request, kind, drawn)
            answer.headers = {**self.traffic.headers(kind), **answer.headers}
        answer.headers["Zuora-Request-Id"] = messages.make_request_id()
        if track := request.headers.get("zuora-track-id"):
            answer.headers["Zuora-Track-Id"] = track
        return answer

    def _serve(self, request: Request, kind: str, drawn: list[Fault]) -> Answer:
        excess = self.traffic.enter(kind)
        if excess is not None:
            self.traffic.count("refused", 429)
            if excess.window is None:
                return messages.too_many_at_once(excess.retry_after)
            return messages.rate_limited(excess.window, excess.retry_after)
        try:
            if not self.api.is_signed_in(request):
                name, answer = "signed out", messages.signed_out()
            elif (failed := self._failed(drawn, request)) is not None:
                name, answer = "failed on demand", failed
            else:
                name, answer = self._once(request, drawn)
                answer = self._spoiled(drawn, answer)
        finally:
            self.traffic.leave(kind)
        self.traffic.count(name, answer.status)
        return answer

    def _failed(self, drawn: list[Fault], request: Request) -> Answer | None:
        """What troubles answer before the tenant hears of a request, None where they only delay or spoil its answer."""
        for fault in drawn:
            if fault.kind == "latency":
                self.stopping.wait(self.faults.between(fault.seconds, fault.up_to or fault.seconds))
            elif fault.kind == "hang":
                self.stopping.wait(fault.seconds)
                return Answer(manner="none")
            elif fault.kind in _OUTSIDE:
                return _OUTSIDE[fault.kind](fault, request)
        return None

    def _once(self, request: Request, drawn: list[Fault]) -> tuple[str, Answer]:
        """Do a request, but for one whose key was seen: the route's name and the answer."""
        kept = self.keys.begin(request, self.tenant.now())
        if kept is not None:
            return "repeated", kept
        late = next((fault for fault in drawn if fault.kind == "finish_later"), None)
        if late is None:
            return self._do(request, drawn)
        patience = late.up_to or late.seconds
        thread = Thread(target=self._do_later, args=(request, drawn, patience), daemon=True, name="late")
        thread.start()
        self._late.add(thread)
        self.stopping.wait(late.seconds)
        if late.status is None:
            return "timed out", Answer(manner="none")
        return "timed out", Answer(late.status, _HTML, content_type="text/html")

    def _do(self, request: Request, drawn: list[Fault]) -> tuple[str, Answer]:
        answer = None
        try:
            failed = next((_INSIDE[each.kind](each, request) for each in drawn if each.kind in _INSIDE), None)
            troubles = frozenset(fault.kind for fault in drawn if fault.kind in ACTED_OUT)
            name = "failed on demand"
            if failed is None:
                name, failed = routes.answer(self.api, replace(request, troubles=troubles))
            answer = failed
        finally:
            self.keys.finish(request, answer)
        return name, answer

    def _do_later(self, request: Request, drawn: list[Fault], seconds: float) -> None:
        try:
            if not self.stopping.wait(seconds):
                self.traffic.count(*_counted(self._do(request, drawn)))
        finally:
            self._late.discard(current_thread())

    def _spoiled(self, drawn: list[Fault], answer: Answer) -> Answer:
        for fault in drawn:
            match fault.kind:
                case "empty_preview" if isinstance(answer.body, dict) and "invoiceItems" in answer.body:
                    answer.body["invoiceItems"] = []
                case "without" if isinstance(answer.body, dict):
                    answer.body.pop(fault.part, None)
                case "garbage":
                    body = answer.encode()
                    answer = Answer(200, body[: len(body) // 2])
                case "lose_answer":
                    self.stopping.wait(fault.seconds)
                    answer = Answer(manner="none")
                case "cut":
                    answer.manner = "cut"
                case "trickle":
                    answer.manner, answer.seconds = "trickle", fault.seconds
        return answer

    def _control(self, request: Request) -> Answer:
        """`GET /control/{what}` shows, `POST /control/{action}` does."""
        what = request.parts[1] if len(request.parts) > 1 else ""
        try:
            if request.method == "POST":
                return Answer(200, self.actions.do(what, request.json()))
            found = self._show(what, request)
        except Refused as refused:
            return Answer(messages.status_of(refused.code), {"message": str(refused), "code": refused.code})
        except ValueError as error:
            return Answer(400, {"message": f"the body is no JSON object: {error}"})
        return Answer(200, found) if found is not None else Answer(404, {"message": f"nothing to show called {what}"})

    def _show(self, what: str, request: Request) -> Any:
        shown: dict[str, Callable[[], Any]] = {
            "": self._state,
            "state": self._state,
            "actions": lambda: {"actions": NAMES, "faults": KINDS},
            "subscriptions": lambda: self._subscriptions(request.one("after") or "", int(request.one("limit") or 100)),
            "traffic": self.traffic.listed,
            "faults": lambda: {"faults": self.faults.listed()},
            "keys": self.keys.listed,
            "money": self._money,
            "ledger": self.tenant.ledger.listed,
            "callouts": lambda: self._callouts(request.one("state"), int(request.one("limit") or 1000)),
            "wait": lambda: self._wait(float(request.one("seconds") or 10), request.one("retries") == "true"),
        }
        return shown[what]() if what in shown else None

    def _callouts(self, state: str | None, limit: int) -> Json:
        sent = self.callouts
        return {
            "callouts": sent.listed(state, limit),
            "counts": sent.counted(),
            "settings": describe(sent.destination),
        }

    def _wait(self, seconds: float, retries: bool) -> Json:
        return {"idle": self.callouts.wait_until_idle(seconds, retries=retries)}

    def _state(self) -> Json:
        tenant = self.tenant
        with tenant.lock:
            return {
                "today": text(tenant.today),
                "now": tenant.now().isoformat(),
                "time_zone": tenant.zone.key,
                "tenant": tenant.number,
                "accounts": len(tenant.updated["accounts"].entries),
                "contacts": len(tenant.updated["contacts"].entries),
                "versions": len(tenant.updated["subscriptions"].entries),
                "orders": len(tenant.orders),
                "callouts": self.callouts.counted(),
                "faults": self.faults.listed(),
                "calls": self.traffic.listed()["total"],
            }

    def _money(self) -> Json:
        """The sums of all that was billed, credited, paid and given back, and how many there are of each."""
        ledger = self.tenant.ledger
        with self.tenant.lock:
            counts = {"documents": len(ledger.documents), "payments": len(ledger.payments)}
            return {"sums": ledger.sums(), **counts, "refunds": len(ledger.refunds)}

    def _subscriptions(self, after: str, limit: int) -> Json:
        """The subscriptions looked at so far, in the order of their numbers."""
        tenant = self.tenant
        with tenant.lock:
            numbers = sorted(number for number in tenant.subscriptions if number > after)[:limit]
            rows = []
            for number in numbers:
                latest = tenant.subscriptions[number].latest
                rows.append(
                    {
                        "number": number,
                        "account": latest.account,
                        "name": tenant.accounts[latest.account].name,
                        "payer": latest.invoice_owner,
                        "version": latest.version,
                        "status": latest.status_on(tenant.today),
                        "term_end": text(latest.term_end),
                        "auto_renew": latest.auto_renew,
                        "plans": [plan.name for plan in latest.rate_plans if plan.last_change != "Remove"],
                    }
                )
            return {"subscriptions": rows}


def _class_of(request: Request) -> str:
    """The class of requests in whose concurrency limit it counts."""
    if request.path.startswith("/object-query/"):
        return "Object Query"
    is_high_volume = f"{request.method} {request.path}" in _HIGH_VOLUME
    return "High-volume transactions" if is_high_volume else "Default"


def _counted(done: tuple[str, Answer]) -> tuple[str, int]:
    return done[0], done[1].status


def follow_clock(emulator: Emulator) -> None:
    """Move the calendar on whenever the real day changes, until the emulator stops."""
    zone = emulator.tenant.zone
    day = datetime.now(zone).date()
    while not emulator.stopping.wait(20):
        real = datetime.now(zone).date()
        if real > day:
            emulator.actions.advance(emulator.tenant.today + (real - day))
            day = real
