"""Whether a sync and a callout cost more in front of a store that has grown for years."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence

from sync_service.store.engine import connect
from tests.bench.figures import Bench, Figure, Figures, Part, Target
from tests.bench.grown import Size, fill, number_of
from tests.bench.load import Load, run
from tests.bench.processes import PASSWORD, USERNAME, Child, settings
from tests.bench.stores import numbers
from tests.bench.syncing import Place, Seen

_SMALL = 1_000
#: SUBSCRIPTIONS asks for another size.
_LARGE = int(os.environ.get("SUBSCRIPTIONS") or 20_000)
_TARGET = Target(most=1.2, of_reference=True)
_STORIES = ("changed", "unchanged", "new")

ABOUT = f"""
The same syncs and callouts at two stores side by side, made by SQL (`tests/bench/grown.py`): one of {_SMALL:,}
subscriptions and one that has grown, each with three runs in the history for each of them. CPU is that of the worker
or of the web processes together with the database server's. `SUBSCRIPTIONS=1000000` asks for a million, which takes a
quarter of an hour to make.
"""


def measure(bench: Bench) -> Figures:
    """Both sizes on both databases, in turn."""
    figures = Figures()
    for dialect, name in (("sqlite", "SQLite"), ("postgresql", "PostgreSQL")):
        sizes = (_SMALL, _LARGE if os.environ.get("SUBSCRIPTIONS") else bench.pick(_LARGE, 3_000))
        took = {size: _measure_at(bench, dialect, size) for size in sizes}
        for what in (*_STORIES, "callout"):
            figures.rows.append(
                Figure(
                    what=f"{name}, {sizes[1]:,} subscriptions: CPU, {what}",
                    unit="ms",
                    values=took[sizes[1]][what],
                    beside=f"{_SMALL:,} subscriptions",
                    reference=took[_SMALL][what],
                    target=_TARGET,
                )
            )
    return figures


def _measure_at(bench: Bench, dialect: str, size: int) -> Mapping[str, Sequence[float]]:
    bench.say(f"   {dialect}, {size:,} subscriptions")
    ground, count = bench.ground, bench.pick(100, 30)
    url = ground.new_database(dialect)
    ground.command("db", "upgrade", environ=settings(url))
    database = connect(url)
    fill(database, Size(subscriptions=size, runs=3 * size, waiting=0, failed=0))
    every = numbers(count * (bench.rounds + 2))
    known, environ = every[:count], {"IMPORT_UNKNOWN": "all"}
    zuora = ground.zuora(count=len(every), limios=True)
    place = Place(ground, database, zuora, ground.worker(settings(url, zuora.url, **environ)))
    place.sync(known, Seen(), plain=False)
    seen = {what: Seen() for what in _STORIES}
    for each in range(bench.rounds):
        zuora.tell("change", count=count, auto_renew=bool(each % 2))
        place.sync(known, seen["changed"], plain=False)
        place.sync(known, seen["unchanged"], plain=False)
        first = count * (each + 1)
        place.sync(every[first : first + count], seen["new"], plain=False)
    place.worker.stop()
    took: dict[str, list[float]] = defaultdict(list)
    for what, found in seen.items():
        took[what] = [worker + server for worker, server in zip(found.cpu, found.server, strict=True)]
    web = ground.web(settings(url))
    for each in range(bench.rounds + 1):
        took["callout"].append(_acknowledge(bench, web, size, each))
    database.engine.dispose()
    ground.stop()
    ground.drop_database(url)
    return {**took, "callout": took["callout"][1:]}


def _acknowledge(bench: Bench, web: Child, size: int, seed: int) -> float:
    """CPU of one callout at full speed, in ms."""
    keys = [number_of(1 + n % size) for n in range(2_000)]
    before = web.cpu_seconds() + bench.ground.database_cpu()
    load = Load(port=web.port, kind="callout", keys=keys, seconds=bench.pick(2.0, 1.0), seed=seed)
    load.username, load.password = USERNAME, PASSWORD
    requests = run(load).requests
    return (web.cpu_seconds() + bench.ground.database_cpu() - before) / requests * 1000


PART = Part(name="growth", title="A store that grows", about=ABOUT, measure=measure)
