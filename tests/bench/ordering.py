"""Orders: how many are accepted a second beside a bare route, and how many placed beside what may be called."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from sync_service.store.engine import Database, connect
from tests.bench.backlog import wait_until_served
from tests.bench.figures import Bench, Figure, Figures, Part
from tests.bench.load import Load, Result, run
from tests.bench.processes import Child, Zuora, settings
from zuora_emulator.shop import limio_catalog

_DIALECTS = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
#: Calls of Zuora's default class that may be in flight, and the latency of each, in seconds.
_PERMITTED, _LATENCY = 8, 0.15
#: The call of an order that Zuora counts in a class of its own.
_CREATE = "POST /v1/orders"
_PAUSE = "UPDATE zuora_limit SET open_until = {now} + 3600000"
_GO_ON = "UPDATE zuora_limit SET open_until = NULL"
_ENDED = "SELECT state, count(*) FROM order_work GROUP BY state"

ABOUT = f"""
*Accepted*: new orders of customers who never bought before, over `POST /api/order`: read, checked against the catalog,
named, and committed with everything that Limio shows of them from then on (order, event, identity, customer,
subscription with its offer and address, payment method; a dozen rows), before the answer. Beside it stands the bare
route of the section on callouts, which commits one row.

*Placed*: a backlog of such orders, then of cancellations of what they sold, is worked off by the workers that
`sync-service run` starts while the emulated Zuora takes {_LATENCY * 1000:.0f} ms for each answer; the clock stops when
each order is complete and the sync after it has ended. Zuora counts the calls that create orders in a class of their
own (`ZUORA_MAX_ORDERS`), so that "allowed" is what the other calls allow: {_PERMITTED} in flight
(`ZUORA_MAX_CONCURRENCY`), divided by the latency and by how many of them one order with its sync takes.
"""


@dataclass
class _Place:
    """A shop's catalog in a database, Zuora with its products, and the processes in front of them."""

    bench: Bench
    url: str
    database: Database
    zuora: Zuora
    web: Child
    token: str

    def order(self, kind: str, keys: Sequence[str], **more: object) -> Result:
        """Send orders of a kind over HTTP, for each of the keys in turn."""
        return run(Load(port=self.web.port, kind=kind, keys=list(keys), token=self.token, **more))  # type: ignore[arg-type]


@dataclass(kw_only=True)
class _Placed:
    """Orders a second, what would be allowed, and calls of one order with its sync, round by round."""

    rates: list[float] = field(default_factory=list)
    allowed: list[float] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)


def measure(bench: Bench) -> Figures:
    """Both on both databases."""
    figures = Figures()
    for dialect, name in _DIALECTS.items():
        bench.say(f"   {name}")
        with _open_place(bench, dialect) as place:
            _accept(place, name, figures)
            for what, placed in _place_orders(place):
                figures.rows.append(
                    Figure(
                        what=f"{name}: {what} placed and synced",
                        unit="/s",
                        values=placed.rates,
                        beside="allowed",
                        reference=placed.allowed,
                    )
                )
                figures.notes.append(
                    f"{name}: one of the {what} takes {median(placed.calls):.1f} calls with its sync, one of which"
                    " creates the order."
                )
    return figures


def _accept(place: _Place, name: str, figures: Figures) -> None:
    bare = place.bench.ground.reference(place.url)
    seconds = place.bench.pick(2.0, 1.0)
    refused, cpu, server = 0, 0.0, 0.0
    ours: list[Result] = []
    theirs: list[Result] = []
    for each in range(place.bench.rounds + 1):
        keys = [f"{each}-{place_:031x}"[:32] for place_ in range(16)]
        plain = run(Load(port=bare.port, kind="plain", keys=keys, seconds=seconds, seed=each))
        before, before_server = place.web.cpu_seconds(), place.bench.ground.database_cpu()
        found = place.order("order", keys, seconds=seconds, seed=each)
        cpu = (place.web.cpu_seconds() - before) / found.requests * 1000
        server = (place.bench.ground.database_cpu() - before_server) / found.requests * 1000
        refused += found.requests - found.statuses.get("200", 0) + found.lost
        if each:  # the first round warms up
            theirs.append(plain)
            ours.append(found)
    bare.stop()

    def row(what: str, unit: str, value: str) -> Figure:
        return Figure(
            what=f"{name}: {what}",
            unit=unit,
            values=[getattr(each, value) for each in ours],
            beside="bare route",
            reference=[getattr(each, value) for each in theirs],
        )

    figures.rows += [row("orders accepted", "/s", "per_second"), row("p50", "ms", "p50"), row("p99", "ms", "p99")]
    figures.notes.append(
        f"{name}: to accept an order takes {cpu:.1f} ms of CPU in the web processes"
        + (f" and {server:.1f} ms in the database server." if name == "PostgreSQL" else ".")
    )
    if refused:
        figures.notes.append(f"{name}: {refused} orders got no 200.")


