"""Over real sockets, as Zuora and the world come in."""

from __future__ import annotations

import http.client
import json
import os
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlmodel import select

from sync_service.access.clients import SYNC_SCOPE, add_client
from sync_service.store.engine import Database, connect
from sync_service.store.tables import CalloutRow, SyncRequestRow
from sync_service.web.callouts import MAX_REJECTED_OF_PLACE
from tests.acceptance.processes import PATIENCE, wait_until
from tests.databases import new_sqlite
from tests.integration.web.conftest import SYNC, ZUORA
from tests.ports import free_port

ROOT = Path(__file__).parents[3]
SETTINGS = {"CALLOUT_USERNAME": "zuora", "CALLOUT_PASSWORD": "correct horse", "LOG_FORMAT": "json"}


@dataclass
class Server:
    """A running gunicorn and its database."""

    process: subprocess.Popen[bytes]
    port: int
    database: Database
    log: Path

    def connect(self) -> http.client.HTTPConnection:
        """A new connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def raw(self, request: bytes) -> bytes:
        """Send bytes, read until the server closes or says no more for a while."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
            connection.sendall(request)
            answer = b""
            while not answer.endswith(b"}\n"):
                piece = connection.recv(65536)
                if not piece:
                    break
                answer += piece
        return answer


def start(folder: Path, environ: dict[str, str]) -> tuple[subprocess.Popen[bytes], int, Path]:
    """gunicorn with the deployment's own configuration on a free port."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "deploy/gunicorn.conf.py")]
    log = folder / "web.log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            [*command, "sync_service.app:create_wsgi()"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PORT": str(port), **environ},
            stderr=written,
            stdout=written,
        )
    return process, port, log


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for this module, on the embedded database."""
    folder = tmp_path_factory.mktemp("web")
    url = new_sqlite(folder / "store.db")
    database = connect(url)
    process, port, log = start(folder, {**SETTINGS, "DATABASE_URL": url})
    running = Server(process, port, database, log)

    def answers() -> bool:
        try:
            return b" 200 " in running.raw(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        except OSError:
            return False

    try:
        wait_until(answers, "the web answers")
        yield running
    finally:
        process.terminate()
        process.wait(timeout=30)
        database.engine.dispose()


def test_zuora_comes_first_without_and_then_with_credentials(server: Server) -> None:
    connection = server.connect()
    body = json.dumps({"Order.Source__c": "csr"})
    headers = {"Content-Type": "application/json", "Zuora-Notification-Id": "two-step", "Expect": "100-continue"}

    connection.request("POST", f"{SYNC}A-S00000271", body, headers)
    challenge = connection.getresponse()
    challenge.read()
    connection.request("POST", f"{SYNC}A-S00000271", body, {**headers, **ZUORA})
    accepted = connection.getresponse()
    said = json.loads(accepted.read())
    connection.close()

    assert (challenge.status, challenge.headers["WWW-Authenticate"]) == (401, 'Basic realm="sync-service"')
    assert (accepted.status, accepted.headers["Content-Type"], said["success"]) == (200, "application/json", True)
    with server.database.reading() as session:
        kept = session.exec(select(CalloutRow).where(CalloutRow.notification_id == "two-step")).all()
    assert [(row.key, row.verdict) for row in kept] == [("A-S00000271", "accepted")]


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("A-1%2F2", 200, "ignored"),
        ("%00", 200, "ignored"),
        ("", 200, "ignored"),
        ("/A-1", 200, "ignored"),
        ("A-1/", 200, "accepted"),
        ("Abo%20%C3%A4", 200, "accepted"),
        ("A-1?source=shop", 200, "ignored"),
    ],
)
def test_addresses_arrive_as_they_were_sent(server: Server, path: str, status: int, said: str) -> None:
    connection = server.connect()
    connection.request("POST", SYNC + path, headers=ZUORA)
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()

    assert (answer.status, body["status"]) == (status, said)


def chunked(*chunks: bytes) -> bytes:
    head = f"POST {SYNC}CHUNKED HTTP/1.1\r\nHost: x\r\nAuthorization: {ZUORA['Authorization']}\r\n"
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head.encode() + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + body + b"0\r\n\r\n"


def test_a_chunked_body_is_read(server: Server) -> None:
    answer = server.raw(chunked(b'{"Source__c":', b'"shop"}'))

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"ignored"' in answer


