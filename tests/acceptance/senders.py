"""Many callouts at once, sent as Zuora sends them: again until they are taken, each attempt with an id of its own."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from threading import Event, Lock, local
from uuid import uuid4

from tests.acceptance.processes import PATIENCE
from tests.acceptance.tenant import PASSWORD, USERNAME

_BASIC = "Basic " + b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
#: Zuora's limit for one transfer, in seconds.
TRANSFER_SECONDS = 15.0
#: Between two attempts of one callout, in seconds; Zuora's is half an hour.
AGAIN_SECONDS = 0.2
#: What never got an answer.
NO_ANSWER = 0


@dataclass
class Sent:
    """What became of the callouts. All attempts count; an acknowledged one is an attempt answered with 200."""

    statuses: Counter[int] = field(default_factory=Counter)
    #: Of the attempts that were not answered with 200, how many went to each port.
    refused: Counter[int] = field(default_factory=Counter)
    #: Zuora-Request-Ids of the attempts that were answered with 200.
    acknowledged: list[str] = field(default_factory=list)
    #: The longest that an answer took, in seconds.
    slowest: float = 0.0
    #: Answers that were not what a callout is promised.
    odd: list[str] = field(default_factory=list)


class Senders:
    """Threads that send, each over a connection of its own that stays open."""

    def __init__(self, port: int, threads: int = 8) -> None:
        self.sent = Sent()
        self._ports = [port]
        self._lock = Lock()
        self._mine = local()
        self._opened: list[HTTPConnection] = []
        self._stopped = Event()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="sender")

    def send(self, key: str, *, kind: str = "subscription", again: bool = True) -> Future[int]:
        """Send one callout in the background; its future is the last status. Without `again` it is sent once."""
        return self._pool.submit(self._deliver, f"/api/plugins/zuora/sync/{kind}/{key}", again)

    def send_all(
        self, keys: Iterable[str], *, times: int = 1, kind: str = "subscription", seconds: float = 5 * PATIENCE
    ) -> None:
        """Send callouts for all keys, each `times` at once, and wait until all are taken."""
        done = wait([self.send(key, kind=kind) for key in keys for _ in range(times)], timeout=seconds)
        assert not done.not_done, f"{len(done.not_done)} callouts were not taken; answers: {self.sent.statuses}"
        assert {future.result() for future in done.done} <= {200}

    def turn_to(self, *ports: int) -> None:
        """Send what comes from now on to these ports in turn, as a load balancer does whose list has changed."""
        self._ports = list(ports)

    def stop(self) -> None:
        """Send no more."""
        self._stopped.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        for connection in self._opened:
            connection.close()

    def _deliver(self, path: str, again: bool) -> int:
        notification = uuid4().hex
        while True:
            status = self._attempt(path, notification)
            if status == 200 or not again or self._stopped.is_set():
                return status
            self._stopped.wait(AGAIN_SECONDS)

    def _attempt(self, path: str, notification: str) -> int:
        request_id = uuid4().hex
        headers = {
            "Authorization": _BASIC,
            "Content-Type": "application/json",
            "Zuora-Notification-Id": notification,
            "Zuora-Request-Id": request_id,
        }
        begun = time.monotonic()
        connection: HTTPConnection | None = getattr(self._mine, "connection", None)
        ports = self._ports
        port = ports[len(self.sent.acknowledged) % len(ports)]
        try:
            if connection is None or connection.port != port:
                connection = self._mine.connection = HTTPConnection("127.0.0.1", port, timeout=TRANSFER_SECONDS)
                self._opened.append(connection)
            connection.request("POST", path, b"{}", headers)
            response = connection.getresponse()
            status, body = response.status, response.read()
        except (OSError, HTTPException):
            if connection is not None:
                connection.close()
            self._mine.connection = None
            status, body = NO_ANSWER, b""
        with self._lock:
            self.sent.statuses[status] += 1
            self.sent.refused[port] += status != 200
            if status == 200:
                self.sent.acknowledged.append(request_id)
                self.sent.slowest = max(self.sent.slowest, time.monotonic() - begun)
                if json.loads(body).get("success") is not True:
                    self.sent.odd.append(body.decode())
        return status
