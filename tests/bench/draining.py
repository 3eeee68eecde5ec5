"""Draining a backlog while Zuora takes its time: how much of what may be called at once is called."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from statistics import median

from sync_service.store.engine import Database, connect
from tests.bench import plain_calls
from tests.bench.backlog import ask, wait_until_served
from tests.bench.figures import Bench, Figure, Figures, Part, Target
from tests.bench.processes import Child, Zuora, settings
from tests.bench.profiling import profile_syncs
from tests.bench.stores import loaded_store, numbers

#: Hosts, calls that may be in flight over all of them, seconds for each call, and the target.
_CASES = (
    (1, 8, 0.15, Target(least=0.95, of_reference=True)),
    (1, 8, 0.05, Target(least=0.85, of_reference=True)),
)
#: What several hosts do is for PostgreSQL; 32 calls at once are more than one of them has threads.
_MORE_CASES = (
    (3, 8, 0.05, Target(least=0.85, of_reference=True)),
    (3, 32, 0.15, Target(least=0.8, of_reference=True)),
    (3, 32, 0.05, Target(least=0.8, of_reference=True)),
)
_DIALECTS = {"sqlite": ("SQLite", _CASES), "postgresql": ("PostgreSQL", (*_CASES, *_MORE_CASES))}

ABOUT = """
A backlog of changed subscriptions is drained by the workers that `sync-service run` starts on a host with as many
processors as this one, two calls a sync (the subscription, its billing preview), while the emulated Zuora takes 50 or
150 ms for every answer. "3 hosts" are the worker processes of three such hosts, all on this machine. "Allowed" is
what the permitted calls in flight (`ZUORA_MAX_CONCURRENCY`) could make of it if nothing else took any time: calls in
flight divided by the latency.
The clock runs from the request until nothing waits any more, so looking for work, claiming, comparing, writing, and the
end, when threads run out of work, are all inside. Workers and database share the processors; so the second line of each
says what plain threads with `requests` reach in as many threads against the same Zuora, without a database and without
a look at the answers. Zuora takes next to nothing of the machine: a front hands out answers that were computed before
the clock started (`tests/bench/front.py`).
"""


@dataclass(kw_only=True)
class _Seen:
    calls: list[float] = field(default_factory=list)
    allowed: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    #: CPU of the workers for one sync, in ms.
    cpu: list[float] = field(default_factory=list)


@dataclass
class _Place:
    bench: Bench
    database: Database
    url: str
    zuora: Zuora
    wanted: list[str]
    #: What the subscriptions cost last.
    price: int = 10

    def drain(self, workers: list[Child], permitted: int, seconds: float, count: int, seen: _Seen) -> None:
        """One round: change them all, ask for them all, and see how long it takes."""
        self.zuora.tell("delay", seconds=0)
        self.price += 1
        self.zuora.tell("reprice", count=count, price=f"{self.price}.50")
        self.zuora.tell("delay", seconds=seconds)
        self.zuora.tell("traffic")
        cpu = sum(worker.cpu_seconds() for worker in workers)
        began = time.perf_counter()
        ask(self.database, self.wanted[:count])
        wait_until_served(self.database, workers)
        took = time.perf_counter() - began
        calls = self.zuora.count_calls()
        seen.calls.append(calls / took)
        seen.allowed.append(permitted / seconds)
        seen.cpu.append((sum(worker.cpu_seconds() for worker in workers) - cpu) / count * 1000)
        sample = self.wanted[: max(count // 6, 5 * permitted)]
        seen.plain.append(2 * len(sample) / plain_calls.run(self.zuora.url, sample, permitted).seconds)


def measure(bench: Bench) -> Figures:
    """All cases on both databases."""
    figures = Figures()
    most = bench.pick(480, 48)
    for dialect, (name, cases) in _DIALECTS.items():
        url = loaded_store(bench.ground, dialect, most)
        database = connect(url)
        place = _Place(bench, database, url, bench.ground.zuora(count=most, limios=True, front=True), numbers(most))
        _sync_once(place)
        for hosts, permitted, seconds, target in cases:
            what = f"{name}, {seconds * 1000:.0f} ms a call, {'one host' if hosts == 1 else f'{hosts} hosts'}"
            bench.say(f"   {what}, {permitted} in flight")
            seen = _look(place, hosts, permitted, seconds)
            figures.rows.append(
                Figure(
                    what=f"{what}, {permitted} in flight",
                    unit="calls/s",
                    values=seen.calls,
                    beside="allowed",
                    reference=seen.allowed,
                    target=target,
                )
            )
            figures.rows.append(
                Figure(what="", unit="calls/s", values=seen.calls, beside="plain threads", reference=seen.plain)
            )
            if target is not None:
                figures.notes.append(f"{what}: {_where_it_goes(seen, permitted, seconds)}")
        figures.notes.append(f"{name}: the worker's time by whose code it is: {_profile(place, most // 2)}.")
        database.engine.dispose()
        bench.ground.stop()
        bench.ground.drop_database(url)
    return figures


def _where_it_goes(seen: _Seen, permitted: int, seconds: float) -> str:
    """Of the time for which a sync holds one of the permitted places."""
    held = 2 * permitted / median(seen.calls) * 1000
    bare = 2 * permitted / median(seen.plain) * 1000
    cpu, zuora = median(seen.cpu), 2 * seconds * 1000
    return (
        f"a sync holds its place for {held:.0f} ms. Of it Zuora takes its time for {zuora:.0f} ms, two calls of plain"
        f" threads would take {bare - zuora:.0f} ms more, and {cpu:.0f} ms the worker computes; claiming, the disk,"
        f" waiting for a processor and both ends have the other {max(0.0, held - bare - cpu):.0f} ms."
    )


def _profile(place: _Place, count: int) -> str:
    place.zuora.tell("delay", seconds=0)
    place.price += 1
    place.zuora.tell("reprice", count=count, price=f"{place.price}.50")
    return profile_syncs(settings(place.url, place.zuora.url), place.wanted[:count])


def _sync_once(place: _Place) -> None:
    """So that the measured ones are changes of what is known."""
    worker = place.bench.ground.worker(settings(place.url, place.zuora.url))
    ask(place.database, place.wanted)
    wait_until_served(place.database, [worker])
    worker.stop()
    plain_calls.run(place.zuora.url, place.wanted, 8)


def _look(place: _Place, hosts: int, permitted: int, seconds: float) -> _Seen:
    environ = settings(place.url, place.zuora.url, ZUORA_MAX_CONCURRENCY=str(permitted))
    workers = [worker for _ in range(hosts) for worker in place.bench.ground.workers(environ)]
    most = len(place.wanted)
    place.drain(workers, permitted, seconds, min(most, 6 * permitted), _Seen())
    seen = _Seen()
    for _ in range(place.bench.rounds):
        place.drain(workers, permitted, seconds, most, seen)
    for worker in workers:
        worker.stop()
    return seen


PART = Part(name="draining", title="Draining a backlog", about=ABOUT, measure=measure)
