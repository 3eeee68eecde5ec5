"""Takes the database away in every way, under load: nothing is acknowledged meanwhile, all goes on by itself after."""

from __future__ import annotations

import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from tests.acceptance.changes import Changes
from tests.acceptance.comparing import find_stale
from tests.acceptance.postgres import Postgres
from tests.acceptance.processes import wait_until
from tests.acceptance.senders import TRANSFER_SECONDS, Senders
from tests.acceptance.service import Service
from tests.acceptance.tenant import Tenant

#: Callouts that are asked for while nothing can be committed.
ASKED = 5
#: Orders that one load places: of more, terms become so long that Zuora cuts its previews.
_MAX_ORDERS = 120


class Load:
    """Changes and their callouts, one after another, from the first moment to the last."""

    def __init__(self, service: Service, seed: int) -> None:
        self.changes = Changes(service.tenant, Random(seed))
        self.senders = Senders(service.port, threads=4)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="load")
        self._thread.start()

    def _go_on(self) -> None:
        while not self._stopping.wait(0.05):
            for number in self._next():
                self.senders.send(number)

    def _next(self) -> list[str]:
        """Two that have just changed; after many orders those of an edited account, or any two once more."""
        if self.changes.orders < _MAX_ORDERS:
            return self.changes.change_subscriptions(2, callout=False)
        if self.changes.chance.random() < 0.3:
            return self.changes.numbers_of(self.changes.edit_account(callout=False))
        return self.changes.chance.sample(self.changes.tenant.numbers, 2)

    def wait_for_more(self, count: int = 20) -> None:
        """Wait until so many more callouts were acknowledged."""
        enough = len(self.senders.sent.acknowledged) + count
        wait_until(lambda: len(self.senders.sent.acknowledged) >= enough, "callouts are acknowledged")

    def end(self) -> None:
        """Make no more changes; what was changed is told to the end."""
        self._stopping.set()
        self._thread.join()
        self.senders.send_all(self.changes.tenant.numbers)
        self.senders.stop()


@contextmanager
def under_load(service: Service, seed: int, *, lasting: bool = True) -> Iterator[Load]:
    """A service that works, before and after the trouble; `lasting`: with the same processes throughout."""
    service.start_all(workers=2)
    before = [child.pid for child in service.children]
    load = Load(service, seed)
    try:
        load.wait_for_more()
        yield load
        load.wait_for_more()
    finally:
        load.end()
    service.expire_leases()  # of runs that could not even be put back
    service.settle(time_passes=True)

    assert find_stale(service, service.tenant.numbers) == []
    assert service.unkept(load.senders.sent.acknowledged) == set()
    assert service.failed() == []
    if lasting:
        assert [child.pid for child in service.children if child.is_running] == before
    assert load.senders.sent.slowest < TRANSFER_SECONDS


def refused(service: Service) -> list[int]:
    """The answers to some callouts, each asked once."""
    senders = Senders(service.port, threads=1)
    answers = [senders.send(number, again=False).result() for number in service.tenant.numbers[:ASKED]]
    senders.stop()
    return answers


@contextmanager
def service_on(database_url: str, folder: Path) -> Iterator[Service]:
    tenant = Tenant(folder, subscriptions=20, accounts=5)
    service = Service(folder, database_url, tenant)
    try:
        yield service
    finally:
        service.stop()
        tenant.stop()


def take_postgres_away(postgres: Postgres, folder: Path, seed: int) -> int:
    """Stop it in both ways, cut its connections, make it read-only; how many callouts were acknowledged."""
    with service_on(postgres.url, folder) as service, under_load(service, seed) as load:
        for how in ("fast", "immediate"):
            postgres.stop(how)
            assert refused(service) == [503] * ASKED
            postgres.start()
            load.wait_for_more()

        for _ in range(5):
            assert postgres.cut_connections() > 0
            load.wait_for_more(5)

        postgres.refuse_writes(True)
        assert refused(service) == [503] * ASKED
        postgres.refuse_writes(False)
    return len(load.senders.sent.acknowledged)


def take_writing_away(database_url: str, folder: Path, seed: int) -> int:
    """No file of the embedded database can grow, twice; how many callouts were acknowledged."""
    with service_on(database_url, folder) as service, under_load(service, seed) as load:
        for _ in range(2):
            with no_file_grows(service):
                assert refused(service) == [503] * ASKED
            load.wait_for_more()
    return len(load.senders.sent.acknowledged)


@contextmanager
def no_file_grows(service: Service) -> Iterator[None]:
    """Every write to a file fails in every process of the service, as on a disk that is full or read-only."""
    limits = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for child in service.children for pid in child.pids()}
    for pid, (_, hard) in limits.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    yield
    for pid, before in limits.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
