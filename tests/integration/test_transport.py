"""The deadline against servers that misbehave on a real socket: hanging, dripping, cutting, flooding."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sync_service.errors import NotServed, PayloadInvalid, ZuoraUnavailable
from sync_service.zuora.transport import AnswerCut, Deadline, Transport

#: For how long a server keeps still, in seconds.
SILENT = 40
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

#: What a server does with a connection, told how many requests came before.
Script = Callable[[socket.socket, int], None]


class Server:
    """Reads requests off a real socket and lets the script answer each."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests = 0
        self.connections = 0
        self.over = threading.Event()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._converse, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _converse(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(5)
            try:
                while self._read_request(connection):
                    seen, self.requests = self.requests, self.requests + 1
                    self._script(connection, seen)
            except OSError:
                return

    def _read_request(self, connection: socket.socket) -> bool:
        received = b""
        while b"\r\n\r\n" not in received:
            piece = connection.recv(4096)
            if not piece:
                return False
            received += piece
        return True

    def close(self) -> None:
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=10)


@contextmanager
def serving(script: Script) -> Iterator[Server]:
    server = Server(script)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def transport() -> Iterator[Transport]:
    transport = Transport(4, {"Accept-Encoding": "gzip"})
    yield transport
    transport.close()


def drip(connection: socket.socket, head: bytes, over: threading.Event) -> None:
    """Send `head`, then a byte every 50 ms for ever."""
    connection.sendall(head)
    while not over.wait(0.05):
        connection.sendall(b"1")


def fails_in_time(transport: Transport, address: str) -> ZuoraUnavailable:
    """Ask a server that says nothing for SILENT seconds with a deadline of half a second, and see that it held."""
    began = time.monotonic()
    with pytest.raises(ZuoraUnavailable) as raised:
        transport.send("GET", address, Deadline(0.5))
    took = time.monotonic() - began

    assert 0.3 < took < SILENT / 2
    return raised.value


def test_an_answer_is_read_whole(transport: Transport) -> None:
    with serving(lambda connection, _: connection.sendall(OK)) as server:
        answer = transport.send("GET", server.address, Deadline(30))

    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"{}", "2")


def test_a_connection_is_used_again(transport: Transport) -> None:
    with serving(lambda connection, _: connection.sendall(OK)) as server:
        for _ in range(3):
            transport.send("GET", server.address, Deadline(30))

        assert (server.requests, server.connections) == (3, 1)


def test_a_compressed_answer_is_unpacked(transport: Transport) -> None:
    body = gzip.compress(b'{"success": true}')
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with serving(lambda connection, _: connection.sendall(head + body)) as server:
        assert transport.send("GET", server.address, Deadline(30)).body == b'{"success": true}'


@pytest.mark.parametrize(
    ("sent", "body", "connections"),
    [
        pytest.param(b"HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\n" + OK, b"{}", 1, id="an early word before it"),
        pytest.param(b"HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n" + OK, b"{}", 1, id="early hints before it"),
        pytest.param(b"HTTP/1.1 200\r\nno field\r\nCONTENT-LENGTH:2 \r\n\r\n{}", b"{}", 1, id="in an odd head"),
        pytest.param(b"HTTP/1.1 204 No Content\r\nX-Empty:\r\n\r\n", b"", 1, id="none"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"", 1, id="an empty one"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n3\r\n,2]\r\n0\r\nX-Late: 1\r\n\r\n",
            b"[1,2]",
            1,
            id="in chunks",
        ),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\n[1,2]", b"[1,2]", 2, id="until the connection ends"),
        pytest.param(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), b"{}", 2, id="the last one"),
        pytest.param(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n0", b"{}", 1, id="another one behind it"),
    ],
)
def test_an_answer_ends_where_it_says(transport: Transport, sent: bytes, body: bytes, connections: int) -> None:
    """And whatever stands behind it is no answer to the next request."""

    def script(connection: socket.socket, _: int) -> None:
        connection.sendall(sent)
        if sent.startswith(b"HTTP/1.0"):
            connection.shutdown(socket.SHUT_RDWR)

    with serving(script) as server:
        for _ in range(2):
            answer = transport.send("GET", server.address, Deadline(30))
            assert (answer.body, answer.headers.get("X-Early")) == (body, None)

        assert (server.requests, server.connections) == (2, connections)


