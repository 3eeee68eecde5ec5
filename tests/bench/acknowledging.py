"""Callouts acknowledged: how many a second and how fast, beside a bare route that commits one row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from statistics import median
from threading import Event, Thread

from sync_service.store.engine import connect
from tests.bench.backlog import ask, count_waiting
from tests.bench.figures import Bench, Figure, Figures, Part, Target
from tests.bench.load import Load, Result, begin, run
from tests.bench.processes import PASSWORD, USERNAME, Child, Zuora, settings
from tests.bench.profiling import profile_callouts
from tests.bench.stores import loaded_store, numbers

#: Callouts a second at which the latency is looked at.
RATE = 200
_SUBSCRIPTIONS = 2_000
#: API callers who try to wait; the seats of both web processes together are fewer.
_CALLERS = 16
_DIALECTS = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
_RATE_TARGET = Target(least=0.7, of_reference=True)
_LATENCY_TARGET = Target(most=25.0, or_of_reference=1.5)

ABOUT = f"""
How fast the web processes take callouts in: who calls, which subscription, is it an echo, and one commit of three rows
(the callout, its cause, the request) with a log line, before the answer. Beside it stands a bare Flask route that
commits one row to the same database and does nothing else (`tests/bench/reference.py`): same gunicorn settings (2
processes of 8 threads), same pragmas, measured right before each of ours. A generator of one thread sends
(`tests/bench/load.py`) on 16 open connections; it shares the machine, and what it takes is said below. "At {RATE}/s"
means callouts that come at even intervals whatever the answers do; latencies count from the moment at which one was
due.

