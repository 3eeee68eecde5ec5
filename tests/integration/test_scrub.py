"""Erasing a customer: nothing personal is left anywhere, what was billed still adds up, and no sync brings it back."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg.errors import Diagnostic
from sqlalchemy import text

from sync_service.errors import UnknownKey
from sync_service.operations.copies import back_up
from sync_service.operations.scrub import scrub, scrub_again
from sync_service.queue.outbox import WebhookType, announce
from sync_service.store import engine, transactions
from sync_service.store.engine import Database
from sync_service.store.load_lines import load_objects
from sync_service.store.tables import AdminViewRow, BasketRow, CalloutRow, WebhookEndpointRow
from sync_service.telemetry.log import set_up
from tests.sweep_world import World, open_world

ACCOUNT = {
    "number": "A-ADA",
    "first_name": "Ada",
    "last_name": "Byron",
    "personal_email": "ada@example.com",
    "address1": "12 St James's Square",
    "city": "London",
    "postal_code": "SW1Y 4JH",
    "country": "United Kingdom",
    "work_phone": "+44 20 7946 0001",
}
#: What names her, as Limio or Zuora may write it.
TELLING = ("byron", "ada@", "james's square", "sw1y", "7946 0001")


@pytest.fixture
def world(database: Database) -> Iterator[World]:
    """Ada has two subscriptions, imported by syncs; Grace one."""
    with open_world(database) as world:
        world.do("create_account", **ACCOUNT)
        grace = {
            "number": "A-GRACE",
            "first_name": "Grace",
            "last_name": "Hopper",
            "personal_email": "grace@example.com",
        }
        world.do("create_account", **grace, address1="1 Navy Way", city="New York", country="United States")
        world.subscribe("A-S1", "A-S2", account="A-ADA")
        world.subscribe("A-S3", account="A-GRACE")
        world.sync("A-S1", "A-S2", "A-S3")
        for name in ("Ada", "Grace"):
            tell_of_customer(world, name)
        keep_views(world)
        fill_baskets(world)
        yield world


def tell_of_customer(world: World, first_name: str) -> None:
    """A webhook with all that the customer's object says."""
    found = "SELECT id, document FROM limio_customer WHERE name_folded LIKE :name"
    [(customer_id, document)] = world.rows(found, name=f"{first_name.lower()}%")
    with world.database.transaction() as session:
        session.merge(WebhookEndpointRow(id="ep_1", url="https://example.com", created_at=0))
        session.flush()
        body = json.loads(document) if isinstance(document, str) else document
        announce(session, WebhookType.CUSTOMER_CREATED, customer_id, body)


VIEWS = {
    "Hers": "customer:byron field:dates",
    "Her mail": "ada@example.com from:month",
    "Written to ada@example.com": "outcome:changed",
    "Hoppers": 'customer:"grace hopper"',
    "Payments": "field:amounts from:month",
    "Two people": "ada hopper",
}


def keep_views(world: World) -> None:
    """Queries of the history that an operator keeps: three name Ada, one names Grace, two name no one there is."""
    with world.database.transaction() as session:
        session.add_all(AdminViewRow(email="olga@x.org", name=name, query=q, made_at=1) for name, q in VIEWS.items())


def fill_baskets(world: World) -> None:
    """A partner is about to order: a change for Ada, one for Grace, and something new whose tracking names Ada."""
    orders = {
        "basket-ada": (subscription_id(world, "A-S1"), {"order": {"note": "12 St James's Square"}}),
        "basket-grace": (subscription_id(world, "A-S3"), {"order": {"note": "1 Navy Way"}}),
        "basket-new": (None, {"journey": {"tracking": {"from": "ada@example.com"}}}),
    }
    times = {"created_at": 1, "updated_at": 1, "expires_at": 1}
    with world.database.transaction() as session:
        for name, (subscription, document) in orders.items():
            row = BasketRow(id=name, partner_org="partner_org-1", subject="client-1", state="active", **times)
            row.subscription_id, row.document = subscription, document
            session.add(row)


