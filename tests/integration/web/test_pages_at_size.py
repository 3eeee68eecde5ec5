"""No page reads more of the store than it shows, however much there is. `make bench ONLY=pages` tells how fast."""

from __future__ import annotations

import pytest

from sync_service.app import create_app
from sync_service.queue.stream.branches import EntryKind
from sync_service.store.engine import Database
from tests.bench.grown import Size, fill
from tests.bench.survey import survey
from tests.bench.visits import visits
from tests.integration.web.conftest import SETTINGS

KEY = SETTINGS.secret_key
SIZE = Size(subscriptions=4_000, runs=16_000, waiting=20, failed=40, held=15, often=10)
#: Rows of PostgreSQL, and thousands of steps of SQLite's machine. An export reads 800 rows at a time.
MOST = {"postgresql": 1100, "sqlite": 36}
#: They count a day: as much as happened in it.
DAILY = ("overview", "metrics")
#: What every page reads is in tables of a hundred rows at most.
SMALL = 500
#: Addresses that read nothing that grows.
OF_NO_SIZE = {
    *("admin.asset", "admin.draft", "admin.nowhere", "health.healthz", "static"),
    *("admin.manual", "admin.manual_page"),
    *("openapi.docs", "openapi.openapi", "openapi.start"),
    *("portal.asset", "portal.nowhere", "portal.code"),
}
#: They ask Zuora through the queue and wait for its answer; of the store they read one subscription by its key.
WAIT_FOR_ZUORA = {
    *("admin.invoice", "admin.invoices", "admin.customer_invoices", "admin.invoice_pdf"),
    *("invoices.of_customer", "partner_objects.invoices", "partner_objects.invoice_pdf"),
    *("portal.invoices", "portal.invoices_of", "portal.invoices_of_customer", "portal.invoice_pdf"),
}


@pytest.mark.timeout(300)
def test_every_statement_of_every_page_reads_little_of_a_grown_store(database: Database) -> None:
    fill(database, SIZE)

    seen = list(survey(database, visits(SIZE, KEY), secret_key=KEY, prefer_indexes=True))

    least = MOST[database.dialect]
    greedy = [str(each) for each in seen if not each.work.is_bounded(_most(each.visit.name, least), SMALL)]
    assert greedy == []
    assert len(seen) > 200


def test_every_address_that_reads_is_visited(sqlite_database: Database) -> None:
    app = create_app(SETTINGS, sqlite_database, check=lambda _: None)
    readable = {rule.endpoint for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())}
    routes = app.url_map.bind("localhost")

    visited = {routes.match(visit.path.partition("?")[0])[0] for visit in visits(SIZE, KEY)}

    assert readable - visited - OF_NO_SIZE - WAIT_FOR_ZUORA == set()


def _most(page: str, least: int) -> int:
    """Where no index serves a filter of the stream, each of its kinds looks through a stretch of the past."""
    if page.startswith(("history", "one subscription,")):
        return len(EntryKind) * least
    return 2 * least if page.startswith(DAILY) else least
