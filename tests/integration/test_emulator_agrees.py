"""What the emulator says and the Limio objects that go with it agree: the first sync finds nothing to do."""

from __future__ import annotations

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sync_service.subscription.plan import LimioState, SyncPlan
from sync_service.subscription.reconcile import reconcile
from sync_service.subscription.terms import Rules
from sync_service.sync.look import fetch_look
from sync_service.zuora.client import ZuoraClient
from sync_service.zuora.preview import SharedPreviews
from zuora_emulator.bulk import Bulk
from zuora_emulator.limio_objects import limio_objects
from zuora_emulator.seeds import SEEDS
from zuora_emulator.server import Options, start
from zuora_emulator.zuora_api import CLIENT_ID, CLIENT_SECRET

BULK = Bulk(count=6, accounts=2, limios=True)


def states(today: date) -> dict[str, LimioState]:
    """What a store holds after the load, by reference."""
    found = list(limio_objects(today, bulk=BULK))
    related: dict[str, Any] = {each["related_to"]: each["items"] for each in found if "related_to" in each}
    customers = {each["id"]: each for each in found if each.get("record_type") == "customer"}
    return {
        each["reference"]: LimioState(
            subscription=each,
            schedule=tuple(each["schedule"]),
            addresses=tuple(related[each["id"]]),
            customer=customers[each["customer"]],
        )
        for each in found
        if each.get("record_type") == "subscription"
    }


def plans(today: date, numbers: list[str], known: dict[str, LimioState], time_zone: str) -> dict[str, SyncPlan]:
    running = start(Options(today=today, bulk=BULK, time_zone=time_zone))
    try:
        client = ZuoraClient(running.url, CLIENT_ID, CLIENT_SECRET)
        rules = Rules(tenant_zone=ZoneInfo(time_zone), horizon_months=12)
        found = {}
        for number in numbers:
            reading = client.reading()
            subscription = reading.fetch_subscription(number)
            look = fetch_look(reading, SharedPreviews(), subscription, None, full=True, today=today, rules=rules)
            found[number] = reconcile(known.get(number, LimioState()), look.state, today, rules)
        return found
    finally:
        running.stop()


#: A seed whose charge carries tax.
TAXED = "F8H4J6LD1Q3R"


@pytest.mark.parametrize(
    ("today", "time_zone"),
    [
        (date(2026, 11, 20), "Europe/London"),
        (date(2028, 2, 29), "UTC"),
        (date(2026, 3, 31), "America/Los_Angeles"),
    ],
)
def test_the_first_sync_of_what_limio_made_is_an_empty_plan(today: date, time_zone: str) -> None:
    known = states(today)
    assert len(known) == 10 + BULK.count

    found = plans(today, list(known), known, time_zone)

    assert {number: plan.changes for number, plan in found.items()} == dict.fromkeys(known, ())
    # The tax of the payment that renews is not known before it is previewed; it stays, and the run says so.
    notes = {number: plan.notes for number, plan in found.items() if plan.notes}
    assert list(notes) == [TAXED]
    assert "is taxed" in notes[TAXED][0]


def test_what_zuora_made_can_be_imported_without_a_doubt() -> None:
    numbers = [seed.number for seed in SEEDS if not seed.is_limios]

    found = plans(date(2026, 11, 20), numbers, {}, "UTC")

    assert {number: plan.notes for number, plan in found.items()} == dict.fromkeys(numbers, ())
    kinds = {number: [change.record_type for change in plan.changes] for number, plan in found.items()}
    assert all(kind.count("subscription") == 1 and kind.count("address") == 2 for kind in kinds.values())
