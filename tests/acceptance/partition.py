"""A worker is cut off from its database: the server stands in a network of its own, and the cable to it is pulled.

The web process and another worker reach it by a socket in the file system, which no network can cut.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.comparing import find_stale
from tests.acceptance.database_away import Load, service_on
from tests.acceptance.postgres import Postgres
from tests.acceptance.scarcity import NotPermitted
from tests.acceptance.senders import Sent

#: Names and addresses of this process's own.
_NETWORK = f"sync{os.getpid()}"
_CABLE = f"{_NETWORK}a", f"{_NETWORK}b"
_HERE, _THERE = (f"10.213.{os.getpid() % 250}.{end}" for end in (1, 2))
#: A worker must notice within this time, in seconds: a dead connection is given up after ten, and asked again.
MAX_SECONDS = 40.0


@dataclass(frozen=True)
class Cut:
    """What a partition cost."""

    sent: Sent
    #: From the cut until the worker said so, and from the mending until it synced again.
    noticed: float
    mended: float


class Network:
    """A network namespace with one cable to it."""

    def __init__(self) -> None:
        _ip("netns", "add", _NETWORK)
        try:
            _ip("link", "add", _CABLE[0], "type", "veth", "peer", "name", _CABLE[1], "netns", _NETWORK)
        except NotPermitted:
            _ip("netns", "delete", _NETWORK)
            raise
        _ip("addr", "add", f"{_HERE}/30", "dev", _CABLE[0])
        _ip("link", "set", _CABLE[0], "up")
        _ip("-n", _NETWORK, "addr", "add", f"{_THERE}/30", "dev", _CABLE[1])
        self.plug()

    def plug(self) -> None:
        """The cable is plugged in."""
        _ip("-n", _NETWORK, "link", "set", _CABLE[1], "up")

    def pull(self) -> None:
        """The cable is pulled: nothing arrives any more, and no side is told."""
        _ip("-n", _NETWORK, "link", "set", _CABLE[1], "down")

    def remove(self) -> None:
        """Take it down; the cable by itself, because a namespace lets go of what is in it later."""
        _ip("link", "delete", _CABLE[0])
        _ip("netns", "delete", _NETWORK)


def _ip(*words: str) -> None:
    try:
        subprocess.run(["ip", *words], capture_output=True, timeout=20, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NotPermitted("a network of its own needs the right to make one") from error


@contextmanager
def _server(network: Network) -> Iterator[Postgres]:
    server = Postgres()
    try:
        with (server.folder / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {_HERE}/32 trust\n")
        server.move_into(_NETWORK, _THERE)
        network.plug()
        yield server
    finally:
        server.remove()


def cut_a_worker_off(folder: Path, seed: int) -> Cut:
    """Pull the cable under load, and plug it in again. Raises NotPermitted, AssertionError where anything is lost."""
    network = Network()
    try:
        with _server(network) as server, service_on(server.url, folder) as service:
            service.start_all(workers=1)
            local = service.environ["DATABASE_URL"]
            service.environ["DATABASE_URL"] = f"postgresql://postgres@{_THERE}:5432/postgres"
            remote = service.start("worker")
            service.environ["DATABASE_URL"] = local
            remote.wait_for("worker_started")
            load = Load(service, seed)
            remote.wait_for("sync_finished")

            try:
                network.pull()
                cut, said = time.monotonic(), len(remote.lines)
                remote.wait_for("worker_database_away|sync_abandoned", after=said, seconds=MAX_SECONDS)
                noticed = time.monotonic() - cut
                load.wait_for_more()
                service.expire_leases()  # what the cut off worker had in hand is taken up by the other one
                load.wait_for_more()

                network.plug()
                mended, said = time.monotonic(), len(remote.lines)
                remote.wait_for("sync_finished", after=said)
                mended = time.monotonic() - mended
            finally:
                load.end()
            service.expire_leases()
            service.settle(time_passes=True)
            sent = load.senders.sent
            assert set(sent.statuses) <= {200, 503}
            assert find_stale(service, service.tenant.numbers) == []
            assert service.unkept(sent.acknowledged) == set()
            assert service.failed() == []
        return Cut(sent, noticed, mended)
    finally:
        network.remove()
