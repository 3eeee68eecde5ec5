"""From callouts to rows that agree with Zuora: the whole way, through web, queue and worker."""

from __future__ import annotations

import time
from collections.abc import Sequence

from sync_service.store.engine import connect
from tests.bench import plain_calls
from tests.bench.backlog import ask, count_different, wait_until_served
from tests.bench.beside_peer import Peer, PeerMissing, install
from tests.bench.figures import Bench, Figure, Figures, Part, Target
from tests.bench.load import Load, run
from tests.bench.processes import PASSWORD, USERNAME, Ground, settings
from tests.bench.stores import loaded_store, numbers

_CALLOUTS = 5_000
_LATENCIES = (0.0, 0.05)
_THREADS = 8

ABOUT = f"""
Every subscription gets a new version in Zuora, which renews or no longer does, then {_CALLOUTS:,} callouts name them in
turn, as fast as they are acknowledged, while the workers that `sync-service run` starts on this machine sync beside the
web processes. The clock runs from the first callout until nothing waits any more; then every row of the store is
compared with Zuora's version. Callouts for a number that waits become one sync, so fewer subscriptions are served
faster. Beside it stands how many subscriptions a second as many plain threads with `requests` can merely read from the
same Zuora, two calls each; and how many events a second one process of stripe-sync-engine, the nearest open program,
takes in with as many calls in flight, from an upstream that answers as slowly: it too reads each object anew, on
PostgreSQL, keeps no history, and reads once for each event (`tests/bench/beside_peer.py`). Both upstreams take little
of the machine: what the emulated Zuora will be asked is computed before the clock starts, and a front hands it out from
memory (`tests/bench/front.py`).
"""


def _measure(bench: Bench, subscriptions: int) -> Figures:
    figures = Figures()
    try:
        install(bench.ground)
        has_peer = True
    except PeerMissing as reason:
        has_peer = False
        figures.notes.append(f"Not beside stripe-sync-engine: {reason}.")
    count = bench.pick(subscriptions, subscriptions // 20)
    callouts = bench.pick(_CALLOUTS, _CALLOUTS // 20)
    for dialect, name in (("sqlite", "SQLite"), ("postgresql", "PostgreSQL")):
        ground = bench.ground
        url, wanted = loaded_store(ground, dialect, count), numbers(count)
        database, zuora = connect(url), ground.zuora(count=count, limios=True, front=True)
        environ = settings(url, zuora.url, ZUORA_MAX_CONCURRENCY=str(_THREADS))
        web, workers = ground.web(environ), ground.workers(environ)
        ask(database, wanted)
        wait_until_served(database, workers)
        sample = wanted[: bench.pick(160, 50)]
        plain_calls.run(zuora.url, sample, _THREADS)
        version = 1
        for seconds in _LATENCIES:
            bench.say(f"   {name}, {count} subscriptions, {seconds * 1000:.0f} ms")
            took: list[float] = []
            plain: list[float] = []
            peers: list[float] = []
            for each in range(bench.rounds):
                zuora.tell("delay", seconds=0)
                zuora.tell("change", count=count, auto_renew=version % 2 == 0)
                version += 1
                zuora.tell("delay", seconds=seconds)
                zuora.tell("traffic")
                began = time.perf_counter()
                load = Load(port=web.port, kind="callout", keys=wanted, count=callouts, seed=each)
                load.username, load.password = USERNAME, PASSWORD
                result = run(load)
                wait_until_served(database, workers)
                took.append(time.perf_counter() - began)
                zuora.count_calls()
                if result.statuses != {"200": callouts}:
                    raise RuntimeError(f"callouts were answered {result.statuses}")
                different = count_different(database, version)
                if different:
                    raise RuntimeError(f"{different} subscriptions differ from Zuora's")
                plain.append(len(sample) / plain_calls.run(zuora.url, sample, _THREADS).seconds)
                if has_peer:
                    peers.append(callouts / _let_peer_serve(ground, wanted, callouts, seconds))
            what = f"{name}, {seconds * 1000:.0f} ms a call"
            figures.rows.append(
                Figure(
                    what=f"{what}: callouts",
                    unit="/s",
                    values=[callouts / each for each in took],
                    beside="stripe-sync-engine" if peers else "",
                    reference=peers,
                    target=_target(dialect, seconds, is_wide=callouts == count) if peers else None,
                )
            )
            figures.rows.append(
                Figure(
                    what=f"{what}: rows",
                    unit="/s",
                    values=[count / each for each in took],
                    beside="plain threads",
                    reference=plain,
                )
            )
        database.engine.dispose()
        ground.stop()
        ground.drop_database(url)
    return figures


def _let_peer_serve(ground: Ground, wanted: Sequence[str], callouts: int, seconds: float) -> float:
    """How long the peer takes for as many events, once it knows the subscriptions."""
    peer = Peer(ground, seconds)
    peer.serve(wanted[:100], 100, _THREADS)
    took = peer.serve(wanted, callouts, _THREADS)
    peer.stop()
    return took


def _target(dialect: str, seconds: float, *, is_wide: bool) -> Target:
    """What of the peer's events a second ours have to be."""
    if is_wide:
        return Target(least=1.0 if seconds else 0.7, of_reference=True)
    return Target(least=1.5 if seconds or dialect == "sqlite" else 2.0, of_reference=True)


def _part(name: str, subscriptions: int, *, by_default: bool) -> Part:
    return Part(
        name=name,
        title=f"From callouts to rows that agree: {_CALLOUTS:,} callouts over {subscriptions:,} subscriptions",
        about=ABOUT,
        measure=lambda bench: _measure(bench, subscriptions),
        by_default=by_default,
    )


PART = _part("agreeing", 1_000, by_default=True)
#: Five times the reads: only when asked for.
WIDE_PART = _part("agreeing-wide", 5_000, by_default=False)
