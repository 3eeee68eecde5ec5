"""A load generator in a process of its own: one thread, open sockets, requests made before the clock runs.

`python -m tests.bench.load` reads a `Load` as JSON from standard input and prints a `Result` as JSON. It parses no more
of an answer than its status and its length, so that it takes little of the machine that it shares.
"""

from __future__ import annotations

import base64
import gc
import hmac
import json
import random
import selectors
import socket
import subprocess
import sys
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass, field

from zuora_emulator.shop import offer_ref

#: An answer that takes longer is counted as lost, in seconds.
PATIENCE = 40.0
#: More than anything here answers in a second: so many requests are made beforehand for each second.
_MAX_PER_SECOND = 4_000


@dataclass(kw_only=True)
class Load:
    """What to send, where and for how long."""

    port: int
    #: `callout`, `api` (a caller who waits), `order` (a sale; the keys are cards), `cancellation`, `plain` (the
    #: reference's route), or `stripe` (an event for the peer; the token is its secret).
    kind: str
    keys: list[str]
    connections: int = 16
    #: Either a time or a number of requests ends it.
    seconds: float = 3.0
    count: int | None = None
    #: Requests a second at even intervals; None sends the next one when the answer is there.
    rate: float | None = None
    #: Seconds that a connection rests after an answer.
    pause: float = 0.0
    username: str = ""
    password: str = ""
    token: str = ""
    seed: int = 0


@dataclass(kw_only=True)
class Result:
    """What came back. Times in milliseconds; with a rate they count from when the request was due."""

    requests: int
    seconds: float
    statuses: dict[str, int]
    lost: int
    p50: float
    p99: float
    longest: float
    #: Of this process, in seconds.
    cpu: float
    #: When the first one was sent, by the clock of the machine.
    began_at: float = 0.0
    samples: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def run(load: Load) -> Result:
    """Run `load` in a process of its own and wait for its end."""
    return finish(begin(load))


def begin(load: Load) -> subprocess.Popen[str]:
    """Start `load`; `finish` gives its result."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin
    child.stdin.write(json.dumps(asdict(load)))
    child.stdin.close()
    return child


def finish(child: subprocess.Popen[str]) -> Result:
    """Wait for the end of a load."""
    assert child.stdout
    with child.stdout:
        text = child.stdout.read()
    if child.wait():
        raise RuntimeError("the load generator failed")
    return Result(**json.loads(text))


class _Connection:
    __slots__ = ("answer", "began", "free_at", "sock", "wanted")

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answer = b""
        self.wanted = 0
        self.began = 0.0
        self.free_at = 0.0


class _Generator:
    def __init__(self, load: Load) -> None:
        self.load = load
        self.statuses: Counter[str] = Counter()
        self.took: list[float] = []
        self.lost = 0
        self.selector = selectors.DefaultSelector()
        self.resting: deque[_Connection] = deque()
        self.busy: set[_Connection] = set()

    def run(self) -> Result:
        load = self.load
        most = load.count or int((load.rate or _MAX_PER_SECOND) * load.seconds) + 1
        requests = _make_requests(load, most)
        for _ in range(load.connections):
            self.resting.append(self._connect())
        gc.collect()
        gc.disable()
        cpu = time.process_time()
        began_at, began = time.time(), time.perf_counter()
        sent, end = 0, began + (PATIENCE * 10 if load.count else load.seconds)
        while True:
            now = time.perf_counter()
            if now < end:
                while sent < most and self.resting and self._may_send(now, began, sent):
                    due = began + sent / load.rate if load.rate else now
                    self._send(self.resting.popleft(), requests[sent], due)
                    sent += 1
            if not self.busy and (now >= end or sent >= most):
                break
            for key, _ in self.selector.select(self._pause(now, began, sent, end, most)):
                self._receive(key.data)
            if self.busy:
                self._give_up(time.perf_counter() - PATIENCE)
        seconds = time.perf_counter() - began
        return self._result(seconds if load.count else min(seconds, max(load.seconds, 0.001)), cpu, began_at)

    def _may_send(self, now: float, began: float, sent: int) -> bool:
        if self.load.rate:
            return began + sent / self.load.rate <= now
        return self.resting[0].free_at <= now

    def _pause(self, now: float, began: float, sent: int, end: float, most: int) -> float:
        if now >= end or sent >= most:
            return 0.1
        if not self.resting:
            return min(0.1, end - now)
        due = began + sent / self.load.rate if self.load.rate else self.resting[0].free_at
        return max(0.0, min(due - now, end - now, 0.1))

    def _connect(self) -> _Connection:
        connection = _Connection(self.load.port)
        self.selector.register(connection.sock, selectors.EVENT_READ, connection)
        return connection

    def _send(self, connection: _Connection, request: bytes, due: float) -> None:
        connection.answer, connection.wanted, connection.began = b"", 0, due
        self.busy.add(connection)
        try:
            connection.sock.sendall(request)
        except OSError:
            self._drop(connection)

    def _receive(self, connection: _Connection) -> None:
        try:
            piece = connection.sock.recv(65_536)
        except OSError:
            piece = b""
        if not piece:
            self._drop(connection)
            return
        connection.answer += piece
        if not connection.wanted:
            head = connection.answer.find(b"\r\n\r\n")
            if head < 0:
                return
            lower = connection.answer[:head].lower()
            at = lower.find(b"content-length:") + 15
            connection.wanted = head + 4 + int(lower[at:].split(b"\r\n", 1)[0])
        if len(connection.answer) < connection.wanted:
            return
        now = time.perf_counter()
        self.took.append(now - connection.began)
        self.statuses[connection.answer[9:12].decode()] += 1
        self.busy.discard(connection)
        if b"connection: close" in connection.answer[: connection.wanted].lower():
            self._replace(connection)
            return
        connection.free_at = now + self.load.pause
        self.resting.append(connection)

    def _drop(self, connection: _Connection) -> None:
        """The other side went away: with an answer owed it is a loss."""
        self.lost += connection in self.busy
        self.busy.discard(connection)
        if connection in self.resting:
            self.resting.remove(connection)
        self._replace(connection)

    def _replace(self, connection: _Connection) -> None:
        self.selector.unregister(connection.sock)
        connection.sock.close()
        self.resting.append(self._connect())

    def _give_up(self, before: float) -> None:
        for connection in [each for each in self.busy if each.began < before]:
            self._drop(connection)

    def _result(self, seconds: float, cpu: float, began_at: float) -> Result:
        times = sorted(self.took) or [0.0]
        return Result(
            requests=len(self.took),
            seconds=seconds,
            statuses=dict(self.statuses),
            lost=self.lost,
            p50=times[len(times) // 2] * 1000,
            p99=times[min(len(times) - 1, int(len(times) * 0.99))] * 1000,
            longest=times[-1] * 1000,
            cpu=time.process_time() - cpu,
            began_at=began_at,
        )


def _make_requests(load: Load, count: int) -> list[bytes]:
    chance = random.Random(load.seed)
    make = _MAKE[load.kind]
    # In turn, so that so many requests over so many keys hit each equally often.
    return [make(load, load.keys[place % len(load.keys)], chance) for place in range(count)]


def _callout(load: Load, key: str, chance: random.Random) -> bytes:
    """What Zuora's callout template in docs/zuora-setup.md sends."""
    notification, request = f"{chance.getrandbits(128):032x}", f"{chance.getrandbits(128):032x}"
    body = json.dumps(
        {
            "SubscriptionNumber": key,
            "OrderNumber": f"O-{chance.randrange(10**8):08d}",
            "Source__c": "",
            "CreatedById": f"{chance.getrandbits(128):032x}",
        }
    )
    credentials = base64.b64encode(f"{load.username}:{load.password}".encode()).decode()
    ids = f"Zuora-Notification-Id: {notification}\r\nZuora-Request-Id: {request}\r\n"
    headers = f"Authorization: Basic {credentials}\r\n{ids}"
    return _post(f"/api/plugins/zuora/sync/subscription/{key}", headers, body)


