"""Loading Limio's objects: shapes, merging, what a sync wrote, broken lines, and that replays change nothing."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from sync_service.store.engine import Database
from sync_service.store.load_lines import LONGEST_LINE, LoadReport, load_objects, read_lines
from sync_service.store.object_rows import OBJECT_ROWS, read_addresses
from sync_service.store.tables import (
    AddOnRow,
    AddressRow,
    CustomerRow,
    LimioObject,
    OrderRow,
    OrderWorkRow,
    RelationRow,
    ScheduleRow,
    SubscriptionRow,
    SyncRequestRow,
    ZuoraLinkRow,
)
from tests.webhook_world import add_endpoint, deliveries

pytestmark = pytest.mark.either_database

SAMPLES = Path(__file__).parent.parent / "limio_objects"


def load(database: Database, *values: Any) -> LoadReport:
    return load_objects(database, [json.dumps(value) for value in values])


def load_samples(database: Database, *names: str) -> LoadReport:
    lines = [line for name in names for line in (SAMPLES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    return load_objects(database, lines)


def everything(database: Database) -> dict[str, Any]:
    """All rows of Limio's objects with all their columns."""
    with database.reading() as session:
        rows = {
            row.id: row.model_dump() for row_class in OBJECT_ROWS.values() for row in session.exec(select(row_class))
        }
        uses = session.exec(select(RelationRow).order_by(col(RelationRow.relationship_type)))
        return {**rows, "uses": [use.model_dump() for use in uses]}


def one(database: Database, row_class: type[Any], object_id: str) -> Any:
    with database.reading() as session:
        return session.exec(select(row_class).where(row_class.id == object_id)).one()


def mark_synced(database: Database, row_class: type[LimioObject], object_id: str) -> None:
    with database.transaction() as session:
        session.get_one(row_class, object_id).synced_at = 1


def customer(name: str, updated: str | None = "2024-05-01T00:00:00.000Z", **data: Any) -> dict[str, Any]:
    document = {"id": "cus-1", "record_type": "customer", "data": {"name": name, **data}}
    return {**document, "updated": updated} if updated else document


def test_the_self_service_shape_becomes_separate_objects(database: Database) -> None:
    report = load_samples(database, "self_service")

    assert report.problems == []
    assert {record_type: counts.created for record_type, counts in report.counts.items()} == {
        "subscription": 3,
        "subscription_offer": 3,
        "schedule": 5,
        "add_on": 1,
    }
    with database.reading() as session:
        monthly = session.exec(select(SubscriptionRow).where(SubscriptionRow.reference == "29CVVO5SJFR0")).one()
        entries = session.exec(select(ScheduleRow).where(ScheduleRow.subscription_id == monthly.id)).all()
        add_on = session.exec(select(AddOnRow)).one()
    assert "schedule" not in monthly.document
    assert monthly.document["data"]["tracking"]["lmo_offer"] == "/offers2/Monthly+Offer"
    assert monthly.auto_renew is True
    assert sorted(entry.document["data"]["date"] for entry in entries) == [
        "2024-04-29T00:00:00.000",
        "2024-05-29T00:00:00.000",
    ]
    assert add_on.document["record_type"] == "add_on"
    assert add_on.subscription_id is not None


def test_related_items_are_attached_and_a_shared_address_serves_both(database: Database) -> None:
    report = load_samples(database, "self_service", "related")

    assert report.problems == []
    with database.reading() as session:
        references = {row.reference: row.id for row in session.exec(select(SubscriptionRow))}
        uses = {
            reference: sorted(
                (address["relationship_type"], address["data"]["address1"])
                for address in read_addresses(session, references[reference])
            )
            for reference in ("29CVVO5SJFR0", "BVFJTQ232RC0")
        }
    assert uses == {
        "29CVVO5SJFR0": [
            ("billing", "1 Old Street"),
            ("billing", "12 St James's Square"),
            ("delivery", "12 St James's Square"),
        ],
        "BVFJTQ232RC0": [("billing", "12 St James's Square"), ("delivery", "12 St James's Square")],
    }


def test_loading_the_same_again_changes_nothing_in_the_store(database: Database) -> None:
    load_samples(database, "self_service", "related", "single_objects")
    before = everything(database)

    report = load_samples(database, "self_service", "related", "single_objects")

    assert everything(database) == before
    assert all(counts.created == counts.updated == counts.kept == 0 for counts in report.counts.values())


def test_the_order_of_the_files_makes_no_difference(database: Database) -> None:
    load_samples(database, "related", "single_objects", "self_service")
    with database.reading() as session:
        related_first = {row.id: row.document for row in session.exec(select(AddressRow))}
        subscriptions = session.exec(select(SubscriptionRow)).all()

    assert len(related_first) == 4
    assert len(subscriptions) == 4