def _place_orders(place: _Place) -> Iterator[tuple[str, _Placed]]:
    """What was only accepted until now is forgotten: it names cards that Zuora does not know."""
    count = place.bench.pick(240, 48)
    _forget(place.database)
    environ = settings(place.url, place.zuora.url, ZUORA_MAX_CONCURRENCY=str(_PERMITTED))
    workers = place.bench.ground.workers(environ)
    sales, cancellations = _Placed(), _Placed()
    for each in range(place.bench.rounds + 1):
        cards = place.zuora.tell("cards", count=count)
        # The first round warms up.
        _work_off(place, workers, "order", cards, each, sales if each else _Placed())
        sold = _numbers_sold(place.database, count)
        _work_off(place, workers, "cancellation", sold, each, cancellations if each else _Placed())
    for worker in workers:
        worker.stop()
    yield "new orders", sales
    yield "cancellations", cancellations


def _work_off(
    place: _Place, workers: Sequence[Child], kind: str, keys: Sequence[str], seed: int, placed: _Placed
) -> None:
    with place.database.transaction() as session:
        session.run(_PAUSE)
    place.zuora.tell("delay", seconds=0)
    place.order(kind, keys, count=len(keys), seed=seed)
    place.zuora.tell("delay", seconds=_LATENCY)
    place.zuora.tell("traffic")
    began = time.perf_counter()
    with place.database.transaction() as session:
        session.run(_GO_ON)
    wait_until_served(place.database, workers)
    took = time.perf_counter() - began
    calls = place.zuora.tell("traffic")
    with place.database.reading() as session:
        ended = dict(session.run(_ENDED).all())
    if ended.keys() != {"complete"}:
        raise RuntimeError(f"the orders ended as {ended}")
    others = calls["total"] - calls["calls"].get(_CREATE, 0)
    placed.rates.append(len(keys) / took)
    placed.allowed.append(_PERMITTED / _LATENCY / (others / len(keys)))
    placed.calls.append(calls["total"] / len(keys))


def _numbers_sold(database: Database, count: int) -> list[str]:
    """The numbers of the newest so many subscriptions."""
    newest = "SELECT subscription_number FROM order_work WHERE order_type = 'new' ORDER BY submitted_at DESC, order_id"
    with database.reading() as session:
        return [str(row[0]) for row in session.run(f"{newest} LIMIT {int(count)}")]


def _forget(database: Database) -> None:
    with database.transaction() as session:
        for table in ("order_work", "order_request", "sync_cause", "sync_request"):
            session.run(f"DELETE FROM {table}")


@contextmanager
def _open_place(bench: Bench, dialect: str) -> Iterator[_Place]:
    ground = bench.ground
    url = ground.new_database(dialect)
    zuora = ground.zuora(count=0)
    zuora.tell("shop")
    environ = settings(url, zuora.url)
    ground.command("db", "upgrade", environ=environ)
    catalog = ground.folder / "catalog.jsonl"
    catalog.write_text("".join(json.dumps(each) + "\n" for each in limio_catalog()))
    ground.command("load", str(catalog), environ=environ)
    ground.command("catalog", "refresh", environ=environ)
    database = connect(url)
    try:
        web = ground.web(environ)
        yield _Place(bench, url, database, zuora, web, ground.token(web, environ, "api/order:create"))
    finally:
        database.engine.dispose()
        ground.stop()
        ground.drop_database(url)


PART = Part(name="orders", title="Orders", about=ABOUT, measure=measure)
