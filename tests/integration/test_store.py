"""The store as a sync sees it: names, the current state, writing a plan, and what several syncs share."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from sqlmodel import select

from sync_service.errors import ConflictInStore
from sync_service.queue.claims import claim_one
from sync_service.queue.requests import Claim, Kind, Remembered, finish
from sync_service.queue.runs.held import Overtaken
from sync_service.settings import Settings
from sync_service.store.apply import Applied
from sync_service.store.engine import Database, Session
from sync_service.store.object_rows import OBJECT_ROWS
from sync_service.store.reads import read_link, record_alias, record_link, resolve_key
from sync_service.store.tables import CalloutRow, CustomerRow, EventRow, IdentityRow, SubscriptionRow, ZuoraAccountRow
from sync_service.subscription.fingerprint import take_fingerprint
from sync_service.subscription.plan import Cancel, Change, Create, FieldChange, LimioState, SyncPlan, Update
from sync_service.subscription.reconcile import reconcile
from sync_service.subscription.terms import Rules
from sync_service.subscription.trigger import Trigger
from sync_service.subscription.zuora import (
    Contact,
    Preview,
    PreviewItem,
    ZuoraAccount,
    ZuoraState,
    ZuoraSubscription,
)
from sync_service.sync.attempt import Attempt, SyncContext, draw, write
from sync_service.sync.current import Current, CurrentQuery, read_current
from sync_service.sync.look import Look
from sync_service.zuora.client import ZuoraClient
from sync_service.zuora.preview import SharedPreviews
from sync_service.zuora.reading import Reading
from tests.integration.test_load import everything, load, load_samples
from tests.queue_world import SHARE, execute, rows, want

# date -u -d '2026-03-01 12:00' +%s
NOON = 1_772_366_400_000
NOON_TEXT = "2026-03-01T12:00:00.000Z"


#: What a run remembers of the first subscription.
LINK: Mapping[str, Any] = {
    "subscription_id": "sub-a",
    "zuora_id": "8a",
    "version": 1,
    "account_id": "acc-1",
    "started_on": date(2026, 2, 1),
    "cancelled": False,
    "fingerprint": {},
    "read_began": NOON - 10,
    "read_ended": NOON,
}


def in_zuora(number: str = "A-S1", account: str | None = "acc-1", **other: Any) -> ZuoraState:
    """What Zuora says of a subscription, as far as the store looks at it."""
    subscription = ZuoraSubscription(
        **{
            "id": f"id-of-{number}",
            "number": number,
            "version": 1,
            "is_latest": True,
            "status": "Active",
            "account_id": account,
            "account_number": account,
            "start": date(2026, 1, 1),
            **other,
        }
    )
    return ZuoraState(
        subscription=subscription, account=ZuoraAccount(id=account, number=account) if account is not None else None
    )


def people() -> tuple[Change, ...]:
    return (
        Create(record_type="identity", document={"name": "Ada"}, reason="new owner"),
        Create(record_type="customer", document={"data": {"name": "Ada", "email": "a@b.c"}}, reason="new customer"),
    )


def import_plan(number: str, current: LimioState) -> SyncPlan:
    """What reconciling makes of a subscription that Limio never saw."""
    subscription = Create(
        record_type="subscription",
        document={
            "reference": number,
            "name": number,
            "status": "active",
            "data": {"termEndDate": "2026-12-31", "attributes": {"external": True, "autoRenew": True}},
        },
        reason="unknown to Limio",
    )
    payment = Create(
        record_type="schedule",
        document={"status": "pending-external", "data": {"date": "2026-04-01T00:00:00.000", "amount": "9.00"}},
        reason="due in Zuora",
    )
    address = Create(
        record_type="address",
        document={"relationship_type": "billing", "data": {"city": "London"}},
        reason="the bill-to contact",
    )
    # In no helpful order: the store finds the one that it needs.
    return SyncPlan(
        number=number, changes=(payment, address, subscription, *(() if current.account_owner else people()))
    )


def run(
    database: Database,
    zuora: ZuoraState,
    plan: SyncPlan | None = None,
    *,
    began: int = NOON - 1_000,
    at: int = NOON,
) -> tuple[LimioState, Applied, tuple[str, ...]]:
    """The writing half of one sync, importing where no plan is given and the store knows nothing."""
    number = zuora.subscription.number
    claim = a_claim(database, number, began)
    ((before,),) = rows(database, "SELECT max(id) FROM sync_cause")
    context = SyncContext(database=database, zuora=cast(ZuoraClient, None), settings=Settings())
    reading = cast(Reading, SimpleNamespace(calls=1))
    attempt = Attempt(context=context, claim=claim, reading=reading, previews=SharedPreviews())
    look = Look(state=zuora, fingerprint=take_fingerprint(zuora.subscription, preview_day=None))
    for _ in range(20):
        with database.reading() as session:
            current = read_current(session, asked(zuora, began, claim))
        known = current.limio.subscription is not None
        chosen = plan or (SyncPlan(number=number) if known else import_plan(number, current.limio))
        current = replace(current, row=current.row._replace(at=at))
        found = draw(chosen, current.limio, frozenset({Trigger.CALLOUT}), look, current)
        try:
            write(attempt, current, found)
            break
        except Overtaken:
            continue
    else:
        raise AssertionError("others never stop writing")
    execute(
        database,
        "UPDATE sync_request SET compared_at = :at WHERE key = :number AND compared_at >= checked_at",
        at=at,
        number=number,
    )
    wanted = rows(
        database,
        "SELECT key FROM sync_cause WHERE actor = :actor AND id > :before",
        actor=f"sync of {number}",
        before=before,
    )
    return current.limio, found.applied, tuple(key for (key,) in wanted)


def a_claim(database: Database, number: str, began: int) -> Claim:
    """A run of `number` whose reading began at `began`."""
    want(database, number)
    claim = claim_one(database, Kind.SUBSCRIPTION, number, SHARE)
    assert claim is not None
    return replace(claim, claimed_at=began)


def asked(zuora: ZuoraState, began: int = NOON, claim: Claim | None = None, *siblings: str) -> CurrentQuery:
    return CurrentQuery(
        subscription=zuora.subscription, read_began=began, share=SHARE, covered=claim, siblings=siblings
    )


def read(database: Database, zuora: ZuoraState, began: int = NOON, *siblings: str) -> Current:
    """What the store holds, seen from what Zuora says."""
    with database.reading() as session:
        return read_current(session, asked(zuora, began, None, *siblings))


def update(record_type: str, object_id: str, **values: Any) -> Update:
    fields = tuple(
        FieldChange(path=path.replace("__", "."), before=None, after=value) for path, value in values.items()
    )
    return Update(record_type=record_type, id=object_id, fields=fields, reason="differs in Zuora")


def rows_of(database: Database, row_class: type[Any]) -> list[Any]:
    with database.reading() as session:
        return list(session.exec(select(row_class).order_by(row_class.id)))


def document_of(database: Database, row_class: type[Any], object_id: str) -> Mapping[str, Any]:
    with database.reading() as session:
        document: Mapping[str, Any] = session.get_one(row_class, object_id).document
        return document


@pytest.fixture
def loaded(database: Database) -> Database:
    """A store with two subscriptions of one customer, sub-a (A-S1) and sub-b (A-S2)."""
    load(
        database,
        {"id": "id-1", "record_type": "identity", "owner": "id-1"},
        {"id": "cus-1", "owner": "id-1", "updated": "2025-01-01T00:00:00.000Z", "data": {"name": "Ada"}},
        *(
            {
                "id": f"sub-{letter}",
                "record_type": "subscription",
                "reference": number,
                "owner": "id-1",
                "customer": "cus-1",
                "updated": "2025-01-01T00:00:00.000Z",
                "status": "active",
                "data": {"termEndDate": "2025-12-31", "custom": {"kept": 1}},
                "schedule": [
                    {
                        "id": f"schedule-{letter}",
                        "owner": "id-1",
                        "status": "pending-external",
                        "data": {"date": "2025-06-01T00:00:00.000"},
                    }
                ],
            }
            for letter, number in (("a", "A-S1"), ("b", "A-S2"))
        ),
    )
    return database


# --- names -----------------------------------------------------------------------------------------------------------


def test_a_subscription_is_found_by_every_name_that_it_has(loaded: Database) -> None:
    run(loaded, in_zuora("A-S1", id="8ad0889d8f2a1b9e018f2a6c0b4e12cd"))
    run(loaded, in_zuora("A-S1", id="8ad0889d8f2a1b9e018f2a6c0b4e99ff", version=2))

    with loaded.reading() as session:
        keys = ("sub-a", "A-S1", "8ad0889d8f2a1b9e018f2a6c0b4e12cd", "8ad0889d8f2a1b9e018f2a6c0b4e99ff")
        assert [resolve_key(session, key) for key in keys] == ["A-S1"] * 4
        assert resolve_key(session, "sub-b") == "A-S2"
        assert resolve_key(session, "sub-unknown") is None
        assert resolve_key(session, "A-S3") is None


def test_an_alias_can_be_recorded_again_and_be_put_right(database: Database) -> None:
    with database.transaction() as session:
        record_alias(session, "8a", "A-S1")
        record_alias(session, "8a", "A-S1")
        record_alias(session, "8a", "A-S2")

    with database.reading() as session:
        assert resolve_key(session, "8a") == "A-S2"


def test_an_echo_is_found_under_any_name_of_the_number(database: Database) -> None:
    with database.transaction() as session:
        record_alias(session, "8a", "A-S1")
        for key, code in (("8a", "echo"), ("A-S2", "impossible key"), ("A-S3", "echo")):
            session.add(CalloutRow(received_at=1, key=key, verdict="ignored", reason_code=code))

    found = [read(database, in_zuora(number)).is_echoed for number in ("A-S1", "A-S2", "A-S3", "A-S4")]
    assert found == [True, False, True, False]


# --- the current state -----------------------------------------------------------------------------------------------


def test_the_current_state_is_whole_objects(loaded: Database) -> None:
    load(
        loaded,
        {"related_to": "sub-a", "items": [{"id": "address-2", "start": "2025-02-01T00:00:00.000Z"}]},
        {"related_to": "sub-a", "items": [{"id": "address-1", "start": "2025-03-01T00:00:00.000Z"}]},
    )

    current = read(loaded, in_zuora("A-S1")).limio

    assert current.subscription is not None
    assert current.subscription["data"]["custom"] == {"kept": 1}
    assert [entry["id"] for entry in current.schedule] == ["schedule-a"]
    assert [address["id"] for address in current.addresses] == ["address-2", "address-1"]
    assert current.customer is not None
    assert current.customer["data"] == {"name": "Ada"}
    assert (current.writes_customer, current.customer_is_newer) == (True, False)
    assert (current.linked_account_id, current.account_owner, current.account_customer) == (None, None, None)


def test_nothing_is_known_of_an_unknown_number(database: Database) -> None:
    assert read(database, in_zuora("A-S9")).limio == LimioState()


# --- writing ---------------------------------------------------------------------------------------------------------


def test_an_import_makes_a_whole_family_of_objects(database: Database) -> None:
    current, applied, _ = run(database, in_zuora("A-S1"))

    assert current.subscription is None
    found = {
        document["record_type"]: document for row in OBJECT_ROWS.values() for document in _documents(database, row)
    }
    ids = {record_type: document["id"] for record_type, document in found.items()}
    assert (applied.subscription_id, applied.owner, applied.customer) == (
        ids["subscription"],
        ids["identity"],
        ids["customer"],
    )
    assert all(re.fullmatch("[a-z_]+-[0-9a-f]{32}", object_id) for object_id in ids.values())
    assert all(re.fullmatch("[0-9A-V]{12}", found[name]["reference"]) for name in found if name != "subscription")
    assert {document["owner"] for document in found.values()} == {ids["identity"]}
    assert {document["created"] for document in found.values()} == {NOON_TEXT}
    assert {document["service"] for document in found.values()} == {"limio"}
    assert found["subscription"] == {
        "id": ids["subscription"],
        "service": "limio",
        "record_type": "subscription",
        "status": "active",
        "name": "A-S1",
        "reference": "A-S1",
        "owner": ids["identity"],
        "customer": ids["customer"],
        "mode": "production",
        "created": NOON_TEXT,
        "updated": NOON_TEXT,
        "data": {"termEndDate": "2026-12-31", "attributes": {"external": True, "autoRenew": True}},
    }
    assert found["schedule"]["related"] == ids["subscription"]
    assert found["address"]["related"] == ids["address"]
    assert found["event"]["related"] == ids["subscription"]
    assert found["event"]["data"] == {
        "type": "subscription_synced",
        "message": "Imported from Zuora: 1 payment added, 1 billing address added.",
        "event": {"subscriptions": [{"id": ids["subscription"]}]},
    }
    row = rows_of(database, SubscriptionRow)[0]
    assert (row.external, row.auto_renew, row.term_end, row.synced_at) == (True, True, date(2026, 12, 31), NOON)


def test_the_imported_subscription_is_there_for_the_next_sync(database: Database) -> None:
    _, applied, _ = run(database, in_zuora("A-S1"))

    current, again, _ = run(database, in_zuora("A-S1"), began=NOON + 1, at=NOON + 2)

    assert current.subscription is not None
    assert len(current.schedule) == len(current.addresses) == 1
    assert (current.linked_account_id, again.subscription_id) == ("acc-1", applied.subscription_id)


def test_an_update_changes_one_value_and_keeps_what_it_does_not_know(loaded: Database) -> None:
    before = everything(loaded)
    plan = SyncPlan(number="A-S1", changes=(update("subscription", "sub-a", data__termEndDate=date(2026, 12, 31)),))

    _, applied, _ = run(loaded, in_zuora("A-S1"), plan)

    after = everything(loaded)
    assert after["sub-a"]["document"] == {
        **before["sub-a"]["document"],
        "updated": NOON_TEXT,
        "data": {"termEndDate": "2026-12-31", "custom": {"kept": 1}},
    }
    assert (after["sub-a"]["term_end"], after["sub-a"]["synced_at"]) == (date(2026, 12, 31), NOON)
    assert {name for name in after if after[name] != before.get(name)} == {"sub-a", applied.event_id}


def test_a_cancelled_payment_keeps_everything_but_its_status(loaded: Database) -> None:
    before = document_of(loaded, OBJECT_ROWS["schedule"], "schedule-a")
    plan = SyncPlan(
        number="A-S1",
        changes=(Cancel(record_type="schedule", id="schedule-a", document=before, reason="no longer due"),),
    )

    run(loaded, in_zuora("A-S1"), plan)

    after = document_of(loaded, OBJECT_ROWS["schedule"], "schedule-a")
    assert after == {**before, "status": "cancelled", "updated": NOON_TEXT}
    assert rows_of(loaded, EventRow)[0].document["data"]["message"] == "Synced from Zuora: 1 payment cancelled."


def test_cancelling_the_subscription_leaves_limios_own_event(loaded: Database) -> None:
    plan = SyncPlan(number="A-S1", changes=(update("subscription", "sub-a", status="cancelled"),))

    run(loaded, in_zuora("A-S1", status="Cancelled"), plan)

    event = rows_of(loaded, EventRow)[0]
    assert (event.document["data"]["type"], event.subscription_id) == ("subscription_cancelled", "sub-a")
    assert event.document["data"]["message"] == "Cancelled in Zuora: status changed."


@pytest.mark.parametrize("plan", [SyncPlan(number="A-S1"), None])
def test_syncing_twice_changes_no_object_and_no_timestamp(loaded: Database, plan: SyncPlan | None) -> None:
    changes = (update("subscription", "sub-a", data__termEndDate="2026-12-31", status="suspended"),)
    run(loaded, in_zuora("A-S1"), SyncPlan(number="A-S1", changes=changes))
    before = everything(loaded)

    # The same plan once more stands for a reconcile that sees differences where there are none.
    run(loaded, in_zuora("A-S1"), plan or SyncPlan(number="A-S1", changes=changes), began=NOON + 5, at=NOON + 9)

    assert everything(loaded) == before


def test_a_change_of_an_object_that_is_gone_is_a_conflict(loaded: Database) -> None:
    before = everything(loaded)
    plan = SyncPlan(
        number="A-S1",
        changes=(update("subscription", "sub-a", status="cancelled"), update("schedule", "schedule-x", status="x")),
    )

    with pytest.raises(ConflictInStore, match="schedule-x is no longer in the store"):
        run(loaded, in_zuora("A-S1"), plan)

    assert everything(loaded) == before


def test_a_new_address_is_the_newest_even_where_limios_clock_is_ahead(loaded: Database) -> None:
    old = {"id": "address-1", "relationship_type": "billing", "status": "active", "start": "2026-03-01T12:00:05.000Z"}
    load(loaded, {"related_to": "sub-a", "items": [old]})
    new = Create(record_type="address", document={"relationship_type": "billing", "data": {}}, reason="moved")

    run(loaded, in_zuora("A-S1"), SyncPlan(number="A-S1", changes=(new,)))

    addresses = read(loaded, in_zuora("A-S1")).limio.addresses
    assert [address["start"] for address in addresses] == ["2026-03-01T12:00:05.000Z", "2026-03-01T12:00:05.001Z"]
    assert document_of(loaded, OBJECT_ROWS["address"], "address-1") == {**old, "record_type": "address"}


# --- owners ----------------------------------------------------------------------------------------------------------


def test_a_second_number_of_an_account_gets_the_owner_of_the_first(database: Database) -> None:
    _, first, _ = run(database, in_zuora("A-S1"))

    current, second, _ = run(database, in_zuora("A-S2"))

    assert (current.account_owner, current.account_customer) == (first.owner, first.customer)
    assert (second.owner, second.customer) == (first.owner, first.customer)
    assert len(rows_of(database, IdentityRow)) == 1


def test_a_number_that_zuora_lists_beside_it_tells_the_owner(loaded: Database) -> None:
    current = read(loaded, in_zuora("A-S9"), NOON, "A-S2", "A-S8").limio

    assert (current.account_owner, current.account_customer) == ("id-1", "cus-1")


@pytest.mark.parametrize("account_is_known", [False, True])
def test_two_imports_of_one_account_at_once_make_one_owner(database: Database, account_is_known: bool) -> None:
    if account_is_known:
        with database.transaction() as session:
            session.add(ZuoraAccountRow(account_id="acc-1"))
    start = threading.Barrier(4)
    failures: list[BaseException] = []

    def import_one(number: str) -> None:
        try:
            start.wait(10)
            run(database, in_zuora(number))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=import_one, args=(f"A-S{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert failures == []
    identities, customers = rows_of(database, IdentityRow), rows_of(database, CustomerRow)
    assert (len(identities), len(customers)) == (1, 1)
    subscriptions = rows_of(database, SubscriptionRow)
    assert {(row.owner, row.customer) for row in subscriptions} == {(identities[0].id, customers[0].id)}
    assert len(subscriptions) == 4


def test_a_subscription_that_changes_its_account_goes_to_that_accounts_owner(loaded: Database) -> None:
    _, other, _ = run(loaded, in_zuora("A-S9", "acc-9"))
    run(loaded, in_zuora("A-S1", "acc-1"))
    old_customer = document_of(loaded, CustomerRow, "cus-1")
    moved = in_zuora("A-S1", "acc-9", version=2)
    plan = SyncPlan(
        number="A-S1", changes=(update("subscription", "sub-a", owner=other.owner, customer=other.customer),)
    )

    current, applied, _ = run(loaded, moved, plan, began=NOON + 1, at=NOON + 2)

    assert (current.linked_account_id, current.account_owner) == ("acc-1", other.owner)
    # The customer to compare with is the one that the subscription goes to.
    assert current.customer is not None
    assert current.customer["id"] == other.customer
    assert (applied.owner, applied.customer) == (other.owner, other.customer)
    row = {row.id: row for row in rows_of(loaded, SubscriptionRow)}["sub-a"]
    assert (row.owner, row.customer, row.document["owner"]) == (other.owner, other.customer, other.owner)
    assert document_of(loaded, OBJECT_ROWS["schedule"], "schedule-a")["owner"] == other.owner
    assert document_of(loaded, OBJECT_ROWS["schedule"], "schedule-b")["owner"] == "id-1"
    assert document_of(loaded, CustomerRow, "cus-1") == old_customer
    # An older read of another of its subscriptions still learns that the old customer was compared.
    assert {row.id: row.compared_until for row in rows_of(loaded, CustomerRow)}["cus-1"] is not None


def test_a_subscription_that_changes_to_an_unknown_account_gets_new_people(loaded: Database) -> None:
    run(loaded, in_zuora("A-S1", "acc-1"))

    current, applied, _ = run(loaded, in_zuora("A-S1", "acc-9"), SyncPlan(number="A-S1", changes=people()))
    second, _, _ = run(loaded, in_zuora("A-S7", "acc-9"))

    assert (current.customer, current.account_owner) == (None, None)
    row = {row.id: row for row in rows_of(loaded, SubscriptionRow)}["sub-a"]
    assert (row.owner, row.customer) == (applied.owner, applied.customer)
    assert applied.owner not in (None, "id-1")
    assert second.account_owner == applied.owner


# --- the customer that several share ---------------------------------------------------------------------------------


def test_a_customer_compared_with_a_later_read_is_newer(loaded: Database) -> None:
    run(loaded, in_zuora("A-S1"), began=NOON, at=NOON + 1_000)

    overlapping, _, _ = run(loaded, in_zuora("A-S2"), began=NOON + 999, at=NOON + 2_000)
    at_once, _, _ = run(loaded, in_zuora("A-S1"), began=NOON + 2_000, at=NOON + 3_000)
    after, _, _ = run(loaded, in_zuora("A-S2"), began=NOON + 3_001, at=NOON + 4_000)

    newer = (overlapping.customer_is_newer, at_once.customer_is_newer, after.customer_is_newer)
    assert newer == (True, True, False)


def test_two_syncs_of_one_customer_take_turns(loaded: Database) -> None:
    """The second one decides by what the first one leaves, though their accounts differ."""
    done = threading.Event()
    seen: list[LimioState] = []

    def sync_other() -> None:
        seen.append(run(loaded, in_zuora("A-S2", "acc-2"), began=NOON - 10, at=NOON)[0])
        done.set()

    zuora = in_zuora("A-S1", "acc-1", start=date(2026, 2, 1))
    claim = a_claim(loaded, "A-S1", NOON - 10)
    with loaded.reading() as session:
        current = read_current(session, asked(zuora, NOON - 10, claim))
    with loaded.transaction() as session:
        finish(session, claim, remembered=Remembered(compared=True), shared=current.shared)
        other = threading.Thread(target=sync_other)
        other.start()
        overtook = done.wait(0.5)
        record_link(session, "A-S1", LINK, is_new=True)
    other.join(30)

    assert not overtook
    assert [(state.customer_is_newer, state.writes_customer) for state in seen] == [(True, False)]


def test_a_read_without_the_account_compares_nothing(loaded: Database) -> None:
    whole = in_zuora("A-S1")

    run(loaded, ZuoraState(subscription=whole.subscription, account=None))

    assert not read(loaded, in_zuora("A-S2"), NOON - 1_000).limio.customer_is_newer


@pytest.mark.parametrize("order", [("A-S1", "A-S2"), ("A-S2", "A-S1")])
def test_only_the_account_of_the_newest_subscription_writes_the_customer(
    loaded: Database, order: tuple[str, str]
) -> None:
    states = {
        "A-S1": in_zuora("A-S1", "acc-old", start=date(2024, 1, 1)),
        "A-S2": in_zuora("A-S2", "acc-new", start=date(2025, 1, 1)),
    }
    for number in order:
        run(loaded, states[number])

    writes = {number: run(loaded, state)[0].writes_customer for number, state in states.items()}

    assert writes == {"A-S1": False, "A-S2": True}


def test_a_cancelled_subscription_hands_the_customer_over(loaded: Database) -> None:
    run(loaded, in_zuora("A-S1", "acc-old", start=date(2024, 1, 1)))
    run(loaded, in_zuora("A-S2", "acc-new", start=date(2025, 1, 1)))

    state, _, followers = run(loaded, in_zuora("A-S2", "acc-new", start=date(2025, 1, 1), status="Cancelled"))
    again = run(loaded, in_zuora("A-S2", "acc-new", start=date(2025, 1, 1), status="Cancelled"))[2]

    assert state.writes_customer is False
    assert (followers, again) == (("A-S1",), ())
    assert run(loaded, in_zuora("A-S1", "acc-old", start=date(2024, 1, 1)))[0].writes_customer is True


def test_one_account_always_writes_its_customer(loaded: Database) -> None:
    run(loaded, in_zuora("A-S2", start=date(2025, 1, 1)))

    state, _, followers = run(loaded, in_zuora("A-S1", start=date(2024, 1, 1)))

    assert (state.writes_customer, followers) == (True, ())


# --- what was read ---------------------------------------------------------------------------------------------------


def test_a_read_is_remembered_with_its_number(loaded: Database) -> None:
    zuora = in_zuora("A-S1", version=4, status="Cancelled")

    run(loaded, zuora, SyncPlan(number="A-S1", look_again_on=date(2026, 4, 1)), began=NOON)

    with loaded.reading() as session:
        link = _link(session, "A-S1")
    assert link.pop("read_ended") > NOON
    assert link == {
        "number": "A-S1",
        "subscription_id": "sub-a",
        "zuora_id": "id-of-A-S1",
        "version": 4,
        "account_id": "acc-1",
        "account_number": "acc-1",
        "payer_id": None,
        "started_on": date(2026, 1, 1),
        "cancelled": True,
        "cancel_set": True,
        "fingerprint": take_fingerprint(zuora.subscription, preview_day=None).as_json(),
        "read_began": NOON,
        "look_again_on": date(2026, 4, 1),
        "schedule_left_alone": None,
    }


def test_loaded_samples_are_what_a_first_sync_sees(database: Database) -> None:
    load_samples(database, "self_service", "related")

    current, applied, _ = run(database, in_zuora("29CVVO5SJFR0"))

    assert current.customer is not None
    assert current.customer["data"] == {"name": "Ada Lovelace", "email": "ada@example.com"}
    assert [entry["data"]["date"][:10] for entry in current.schedule] == ["2024-04-29", "2024-05-29"]
    assert (applied.rows, applied.event_id) == ((), None)


def agreeing_with_the_samples(number: str, account: str) -> ZuoraState:
    """Zuora's side of the monthly subscription among the samples: next payment due on 29 May 2024."""
    contact = Contact(
        first_name="Ada",
        last_name="Lovelace",
        address1="12 St James's Square",
        city="London",
        postal_code="SW1Y 4JH",
        country="United Kingdom",
        personal_email="ada@example.com",
        of_subscription=False,
    )
    item = PreviewItem(
        charge_number="C-1",
        charge_name="Monthly",
        product_name="Limio Digital",
        service_start=date(2024, 4, 29),
        service_end=date(2024, 5, 28),
        amount=Decimal("17.50"),
    )
    terms = {"start": date(2024, 4, 29), "term_start": date(2024, 4, 29), "term_end": date(2024, 5, 29)}
    read = in_zuora(number, account, **terms, auto_renew=True, currency="GBP", bill_to=contact, sold_to=contact)
    return ZuoraState(
        subscription=read.subscription,
        account=ZuoraAccount(id=account, number=account, currency="GBP", bill_to=contact, sold_to=contact),
        preview=Preview(items=(item,), target_date=date(2024, 7, 1)),
    )


