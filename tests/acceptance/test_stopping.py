"""SIGTERM under load: every process leaves within the limit that systemd and compose give it, and nothing is lost."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import pytest

from sync_service.queue.retry import MAX_UNSERVED
from tests.acceptance.changes import Changes
from tests.acceptance.comparing import find_stale
from tests.acceptance.processes import wait_until
from tests.acceptance.senders import Senders
from tests.acceptance.service import Service
from tests.acceptance.tenant import ROOT, Tenant

#: After so many seconds systemd kills what it asked to stop.
LIMIT = float(re.findall(r"TimeoutStopSec=(\d+)", (ROOT / "deploy/sync-service-worker.service").read_text())[0])
#: Longer than any run may take, in seconds: a thread that waits for such an answer is not done within the limit.
ENDLESS = 100
THREADS = 4


@contextmanager
def service_on(folder: Path, url: str) -> Iterator[Service]:
    folder.mkdir()
    tenant = Tenant(folder, subscriptions=20, accounts=5)
    service = Service(folder, url, tenant, worker_threads=THREADS, zuora_max_concurrency=20)
    try:
        yield service
    finally:
        service.stop()
        tenant.stop()


@pytest.fixture
def services(tmp_path: Path, postgres_url: str) -> Iterator[list[Service]]:
    """One on each kind of database, side by side: most of a stop is waiting."""
    with (
        service_on(tmp_path / "sqlite", f"sqlite:///{tmp_path / 'store.db'}") as first,
        service_on(tmp_path / "postgresql", postgres_url) as second,
    ):
        yield [first, second]


@pytest.mark.long  # its short brothers: test_worker.py and test_scheduler.py
@pytest.mark.timeout(240)
def test_who_is_stopped_while_zuora_does_not_answer_leaves_in_time_and_gives_back_what_it_had(
    services: list[Service],
) -> None:
    with ExitStack() as stack:
        loads = [stack.enter_context(standstill(service, seed)) for seed, service in enumerate(services)]
        stopped = [child for service in services for child in service.children]
        for child in stopped:
            child.terminate()

        assert [child.wait(LIMIT) for child in stopped] == [0] * len(stopped)

        for service, (changes, senders) in zip(services, loads, strict=True):
            # No lease is left, and everything may be taken again as often as before. The first numbers that timed out
            # counted as their own trouble, until several different ones made it the tenant's.
            assert service.rows("SELECT key FROM sync_request WHERE lease_until IS NOT NULL") == []
            tried = [row[0] for row in service.rows("SELECT attempts FROM sync_request WHERE due_at IS NOT NULL")]
            assert 2 * THREADS < len(tried) == service.waiting
            assert set(tried) <= {0, 1}
            assert sum(tried) < MAX_UNSERVED
            service.tenant.do("clear_faults")
            service.start("run")
            senders.send_all(changes.change_subscriptions(5, callout=False))
            service.settle()
            assert find_stale(service, service.tenant.numbers) == []
            assert service.unkept(senders.sent.acknowledged) == set()
            assert service.failed() == []


@contextmanager
def standstill(service: Service, seed: int) -> Iterator[tuple[Changes, Senders]]:
    """All is synced once; then come changes and callouts, and every thread of both workers waits for Zuora."""
    for child in (service.start("run"), service.start("worker")):
        child.wait_for("worker_started")
    service.wait_until_ready()
    changes, senders = Changes(service.tenant, Random(seed)), Senders(service.port)
    try:
        senders.send_all(service.tenant.numbers)
        service.settle()
        service.tenant.do("fault", kind="latency", seconds=ENDLESS, path="GET /v1/subscriptions/")
        senders.send_all(changes.change_subscriptions(15, callout=False))
        calling = "SELECT COALESCE(sum(calls), 0) FROM zuora_lease WHERE lease_until > {now}"
        wait_until(lambda: service.one(calling) == 2 * THREADS, "all threads wait for Zuora")
        for number in service.tenant.numbers * 5:  # callouts go on while everything ends
            senders.send(number)
        yield changes, senders
    finally:
        senders.stop()


def test_the_workers_of_run_leave_the_processor_to_its_web_processes(tmp_path: Path) -> None:
    with service_on(tmp_path / "sqlite", f"sqlite:///{tmp_path / 'store.db'}") as service:
        run = service.start("run")
        run.wait_for("worker_started")
        service.wait_until_ready()
        started = {_module_of(pid): pid for pid in run.pids()[1:]}
        web, worker = started["sync_service.web"], started["worker"]

        assert os.getpriority(os.PRIO_PROCESS, worker) > os.getpriority(os.PRIO_PROCESS, web)
        if Path("/proc/self/autogroup").exists():  # then the kernel weighs sessions, and each of these is one
            assert _niceness_of_session(worker) > _niceness_of_session(web)


def _module_of(pid: int) -> str:
    """The module that a child runs, or the command of ours."""
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return next(each for each in words if each in ("sync_service.web", "worker", "scheduler"))


def _niceness_of_session(pid: int) -> int:
    return int(Path(f"/proc/{pid}/autogroup").read_text().split()[-1])


def test_children_leave_when_their_parent_is_killed(tmp_path: Path) -> None:
    with service_on(tmp_path / "sqlite", f"sqlite:///{tmp_path / 'store.db'}") as service:
        run = service.start("run")
        for begun in ("worker_started", "scheduler_started"):
            run.wait_for(begun)
        service.wait_until_ready()
        started = run.pids()[1:]
        assert len(started) == 3

        run.process.kill()

        wait_until(lambda: not any(map(_is_alive, started)), "web, worker and scheduler have left")


def _is_alive(pid: int) -> bool:
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
