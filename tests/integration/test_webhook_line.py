"""The line to a receiver: by https to the address that was checked, and no longer than the deadline."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from itertools import chain, repeat
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sync_service.webhooks.destination import Connections, NoAnswer, look_up

LOOPBACK = (ip_network("127.0.0.0/8"),)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for hooks.example that is its own authority, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


@pytest.fixture
def receiver(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, list[str]]]:
    """A receiver on this machine that names lead to; its port, and the names that it was called by."""
    called: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            called.append(self.headers["Host"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A client that refuses the certificate is no error."""

    server = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _, name, __: called.append(f"SNI {name}")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **more: real("127.0.0.1" if str(host).endswith(".example") else host, *rest, **more),
    )
    yield server.server_port, called
    server.shutdown()
    server.server_close()


def post(host: str, port: int) -> int:
    line = Connections(look_up(f"https://{host}:{port}/hook", LOOPBACK))
    try:
        return line.post("{}", {}, None)
    finally:
        line.close()


def test_the_certificate_is_checked_for_the_name_and_not_for_the_number(
    receiver: tuple[int, list[str]], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, called = receiver
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))

    assert post("hooks.example", port) == 204

    assert called == ["SNI hooks.example", f"hooks.example:{port}"]


def test_a_certificate_for_another_name_is_refused(
    receiver: tuple[int, list[str]], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, called = receiver
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))

    with pytest.raises(NoAnswer, match="certificate that is not accepted"):
        post("other.example", port)

    assert called == ["SNI other.example"]  # nothing was sent


def test_a_certificate_of_an_unknown_authority_is_refused(receiver: tuple[int, list[str]]) -> None:
    port, called = receiver

    with pytest.raises(NoAnswer, match="certificate that is not accepted"):
        post("hooks.example", port)

    assert called == ["SNI hooks.example"]


def test_a_receiver_that_drips_its_answer_is_left_at_the_deadline() -> None:
    """Each byte comes within any pause that is allowed, and the answer never ends."""
    given_up = Event()

    def drip() -> None:
        with server.accept()[0] as connection, suppress(OSError):
            for byte in chain(b"HTTP/1.1 200 OK\r\nX-Slow: ", repeat(ord("a"))):
                connection.sendall(bytes([byte]))
                if given_up.wait(0.05):
                    return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=drip)
        thread.start()
        line = Connections(look_up(f"http://127.0.0.1:{server.getsockname()[1]}/hook", LOOPBACK))
        with pytest.raises(NoAnswer, match="did not answer in time"):
            line.post("{}", {}, None, seconds=0.5)
        given_up.set()
        line.close()
        thread.join()
