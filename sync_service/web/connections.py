"""How `web` treats connections: one thread collects requests and gives answers out, others work on whole requests.

gunicorn's threads read from their clients themselves, so two dozen clients that send a byte now and then hold them all.
Here a client that is slow, or silent, takes a place in a table and nothing else; where the table is full, the oldest
that waits of the address that has most there is closed. Some threads are kept for callouts: nothing else takes them.
"""

from __future__ import annotations

import errno
import selectors
import socket
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from gunicorn.http import get_parser
from gunicorn.workers.gthread import ThreadWorker

from sync_service.web.collecting import Collector, RequestState

#: How long a request may take from its first byte to its last, and a new connection to its first, in seconds.
REQUEST_SECONDS = 10.0
#: How long a client may take to read its answer, in seconds.
ANSWER_SECONDS = 30.0
#: How long we read on what a client sends to a connection that we close, so that our answer still arrives, in seconds.
LINGER_SECONDS = 2.0
#: How long the answer to someone who guesses is held, in seconds: less than Zuora waits.
HOLD_SECONDS = 3.0
#: A longer answer is not kept in memory: its thread waits for the client, in bytes.
MAX_ANSWER = 1024 * 1024
#: How many of a process's threads only these may take: callouts, and those who ask whether we live.
KEPT_SHARE = 0.5
_KEPT_FOR = (b"POST /api/plugins/zuora/", b"POST /api/events/zuora", b"GET /healthz", b"GET /readyz")
#: How long a process leaves a new connection to the others, for each that it has, and at most, in seconds. The kernel
#: wakes all of them and one may take every connection of a burst, which then share one interpreter for good.
_LEAVE_TO_OTHERS, _LONGEST_LEAVE = 0.00005, 0.001
#: Between two looks for connections whose time is over, in seconds.
_LOOK_SECONDS = 0.5


