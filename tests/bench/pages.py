"""How long the admin pages and the reads take to answer in front of a store that has grown for years."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from statistics import median

import requests

from sync_service.access.clients import OBJECTS_SCOPE, SYNC_SCOPE, add_client
from sync_service.access.users import Role, put_user
from sync_service.store.engine import Database, connect
from tests.bench.figures import Bench, Figure, Figures, Part
from tests.bench.grown import Size, fill
from tests.bench.processes import METRICS_TOKEN, SECRET_KEY, Child, settings
from tests.bench.survey import survey
from tests.bench.visits import Visit, main_visits, visits

_WHOLE = Size(subscriptions=200_000, runs=2_000_000)
#: The embedded database is for one machine and one person; it is measured with a tenth.
_TENTH = Size(subscriptions=20_000, runs=200_000)
#: Ten million entries of the stream: runs, half as many callouts, and a twentieth of acts. SUBSCRIPTIONS asks for a
#: smaller store of the same shape.
_MANY_SUBSCRIPTIONS = int(os.environ.get("SUBSCRIPTIONS") or 1_000_000)
_LARGE = Size(subscriptions=_MANY_SUBSCRIPTIONS, runs=_MANY_SUBSCRIPTIONS * 13 // 2)
_QUICK = Size(subscriptions=2_000, runs=10_000, often=10)
_REQUESTS = 9
_EMAIL, _PASSWORD = "bench@example.com", "correct horse battery"
#: A statement that reads more rows than this is named below the table.
_MANY = 2_500

ABOUT = f"""
The store is made by SQL (`tests/bench/grown.py`): {_WHOLE.subscriptions:,} subscriptions with customers, addresses,
schedules and other names, and {_WHOLE.runs:,} runs in the history with as many causes and half as many callouts; a
hundredth of it happened during the last day. The service's own web process answers one request at a time, asked over
a connection that stays open; each value is the median of {_REQUESTS} answers, the whole page with its templates, in
milliseconds. Beside it stands a bare Flask route that commits one row, asked in the same way between them. On SQLite
the store is a tenth of that size.
"""


def _measure(bench: Bench) -> Figures:
    return _measure_sizes(bench, (("postgresql", "PostgreSQL", _WHOLE), ("sqlite", "SQLite", _TENTH)))


def _measure_large(bench: Bench) -> Figures:
    return _measure_sizes(bench, (("postgresql", "PostgreSQL", _LARGE), ("sqlite", "SQLite", _LARGE)))


def _measure_sizes(bench: Bench, sizes: Sequence[tuple[str, str, Size]]) -> Figures:
    figures = Figures()
    for dialect, name, size in sizes:
        size = size if os.environ.get("SUBSCRIPTIONS") else bench.pick(size, _QUICK)
        bench.say(f"   {name}: making {size.subscriptions:,} subscriptions and {size.runs:,} runs")
        url = bench.ground.new_database(dialect)
        bench.ground.command("db", "upgrade", environ=settings(url))
        database = connect(url)
        began = time.monotonic()
        fill(database, size)
        bench.say(f"   made in {time.monotonic() - began:.0f} s")
        figures.rows += _times(bench, name, url, database, size)
        if dialect == "postgresql":
            figures.notes.append(_look_at_plans(bench, database, size))
        database.engine.dispose()
        bench.ground.stop()
        bench.ground.drop_database(url)
    return figures


def _times(bench: Bench, name: str, url: str, database: Database, size: Size) -> list[Figure]:
    web = bench.ground.web(settings(url, LOG_FORMAT="json"))
    bare = bench.ground.reference(bench.ground.new_database("postgresql" if url.startswith("postgres") else "sqlite"))
    browser = _logged_in(web, database)
    looked_at = main_visits(size, SECRET_KEY)
    took: dict[str, list[float]] = {visit.name: [] for visit in looked_at}
    plain: dict[str, list[float]] = {visit.name: [] for visit in looked_at}
    with requests.Session() as other:
        for each in range(bench.rounds):
            bench.say(f"   {name}: round {each + 1}")
            for visit in looked_at:
                took[visit.name].append(_median_ms(lambda at=visit: _get(browser, web, at)))
                address = f"http://127.0.0.1:{bare.port}/rows/key"
                plain[visit.name].append(_median_ms(lambda at=address: other.post(at, data=b"row", timeout=30)))
    browser.close()
    return [
        Figure(
            what=f"{name}: {visit.name}",
            unit="ms",
            values=took[visit.name],
            beside="bare route",
            reference=plain[visit.name],
        )
        for visit in looked_at
    ]


def _logged_in(web: Child, database: Database) -> requests.Session:
    """A browser of an operator, which also holds a token for the API."""
    browser = requests.Session()
    base = f"http://127.0.0.1:{web.port}"
    put_user(database, _EMAIL, Role.OPERATOR, _PASSWORD, actor="bench")
    form = browser.get(f"{base}/admin/login", timeout=30).text
    token = re.search(r'name="form_token" value="([0-9a-f]+)"', form)
    assert token
    given = {"email": _EMAIL, "password": _PASSWORD, "form_token": token[1]}
    browser.post(f"{base}/admin/login", data=given, timeout=30).raise_for_status()
    client, secret = add_client(database, "bench", [OBJECTS_SCOPE, SYNC_SCOPE], False, actor="a test")
    asked = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret}
    answer = browser.post(f"{base}/oauth2/token", data=asked, timeout=30)
    browser.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    return browser


def _get(browser: requests.Session, web: Child, visit: Visit) -> None:
    headers = {"Authorization": f"Bearer {METRICS_TOKEN}"} if visit.path == "/metrics" else {}
    answer = browser.get(f"http://127.0.0.1:{web.port}{visit.path}", headers=headers, timeout=60, allow_redirects=False)
    if answer.status_code != 200:
        raise RuntimeError(f"{visit.name} is answered {answer.status_code}")


def _median_ms(ask: Callable[[], object]) -> float:
    took = []
    for _ in range(_REQUESTS):
        began = time.perf_counter()
        ask()
        took.append((time.perf_counter() - began) * 1000)
    return median(took)


def _look_at_plans(bench: Bench, database: Database, size: Size) -> str:
    """What every statement of every address reads, with the plans that PostgreSQL really takes at this size."""
    bench.say("   looking at the plans")
    seen = list(survey(database, visits(size, SECRET_KEY), secret_key=SECRET_KEY))
    many = {each.visit.name: each.work.rows for each in seen if each.work.rows > _MANY}
    scanned = {table for each in seen for table, rows in each.work.scanned.items() if rows > _MANY}
    said = ", ".join(f"{name} ({rows:,})" for name, rows in sorted(many.items())) or "none"
    addresses = len({each.visit.name for each in seen})
    return (
        f"The {len(seen)} statements of {addresses} addresses that read the store, with each filter and search, were"
        f" asked again with `EXPLAIN ANALYZE`. Tables read from end to end: {', '.join(sorted(scanned)) or 'none'}."
        f" Addresses with a statement that reads more than {_MANY:,} rows: {said}; what counts a day reads that day."
        " `make test` looks at the same on both databases with a smaller store."
    )


PART = Part(
    name="pages",
    title="The admin pages at size",
    about=ABOUT,
    measure=_measure,
    by_default=False,
)
LARGE_PART = Part(
    name="pages-large",
    title="The admin pages in front of ten million entries",
    about=f"""
The same pages, measured in the same way, on both databases with {_LARGE.subscriptions:,} subscriptions and
{_LARGE.runs:,} runs, which with their callouts and what people did are ten million entries of the stream.
""",
    measure=_measure_large,
    by_default=False,
)