def test_a_chunked_body_over_the_limit_is_413(server: Server) -> None:
    answer = server.raw(chunked(*[b"x" * 8192] * 9))

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"application/json" in answer


def test_a_body_that_says_it_is_too_long_is_413_before_it_is_sent(server: Server) -> None:
    head = f"POST {SYNC}A-1 HTTP/1.1\r\nHost: x\r\nAuthorization: {ZUORA['Authorization']}\r\n"

    answer = server.raw(head.encode() + b"Content-Length: 1000000\r\nConnection: close\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 413 ")


def callout(server: Server, key: str) -> int:
    """The status of a callout on a connection of its own; 0 where none came within Zuora's patience."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=15)
    try:
        connection.request("POST", SYNC + key, headers=ZUORA)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def is_open(client: socket.socket) -> bool:
    """Whether the server has left the connection open so far."""
    client.setblocking(False)
    try:
        return client.recv(1024) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


#: What comes slowly: the head, a body with a length, a body in chunks; and what never comes at all.
SLOWLY = {
    "head": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-a: ",
    "body": b"POST /oauth2/token HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n",
    "chunks": b"POST /oauth2/token HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2000\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("what", SLOWLY)
def test_callouts_are_answered_while_strangers_send_slowly(server: Server, what: str) -> None:
    strangers = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(24)]
    try:
        for stranger in strangers:
            stranger.sendall(SLOWLY[what])
        statuses = []
        for number in range(6):
            statuses.append(callout(server, f"SLOW-{number}"))
            for stranger in strangers if SLOWLY[what] else ():
                stranger.sendall(b"x")

        assert statuses == [200] * 6
        assert all(map(is_open, strangers))  # so they were in the way throughout
    finally:
        for stranger in strangers:
            stranger.close()


def test_callouts_are_answered_with_two_thousand_idle_connections(server: Server) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, before[1]), before[1]))
    strangers: list[socket.socket] = []
    try:
        strangers.extend(socket.create_connection(("127.0.0.1", server.port)) for _ in range(2100))

        assert [callout(server, f"IDLE-{number}") for number in range(3)] == [200] * 3
        assert any(map(is_open, strangers))
    finally:
        for stranger in strangers:
            stranger.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_connections_that_come_at_once_are_shared_by_the_processes(server: Server) -> None:
    """One process alone would serve them with one interpreter, whatever the other cores do."""
    wait_until(lambda: all(taken_of_burst(server)), "both processes take connections")

    apart = [abs(one - other) for one, other in (taken_of_burst(server) for _ in range(9))]

    assert statistics.median(apart) <= 6, apart


def taken_of_burst(server: Server) -> list[int]:
    """How many of sixteen connections that are opened one right after the other each process takes."""
    wait_until(lambda: sum(connections_of_workers(server)) == 0, "earlier ones are closed")
    with ExitStack() as opened:
        for _ in range(16):
            opened.enter_context(closing(server.connect())).connect()
        wait_until(lambda: sum(connections_of_workers(server)) == 16, "all are taken")
        return connections_of_workers(server)


def connections_of_workers(server: Server) -> list[int]:
    """How many connections to clients each of the two processes has, as the system tells (proc(5))."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    clients = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{server.port:04X}") and row[3] == "01"}
    main = server.process.pid
    workers = Path(f"/proc/{main}/task/{main}/children").read_text().split()
    return [sum(leads_to(each) in clients for each in Path(f"/proc/{worker}/fd").iterdir()) for worker in workers]


def leads_to(descriptor: Path) -> str:
    with suppress(FileNotFoundError):  # it was closed a moment ago
        return os.readlink(descriptor)
    return ""


def test_who_guesses_waits_for_each_answer_and_no_callout_does(server: Server) -> None:
    wrong = f"POST {SYNC}GUESS HTTP/1.1\r\nHost: x\r\nAuthorization: Basic eDp5\r\nContent-Length: 0\r\n\r\n".encode()
    for _ in range(MAX_REJECTED_OF_PLACE):
        server.raw(wrong)
    guessers = [socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) for _ in range(24)]
    try:
        for guesser in guessers:
            guesser.sendall(wrong)
        statuses = [callout(server, f"GUESSED-{number}") for number in range(3)]
        guesser = guessers[0]

        assert statuses == [200] * 3
        assert guesser.recv(65536).startswith(b"HTTP/1.1 403 ")
        guesser.sendall(wrong)
        assert callout(server, "GUESSED-3") == 200
        assert is_open(guesser)
        with pytest.raises(BlockingIOError):
            guesser.recv(1)
    finally:
        for guesser in guessers:
            guesser.close()


