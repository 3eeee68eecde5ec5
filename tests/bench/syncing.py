"""One sync: how many calls to Zuora, how much of the processor, and how much memory the processes keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sync_service.store.engine import Database, connect
from tests.bench import plain_calls
from tests.bench.backlog import ask, wait_until_served
from tests.bench.figures import Bench, Figure, Figures, Part, Target
from tests.bench.load import Load, run
from tests.bench.processes import PASSWORD, USERNAME, Child, Ground, Zuora, settings
from tests.bench.stores import loaded_store, numbers

_DIALECTS = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
#: The most CPU of a sync, in ms.
_MOST = {"changed": Target(most=5.0), "unchanged": Target(most=2.5), "new": Target(most=12.0)}

ABOUT = """
What one sync takes. *New*: Limio does not have the subscription, and it is imported with its customer. *First*: Limio
has it and Zuora agrees, but no sync has read it before. *Changed*: a new version in Zuora that renews or no longer
does, so that what is billed stays. *Repriced*: a new version that costs something else. *Unchanged*: nothing moved
since the last sync, as after an echo or a repeated callout. Calls are counted by the emulated Zuora. CPU is that of one
worker process with all threads (`sync-service run` starts one for each processor on PostgreSQL) with everything in it
(claim, HTTP, comparing, the database's driver), not of the database server; beside it stands a process that makes two
such calls in plain threads with `requests` and throws the answers away. Memory is what is resident of the largest
process of each kind after the syncs and 2,000 callouts; beside it stands the bare route's.
"""


@dataclass
class Seen:
    """What one sync took, round by round."""

    calls: list[float] = field(default_factory=list)
    #: CPU in ms: of the worker, of the PostgreSQL server, and of two plain calls.
    cpu: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)


@dataclass
class Place:
    """A store, a Zuora, and the one worker between them."""

    ground: Ground
    database: Database
    zuora: Zuora
    worker: Child

    def sync(self, wanted: Sequence[str], seen: Seen, *, plain: bool = True) -> None:
        """Sync them all and note what one of them took; `plain`: beside what plain calls take."""
        self.zuora.tell("traffic")
        before, server_before = self.worker.cpu_seconds(), self.ground.database_cpu()
        ask(self.database, wanted)
        wait_until_served(self.database, [self.worker])
        seen.cpu.append((self.worker.cpu_seconds() - before) / len(wanted) * 1000)
        seen.server.append((self.ground.database_cpu() - server_before) / len(wanted) * 1000)
        seen.calls.append(self.zuora.tell("traffic")["total"] / len(wanted))
        if plain:
            seen.plain.append(plain_calls.run(self.zuora.url, wanted, 8).cpu / len(wanted) * 1000)


def measure(bench: Bench) -> Figures:
    """Calls, CPU and memory on both databases."""
    figures = Figures()
    for dialect, name in _DIALECTS.items():
        bench.say(f"   {name}")
        figures.rows += _measure_on(bench, dialect, name)
        bench.ground.stop()
    return figures


def _measure_on(bench: Bench, dialect: str, name: str) -> list[Figure]:
    """`count` subscriptions that Limio has, and as many fresh ones in each round that it does not have."""
    ground, count = bench.ground, bench.pick(100, 30)
    known, every = numbers(count), numbers(count * (bench.rounds * 2 + 1))
    url = loaded_store(ground, dialect, count * (bench.rounds + 1))
    database = connect(url)
    zuora = ground.zuora(count=len(every), limios=True)
    place = Place(ground, database, zuora, ground.worker(settings(url, zuora.url)))
    seen = {what: Seen() for what in ("new", "first", "changed", "repriced", "unchanged")}
    place.sync(known, Seen())
    for each in range(bench.rounds):
        first, new = (count * (each + 1), count * (bench.rounds + each + 1))
        place.sync(every[first : first + count], seen["first"])
        place.sync(every[new : new + count], seen["new"])
        zuora.tell("change", count=count, auto_renew=bool(each % 2))
        place.sync(known, seen["changed"])
        zuora.tell("reprice", count=count, price=f"{10 + each}.50")
        place.sync(known, seen["repriced"])
        place.sync(known, seen["unchanged"])
    rows = [
        Figure(
            what=f"{name}: calls of a sync, {what}",
            unit="calls",
            values=found.calls,
            target=Target(most=1.005) if what == "unchanged" else None,
        )
        for what, found in seen.items()
    ]
    rows += [
        Figure(
            what=f"{name}: CPU of a sync, {what}",
            unit="ms",
            values=found.cpu,
            beside="two plain calls",
            reference=found.plain,
            target=_MOST.get(what),
        )
        for what, found in seen.items()
    ]
    rows += _memory(ground, name, url, place, every)
    database.engine.dispose()
    return rows


def _memory(ground: Ground, name: str, url: str, place: Place, keys: list[str]) -> list[Figure]:
    environ = settings(url, place.zuora.url)
    web, bare = ground.web(environ), ground.reference(url)
    scheduler = ground.start("scheduler", ["sync_service.cli.main", "scheduler"], environ)
    for child, kind in ((web, "callout"), (bare, "plain")):
        run(Load(port=child.port, kind=kind, keys=keys, count=2_000, username=USERNAME, password=PASSWORD))
    wait_until_served(place.database, [place.worker])
    asked: dict[str, Callable[[], tuple[float, float]]] = {
        "web": web.memory,
        "worker": place.worker.memory,
        "scheduler": scheduler.memory,
    }
    return [
        Figure(
            what=f"{name}: memory of {who}",
            unit="MB",
            values=[memory()[0]],
            beside="bare route",
            reference=[bare.memory()[0]],
        )
        for who, memory in asked.items()
    ]


PART = Part(name="syncing", title="One sync", about=ABOUT, measure=measure)