def everything(world: World) -> dict[str, list[str]]:
    """All rows of all tables, as text."""
    with world.database.reading() as session:
        connection = session.connection()
        if world.database.dialect == "sqlite":
            names = "SELECT name FROM sqlite_master WHERE type = 'table'"
        else:
            names = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        tables = connection.execute(text(names)).scalars().all()
        return {
            name: [repr(tuple(row)) for row in connection.execute(text(f'SELECT * FROM "{name}"'))] for name in tables
        }


def places_of(world: World, *words: str) -> set[str]:
    """The tables that still hold one of `words`."""
    return {
        table for table, rows in everything(world).items() for row in rows if any(word in row.lower() for word in words)
    }


def documents(world: World, table: str, condition: str = "1 = 1") -> list[dict[str, Any]]:
    found = world.rows(f"SELECT document FROM {table} WHERE {condition} ORDER BY id")
    return [json.loads(each) if isinstance(each, str) else each for (each,) in found]


def subscription_id(world: World, number: str) -> str:
    return str(world.rows("SELECT id FROM limio_subscription WHERE reference = :number", number=number)[0][0])


def test_before_it_she_is_in_many_places(world: World) -> None:
    """Else the next test would prove nothing."""
    places = {"limio_customer", "limio_address", "sync_run", "webhook_delivery", "admin_view", "basket"}
    assert places_of(world, *TELLING) >= places


def test_nothing_that_names_her_is_left_and_others_are_untouched(world: World) -> None:
    before = documents(
        world, "limio_address", "subscription_id IN (SELECT id FROM limio_subscription WHERE reference='A-S3')"
    )

    report = scrub(world.database, "A-S1", actor="olga")

    assert places_of(world, *TELLING) == set()
    assert report.numbers == ("A-S1", "A-S2")
    kept = {"limio_customer", "limio_address", "sync_run", "webhook_delivery"}
    assert places_of(world, "hopper", "navy way") >= kept
    after = documents(
        world, "limio_address", "subscription_id IN (SELECT id FROM limio_subscription WHERE reference='A-S3')"
    )
    assert after == before
    assert world.rows("SELECT id FROM basket") == [("basket-grace",)]
    assert (report.views, report.baskets) == (3, 2)
    assert world.rows("SELECT name FROM admin_view ORDER BY name") == [("Hoppers",), ("Payments",), ("Two people",)]


def files_of(world: World) -> bytes:
    """All bytes of the database's files: tables, indexes, and what the planner keeps of a table's values."""
    if world.database.dialect == "sqlite":
        path = Path(str(world.database.engine.url.database))
        return b"".join(each.read_bytes() for each in path.parent.glob(f"{path.name}*"))
    with world.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CHECKPOINT"))
        folder = Path(connection.execute(text("SHOW data_directory")).scalar_one())
        paths = connection.execute(
            text("SELECT pg_relation_filepath(oid) FROM pg_class WHERE relkind IN ('r', 't', 'i')")
        ).scalars()
        return b"".join((folder / path).read_bytes() for path in paths if path and (folder / path).exists())


def bytes_of_hers(world: World) -> set[str]:
    """What names her in the database's files, as texts are stored and as JSON is."""
    found = files_of(world).lower()
    return {word for word in TELLING if word.encode() in found or word.replace("'", "''").encode() in found}


def rewrite_the_files(database: Database) -> None:
    """As docs/data-protection.md says: again while another connection still sees rows of before."""
    kept: list[str] = []

    def keep(notice: Diagnostic) -> None:
        said = f"{notice.message_detail}"
        if "cannot be removed yet" in said and not said.startswith("0 "):
            kept.append(said)

    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        driver: Any = connection.connection.driver_connection
        driver.add_notice_handler(keep)
        connection.execute(text("DELETE FROM pg_statistic"))
        connection.execute(text("ANALYZE"))
        for _ in range(100):
            kept.clear()
            connection.execute(text("VACUUM (FULL, VERBOSE)"))
            if not kept:
                return
    raise AssertionError(kept)