def test_a_request_that_never_ends_is_given_up(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as stranger:
        stranger.sendall(SLOWLY["head"])
        stranger.settimeout(PATIENCE)

        assert stranger.recv(1024) == b""


@pytest.mark.parametrize(
    ("wrong", "status"),
    [(b"nonsense\r\n\r\n", 400), (b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * 5000), 414)],
    ids=["no HTTP", "too long"],
)
def test_a_request_that_cannot_be_read_is_told_so(server: Server, wrong: bytes, status: int) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
        client.sendall(wrong)

        assert client.recv(1024).startswith(b"HTTP/1.1 %d " % status)


def test_two_requests_sent_at_once_are_answered_in_their_order(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
        last = b"GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" + last)
        answers = b""
        while piece := client.recv(65536):
            answers += piece

    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200", b"404"]


def test_a_sender_that_waits_is_told_to_go_on_once(server: Server) -> None:
    head = f"POST {SYNC}WAITS HTTP/1.1\r\nHost: x\r\nAuthorization: {ZUORA['Authorization']}\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
        client.sendall(head + b"Expect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n")
        told = client.recv(1024)
        client.sendall(b"{}")
        answer = b""
        while piece := client.recv(65536):
            answer += piece

    assert told == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_both_workers_take_the_tokens_of_each_other(server: Server) -> None:
    """No SECRET_KEY is set: the processes agree on the one that is kept beside the database."""
    client_id, secret = add_client(server.database, "salesforce", [SYNC_SCOPE], actor="a test")
    form = f"grant_type=client_credentials&client_id={client_id}&client_secret={secret}"
    statuses = []
    for number in range(20):
        connection = server.connect()
        connection.request("POST", "/oauth2/token", form, {"Content-Type": "application/x-www-form-urlencoded"})
        token = json.loads(connection.getresponse().read())["access_token"]
        connection.close()
        connection = server.connect()
        headers = {"Authorization": f"Bearer {token}", "Prefer": "respond-async"}
        connection.request("POST", f"{SYNC}T-{number}", headers=headers)
        statuses.append(connection.getresponse().status)
        connection.close()

    assert statuses == [202] * 20


def test_the_log_names_keys_and_neither_secrets_nor_bodies(server: Server) -> None:
    connection = server.connect()
    connection.request("POST", f"{SYNC}LOGGED", '{"email":"jane@example.com"}', ZUORA)
    connection.getresponse().read()
    connection.close()

    log = server.log.read_text()
    assert '"event": "callout_received"' in log
    assert "LOGGED" in log
    assert "jane" not in log
    assert "correct horse" not in log
    assert ZUORA["Authorization"].split()[1] not in log


def test_every_answered_callout_is_there_after_the_server_is_killed(tmp_path: Path) -> None:
    url = new_sqlite(tmp_path / "store.db")
    database = connect(url)
    process, port, _ = start(tmp_path, {**SETTINGS, "DATABASE_URL": url})
    answered = []
    deadline = time.monotonic() + 60
    while len(answered) < 25 and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("POST", f"{SYNC}K-{len(answered)}", headers=ZUORA)
            answered.append(connection.getresponse().status)
        except OSError:
            time.sleep(0.05)
        connection.close()
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in (process.pid, *map(int, children)):
        os.kill(pid, signal.SIGKILL)
    process.wait()

    with database.reading() as session:
        kept = {row.key for row in session.exec(select(SyncRequestRow))}
    database.engine.dispose()
    assert answered == [200] * 25
    assert kept == {f"K-{number}" for number in range(25)}


def test_a_schema_that_is_too_old_is_refused_with_the_remedy(tmp_path: Path) -> None:
    process, _, log = start(tmp_path, {**SETTINGS, "DATABASE_URL": f"sqlite:///{tmp_path / 'empty.db'}"})

    assert process.wait(timeout=30) != 0
    assert "sync-service db upgrade" in log.read_text()


def test_settings_that_cannot_be_used_are_all_named(tmp_path: Path) -> None:
    process, _, log = start(tmp_path, {**SETTINGS, "SECRET_KEY": "short", "TENANT_TIME_ZONE": "Nowhere"})

    assert process.wait(timeout=30) != 0
    assert "SECRET_KEY: must have at least 32 characters" in log.read_text()
    assert "TENANT_TIME_ZONE" in log.read_text()