def _api_call(load: Load, key: str, _: random.Random) -> bytes:
    headers = f"Authorization: Bearer {load.token}\r\nPrefer: wait=20\r\n"
    return _post(f"/api/plugins/zuora/sync/subscription/{key}", headers, "")


def _order(load: Load, card: str, chance: random.Random) -> bytes:
    """A sale to a customer who never bought before."""
    who = {"firstName": "Ada", "lastName": f"Lovelace {chance.randrange(10**6)}"}
    home = {"address1": "1 High Street", "city": "London", "postalCode": "SE1 3ER", "country": "GB"}
    return _post_order(
        load,
        {
            "order_type": "new",
            "orderItems": [{"offer": offer_ref("Digital Monthly"), "quantity": 1}],
            "billingDetails": {**who, **home},
            "customerDetails": {**who, "email": f"ada{chance.randrange(10**9)}@example.com"},
            "payment": {"type": "zuora", "zuora": {"refId": card, "paymentGateway": "CreditCard_UK"}},
            "checkoutId": f"basket-{chance.getrandbits(128):032x}",
            "country": "GB",
        },
    )


def _cancellation(load: Load, number: str, chance: random.Random) -> bytes:
    """At the end of the term."""
    wish = {"order_type": "cancel_subscription", "forSubscription": {"name": number}}
    return _post_order(load, {**wish, "external_id": f"{chance.getrandbits(64):016x}"})


def _post_order(load: Load, wish: dict[str, object]) -> bytes:
    body = json.dumps({**wish, "initiated_source": "shop", "source": "shop"})
    return _post("/api/order", f"Authorization: Bearer {load.token}\r\n", body)


def _plain(_: Load, key: str, __: random.Random) -> bytes:
    return _post(f"/rows/{key}", "", json.dumps({"key": key}))


def _stripe_event(load: Load, key: str, chance: random.Random) -> bytes:
    """A new version of a subscription, signed as Stripe's documentation says ("Verify webhook signatures manually")."""
    named = {"id": f"sub_{key}", "object": "subscription"}
    event = {"id": f"evt_{chance.getrandbits(96):024x}", "object": "event", "type": "customer.subscription.updated"}
    body, now = json.dumps({**event, "created": int(time.time()), "data": {"object": named}}), int(time.time())
    signature = hmac.new(load.token.encode(), f"{now}.{body}".encode(), "sha256").hexdigest()
    return _post("/webhooks", f"Stripe-Signature: t={now},v1={signature}\r\n", body)


def _post(path: str, headers: str, body: str) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n{headers}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


_MAKE = {
    "callout": _callout,
    "api": _api_call,
    "order": _order,
    "cancellation": _cancellation,
    "plain": _plain,
    "stripe": _stripe_event,
}


if __name__ == "__main__":
    print(json.dumps(asdict(_Generator(Load(**json.load(sys.stdin))).run())))
