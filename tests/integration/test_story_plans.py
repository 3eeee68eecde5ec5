"""Every statement of a story is asked again at a grown store: none reads a table from end to end."""

from __future__ import annotations

import pytest

from sync_service.store.engine import Database, connect
from tests.bench.grown import Size, fill
from tests.bench.plans import watching, work_of
from tests.integration.test_placing import CANCELLED, open_shop
from tests.integration.web.conftest import build
from tests.integration.web.partner_shop import Shop as PartnerShop
from tests.integration.web.partner_shop import add
from tests.order_world import answer_reads, cancel
from tests.partner_world import open_partner_world, stop_clock
from tests.sweep_world import open_world

#: A table of fewer rows may be read whole: a store has few users, jobs and offers however many subscriptions it has.
SMALL = 500
SIZE = Size(subscriptions=1_000, runs=3_000, waiting=0, failed=0, held=15, often=10)


def sweep_and_sync(database: Database) -> None:
    """Imports, a full and a delta sweep, and the syncs that they ask for."""
    with open_world(database) as world:
        world.execute("DELETE FROM ask")
        world.subscribe("N-S1", "N-S2", account="A-first")
        world.load("N-S3")
        world.sync("N-S1", "N-S2")
        world.pass_time(hours=2)
        world.do("auto_renew", key="N-S1", value=False)
        world.do("change_price", key="N-S2", price="12.50")
        world.sweep_all()
        assert world.waiting() >= {"N-S1", "N-S2"}
        world.sweep()
        world.work()
        assert world.waiting() == set()


def place_an_order(database: Database) -> None:
    """An order from the door to its end."""
    for shop in open_shop(database):
        answer_reads(shop.zuora)
        shop.zuora.will_say("POST", "/v1/orders", CANCELLED)
        assert shop.order(cancel()).status_code == 200
        shop.work()
        assert shop.the_order().state == "complete"


def order_as_partner(database: Database) -> None:
    """A basket, filled and submitted."""
    web = build(database)
    shop = PartnerShop(web, open_partner_world(database, web.client).headers["N"])
    shop.open()
    shop.order(add("Business", 5))
    order = {"order_type": "update_subscription", "checkoutId": shop.cookie}
    assert shop.client.post("/api/partner/order", json=order, headers=shop.headers).status_code == 200


def test_no_statement_of_any_story_reads_a_table_of_a_grown_store_from_end_to_end(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(postgres, SIZE)
    with watching(writes=True) as watched:
        sweep_and_sync(postgres)
        place_an_order(postgres)
        with monkeypatch.context() as patch:
            stop_clock(patch)
            order_as_partner(postgres)

    works = [(asked, work_of(postgres, asked, prefer_indexes=True)) for asked in watched.asked]
    read_whole = [(asked.text, work.plan) for asked, work in works if not work.is_bounded(10**6, SMALL)]
    assert read_whole == []
    for table in ("sync_request", "limio_subscription", "order_work", "basket", "sweep_seen", "callout"):
        assert any(table in asked.text for asked, _ in works), table


def test_a_worker_goes_by_indexes_in_a_store_whose_tables_have_no_statistics_yet(
    postgres: Database, postgres_url: str
) -> None:
    fill(postgres, SIZE)
    with postgres.transaction() as session:
        session.run("DELETE FROM pg_statistic")
    of_worker = connect(postgres_url, by_index=True)
    with watching(writes=True) as watched, open_world(of_worker) as world:
        world.subscribe("N-S1", account="A-first")
        world.sync("N-S1")
        world.do("auto_renew", key="N-S1", value=False)
        world.sync("N-S1")
        place_an_order(of_worker)

    works = [(asked, work_of(of_worker, asked)) for asked in watched.asked]
    of_worker.engine.dispose()

    assert [(asked.text, work.plan) for asked, work in works if not work.is_bounded(10**6, SMALL)] == []
    for table in ("zuora_link", "order_work"):
        assert any(table in asked.text for asked, _ in works), table