def test_a_plan_that_was_applied_leaves_none(database: Database) -> None:
    """What Limio made and Zuora agrees with, an import, a second one of its account, and a change of account."""
    load_samples(database, "self_service", "related")
    rules = Rules(tenant_zone=ZoneInfo("Europe/London"), horizon_months=12)
    sizes: list[tuple[str, int, int]] = []
    stories = [("29CVVO5SJFR0", "acc-1"), ("A-S7", "acc-1"), ("A-S8", "acc-2"), ("A-S8", "acc-3"), ("A-S8", "acc-1")]
    for hour, (number, account) in enumerate(stories):
        zuora = agreeing_with_the_samples(number, account)
        found = []
        for minute in range(2):
            at = NOON + hour * 3_600_000 + minute * 60_000
            plan = reconcile(read(database, zuora, at - 1).limio, zuora, date(2024, 5, 1), rules)
            run(database, zuora, plan, began=at - 1, at=at)
            found.append(len(plan.changes))
        sizes.append((number, found[0], found[1]))

    # Subscription, payment and two addresses; identity and customer where the account is new; the subscription alone.
    assert sizes == [("29CVVO5SJFR0", 0, 0), ("A-S7", 4, 0), ("A-S8", 6, 0), ("A-S8", 3, 0), ("A-S8", 1, 0)]


def _documents(database: Database, row_class: type[Any]) -> list[dict[str, Any]]:
    return [row.document for row in rows_of(database, row_class)]


def _link(session: Session, number: str) -> dict[str, Any]:
    link = read_link(session, number)
    assert link is not None
    return link.model_dump()