def test_an_answer_that_was_packed_in_parts_is_unpacked_whole(transport: Transport) -> None:
    body = gzip.compress(b'{"success": ') + gzip.compress(b"true}")
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with serving(lambda connection, _: connection.sendall(head + body)) as server:
        assert transport.send("GET", server.address, Deadline(30)).body == b'{"success": true}'


def test_a_head_without_end_is_refused(transport: Transport) -> None:
    def script(connection: socket.socket, _: int) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not server.over.is_set():
            connection.sendall(b"X-More: " + b"x" * 50_000 + b"\r\n")

    with serving(script) as server, pytest.raises(ZuoraUnavailable, match="HTTPException"):
        transport.send("GET", server.address, Deadline(30))


def test_the_deadline_ends_a_server_that_never_answers(transport: Transport) -> None:
    def script(_: socket.socket, __: int) -> None:
        server.over.wait(SILENT)

    with serving(script) as server:
        fails_in_time(transport, server.address)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", id="in the body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n", id="in a chunk"),
        pytest.param(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", id="in a body without a length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX-Slow: ", id="in the headers"),
        pytest.param(b"HTTP/1.1 200 ", id="in the status line"),
    ],
)
def test_the_deadline_ends_an_answer_that_drips(transport: Transport, head: bytes) -> None:
    """Each byte comes well within any timeout of its own; only the whole takes too long."""
    with serving(lambda connection, _: drip(connection, head, server.over)) as server:
        assert isinstance(fails_in_time(transport, server.address), NotServed)


