"""A release replaces the one before under load and is taken back; both work side by side on the newer one's schema.

What is replaced is taken out of the repository's history: the release before, which is as it was released, or the
code before the last migration, which answers as today's does.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.acceptance.comparing import find_stale
from tests.acceptance.database_away import Load
from tests.acceptance.processes import Child, wait_until
from tests.acceptance.senders import TRANSFER_SECONDS, Sent
from tests.acceptance.service import Service
from tests.acceptance.tenant import ROOT, Tenant
from tests.ports import free_port

_MIGRATIONS = "sync_service/store/migrations/versions"
#: Callouts that are acknowledged in each stage before the next one begins.
A_WHILE = 40
#: A worker that is told to stop gets 25 s for what it has begun, and 8 s to put back the rest.
_STOP_SECONDS = 40.0


class NoHistory(Exception):
    """The repository's history is not here, so that no earlier release can be taken out of it."""


@dataclass(frozen=True)
class Upgraded:
    """How it went; all lists are empty where it went well."""

    sent: Sent
    lost: set[str]
    stale: list[str]
    failed: list[object]
    #: How the processes ended that were told to stop.
    ends: list[int]
    #: Callouts that the newer release did not answer with 200; the one before may be one that waits for less long.
    refused: int


def find_release_before() -> str:
    """The commit that gave the package the version before this one. Raises NoHistory."""
    versions = _git("log", "-2", "--format=%h", "-G__version__", "--", "sync_service/__init__.py").decode().split()
    if len(versions) < 2:
        raise NoHistory("there is no version before this one")
    return versions[1]


def find_migration_before() -> str:
    """The latest commit that changed migrations and has all of today's but the last. Raises NoHistory."""

    def migrations(commit: str) -> list[str]:
        names = _git("ls-tree", "--name-only", f"{commit}:{_MIGRATIONS}").decode().split()
        return [name for name in names if name[0].isdigit()]

    wanted = migrations("HEAD")[:-1]
    commits = _git("log", "-50", "--format=%h", "--", _MIGRATIONS).decode().split()
    found = next((commit for commit in commits if migrations(commit) == wanted), None)
    if found is None:
        raise NoHistory("no commit has all migrations but the last")
    return found


def take_out(commit: str, folder: Path) -> None:
    """Put the package as of this commit into `folder`."""
    with tarfile.open(fileobj=io.BytesIO(_git("archive", commit, "sync_service", "zuora_emulator"))) as packed:
        packed.extractall(folder, filter="data")


def _git(*words: str) -> bytes:
    try:
        return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, timeout=60, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoHistory(str(error)) from error


class Release:
    """The processes of one release: a web process on a port of its own, workers, a scheduler."""

    def __init__(self, service: Service, code: Path) -> None:
        self.port = free_port()
        self._service = service
        self._environ = service.environ | {"PYTHONPATH": str(code), "PORT": str(self.port)}
        self._running: list[Child] = []

    def run(self, *words: str) -> None:
        """Run a command to its end."""
        child = self._start(*words)
        assert child.wait() == 0, child.tail()

    def start(self) -> None:
        """Start everything, and wait until it works."""
        self._running = [self._start(name) for name in ("web", "worker", "worker", "scheduler")]
        for child in self._running[1:]:
            child.wait_for(f"{child.name}_started")
        wait_until(self._is_ready, "the web is ready")

    def replace_a_worker(self) -> None:
        """A worker dies, and another one of this release takes its place."""
        self._running.pop(1).kill()
        self._running.append(self._start("worker"))
        self._running[-1].wait_for("worker_started")

    def stop(self) -> list[int]:
        """Tell everything to stop, as a deployment does, and wait; the statuses."""
        for child in self._running:
            child.terminate()
        return [child.wait(_STOP_SECONDS) for child in self._running]

    def _start(self, *words: str) -> Child:
        command = [sys.executable, "-m", "sync_service.cli.main", *words]
        child = Child(words[0], command, self._environ, self._service.folder)
        self._service.children.append(child)
        return child

    def _is_ready(self) -> bool:
        try:
            with requests.Session() as http:
                http.trust_env = False
                return http.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5).ok
        except requests.RequestException:
            return False


def upgrade_and_go_back(database_url: str, folder: Path, seed: int, commit: str) -> Upgraded:
    """Upgrade from `commit` under load and take its code back; at every moment a web process takes callouts.

    A process is stopped after the load balancer has turned away from it, as Kubernetes and every rolling deployment do.
    """
    code = folder / "before"
    take_out(commit, code)
    tenant = Tenant(folder, subscriptions=40, accounts=10, seed=seed)
    service = Service(folder, database_url, tenant, migrated=False)
    old, new = Release(service, code), Release(service, ROOT)
    ends: list[int] = []
    try:
        old.run("db", "upgrade")
        old.start()
        load = Load(service, seed)
        load.senders.turn_to(old.port)
        load.wait_for_more(A_WHILE)

        new.run("db", "upgrade")
        load.wait_for_more(A_WHILE)
        old.replace_a_worker()
        load.wait_for_more(A_WHILE)

        ends += _replace(load, old, new)
        load.wait_for_more(A_WHILE)
        ends += _replace(load, new, old)
        load.wait_for_more(A_WHILE)
        load.end()
        service.expire_leases()
        service.settle(time_passes=True)
        sent = load.senders.sent
        stale = find_stale(service, tenant.numbers)
        lost, refused = service.unkept(sent.acknowledged), sent.refused[new.port]
        return Upgraded(sent, lost, stale, service.failed(), ends, refused)
    finally:
        service.stop()
        tenant.stop()


def _replace(load: Load, leaving: Release, coming: Release) -> list[int]:
    """Both side by side for a while; then the one that leaves gets no more and is stopped."""
    coming.start()
    load.senders.turn_to(leaving.port, coming.port)
    load.wait_for_more(A_WHILE)
    load.senders.turn_to(coming.port)
    load.wait_for_more()  # what the leaving one had taken is answered
    return leaving.stop()


def judge(upgraded: Upgraded) -> list[str]:
    """What went wrong, a line each."""
    wrong = [f"lost: {each}" for each in sorted(upgraded.lost)] + upgraded.stale
    wrong += [f"given up: {each}" for each in upgraded.failed]
    wrong += [f"the newer release refused {upgraded.refused} callouts"] if upgraded.refused else []
    wrong += [f"ends: {upgraded.ends}"] if any(upgraded.ends) else []
    if upgraded.sent.slowest >= TRANSFER_SECONDS:
        wrong.append(f"a callout waited {upgraded.sent.slowest:.1f} s")
    return wrong
