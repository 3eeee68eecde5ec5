"""The emulator behind HTTP/1.1: threads, connections that stay open, and answers that break off on demand."""

from __future__ import annotations

import gzip
import json
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from zoneinfo import ZoneInfo

from zuora_emulator import bulk, seeds
from zuora_emulator.delivery import Destination
from zuora_emulator.emulator import Emulator, follow_clock
from zuora_emulator.messages import Answer, Request
from zuora_emulator.traffic import Limits
from zuora_emulator.zuora_api import CLIENT_ID, CLIENT_SECRET, Access

#: Zuora compresses answers above this size where the caller takes it.
_COMPRESSED_FROM = 1000


@dataclass(frozen=True, kw_only=True)
class Options:
    """How the emulator is started."""

    port: int = 0
    host: str = "127.0.0.1"
    #: The tenant's day; None is today, and goes on with the clock.
    today: date | None = None
    time_zone: str = "UTC"
    client_id: str = CLIENT_ID
    client_secret: str = field(default=CLIENT_SECRET, repr=False)
    destination: Destination = field(default_factory=Destination)
    limits: Limits = field(default_factory=Limits)
    #: `demo` or `none`.
    seeds: str = "demo"
    #: A file of control actions, one JSON object a line, its `do` the action; run after the seeds.
    seed_file: Path | None = None
    bulk: bulk.Bulk | None = None
    #: Where chance begins: faults, lost callouts.
    seed: int = 0
    compress: bool = True
    #: How many callouts are sent at a time.
    callout_threads: int = 4


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], emulator: Emulator, compress: bool) -> None:
        self.emulator, self.compress = emulator, compress
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without looking up the host's name, which may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that went away is no error; anything else is shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One piece for header and body: two would wait 40 ms for the caller's delayed acknowledgement.
    wbufsize = 65_536
    disable_nagle_algorithm = True
    server: _Server

    def _answer(self) -> None:
        path, _, query = self.path.partition("?")
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        headers = {name.lower(): value for name, value in self.headers.items()}
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self._send(self.server.emulator.answer(Request(self.command, path, query, headers, body)), headers)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _answer  # noqa: N815 - the names that the base class looks for

    def _send(self, answer: Answer, asked: dict[str, str]) -> None:
        if answer.manner == "none":
            self.close_connection = True
            return
        body = answer.encode()
        zipped = self.server.compress and len(body) > _COMPRESSED_FROM and "gzip" in asked.get("accept-encoding", "")
        if zipped:
            body = gzip.compress(body, compresslevel=1, mtime=0)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if zipped:
            self.send_header("Content-Encoding", "gzip")
        if answer.status != 204:
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        match answer.manner:
            case "cut":
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
            case "trickle":
                self._trickle(body, answer.seconds)
            case _:
                self.wfile.write(body)

    def _trickle(self, body: bytes, seconds: float) -> None:
        pieces = max(1, min(len(body), 50))
        size = -(-len(body) // pieces)
        for start in range(0, len(body), size):
            self.wfile.write(body[start : start + size])
            self.wfile.flush()
            if self.server.emulator.stopping.wait(seconds / pieces):
                return

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: who wants to know what was called asks for the traffic."""


@dataclass
class Running:
    """An emulator that serves; `url` is where."""

    emulator: Emulator
    server: _Server
    thread: Thread

    @property
    def url(self) -> str:
        """The address of the tenant and, below `/control`, of its control side."""
        return f"http://{self.server.server_name}:{self.server.server_port}"

    def stop(self) -> None:
        """Stop serving and sending."""
        self.emulator.stop()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(timeout=5)


def start(options: Options | None = None) -> Running:
    """Start an emulator in threads of this process."""
    options = options or Options()
    emulator = build(options)
    server = _Server((options.host, options.port), emulator, options.compress)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True, name="emulator")
    thread.start()
    if options.today is None:
        Thread(target=follow_clock, args=(emulator,), daemon=True, name="emulator-calendar").start()
    return Running(emulator, server, thread)


def serve(options: Options, announce: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; `announce` is told the address once it is open."""
    running = start(options)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: running.emulator.stopping.set())
    announce(running.url)
    running.emulator.stopping.wait()
    running.stop()


def build(options: Options) -> Emulator:
    """An emulator with its records, not yet serving."""
    emulator = Emulator(
        today=options.today or datetime.now(ZoneInfo(options.time_zone)).date(),
        time_zone=options.time_zone,
        access=Access(options.client_id, options.client_secret),
        destination=Destination(),
        limits=options.limits,
        seed=options.seed,
        callout_threads=options.callout_threads,
    )
    if options.seeds == "demo":
        seeds.fill(emulator.tenant)
    if options.bulk is not None:
        emulator.tenant.add_stock(bulk.BulkStock(options.bulk, emulator.tenant))
    if options.seed_file is not None:
        for line in options.seed_file.read_text().splitlines():
            if line.strip():
                values = json.loads(line)
                emulator.actions.do(values.pop("do"), values)
    # Only now: what was there before anybody looked is no news.
    emulator.callouts.destination = options.destination
    return emulator