class AnswerSocket:
    """What gunicorn's threads take for the client's socket: only a long answer makes them wait for the client."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client
        self.data = bytearray()
        #: Not given out before then (monotonic); 0 is at once.
        self.not_before = 0.0

    def hold(self, seconds: float) -> None:
        """Give the answer out only after `seconds`; no thread waits for that."""
        self.not_before = time.monotonic() + seconds

    def sendall(self, data: bytes) -> None:
        """Keep `data` for the client."""
        self.data += data
        if len(self.data) > MAX_ANSWER:
            self._push()

    def give_out(self) -> bool:
        """Send what the client takes now, unless it is held; False where the client is gone."""
        return bool(self.not_before) or not self.data or _try_to_send(self._client, self.data) is not None

    def send(self, data: bytes) -> int:
        """The same, as sockets tell it."""
        self.sendall(data)
        return len(data)

    def _push(self) -> None:
        try:
            self._client.settimeout(ANSWER_SECONDS)
            self._client.sendall(self.data)
        except TimeoutError:
            raise OSError(errno.EPIPE, "the client does not read its answer") from None
        finally:
            self._client.setblocking(False)
        self.data.clear()

    def recv(self, _: int) -> bytes:
        """Nothing: a thread gets its request whole."""
        return b""

    def setblocking(self, _: object) -> None:
        """Means nothing here: nothing ever waits."""

    settimeout = setblocking

    def gettimeout(self) -> float:
        """Nothing ever waits here; gunicorn asks before it says what is wrong with a request."""
        return 0.0

    def shutdown(self, *_: object) -> None:
        """The collecting thread closes connections."""

    close = shutdown


class ClientConnection:
    """A client and where it stands: it sends, is worked for, or takes its answer. What ThreadWorker knows as TConn."""

    initialized = data_ready = True
    is_http2 = False

    def __init__(self, client: socket.socket, address: Any, server: Any) -> None:
        self.socket = client
        self.client = address
        self.server = server
        self.place = address[0] if isinstance(address, tuple) else ""
        self.request = Collector()
        self.sock = AnswerSocket(client)
        self.parser: Any = None
        #: What the poller looks for on its socket, 0 where it does not look, and what is to be done then.
        self.watched = 0
        self.then: Callable[[ClientConnection], None]
        #: When its time for what it does now is over (monotonic).
        self.until = 0.0
        #: One of those for whom threads are kept.
        self.is_kept = False
        #: Nothing more is taken from it after this answer.
        self.is_last = False

    def init(self) -> None:
        """Done already."""


def hold_answer(environ: dict[str, Any], seconds: float) -> None:
    """Give the answer to this request out only after `seconds`, without a thread that waits for it."""
    answer = environ.get("gunicorn.socket")
    if isinstance(answer, AnswerSocket):
        answer.hold(seconds)


class CollectingWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn publishes no types
    """gunicorn's threaded worker with all waiting for clients taken out of its threads."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limit = self.worker_connections
        self.worker_connections += 1  # one more is accepted, and another closed for it
        #: All that wait for their client, the longest first.
        self._waiting: dict[ClientConnection, None] = {}
        self._others = max(1, round(self.cfg.threads * (1 - KEPT_SHARE)))
        self._others_running = 0
        self._queued: deque[ClientConnection] = deque()
        self._next_look = 0.0

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """TLS is a proxy's: here it would have to be spoken by the thread that must never wait."""
        super().check_config(cfg, log)
        if cfg.is_ssl:
            raise ValueError("sync-service speaks no TLS itself: put a proxy in front (deploy/nginx.conf)")

    # --- a client sends ---

    def accept(self, listener: socket.socket) -> None:
        """Take a new connection unless a process with fewer is faster; where there are too many, in another's place."""
        if self.cfg.workers > 1:
            time.sleep(min(self.nr_conns * _LEAVE_TO_OTHERS, _LONGEST_LEAVE))
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._make_room()
            return
        if self.nr_conns >= self._limit:
            self._make_room()
        self.nr_conns += 1
        client.setblocking(False)
        connection = ClientConnection(client, address, listener.getsockname())
        self._wait_for(connection, selectors.EVENT_READ, self._read, REQUEST_SECONDS)

    def _make_room(self) -> None:
        places = Counter(connection.place for connection in self._waiting)
        if places:
            most = max(places, key=places.__getitem__)
            self._close(next(each for each in self._waiting if each.place == most))

    def _read(self, connection: ClientConnection) -> None:
        piece = _receive(connection.socket)
        if piece:
            if not connection.request.data:
                connection.until = time.monotonic() + REQUEST_SECONDS
            self._go_on(connection, connection.request.add(piece))
        elif piece is not None:
            self._close(connection)

    def _go_on(self, connection: ClientConnection, state: RequestState) -> None:
        request = connection.request
        if state is RequestState.INCOMPLETE:
            if request.expects:
                request.expects = False
                _try_to_send(connection.socket, b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        self._waiting.pop(connection, None)
        connection.is_last = state is RequestState.TOO_LONG
        connection.is_kept = request.data.startswith(_KEPT_FOR)
        connection.parser = get_parser(self.cfg, (bytes(request.data),), connection.client)
        self._work_on(connection)

    # --- a thread works ---

    def _work_on(self, connection: ClientConnection) -> None:
        if connection.is_kept:
            self.enqueue_req(connection)
        elif self._others_running < self._others:
            self._others_running += 1
            self.enqueue_req(connection)
        else:
            self._queued.append(connection)

    def handle_request(self, req: Any, conn: ClientConnection) -> Any:
        """As gunicorn does, but for the invitation to send a body: it is here already."""
        req._expected_100_continue = False
        return super().handle_request(req, conn)

    def handle(self, conn: ClientConnection) -> Any:
        """As gunicorn does; what the client takes at once is sent at once."""
        goes_on = super().handle(conn)
        conn.sock.give_out()
        return goes_on

    def finish_request(self, conn: ClientConnection, fs: Future[Any]) -> None:
        """A thread is done: give the answer out, and let the next take its place."""
        if not conn.is_kept:
            self._others_running -= 1
            if self._queued:
                self._work_on(self._queued.popleft())
        goes_on = not fs.cancelled() and fs.exception() is None and bool(fs.result()) and not conn.is_last
        conn.is_last = not goes_on
        conn.request = Collector(conn.parser.unreader.take_buffered() if goes_on else b"")
        self._answer(conn)

    # --- the client takes its answer ---

    def _answer(self, connection: ClientConnection) -> None:
        self._waiting.pop(connection, None)
        if not connection.sock.give_out():
            self._close(connection)
        elif connection.sock.data:
            event = 0 if connection.sock.not_before else selectors.EVENT_WRITE
            self._wait_for(connection, event, self._answer, ANSWER_SECONDS)
        elif connection.is_last:
            self._say_goodbye(connection)
        else:
            self._take_the_next(connection)

    def _take_the_next(self, connection: ClientConnection) -> None:
        self._wait_for(connection, selectors.EVENT_READ, self._read, self.cfg.keepalive)
        if connection.request.data:  # sent behind the last one
            rest, connection.request = bytes(connection.request.data), Collector()
            self._go_on(connection, connection.request.add(rest))

    def _say_goodbye(self, connection: ClientConnection) -> None:
        """Unread bytes would make the system throw our answer away on the client's side."""
        try:
            connection.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(connection)
            return
        self._wait_for(connection, selectors.EVENT_READ, self._discard, LINGER_SECONDS)

    def _discard(self, connection: ClientConnection) -> None:
        if _receive(connection.socket) == b"":
            self._close(connection)

    # --- time ---

    def _wait_for(
        self, connection: ClientConnection, event: int, then: Callable[[ClientConnection], None], seconds: float
    ) -> None:
        """For `event` of the poller; for 0 it waits for its time alone."""
        connection.until = max(time.monotonic(), connection.sock.not_before) + seconds
        connection.then = then
        self._waiting[connection] = None
        self._watch(connection, event)

    def _watch(self, connection: ClientConnection, event: int) -> None:
        """The poller looks on while a thread works: most clients send nothing before they have their answer."""
        if event != connection.watched:
            if connection.watched:
                self.poller.unregister(connection.socket)
            if event:
                self.poller.register(connection.socket, event, partial(self._come_back_to, connection))
            connection.watched = event

    def _come_back_to(self, connection: ClientConnection, _: Any) -> None:
        """Unless a thread works for it, or it was closed for another one a moment ago."""
        if connection in self._waiting:
            connection.then(connection)
        else:
            self._watch(connection, 0)

    def _close(self, connection: ClientConnection) -> None:
        self._waiting.pop(connection, None)
        self._watch(connection, 0)
        connection.socket.close()
        self.nr_conns -= 1

    def murder_pending(self) -> None:
        """Close those whose time is over, and give out the answers that were held."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_SECONDS
        for connection in list(self._waiting):
            if connection.until <= now:
                self._close(connection)
            elif 0 < connection.sock.not_before <= now:
                connection.sock.not_before = 0.0
                self._answer(connection)

    def murder_keepalived(self, force: bool = False) -> None:
        """At the very end close all that wait."""
        if force:
            for connection in list(self._waiting):
                self._close(connection)

    def _cap_keepalive(self, deadline: float) -> None:
        """A worker that stops waits for requests only as long as gunicorn's own would."""
        for connection in self._waiting:
            if not connection.sock.data:
                connection.until = min(connection.until, deadline)


def _receive(client: socket.socket) -> bytes | None:
    """What has come; None where nothing has yet, nothing at all where the client is gone."""
    try:
        return client.recv(65_536)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError:
        return b""


def _try_to_send(client: socket.socket, data: bytes | bytearray) -> int | None:
    """Send as much as the system takes now, and take it out of a `data` that can change; None: the client is gone."""
    try:
        sent = client.send(data)
    except (BlockingIOError, InterruptedError):
        return 0
    except OSError:
        return None
    if isinstance(data, bytearray):
        del data[:sent]
    return sent
