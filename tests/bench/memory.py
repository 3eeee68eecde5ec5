"""What a worker keeps in memory after many syncs."""

from __future__ import annotations

import os

from sync_service.store.engine import connect
from tests.bench.figures import Bench, Figure, Figures, Part, Target
from tests.bench.processes import settings
from tests.bench.stores import loaded_store, numbers
from tests.bench.syncing import Place, Seen

#: SYNCS asks for fewer.
_SYNCS = int(os.environ.get("SYNCS") or 100_000)
_SUBSCRIPTIONS = 1_000
_TARGET = Target(most=1.1, of_reference=True)

ABOUT = f"""
One worker process with all threads syncs {_SUBSCRIPTIONS:,} subscriptions again and again, every fourth time with a new
version in Zuora. Its resident memory at the end stands beside that after {5 * _SUBSCRIPTIONS:,} syncs, when all
threads have what they need.
"""


def measure(bench: Bench) -> Figures:
    """On both databases."""
    figures = Figures()
    for dialect, name in (("sqlite", "SQLite"), ("postgresql", "PostgreSQL")):
        ground, wanted = bench.ground, numbers(bench.pick(_SUBSCRIPTIONS, 50))
        url = loaded_store(ground, dialect, len(wanted))
        database, zuora = connect(url), ground.zuora(count=len(wanted), limios=True)
        place = Place(ground, database, zuora, ground.worker(settings(url, zuora.url)))
        rounds = bench.pick(max(6, _SYNCS // _SUBSCRIPTIONS), 8)
        seen: list[float] = []
        for each in range(rounds):
            if each % 4 == 0:
                zuora.tell("change", count=len(wanted), auto_renew=bool(each % 8))
            place.sync(wanted, Seen(), plain=False)
            seen.append(place.worker.memory()[0])
            if each % 10 == 0:
                bench.say(f"   {name}: {(each + 1) * len(wanted):,} syncs, {seen[-1]:.0f} MB")
        figures.rows.append(
            Figure(
                what=f"{name}: memory of a worker after {rounds * len(wanted):,} syncs",
                unit="MB",
                values=[seen[-1]],
                beside=f"after {5 * len(wanted):,}",
                reference=[seen[4]],
                target=_TARGET,
            )
        )
        database.engine.dispose()
        ground.stop()
        ground.drop_database(url)
    return figures


PART = Part(name="memory", title="Memory after many syncs", about=ABOUT, measure=measure, by_default=False)