def test_no_byte_that_names_her_is_left_in_the_files(world: World) -> None:
    """She was renamed before, so that rows that were overwritten held her name too; and a reader looked on."""
    world.do("change_name", key="A-ADA", which="bill_to", last_name="Byron King")
    world.sync("A-S1")
    if world.database.dialect == "postgresql":
        with world.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("ANALYZE"))  # what autovacuum does from time to time
    assert bytes_of_hers(world) >= {"byron", "ada@"}

    report = scrub(world.database, "A-S1", actor="olga")
    if world.database.dialect == "postgresql":
        rewrite_the_files(world.database)

    assert report.leftovers is (world.database.dialect == "postgresql")
    assert bytes_of_hers(world) == set()


def test_a_reader_that_hinders_the_erasing_of_files_is_told(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (engine, transactions):
        monkeypatch.setattr(module, "SQLITE_BUSY_SECONDS", 1)  # the reader stays longer than anyone waits
    sqlite_database = engine.connect(sqlite_url)
    with open_world(sqlite_database) as world:
        world.do("create_account", **ACCOUNT)
        world.subscribe("A-S1", account="A-ADA")
        world.sync("A-S1")
        with sqlite_database.engine.connect() as reader:
            reader.connection.driver_connection.execute("BEGIN")
            reader.connection.driver_connection.execute("SELECT count(*) FROM sync_run").fetchone()
            reader.connection.driver_connection.execute("PRAGMA busy_timeout = 100")
            hindered = scrub(sqlite_database, "A-S1", actor="olga")
            reader.connection.driver_connection.execute("ROLLBACK")
        again = scrub(sqlite_database, "A-S1", actor="olga")

        assert (hindered.leftovers, again.leftovers) == (True, False)
        assert bytes_of_hers(world) == set()
    sqlite_database.engine.dispose()


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_whom_the_log_tells_of_is_erased_again_in_a_restored_store(
    sqlite_database: Database, log_format: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    set_up(log_format)
    with open_world(sqlite_database) as world:
        world.do("create_account", **ACCOUNT)
        world.subscribe("A-S1", "A-S2", account="A-ADA")
        world.subscribe("A-S3")
        world.sync("A-S1", "A-S2", "A-S3")
        backup = tmp_path / "backup.db"
        back_up(Path(str(sqlite_database.engine.url.database)), backup)
        scrub(sqlite_database, "A-S1", actor="olga")
        world.sync("A-S1")
        log = [*capsys.readouterr().err.splitlines(), "customer_erased marked=['cus-of-no-one']"]

        restored = engine.connect(f"sqlite:///{backup}")
        with open_world(restored) as again:
            assert places_of(again, "byron") > set()

            (report,) = scrub_again(restored, log, actor="paul")

            assert report.numbers == ("A-S1", "A-S2")
            assert places_of(again, *TELLING) == set()
            assert scrub_again(restored, log, actor="paul")[0].objects == 0
        restored.engine.dispose()


def test_messages_of_errors_that_quote_her_are_erased_wherever_they_are(world: World) -> None:
    quoted = "Contact Ada Byron at 12 St James's Square is not valid."
    account = world.rows("SELECT account_id FROM zuora_link WHERE number = 'A-S1'")[0][0]
    for kind, key in (
        ("subscription", "A-S1"),
        ("alias", "no alias of hers"),
        ("account", account),
        ("account", "A-ADA"),
    ):
        world.execute(
            "INSERT INTO sync_request (kind, key, requested_seq, failed_seq, priority, requested_at, last_error)"
            " VALUES (:kind, :key, 1, 1, 1, {now}, :text) ON CONFLICT (kind, key) DO UPDATE SET last_error = :text",
            kind=kind,
            key=key,
            text=quoted if key != "no alias of hers" else "Contact Grace Hopper is not valid.",
        )
    world.execute(
        "INSERT INTO sync_run (kind, key, seq_from, seq_to, outcome, began_at, ended_at, calls, change_count, drastic,"
        " error) VALUES ('account', 'A-ADA', 0, 1, 'failed', 0, 0, 0, 0, :no, :text)",
        no=False,
        text=quoted,
    )
    world.execute("UPDATE zuora_limit SET trouble_text = :text", text=quoted)
    world.execute(
        "INSERT INTO job (name, due_at, token, paused, cursor, progress, last_error)"
        " VALUES ('sweep delta', 0, 0, :no, '{}', '{}', :text)",
        no=False,
        text=quoted,
    )

    scrub(world.database, "A-S2", actor="olga")

    assert places_of(world, *TELLING) == set()
    assert world.rows("SELECT last_error FROM sync_request WHERE key = 'no alias of hers'") == [
        ("Contact Grace Hopper is not valid.",)
    ]


def test_dates_and_amounts_of_payments_and_history_stay(world: World) -> None:
    payments = documents(world, "limio_schedule")
    changes = world.rows("SELECT key, change_count, ended_at FROM sync_run ORDER BY id")

    scrub(world.database, "A-S1", actor="olga")

    assert documents(world, "limio_schedule") == payments
    assert payments
    kept = world.rows("SELECT key, change_count, ended_at FROM sync_run WHERE outcome <> 'scrubbed' ORDER BY id")
    assert kept == changes


def test_any_name_of_hers_leads_to_all_of_it(world: World) -> None:
    ((customer, owner),) = world.rows("SELECT customer, owner FROM limio_subscription WHERE reference = 'A-S2'")

    for key in (customer, owner, subscription_id(world, "A-S2")):
        assert scrub(world.database, key, actor="olga").numbers == ("A-S1", "A-S2")


def test_a_name_that_the_store_does_not_know_erases_nothing(world: World) -> None:
    before = everything(world)

    with pytest.raises(UnknownKey):
        scrub(world.database, "A-UNKNOWN", actor="olga")

    assert everything(world) == before


def test_done_again_it_changes_nothing(world: World) -> None:
    scrub(world.database, "A-S1", actor="olga")
    before = everything(world)

    report = scrub(world.database, "A-S2", actor="paul")

    assert (report.objects, report.runs, report.callouts) == (0, 0, 0)
    assert everything(world) == before


def test_the_history_says_who_erased_it_and_when(world: World) -> None:
    scrub(world.database, "A-S1", actor="olga")

    runs = world.rows("SELECT key, trigger, actor FROM sync_run WHERE outcome = 'scrubbed' ORDER BY key")
    assert runs == [("A-S1", "cli", "olga"), ("A-S2", "cli", "olga")]


def test_what_identifies_her_in_callouts_goes(world: World) -> None:
    with world.database.transaction() as session:
        for key, order in (("A-S1", "O-1"), ("A-ADA", None), ("A-S3", "O-3")):
            row = CalloutRow(received_at=1, key=key, verdict="accepted", body_sha256="ab", order_number=order)
            session.add(row)
            row.created_by = "8ad0"

    assert scrub(world.database, "A-S1", actor="olga").callouts == 2

    rows = world.rows("SELECT key, body_sha256, created_by, order_number FROM callout ORDER BY key")
    assert rows == [("A-ADA", None, None, None), ("A-S1", None, None, "O-1"), ("A-S3", "ab", "8ad0", "O-3")]


def test_later_syncs_bring_nothing_back_and_keep_the_rest_in_step(world: World) -> None:
    scrub(world.database, "A-S1", actor="olga")
    world.do("change_contact", key="A-ADA", last_name="Lovelace", city="Leeds", personal_email="ada@lovelace.example")
    world.do("renew", key="A-S1")

    world.sync("A-S1", "A-S2")

    assert places_of(world, *TELLING, "lovelace", "leeds") == set()
    ((end_before,), (end_after,)) = world.rows(
        "SELECT term_end FROM limio_subscription WHERE reference <> 'A-S3' ORDER BY term_end"
    )
    assert end_before != end_after  # the renewal came through


def test_a_subscription_that_comes_later_belongs_to_the_erased_customer(world: World) -> None:
    scrub(world.database, "A-S1", actor="olga")
    world.subscribe("A-S4", account="A-ADA")

    world.sync("A-S4")

    assert places_of(world, *TELLING) == set()
    owners = world.rows("SELECT DISTINCT owner FROM limio_subscription WHERE reference IN ('A-S1', 'A-S4')")
    assert len(owners) == 1


def test_an_owner_transfer_takes_the_new_owners_address(world: World) -> None:
    scrub(world.database, "A-S1", actor="olga")
    world.do("transfer_owner", key="A-S2", account="A-GRACE")

    world.sync("A-S2")

    addresses = documents(world, "limio_address", f"subscription_id = '{subscription_id(world, 'A-S2')}'")
    assert "1 Navy Way" in {each["data"]["address1"] for each in addresses}
    assert places_of(world, *TELLING) == set()


def test_loading_what_limio_still_has_does_not_bring_back_what_was_erased(world: World) -> None:
    customers = documents(world, "limio_customer")
    addresses = documents(world, "limio_address")

    scrub(world.database, "A-S1", actor="olga")
    later = "2099-01-01T00:00:00.000Z"
    load_objects(world.database, [json.dumps({**each, "updated": later}) for each in (*customers, *addresses)])

    assert places_of(world, *TELLING) == set()


def test_what_a_load_brings_of_her_under_new_ids_is_taken_in_without_her(world: World) -> None:
    known = subscription_id(world, "A-S1")
    ((customer,),) = world.rows("SELECT customer FROM limio_subscription WHERE reference = 'A-S1'")
    scrub(world.database, "A-S1", actor="olga")
    home = {"firstName": "Ada", "lastName": "Byron", "address1": "12 St James's Square", "country": "GB"}

    def address(id: str) -> dict[str, Any]:
        return {"id": id, "record_type": "address", "status": "active", "data": home}

    new = f"sub-{'1' * 32}"
    lines: list[dict[str, Any]] = [
        {"related_to": known, "items": [address(f"address-{'a' * 32}")]},
        {"related_to": new, "items": [address(f"address-{'b' * 32}")]},  # before its subscription
        {
            "id": new,
            "record_type": "subscription",
            "reference": "OLDERONE",
            "customer": customer,
            "data": {"notes": "12 St James's Square, ring twice", "termEndDate": "2027-01-01"},
        },
    ]
    for line in lines:  # in several loads
        report = load_objects(world.database, [json.dumps(line)])
        assert report.problem_count == 0

    assert places_of(world, *TELLING) == set()
    assert {row[0] for row in world.rows("SELECT id FROM limio_address")} >= {
        f"address-{'a' * 32}",
        f"address-{'b' * 32}",
    }
    assert [str(row[0]) for row in world.rows("SELECT term_end FROM limio_subscription WHERE id = :id", id=new)] == [
        "2027-01-01"
    ]
    load_objects(world.database, [json.dumps(each) for each in lines])
    assert places_of(world, *TELLING) == set()


def test_a_load_of_another_customer_stays_as_it_is(world: World) -> None:
    scrub(world.database, "A-S1", actor="olga")
    street = {"id": f"address-{'c' * 32}", "record_type": "address", "status": "active", "data": {"city": "Utrecht"}}

    load_objects(world.database, [json.dumps({"related_to": subscription_id(world, "A-S3"), "items": [street]})])

    assert places_of(world, "utrecht") == {"limio_address"}


def test_a_sync_under_way_is_over_before_or_finds_the_mark(world: World) -> None:
    """Both at once, a few times: whichever comes first, she is gone at the end."""
    for attempt in range(3):
        world.do("change_contact", key="A-ADA", city=f"Leeds {attempt}")
        syncing = threading.Thread(target=world.sync, args=("A-S1", "A-S2"))
        syncing.start()
        scrub(world.database, "A-S1", actor="olga")
        syncing.join(timeout=60)

        assert places_of(world, *TELLING, "leeds") == set()