def test_a_single_object_may_have_numbers_for_amounts(database: Database) -> None:
    report = load_samples(database, "single_objects")

    assert report.problems == []
    with database.reading() as session:
        entry = session.exec(select(ScheduleRow)).one()
    assert (entry.amount, entry.status, entry.document["data"]["amount"]) == ("9.99", "pending", 9.99)


def test_a_later_version_wins_and_absent_fields_erase_nothing(database: Database) -> None:
    load(database, customer("Ada", phone="1", nested={"a": 1}))

    report = load(database, customer("Ada Lovelace", "2024-06-01T00:00:00.000Z", nested={"b": 2}))

    assert report.counts["customer"].updated == 1
    assert one(database, CustomerRow, "cus-1").document["data"] == {
        "name": "Ada Lovelace",
        "phone": "1",
        "nested": {"a": 1, "b": 2},
    }
    assert one(database, CustomerRow, "cus-1").name == "Ada Lovelace"


def test_an_earlier_version_is_left_out(database: Database) -> None:
    load(database, customer("Ada Lovelace"))

    report = load(database, customer("Ada", "2024-04-01T00:00:00.000Z", phone="1"))

    assert report.counts["customer"].kept == 1
    assert one(database, CustomerRow, "cus-1").document["data"] == {"name": "Ada Lovelace"}


@pytest.mark.parametrize("updated", ["2024-05-01T00:00:00.000Z", None])
def test_a_summary_and_the_whole_of_one_version_complete_each_other(database: Database, updated: str | None) -> None:
    load(database, customer("Ada Lovelace"))

    load(database, customer("Ada King", updated, phone="1"))

    assert one(database, CustomerRow, "cus-1").document["data"] == {"name": "Ada Lovelace", "phone": "1"}


def test_an_object_that_a_sync_wrote_is_never_overwritten(database: Database) -> None:
    load(database, customer("Ada Lovelace"))
    mark_synced(database, CustomerRow, "cus-1")
    before = everything(database)

    report = load(database, customer("Ada", "2030-01-01T00:00:00.000Z", phone="1"))

    assert report.counts["customer"].kept == 1
    assert everything(database) == before


def test_a_value_that_no_column_can_hold_stays_in_the_document_and_is_reported(database: Database) -> None:
    report = load(
        database, {"id": "sub-1", "reference": 7, "data": {"termEndDate": "soon", "attributes": {"autoRenew": 1}}}
    )

    assert [(problem.line, problem.message) for problem in report.problems] == [
        (1, "sub-1: kept, but the store cannot use its reference, data.termEndDate, data.attributes.autoRenew.")
    ]
    row = one(database, SubscriptionRow, "sub-1")
    assert (row.term_end, row.reference, row.auto_renew) == (None, None, None)
    assert row.document["data"]["termEndDate"] == "soon"


def test_a_broken_line_is_reported_by_number_and_the_rest_goes_on(database: Database) -> None:
    lines = [
        json.dumps({"id": "cus-1"}),
        "{broken",
        "",
        json.dumps({"id": "cus-2"}),
        '{"id": "cus-3", "name": "\\u0000"}',
    ]

    report = load_objects(database, lines)

    assert report.lines == 5
    assert [problem.line for problem in report.problems] == [2, 5]
    assert report.counts["customer"].created == 2


def test_an_unattached_address_is_reported_until_something_attaches_it(database: Database) -> None:
    address = {"id": "address-1", "record_type": "address", "related": "address-1", "relationship_type": "billing"}

    alone = load(database, {"id": "cus-1"}, address)
    later = load(database, address, {"related_to": "sub-1", "items": [address]})
    again = load(database, address)

    remedy = 'give it inside {"related_to": "sub-…", "items": […]}.'
    assert [(problem.line, problem.message) for problem in alone.problems] == [
        (2, f"address-1 is attached to no subscription, so nothing can use it: {remedy}")
    ]
    assert later.problems == []
    assert again.problems == []
    assert one(database, AddressRow, "address-1").subscription_id == "sub-1"


def test_a_schedule_entry_of_no_subscription_is_reported(database: Database) -> None:
    report = load(database, {"id": "schedule-1", "data": {}})

    assert [problem.message for problem in report.problems] == [
        "schedule-1 names no subscription that it is related to."
    ]


