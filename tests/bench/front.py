"""A lean front of the emulated Zuora: it remembers answers, so that their computing takes nothing of the machine while
the clock runs.

It knows reads alone. Each is asked of the emulator once; `renew` asks for all of them again, after a change and before
the clock starts. An answer keeps all of its headers but `Date`, which is today's, and the caller's track id, which is
left out.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial
from http.client import HTTPResponse
from threading import Event, Thread, local
from typing import Any

_LENGTH = re.compile(rb"\r\nContent-Length: *(\d+)", re.IGNORECASE)
_PROOF = re.compile(rb"\r\nAuthorization: *([^\r]+)", re.IGNORECASE)
_TOKEN = "POST /oauth/token"
#: The POSTs that change nothing.
_READS = (_TOKEN, "POST /v1/operations")
_NOT_KEPT = ("date", "zuora-track-id")
#: At least as many as there are calls in flight.
_THREADS = 64


@dataclass(frozen=True)
class _Request:
    """As it came; two with the same `key` have the same answer."""

    name: str
    key: tuple[str, bool, bytes]
    proof: bytes
    raw: bytes

    @property
    def is_for_token(self) -> bool:
        return self.name == _TOKEN

    @classmethod
    def read(cls, raw: bytes) -> _Request | None:
        """None where it is not all there. Raises RuntimeError for what is no read."""
        head, end, body = raw.partition(b"\r\n\r\n")
        if not end:
            return None
        length = _LENGTH.search(head)
        if len(body) < (int(length[1]) if length else 0):
            return None
        method, target, _ = head[: head.index(b"\r\n")].decode().split(" ")
        name = f"{method} {'/'.join(target.partition('?')[0].split('/')[:3])}"
        if method != "GET" and name not in _READS:
            raise RuntimeError(f"no read: {method} {target}")
        proof = _PROOF.search(head)
        return cls(name, (f"{method} {target}", b"gzip" in head, body), proof[1] if proof else b"", raw)


@dataclass(frozen=True)
class _Answer:
    """Ready to be sent: `Date` comes between its two parts."""

    status: int
    line: bytes
    rest: bytes


class Front:
    """Serves in a thread of its own; `delay` is what each answer but the token's takes, in seconds."""

    def __init__(self, emulator: tuple[str, int]) -> None:
        self.delay = 0.0
        self.url = ""
        self._emulator = emulator
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_end)
        self._pool = ThreadPoolExecutor(_THREADS)
        self._own = local()
        self._answers: dict[tuple[str, bool, bytes], _Answer] = {}
        self._requests: dict[tuple[str, bool, bytes], bytes] = {}
        self._signed_in: set[bytes] = set()
        self._date = (0, b"")
        self._counts: Counter[str] = Counter()
        self._late = 0

    def start(self) -> None:
        """Serve until the process ends."""
        ready = Event()
        Thread(target=self._serve, args=(ready,), daemon=True).start()
        ready.wait()

    def renew(self) -> None:
        """Ask for every answer anew; until all are there, callers get the ones from before."""
        answers = {key: self._ask(raw) for key, raw in list(self._requests.items())}
        if any(answer.status != 200 for answer in answers.values()):
            raise RuntimeError("the emulated Zuora no longer answers what it answered before")
        self._answers = answers

    def traffic(self) -> Mapping[str, Any]:
        """What was called since the last time, and how many of the answers were not there yet (`late`)."""
        counts, self._counts, late, self._late = self._counts, Counter(), self._late, 0
        return {"calls": dict(counts), "total": counts.total(), "late": late}

    def answer(self, request: _Request, transport: asyncio.Transport) -> None:
        """Answer now, or as soon as the emulator has."""
        self._counts[request.name] += 1
        answer = self._answers.get(request.key) if request.proof in self._signed_in else None
        if answer is not None:
            self._send(transport, answer, self.delay)
            return
        delay = 0.0 if request.is_for_token else self.delay
        asked = self._loop.run_in_executor(self._pool, self._learn, request)
        asked.add_done_callback(lambda done: self._send(transport, done.result(), delay))

    def _learn(self, request: _Request) -> _Answer:
        answers = self._answers  # a renewal in the meantime replaces them
        answer = self._ask(request.raw)
        if answer.status == 200 and not request.is_for_token:
            self._signed_in.add(request.proof)
            self._late += request.key not in answers
            answers[request.key] = answer
            self._requests[request.key] = request.raw
        return answer

    def _send(self, transport: asyncio.Transport, answer: _Answer, delay: float) -> None:
        if delay:
            self._loop.call_later(delay, self._send, transport, answer, 0.0)
        elif not transport.is_closing():
            now = int(time.time())
            if self._date[0] != now:
                self._date = (now, f"Date: {formatdate(now, usegmt=True)}\r\n".encode())
            transport.write(answer.line + self._date[1] + answer.rest)

    def _ask(self, raw: bytes) -> _Answer:
        """The emulator's answer to this request, over a connection of this thread."""
        if not hasattr(self._own, "connection"):
            self._own.connection = socket.create_connection(self._emulator, timeout=60)
        self._own.connection.sendall(raw)
        response = HTTPResponse(self._own.connection, method=raw[: raw.index(b" ")].decode())
        response.begin()
        body = response.read()
        if response.will_close:
            del self._own.connection
        kept = [f"{name}: {value}\r\n" for name, value in response.getheaders() if name.lower() not in _NOT_KEPT]
        line = f"HTTP/1.1 {response.status} {response.reason}\r\n"
        return _Answer(response.status, line.encode(), "".join([*kept, "\r\n"]).encode() + body)

    def _serve(self, ready: Event) -> None:
        asyncio.set_event_loop(self._loop)
        making = self._loop.create_server(partial(_Caller, self), "127.0.0.1", 0, backlog=1024)
        host, port = self._loop.run_until_complete(making).sockets[0].getsockname()
        self.url = f"http://{host}:{port}"
        ready.set()
        self._loop.run_forever()


class _Caller(asyncio.Protocol):
    """One connection, with one request at a time."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        request = _Request.read(self._received)
        if request is not None:
            self._received = b""
            self._front.answer(request, self._transport)


def _end(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A mistake of ours ends the whole measurement."""
    loop.default_exception_handler(context)
    sys.stderr.flush()
    os._exit(1)
