"""Every situation of this folder: what Zuora says, what the store holds, and what a sync then changes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from sync_service.errors import PreviewIncomplete
from sync_service.subscription.plan import Cancel, Create, SyncPlan, Update
from sync_service.subscription.reconcile import reconcile
from tests.situations.reading import Situation, names, read, read_raw
from tests.unit.paper_store import apply_on_paper

#: What `expected` may say; anything left out is expected not to be there.
WORDS = {
    "error",
    "subscription",
    "created",
    "imported",
    "customer",
    "payments created",
    "payments changed",
    "payments cancelled",
    "addresses created",
    "notes",
    "look again on",
    "again",
    "drastic",
    "payments afterwards",
}


@pytest.mark.parametrize("name", names())
def test_a_sync_changes_what_the_situation_says(name: str) -> None:
    situation = read(name)
    expected = dict(situation.expected)
    if "error" in expected:
        with pytest.raises(PreviewIncomplete) as caught:
            reconcile(situation.before, situation.zuora, situation.today, situation.rules)
        assert expected["error"] in str(caught.value)
        return

    plan = reconcile(situation.before, situation.zuora, situation.today, situation.rules)

    notes = expected.pop("notes", [])
    afterwards = expected.pop("payments afterwards", None)
    assert as_expected(plan, situation, expected) == expected
    assert len(plan.notes) == len(notes), plan.notes
    for note, words in zip(plan.notes, notes, strict=True):
        assert words in note
    if afterwards is not None:
        assert live_payments(situation, plan) == afterwards


@pytest.mark.parametrize("name", names())
def test_the_sync_after_it_changes_nothing(name: str) -> None:
    situation = read(name)
    if "error" in situation.expected:
        return
    plan = reconcile(situation.before, situation.zuora, situation.today, situation.rules)

    after = apply_on_paper(situation.before, plan, situation.zuora.subscription)

    assert reconcile(after, situation.zuora, situation.today, situation.rules).changes == ()


@pytest.mark.parametrize("name", names())
def test_a_situation_says_what_it_shows_and_where_that_is_from(name: str) -> None:
    raw = read_raw(name)

    assert raw["title"].endswith(".")
    assert raw["source"]
    assert set(raw["expected"]) <= WORDS


def test_every_situation_has_a_title_of_its_own() -> None:
    titles = Counter(read_raw(name)["title"] for name in names())

    assert [title for title, count in titles.items() if count > 1] == []
    assert len(titles) >= 60


def as_expected(plan: SyncPlan, situation: Situation, asked: dict[str, Any]) -> dict[str, Any]:
    """The plan in the words of a situation file; of what a file tells only in part, that part."""
    days = {entry["id"]: entry["data"]["date"][:10] for entry in situation.before.schedule}
    found: dict[str, Any] = {
        "subscription": fields(plan, "subscription"),
        "customer": fields(plan, "customer"),
        "created": [
            change.record_type
            for change in plan.changes
            if isinstance(change, Create) and change.record_type not in ("schedule", "address")
        ],
        "payments created": [payment(change.document["data"]) for change in of_type(plan, Create, "schedule")],
        "payments changed": [
            {"on": days[change.id]} | changed_payment(change) for change in of_type(plan, Update, "schedule")
        ],
        "payments cancelled": [days[change.id] for change in of_type(plan, Cancel, "schedule")],
        "addresses created": [
            {"kind": change.document["relationship_type"]} | dict(change.document["data"])
            for change in of_type(plan, Create, "address")
        ],
        "look again on": plan.look_again_on and plan.look_again_on.isoformat(),
        "again": plan.again,
        "drastic": plan.is_drastic,
    }
    if "imported" in asked:
        found["imported"] = [dict(change.document) for change in of_type(plan, Create, "subscription")]
    if "addresses created" in asked:
        found["addresses created"] = [
            {key: value for key, value in address.items() if key in wanted}
            for address, wanted in zip(found["addresses created"], asked["addresses created"], strict=True)
        ]
    return {key: value for key, value in found.items() if value or key in asked}


def of_type(plan: SyncPlan, kind: type, record_type: str) -> list[Any]:
    return [change for change in plan.changes if isinstance(change, kind) and change.record_type == record_type]


def fields(plan: SyncPlan, record_type: str) -> dict[str, Any]:
    return {field.path: field.after for change in of_type(plan, Update, record_type) for field in change.fields}


def payment(data: dict[str, Any]) -> dict[str, Any]:
    """A written payment: its day, amount, tax where there is any, and its lines."""
    assert data["date"] == data["schedule_date"]
    return {"on": data["date"][:10]} | amounts(data)


def changed_payment(change: Update) -> dict[str, Any]:
    return amounts({field.path.removeprefix("data."): field.after for field in change.fields})


def amounts(data: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if "amount" in data:
        shown["amount"] = data["amount"]
    if data.get("taxAmount"):
        shown["tax"] = str(data["taxAmount"])
    if "lineItems" in data:
        shown["lines"] = {}
        for line in data["lineItems"]:
            name, amount = line["chargeName"], line["amountWithoutTax"]
            before = shown["lines"].get(name)
            shown["lines"][name] = amount if before is None else f"{before} + {amount}"
    return shown


def live_payments(situation: Situation, plan: SyncPlan) -> dict[str, str]:
    """Day and amount of every live payment when the plan is applied."""
    after = apply_on_paper(situation.before, plan, situation.zuora.subscription)
    live = [entry["data"] for entry in after.schedule if entry["status"] != "cancelled"]
    return {data["date"][:10]: data["amount"] for data in sorted(live, key=lambda data: data["date"])}
