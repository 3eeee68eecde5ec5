"""A full sweep of very many subscriptions that did not change: what it costs of calls, time and memory.

`python -m tests.bench.sweep [COUNT] [sqlite|postgresql]` does it alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import insert
from sqlmodel import SQLModel

from sync_service.store.engine import Database, Session, connect
from sync_service.store.tables import SubscriptionRow, ZuoraLinkRow
from sync_service.subscription.fingerprint import Fingerprint
from sync_service.subscription.listed import ListedAccount, ListedContact, ListedSubscription
from sync_service.zuora.client import ZuoraClient
from sync_service.zuora.listing import Listing, ListQuery, RowPage, fetch_page
from tests.bench.figures import Bench, Figure, Figures, Part, Target
from tests.bench.processes import Ground, Zuora, open_ground, settings
from zuora_emulator.zuora_api import CLIENT_ID, CLIENT_SECRET

COUNT = 100_000
#: Subscriptions that are changed before the second sweep.
CHANGED = 10
#: Those that are read by a real sync first: their rows are the pattern of all others, and prove it.
_PATTERN = 20


ABOUT = """
`sync-service sweep full` over a store in which nothing differs from Zuora, and once more after ten subscriptions
changed. Zuora lists at most 99 subscriptions a call. The emulated Zuora takes most of the time: beside it stands what
the sweep itself used of a processor. A scheduler rests five seconds after every twenty calls, so that the same takes
some minutes longer there and others get their turn. Once, on each database.
"""


@dataclass(kw_only=True)
class SweepFigures:
    """What was measured, over all processes of the service."""

    dialect: str
    subscriptions: int
    calls: int
    seconds: float
    #: Of the sweep's own processors.
    cpu_seconds: float
    #: The most that was resident, in MB.
    memory: float
    #: Requests that the sweep left in the queue, and objects that it wrote: none.
    asked_for: int
    objects_written: int
    #: After CHANGED of them changed: what the second sweep and all syncs took beyond the first sweep's calls, for each.
    calls_per_change: float


def sweep_once(ground: Ground, dialect: str, *, count: int = COUNT) -> SweepFigures:
    """Sweep a store of `count` subscriptions that is as Zuora is; then once more after some of them changed."""
    url = ground.new_database(dialect)
    zuora = ground.zuora(count=count)
    environ = settings(url, zuora.url, ZUORA_MAX_CONCURRENCY="10", TENANT_TIME_ZONE="UTC")
    ground.command("db", "upgrade", environ=environ)
    database = connect(url)
    try:
        _fill(ground, database, zuora, environ, count)
        before = _objects(database)
        zuora.tell("traffic")
        sweep = _sweep(ground, environ)
        calls = _calls(zuora)
        asked_for = _count(database, "SELECT count(*) FROM sync_request WHERE due_at IS NOT NULL")
        after = _objects(database)
        zuora.tell("change", count=CHANGED, auto_renew=False)
        _sweep(ground, environ)
        worker = ground.worker(environ)
        while _count(database, "SELECT count(*) FROM sync_request WHERE due_at IS NOT NULL"):
            time.sleep(0.1)
        worker.stop()
        more = _calls(zuora) - calls
    finally:
        database.engine.dispose()
        zuora.stop()
        ground.drop_database(url)
    return SweepFigures(
        dialect=dialect,
        subscriptions=count,
        calls=calls,
        asked_for=asked_for,
        objects_written=len(set(after) - set(before)),
        calls_per_change=more / CHANGED,
        **sweep,
    )


def measure(bench: Bench) -> Figures:
    """Once on each database, as it takes minutes."""
    figures = Figures()
    count = bench.pick(COUNT, 2_000)
    pages = -(-count // 99)
    for dialect, name in (("sqlite", "SQLite"), ("postgresql", "PostgreSQL")):
        bench.say(f"   {name}, {count:,} subscriptions")
        seen = sweep_once(bench.ground, dialect, count=count)
        rows: list[tuple[str, str, float, str, list[float], Target | None]] = [
            ("calls to Zuora", "", seen.calls, "pages of 99", [pages], None),
            ("the whole sweep", "s", seen.seconds, "processor of the sweep", [seen.cpu_seconds], None),
            ("most that was resident", "MB", seen.memory, "", [], Target(most=300)),
            ("objects written", "", seen.objects_written, "", [], Target(most=1)),
            ("syncs asked for", "", seen.asked_for, "", [], Target(most=1)),
            ("more calls for each that changed", "", seen.calls_per_change, "", [], Target(most=3.01)),
        ]
        figures.rows += [
            Figure(what=f"{name}: {what}", unit=unit, values=[value], beside=beside, reference=reference, target=target)
            for what, unit, value, beside, reference, target in rows
        ]
    return figures


def _sweep(ground: Ground, environ: dict[str, str]) -> dict[str, Any]:
    """One sweep as people start it, to its end."""
    began = time.monotonic()
    child = ground.start("sweep", ["sync_service.cli.main", "sweep", "full", "--json"], environ, stdout=subprocess.PIPE)
    assert child.process.stdout
    json.loads(child.process.stdout.read())
    _, status, used = os.wait4(child.process.pid, 0)
    child.process.returncode = os.waitstatus_to_exitcode(status)
    if child.process.returncode:
        raise RuntimeError(f"the sweep failed; see {ground.folder / 'sweep.log'}")
    return {
        "seconds": time.monotonic() - began,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "memory": used.ru_maxrss / 1024,
    }


def _fill(ground: Ground, database: Database, zuora: Zuora, environ: dict[str, str], count: int) -> None:
    """The rows that syncs would leave behind: a few by real syncs, and like them the others, from Zuora's own list.

    A hundred thousand syncs would take an hour. That these rows are as good shows in that no sweep finds a difference.
    """
    numbers = zuora.tell("numbers", count=count)
    file = ground.folder / "pattern.txt"
    file.write_text("\n".join(numbers[:_PATTERN]))
    worker = ground.worker(environ)
    ground.command("backfill", "--yes", "--file", str(file), environ=environ)
    worker.stop()
    with database.reading() as session:
        link = session.get(ZuoraLinkRow, numbers[0])
        assert link is not None
        assert link.subscription_id is not None
        limio = session.get(SubscriptionRow, link.subscription_id)
        assert limio is not None
        link_values, limio_values = link.model_dump(), limio.model_dump()
    seen = set(numbers[:_PATTERN])
    with closing(ZuoraClient(zuora.url, CLIENT_ID, CLIENT_SECRET)) as client:
        for page in _pages(client):
            fresh = [row for row in page.subscriptions if row.number not in seen]
            with database.transaction() as session:
                _insert(session, ZuoraLinkRow, [{**link_values, **_link(row, page)} for row in fresh])
                _insert(session, SubscriptionRow, [{**limio_values, **_limio(row, limio_values)} for row in fresh])


def _pages(client: ZuoraClient) -> Iterator[RowPage]:
    place: str | None = None
    while True:
        question = ListQuery(listing=Listing.SUBSCRIPTIONS, with_people=True)
        page = fetch_page(client.reading(60.0), question, place)
        yield page
        place = page.following
        if place is None:
            return


def _link(row: ListedSubscription, page: RowPage) -> dict[str, Any]:
    account: ListedAccount = next(each for each in page.accounts if each.id == row.account_id)
    contacts: list[ListedContact] = [each for each in page.contacts if each.account_id == row.account_id]
    fingerprint = Fingerprint(
        zuora_id=row.id,
        version=row.version,
        update_time=row.updated.astimezone(ZoneInfo("UTC")).strftime("%Y-%m-%d %H:%M:%S"),
        account_id=row.account_id,
        contacts="0" * 64,
        preview_day=None,
        status=row.status,
        term_start=row.term_start.isoformat() if row.term_start else None,
        term_end=row.term_end.isoformat() if row.term_end else None,
        auto_renew=row.auto_renew,
        account_bill_to=account.bill_to,
        account_sold_to=account.sold_to,
        contact_hashes={each.id: each.facts for each in contacts},
    )
    return {
        "number": row.number,
        "subscription_id": f"sub-{row.id}",
        "zuora_id": row.id,
        "version": row.version,
        "account_id": row.account_id,
        "account_number": None,
        "fingerprint": fingerprint.as_json(),
    }


def _limio(row: ListedSubscription, pattern: dict[str, Any]) -> dict[str, Any]:
    own = {"id": f"sub-{row.id}", "reference": row.number, "name": row.number}
    return {**own, "customer": f"cus-{row.account_id}", "document": {**pattern["document"], **own}}


def _insert(session: Session, table: type[SQLModel], values: list[dict[str, Any]]) -> None:
    if values:
        session.connection().execute(insert(table), values)


def _objects(database: Database) -> list[tuple[Any, ...]]:
    """Every Limio subscription with when it was written."""
    with database.reading() as session:
        return [tuple(row) for row in session.run("SELECT id, updated, synced_at FROM limio_subscription")]


def _count(database: Database, statement: str) -> int:
    with database.reading() as session:
        return int(session.run(statement).scalar_one())


def _calls(zuora: Zuora) -> int:
    """What Zuora was asked since the last time, tokens apart."""
    return sum(count for route, count in zuora.tell("traffic")["calls"].items() if "/oauth/" not in route)


PART = Part(name="sweep", title="A full sweep of 100,000", about=ABOUT, measure=measure, by_default=False)


def main() -> None:
    """Measure once and print the figures as JSON."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    dialect = sys.argv[2] if len(sys.argv) > 2 else "sqlite"
    with open_ground() as ground:
        print(json.dumps(asdict(sweep_once(ground, dialect, count=count)), indent=2))


if __name__ == "__main__":
    main()