def test_the_deadline_holds_over_tls_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(make_certificate(tmp_path))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "server.pem"))

    class TlsServer(Server):
        def _converse(self, connection: socket.socket) -> None:
            super()._converse(context.wrap_socket(connection, server_side=True))

    def script(connection: socket.socket, seen: int) -> None:
        if seen:
            drip(connection, b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", server.over)
        connection.sendall(OK)

    server = TlsServer(script)
    transport = Transport(1, {})
    address = server.address.replace("http", "https")
    assert transport.send("GET", address, Deadline(30)).body == b"{}"
    fails_in_time(transport, address)
    transport.close()
    server.close()


def test_the_deadline_holds_in_a_proxys_tunnel_and_for_the_word_that_opens_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(make_certificate(tmp_path))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "server.pem"))
    asked: list[bytes] = []

    class Proxy(Server):
        """Is the server at the end of its tunnels itself."""

        def _converse(self, connection: socket.socket) -> None:
            asked.append(connection.recv(4096).split(b"\r\n")[0])
            with connection, suppress(OSError):  # the client hangs up
                if len(asked) == 3:
                    drip(connection, b"HTTP/1.1 200 OK\r\nX-Slow: ", self.over)
                connection.sendall(b"HTTP/1.1 200 Connection established\r\nX-Proxy: 1\r\n\r\n")
                super()._converse(context.wrap_socket(connection, server_side=True))

    def script(connection: socket.socket, seen: int) -> None:
        if seen:
            drip(connection, b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", proxy.over)
        connection.sendall(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    proxy = Proxy(script)
    monkeypatch.setenv("HTTPS_PROXY", proxy.address)
    monkeypatch.setenv("NO_PROXY", "")
    transport = Transport(1, {})
    assert transport.send("GET", "https://127.0.0.1:7/v1", Deadline(30)).body == b"{}"
    fails_in_time(transport, "https://127.0.0.1:7/v1")
    fails_in_time(transport, "https://127.0.0.1:7/v1")
    transport.close()
    proxy.close()

    assert [line.startswith(b"CONNECT 127.0.0.1:7 ") for line in asked] == [True] * 3


def make_certificate(folder: Path) -> Path:
    """A key and a certificate for 127.0.0.1 without an authority's signature, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "server.pem"
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


def test_the_next_call_is_not_hurt_by_one_that_ran_out_of_time(transport: Transport) -> None:
    def script(connection: socket.socket, seen: int) -> None:
        if seen == 0:
            drip(connection, b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", server.over)
        connection.sendall(OK)

    with serving(script) as server:
        fails_in_time(transport, server.address)
        assert transport.send("GET", server.address, Deadline(30)).body == b"{}"


def test_a_used_connection_gets_the_whole_time_of_its_next_call(transport: Transport) -> None:
    def script(connection: socket.socket, seen: int) -> None:
        server.over.wait(1.5 if seen else 0)
        connection.sendall(OK)

    with serving(script) as server:
        transport.send("GET", server.address, Deadline(1))
        assert transport.send("GET", server.address, Deadline(30)).status == 200


def test_a_connection_closed_before_any_answer_is_told_apart(transport: Transport) -> None:
    with serving(lambda connection, _: connection.shutdown(socket.SHUT_RDWR)) as server, pytest.raises(AnswerCut):
        transport.send("GET", server.address, Deadline(30))


@pytest.mark.parametrize(
    "part",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nnogzi",
        b"SMTP ready\r\n\r\n",
    ],
)
def test_an_answer_that_breaks_off_or_is_garbled_is_no_answer(transport: Transport, part: bytes) -> None:
    def script(connection: socket.socket, _: int) -> None:
        connection.sendall(part)
        connection.shutdown(socket.SHUT_RDWR)

    with serving(script) as server, pytest.raises(ZuoraUnavailable) as raised:
        transport.send("GET", server.address, Deadline(30))

    assert not isinstance(raised.value, AnswerCut)


def test_a_host_that_does_not_listen_is_reported_at_once_and_without_the_address(transport: Transport) -> None:
    with serving(lambda connection, _: connection.sendall(OK)) as server:
        address = server.address

    with pytest.raises(ZuoraUnavailable) as raised:
        transport.send("GET", f"{address}/v1/secret", Deadline(30))

    assert str(raised.value) == "Zuora cannot be reached: ConnectionRefusedError."


def test_a_host_that_does_not_exist_is_a_zuora_that_is_not_there(transport: Transport) -> None:
    with pytest.raises(ZuoraUnavailable, match=r"^Zuora cannot be reached: \w+\.$"):
        transport.send("GET", "https://zuora.invalid/v1", Deadline(30))


def test_a_redirect_is_not_followed(transport: Transport) -> None:
    redirect = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    with serving(lambda connection, _: connection.sendall(redirect)) as server:
        assert transport.send("GET", server.address, Deadline(30)).status == 302
        assert server.requests == 1


def test_an_answer_without_end_is_refused_at_20_mb(transport: Transport) -> None:
    def script(connection: socket.socket, _: int) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while not server.over.is_set():
            connection.sendall(b"x" * 1_000_000)

    with serving(script) as server, pytest.raises(PayloadInvalid, match="larger than 20 MB"):
        transport.send("GET", server.address, Deadline(30))


def test_a_small_answer_that_unpacks_into_a_huge_one_is_refused(transport: Transport) -> None:
    body = gzip.compress(b"0" * 50_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with (
        serving(lambda connection, _: connection.sendall(head + body)) as server,
        pytest.raises(PayloadInvalid, match="larger than 20 MB"),
    ):
        transport.send("GET", server.address, Deadline(30))


def test_waiting_for_a_free_connection_counts_too() -> None:
    transport = Transport(1, {})
    began = threading.Event()

    def script(connection: socket.socket, _: int) -> None:
        began.set()
        server.over.wait(SILENT)
        connection.sendall(OK)

    with serving(script) as server:
        holder = threading.Thread(target=transport.send, args=("GET", server.address, Deadline(SILENT)))
        holder.start()
        assert began.wait(60)
        error = fails_in_time(transport, server.address)
        server.over.set()
        holder.join()

    transport.close()
    assert str(error) == "No connection to Zuora became free in time."


def test_a_deadline_that_is_over_asks_nothing(transport: Transport) -> None:
    with serving(lambda connection, _: connection.sendall(OK)) as server:
        with pytest.raises(ZuoraUnavailable, match="took too long"):
            transport.send("GET", server.address, Deadline(0))

        assert server.requests == 0


def test_cookies_of_zuora_are_not_kept(transport: Transport) -> None:
    """A session cookie would outrank the token."""
    received: list[bytes] = []

    class Listening(Server):
        def _read_request(self, connection: socket.socket) -> bool:
            piece = connection.recv(4096)
            received.append(piece)
            return bool(piece)

    cookie = b"HTTP/1.1 200 OK\r\nSet-Cookie: ZSession=1; Path=/\r\nContent-Length: 2\r\n\r\n{}"
    server = Listening(lambda connection, _: connection.sendall(cookie))
    for _ in range(2):
        transport.send("GET", server.address, Deadline(30))
    transport.close()
    server.close()

    assert b"cookie" not in b"".join(received).lower()