Each is measured five times: alone; while workers, started as `sync-service run` starts them, drain a backlog that does
not end from a Zuora that answers at once; while they sync and Zuora takes 2 s for each answer; while API callers, who
wait for results that do not come, sit on every seat that they may have; and while Zuora refuses every connection. The
bare route is measured under the same load.
"""


@dataclass
class _Seen:
    """What was measured under one condition, round by round."""

    bare: list[Result] = field(default_factory=list)
    ours: list[Result] = field(default_factory=list)
    bare_at_rate: list[Result] = field(default_factory=list)
    ours_at_rate: list[Result] = field(default_factory=list)
    #: CPU of the web processes and of the PostgreSQL server for one callout, in ms.
    cpu: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)
    bare_cpu: list[float] = field(default_factory=list)
    bare_server: list[float] = field(default_factory=list)
    #: Answers other than 200, and requests without one.
    refused: int = 0


@dataclass
class _Place:
    """One database with the web processes in front of it."""

    bench: Bench
    url: str
    web: Child
    bare: Child
    zuora: Zuora

    def look(self) -> _Seen:
        """Measure the bare route and ours in turn."""
        seen = _Seen()
        seconds, longer = self.bench.pick((2.0, 3.0), (1.0, 1.5))
        for each in range(self.bench.rounds):
            bare = _load(self.bare, "plain", seconds=seconds, seed=each)
            ours = _load(self.web, "callout", seconds=seconds, seed=each)
            self._measure(self.bare, bare, seen.bare, seen.bare_cpu, seen.bare_server)
            self._measure(self.web, ours, seen.ours, seen.cpu, seen.server)
            seen.bare_at_rate.append(run(replace(bare, rate=RATE)))
            seen.ours_at_rate.append(run(replace(ours, rate=RATE, seconds=longer)))
        everything = [*seen.bare, *seen.ours, *seen.bare_at_rate, *seen.ours_at_rate]
        seen.refused = sum(each.requests - each.statuses.get("200", 0) + each.lost for each in everything)
        return seen

    def _measure(self, child: Child, load: Load, results: list[Result], cpu: list[float], server: list[float]) -> None:
        before, before_server = child.cpu_seconds(), self.bench.ground.database_cpu()
        result = run(load)
        results.append(result)
        cpu.append((child.cpu_seconds() - before) / result.requests * 1000)
        server.append((self.bench.ground.database_cpu() - before_server) / result.requests * 1000)

    def warm_up(self) -> None:
        """Let every thread have its connection and every statement be known."""
        for child, kind in ((self.bare, "plain"), (self.web, "callout")):
            run(_load(child, kind, seconds=1.0, seed=99))


def measure(bench: Bench) -> Figures:
    """All conditions on both databases."""
    figures = Figures()
    for dialect, name in _DIALECTS.items():
        with _open_place(bench, dialect) as place:
            for condition, seen in _look_at_all(place):
                bench.say(f"   {name}, {condition}")
                figures.rows += _rows(f"{name}, {condition}", seen)
                if seen.refused:
                    figures.notes.append(f"{name}, {condition}: {seen.refused} requests got no 200.")
                if condition == "alone":
                    profile = profile_callouts(settings(place.url), numbers(bench.pick(1_000, 200)))
                    figures.notes.append(f"{_where_it_goes(name, seen)} The web's time by whose code it is: {profile}.")
    return figures


def _look_at_all(place: _Place) -> Iterator[tuple[str, _Seen]]:
    place.warm_up()
    yield "alone", place.look()
    workers = place.bench.ground.workers(settings(place.url, place.zuora.url))
    with _endless_backlog(place):
        yield "a worker drains from a fast Zuora", place.look()
    place.zuora.tell("delay", seconds=2.0)
    yield "Zuora answers in 2 s", place.look()
    token = place.bench.ground.token(place.web, settings(place.url), "api/subscription:sync")
    with _callers(place, token):
        yield "every seat taken by API callers", place.look()
    place.zuora.stop()
    yield "Zuora is down", place.look()
    for worker in workers:
        worker.stop()


@contextmanager
def _open_place(bench: Bench, dialect: str) -> Iterator[_Place]:
    ground = bench.ground
    url = loaded_store(ground, dialect, bench.pick(_SUBSCRIPTIONS, 200))
    zuora = ground.zuora(count=_SUBSCRIPTIONS, limios=True)
    with ExitStack() as stack:
        stack.callback(ground.stop)
        yield _Place(bench, url, ground.web(settings(url, zuora.url)), ground.reference(url), zuora)
    ground.drop_database(url)


@contextmanager
def _endless_backlog(place: _Place) -> Iterator[None]:
    """Ask for everything, changed anew in Zuora, as soon as less than half of it waits."""
    database, ended = connect(place.url), Event()
    wanted = numbers(place.bench.pick(_SUBSCRIPTIONS, 200))

    def fill() -> None:
        renews = False
        while not ended.wait(0.1):
            if count_waiting(database) < len(wanted) / 2:
                renews = not renews
                place.zuora.tell("change", count=len(wanted), auto_renew=renews)
                ask(database, wanted)

    filling = Thread(target=fill)
    filling.start()
    try:
        yield
    finally:
        ended.set()
        filling.join()
        database.engine.dispose()


@contextmanager
def _callers(place: _Place, token: str) -> Iterator[None]:
    """API callers who wait for as long as they may, again and again; who finds no seat comes back in half a second."""
    load = _load(place.web, "api", seconds=600.0, seed=0, connections=_CALLERS, token=token, pause=0.5)
    child = begin(load)
    try:
        yield
    finally:
        child.terminate()
        child.wait()
        if child.stdout:
            child.stdout.close()


def _load(child: Child, kind: str, **more: object) -> Load:
    keys = numbers(_SUBSCRIPTIONS)
    return Load(port=child.port, kind=kind, keys=keys, username=USERNAME, password=PASSWORD, **more)  # type: ignore[arg-type]


def _rows(what: str, seen: _Seen) -> list[Figure]:
    def row(name: str, unit: str, ours: list[float], bare: list[float], target: Target | None = None) -> Figure:
        return Figure(
            what=f"{what}: {name}", unit=unit, values=ours, beside="bare route", reference=bare, target=target
        )

    return [
        row("acknowledged", "/s", _rates(seen.ours), _rates(seen.bare), _RATE_TARGET),
        row("p50 at full speed", "ms", [each.p50 for each in seen.ours], [each.p50 for each in seen.bare]),
        row("p99 at full speed", "ms", [each.p99 for each in seen.ours], [each.p99 for each in seen.bare]),
        row(f"p50 at {RATE}/s", "ms", [e.p50 for e in seen.ours_at_rate], [e.p50 for e in seen.bare_at_rate]),
        row(
            f"p99 at {RATE}/s",
            "ms",
            [each.p99 for each in seen.ours_at_rate],
            [each.p99 for each in seen.bare_at_rate],
            _LATENCY_TARGET,
        ),
    ]


def _rates(results: list[Result]) -> list[float]:
    return [each.per_second for each in results]


def _where_it_goes(name: str, seen: _Seen) -> str:
    generator = median(each.cpu / each.requests * 1000 for each in seen.ours)
    server = f", {median(seen.server):.2f} ms in the database server" if name == "PostgreSQL" else ""
    bare_server = f" and {median(seen.bare_server):.2f} ms" if name == "PostgreSQL" else ""
    return (
        f"{name}, alone, at full speed: a callout takes {median(seen.cpu):.2f} ms of CPU in the web processes{server}"
        f" (the bare route {median(seen.bare_cpu):.2f} ms{bare_server}) and {generator:.2f} ms in the generator."
    )


PART = Part(name="acknowledging", title="Callouts acknowledged", about=ABOUT, measure=measure)