def test_a_number_that_was_imported_is_not_loaded_a_second_time(database: Database) -> None:
    imported = {"id": "sub-made-here", "reference": "A-S1", "data": {"attributes": {"external": True}}}
    load(database, imported)
    mark_synced(database, SubscriptionRow, "sub-made-here")

    report = load(database, {"id": "sub-of-limio", "reference": "A-S1", "schedule": [{"id": "schedule-1"}]})

    assert [problem.message for problem in report.problems] == [
        "sub-of-limio has the reference of sub-made-here, which was imported from Zuora: left out."
    ]
    assert set(everything(database)) == {"sub-made-here", "uses"}


def test_what_was_loaded_is_compared_in_full_by_the_next_sync(database: Database) -> None:
    load(database, {"id": "sub-1", "customer": "cus-1"}, {"id": "sub-2"}, customer("Ada"))
    with database.transaction() as session:
        for number in ("1", "2"):
            session.add(
                ZuoraLinkRow(
                    number=f"A-S{number}",
                    subscription_id=f"sub-{number}",
                    zuora_id=number,
                    version=1,
                    fingerprint={"version": 1},
                    read_began=1,
                    read_ended=2,
                )
            )

    load(database, customer("Ada Lovelace", "2024-06-01T00:00:00.000Z"), {"id": "sub-2"})

    with database.reading() as session:
        fingerprints = {link.number: link.fingerprint for link in session.exec(select(ZuoraLinkRow))}
    assert fingerprints == {"A-S1": {}, "A-S2": {"version": 1}}


def test_many_lines_are_taken_in_several_transactions(sqlite_database: Database) -> None:
    lines = (json.dumps({"id": f"cus-{number}", "data": {"name": str(number)}}) for number in range(1_201))

    report = load_objects(sqlite_database, lines)

    assert (report.lines, report.counts["customer"].created) == (1_201, 1_201)


def test_a_line_without_end_is_reported_and_not_kept_in_memory(sqlite_database: Database) -> None:
    stream = io.BytesIO(b'{"id": "cus-1"}\n' + b"x" * (3 * LONGEST_LINE) + b"\n" + b'{"id": "cus-2"}')

    lines = list(read_lines(stream))
    report = load_objects(sqlite_database, lines)

    assert [len(line) for line in lines] == [16, LONGEST_LINE + 1, 15]
    assert [(problem.line, problem.message) for problem in report.problems] == [
        (2, "The line is longer than 4000000 characters.")
    ]
    assert report.counts["customer"].created == 2


def test_a_file_that_is_not_utf_8_is_reported_by_line(sqlite_database: Database) -> None:
    stream = io.BytesIO('{"id": "cus-1", "name": "Müller"}\n{"id": "cus-2"}\n'.encode("latin-1"))

    report = load_objects(sqlite_database, read_lines(stream))

    assert [(problem.line, problem.message) for problem in report.problems] == [
        (1, "It holds characters that are not Unicode: is the file UTF-8?")
    ]
    assert report.counts["customer"].created == 1


def test_the_report_prints_as_json(sqlite_database: Database) -> None:
    report = load_objects(sqlite_database, ['{"id": "cus-1"}', "{"])

    assert json.loads(json.dumps(report.as_json())) == {
        "lines": 2,
        "objects": {"customer": {"created": 1, "updated": 0, "unchanged": 0, "kept": 0}},
        "problem_count": 1,
        "problems": [
            {"line": 2, "message": "This is no JSON: Expecting property name enclosed in double quotes at character 2."}
        ],
    }


@pytest.mark.parametrize(
    ("value", "remedy"), [({"id": "cus-1", "data": {}}, "jq -c . FILE"), ([{"id": "cus-1"}], "jq -c '.[]' FILE")]
)
def test_a_pretty_printed_file_is_refused_once_with_what_makes_it_one_object_a_line(
    database: Database, value: Any, remedy: str
) -> None:
    report = load_objects(database, json.dumps(value, indent=2).splitlines(keepends=True))

    assert report.problem_count == 1
    assert remedy in report.problems[0].message
    assert everything(database) == {"uses": []}


def test_limios_own_orders_are_kept_and_neither_placed_again_nor_told(sqlite_database: Database) -> None:
    add_endpoint(sqlite_database, "http://127.0.0.1:9/limio")
    order = {
        "id": "order-1",
        "record_type": "order",
        "status": "submitted",
        "reference": "232POEEK2ABG",
        "owner": "id-1",
        "data": {"order_type": "new", "order_reference": "232POEEK2ABG"},
    }

    load(sqlite_database, order)

    assert one(sqlite_database, OrderRow, "order-1").status == "submitted"
    with sqlite_database.reading() as session:
        assert session.exec(select(OrderWorkRow)).all() == []
        assert session.exec(select(SyncRequestRow)).all() == []
    assert deliveries(sqlite_database) == []
