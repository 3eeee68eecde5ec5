"""The history: runs with their plans, the causes that they cover, and the answer to "why?"."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

import pytest

from sync_service.queue.runs.history import (
    copy_causes,
    first_attempt_covering,
    open_run,
    read_causes,
    read_covered_causes,
    read_runs,
    record_run,
    strongest_cause,
    why,
)
from sync_service.store.engine import Database
from sync_service.store.tables import SyncCauseRow, SyncRequestRow
from sync_service.subscription.plan import Cancel, Create, FieldChange, SyncPlan, Update

pytestmark = pytest.mark.either_database


@dataclass(frozen=True)
class FakeClaim:
    """As much of a claim as the history looks at."""

    kind: str = "subscription"
    key: str = "A-S1"
    done_before: int = 0
    seen: int = 1
    claimed_at: int = 1_000


PLAN = SyncPlan(
    number="A-S1",
    changes=(
        Create(record_type="schedule", document={"data": {"amount": Decimal("17.50")}}, reason="due in Zuora"),
        Update(
            record_type="subscription",
            id="sub-1",
            fields=(
                FieldChange(path="data.termEndDate", before="2025-12-31", after=date(2026, 12, 31)),
                FieldChange(path="data.attributes.autoRenew", before=True, after=False),
            ),
            reason="renewed",
        ),
        Cancel(record_type="schedule", id="schedule-1", document={"status": "pending-external"}, reason="not due"),
    ),
    notes=("A note.",),
    look_again_on=date(2026, 4, 1),
    again=True,
    empties_schedule=True,
)


def cause(database: Database, seq: int, trigger: str, actor: str | None = None, key: str = "A-S1") -> None:
    with database.transaction() as session:
        session.add(SyncCauseRow(kind="subscription", key=key, seq=seq, trigger=trigger, actor=actor, at=seq))


def record(database: Database, claim: FakeClaim, outcome: str = "changed", plan: SyncPlan | None = None) -> None:
    with database.transaction() as session:
        record_run(
            session,
            open_run(claim, read_covered_causes(session, claim), calls=3),
            outcome=outcome,
            plan=plan,
            ended_at=2_000,
        )


def test_a_plan_is_json_with_every_value_before_and_after() -> None:
    assert json.loads(json.dumps(PLAN.as_json())) == {
        "number": "A-S1",
        "changes": [
            {
                "change": "create",
                "record_type": "schedule",
                "document": {"data": {"amount": "17.50"}},
                "reason": "due in Zuora",
            },
            {
                "change": "update",
                "record_type": "subscription",
                "id": "sub-1",
                "fields": [
                    {"path": "data.termEndDate", "before": "2025-12-31", "after": "2026-12-31"},
                    {"path": "data.attributes.autoRenew", "before": True, "after": False},
                ],
                "reason": "renewed",
            },
            {
                "change": "cancel",
                "record_type": "schedule",
                "id": "schedule-1",
                "document": {"status": "pending-external"},
                "reason": "not due",
            },
        ],
        "notes": ["A note."],
        "look_again_on": "2026-04-01",
        "again": True,
        "empties_schedule": True,
    }


@pytest.mark.parametrize("plan", [PLAN, SyncPlan(number="A-S1")])
def test_a_plan_comes_back_from_its_json(plan: SyncPlan) -> None:
    stored = json.loads(json.dumps(plan.as_json()))

    again = SyncPlan.from_json(stored)

    assert again.as_json() == stored
    assert (again.notes, again.look_again_on) == (plan.notes, plan.look_again_on)
    assert (again.again, again.empties_schedule) == (plan.again, plan.empties_schedule)
    assert [type(change) for change in again.changes] == [type(change) for change in plan.changes]


def test_a_run_keeps_its_plan_its_times_and_its_strongest_cause(database: Database) -> None:
    cause(database, 1, "sweep")
    cause(database, 2, "admin", "olga@example.com")

    record(database, FakeClaim(seen=2), plan=PLAN)

    with database.reading() as session:
        run = read_runs(session, "A-S1", 10)[0]
    assert (run.outcome, run.change_count, run.calls) == ("changed", 3, 3)
    assert (run.trigger, run.actor) == ("admin", "olga@example.com")
    assert (run.seq_from, run.seq_to, run.began_at, run.ended_at) == (0, 2, 1_000, 2_000)
    assert run.plan == PLAN.as_json()


@pytest.mark.parametrize(
    ("triggers", "strongest"),
    [
        (["sweep", "callout", "api", "cli", "admin"], "admin"),
        (["sweep", "callout", "api"], "api"),
        (["sweep", "backfill", "event"], "event"),
        (["unheard-of", "sweep"], "sweep"),
        ([], None),
    ],
)
def test_a_person_is_a_stronger_cause_than_a_caller_than_a_callout_than_a_job(
    sqlite_database: Database, triggers: list[str], strongest: str | None
) -> None:
    for seq, trigger in enumerate(triggers, 1):
        cause(sqlite_database, seq, trigger)

    with sqlite_database.reading() as session:
        found = strongest_cause(session, FakeClaim(seen=9))
    assert (found and found.trigger) == strongest


def test_a_run_covers_the_causes_after_the_last_one_up_to_its_claim(database: Database) -> None:
    for seq, trigger in enumerate(["admin", "callout", "sweep", "cli"], 1):
        cause(database, seq, trigger)
    cause(database, 2, "api", key="A-S2")

    with database.reading() as session:
        triggers = {cause.trigger for cause in read_covered_causes(session, FakeClaim(done_before=1, seen=3))}

    assert triggers == {"callout", "sweep"}


def test_the_causes_of_an_alias_count_for_its_number(database: Database) -> None:
    cause(database, 1, "callout", key="8a")
    cause(database, 2, "api", "shop", key="8a")
    own = FakeClaim(seen=5)

    with database.transaction() as session:
        copy_causes(session, FakeClaim(key="8a", seen=2), own)

    with database.reading() as session:
        copied = read_causes(session, "A-S1", 10)
        covered = {cause.trigger for cause in read_covered_causes(session, replace(own, done_before=4))}
    assert [(row.trigger, row.actor, row.seq, row.at) for row in copied] == [
        ("api", "shop", 5, 2),
        ("callout", None, 5, 1),
    ]
    assert covered == {"api", "callout"}


def test_a_caller_gets_the_first_attempt_that_had_seen_the_request(database: Database) -> None:
    record(database, FakeClaim(done_before=0, seen=2), "changed")
    record(database, FakeClaim(done_before=2, seen=3), "retried")
    record(database, FakeClaim(done_before=2, seen=4), "changed")
    record(database, FakeClaim(key="A-S2", seen=9), "failed")

    with database.reading() as session:
        found = {
            seq: run and (run.seq_to, run.outcome)
            for seq in (1, 2, 3, 4, 5)
            for run in [first_attempt_covering(session, "subscription", "A-S1", seq)]
        }
    assert found == {1: (2, "changed"), 2: (2, "changed"), 3: (3, "retried"), 4: (4, "changed"), 5: None}


def test_the_newest_come_first_and_no_more_than_wanted(database: Database) -> None:
    for seq in (1, 2, 3):
        cause(database, seq, "callout")
        record(database, FakeClaim(done_before=seq - 1, seen=seq))

    with database.reading() as session:
        assert [run.seq_to for run in read_runs(session, "A-S1", 2)] == [3, 2]
        assert [row.seq for row in read_causes(session, "A-S1", 2)] == [3, 2]


def test_why_tells_what_waits_and_what_went_wrong(database: Database) -> None:
    cause(database, 1, "callout")
    record(database, FakeClaim(), "retried")
    with database.transaction() as session:
        session.add(
            SyncRequestRow(
                kind="subscription",
                key="A-S1",
                requested_seq=3,
                done_seq=1,
                priority=1,
                due_at=9_000,
                waiting_since=500,
                requested_at=600,
                attempts=2,
                last_error="Zuora does not answer.",
                checked_at=400,
            )
        )

    with database.reading() as session:
        known, unknown = why(session, "A-S1"), why(session, "A-S2")

    assert (known.waiting, known.waiting_since, known.next_try_at, known.attempts) == (2, 500, 9_000, 2)
    assert (known.last_error, known.checked_at, known.running) == ("Zuora does not answer.", 400, False)
    assert [run.outcome for run in known.runs] == ["retried"]
    assert [row.trigger for row in known.causes] == ["callout"]
    assert (unknown.waiting, unknown.runs, unknown.causes, unknown.next_try_at) == (0, (), (), None)
