"""The safety stop: a flood of cancellations waits for a person, everything else goes on."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from sync_service.queue.fate import Ticket
from sync_service.queue.requests import Cause, Kind, Priority, enqueue
from sync_service.queue.runs import held as safety
from sync_service.queue.runs.decisions import DecisionRefused, drop_held, list_released, release_held
from sync_service.queue.runs.held import Decision, Verdict
from sync_service.store.engine import Database
from sync_service.store.tables import SyncRunRow
from sync_service.subscription.plan import Cancel, Create, FieldChange, SyncPlan, Update
from sync_service.subscription.trigger import Trigger, read_triggers
from sync_service.web.waiting import Result, read_result
from tests.queue_world import at_once, execute, rows, take
from tests.sweep_world import World, open_world

SHARE = Decimal("0.05")
SWEEP = frozenset({Trigger.SWEEP})
PERSON = frozenset({Trigger.ADMIN})
OLGA = Cause(Trigger.ADMIN, actor="olga@example.com")


def plan(number: str, value: str = "cancelled") -> SyncPlan:
    change = Update(
        record_type="subscription",
        id="sub-1",
        fields=(FieldChange(path="status", before="active", after=value),),
        reason="Zuora says so",
    )
    return SyncPlan(number=number, changes=(change,))


def checked(database: Database, numbers: int) -> None:
    """So many numbers ended well within the hour."""
    execute(
        database,
        "INSERT INTO sync_request (kind, key, requested_seq, done_seq, priority, requested_at, checked_at)"
        " SELECT 'subscription', 'C-' || n, 1, 1, 2, 0, {now} FROM (" + _count(database) + ") AS counted",
        most=numbers,
    )


def applied(database: Database, plans: int, *, ago_ms: int = 0, outcome: str = "changed", drastic: bool = True) -> None:
    """So many plans were applied that long ago."""
    execute(
        database,
        "INSERT INTO sync_run (kind, key, seq_from, seq_to, outcome, began_at, ended_at, calls, change_count, drastic)"
        " SELECT 'subscription', 'C-' || n, 0, 1, :outcome, 0, {now} - :ago, 0, 1, :drastic FROM ("
        + _count(database)
        + ") AS counted",
        most=plans,
        ago=ago_ms,
        outcome=outcome,
        drastic=drastic,
    )


def _count(database: Database) -> str:
    if database.dialect == "postgresql":
        return "SELECT generate_series(1, :most) AS n"
    return (
        "WITH RECURSIVE series(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < :most) SELECT n FROM series"
    )


def decide(
    database: Database, the_plan: SyncPlan, triggers: Collection[Trigger] = SWEEP, *, drastic: bool = True
) -> Decision:
    """Decide and keep the run row that a sync would keep, in one transaction."""
    with database.transaction() as session:
        run = safety.read_held(session, the_plan.number)
        held = None if run is None or run.id is None else safety.OpenHeld(run.id, run.plan_hash)
        decision = safety.decide_hold(
            session, the_plan, drastic=drastic, triggers=triggers, share=SHARE, open_held=held
        )
        now = session.now()
        kept: dict[Verdict, dict[str, Any]] = {
            Verdict.APPLY: {"outcome": "changed", "drastic": drastic},
            Verdict.HOLD: {"outcome": "held", "plan_hash": decision.plan_hash},
        }
        if decision.verdict in kept:
            session.add(
                SyncRunRow(
                    kind="subscription",
                    key=the_plan.number,
                    seq_from=0,
                    seq_to=1,
                    began_at=now,
                    ended_at=now,
                    **kept[decision.verdict],
                )
            )
        return decision


def verdict(database: Database, the_plan: SyncPlan, triggers: Collection[Trigger] = SWEEP, **options: Any) -> Verdict:
    return decide(database, the_plan, triggers, **options).verdict


def outcomes(database: Database, number: str) -> list[str]:
    return [
        outcome for (outcome,) in rows(database, "SELECT outcome FROM sync_run WHERE key = :k ORDER BY id", k=number)
    ]


def flood(database: Database) -> None:
    """50 applied of 999 checked: five in a hundred and a little more."""
    checked(database, 999)
    applied(database, 50)


def test_the_fifty_first_of_few_numbers_is_held(database: Database) -> None:
    checked(database, 999)
    applied(database, 49)

    verdicts = [verdict(database, plan(f"A-{n}")) for n in range(3)]

    assert verdicts == [Verdict.APPLY, Verdict.HOLD, Verdict.HOLD]


def test_five_in_a_hundred_of_many_numbers_are_let_pass(database: Database) -> None:
    checked(database, 1000)
    applied(database, 50)

    assert verdict(database, plan("A")) == Verdict.APPLY


@pytest.mark.parametrize(
    "old", [{"ago_ms": 3_600_001}, {"outcome": "held"}, {"outcome": "retried"}, {"drastic": False}]
)
def test_only_drastic_plans_applied_within_the_hour_count(database: Database, old: dict[str, Any]) -> None:
    checked(database, 100)
    applied(database, 60, **old)

    assert verdict(database, plan("A")) == Verdict.APPLY


def test_parallel_syncs_do_not_pass_the_stop_together(database: Database) -> None:
    checked(database, 100)
    applied(database, 49)

    verdicts = at_once([lambda n=n: verdict(database, plan(f"A-{n}")) for n in range(8)])

    assert sorted(verdicts) == ["apply"] + ["hold"] * 7


def test_other_plans_go_on_during_a_flood(database: Database) -> None:
    flood(database)

    assert verdict(database, plan("A"), drastic=False) == Verdict.APPLY


@pytest.mark.parametrize("trigger", [trigger for trigger in Trigger if trigger not in ("admin", "cli")])
def test_the_stop_is_over_every_trigger_but_a_persons_sync(database: Database, trigger: Trigger) -> None:
    flood(database)

    assert verdict(database, plan("A"), {trigger}) == Verdict.HOLD
    assert verdict(database, plan("B"), {trigger, Trigger.ADMIN}) == Verdict.APPLY
    assert verdict(database, plan("C"), {Trigger.CLI}) == Verdict.APPLY


def test_the_same_plan_is_held_once(database: Database) -> None:
    flood(database)

    assert [verdict(database, plan("A")) for _ in range(3)] == [Verdict.HOLD, Verdict.LEAVE, Verdict.LEAVE]
    assert outcomes(database, "A") == ["held"]


def test_an_api_caller_hears_each_time_that_the_plan_is_held(database: Database) -> None:
    with open_world(database) as world:
        world.subscribe("A-S1")
        world.sync("A-S1")
        world.do("cancel", key="A-S1")
        checked(database, 100)
        applied(database, 60)

        heard = [ask_as_api(world, "A-S1") for _ in range(2)]

    assert [(result.status, result.body["status"]) for result in heard] == [(202, "held"), (202, "held")]
    assert outcomes(database, "A-S1").count("held") == 1


def ask_as_api(world: World, number: str) -> Result:
    """What an API caller hears whose request a worker has served."""
    with world.database.transaction() as session:
        cause = Cause(Trigger.API, actor="api")
        seq = enqueue(session, Kind.SUBSCRIPTION, number, cause, priority=Priority.EVENT, full=True)
    world.work()
    with world.database.reading() as session:
        result = read_result(session, Ticket(Kind.SUBSCRIPTION, number, seq))
    assert result is not None
    return result


def test_another_plan_takes_the_place_of_the_held_one(database: Database) -> None:
    flood(database)
    verdict(database, plan("A"))

    assert verdict(database, plan("A", "expired")) == Verdict.HOLD
    assert outcomes(database, "A") == ["superseded", "held"]


def test_a_held_plan_waits_for_a_person_also_when_the_flood_is_over(database: Database) -> None:
    flood(database)
    verdict(database, plan("A"))
    execute(database, "UPDATE sync_run SET ended_at = ended_at - 3600001")

    assert verdict(database, plan("A")) == Verdict.LEAVE
    assert verdict(database, plan("B")) == Verdict.APPLY


def test_a_held_number_that_came_back_to_life_in_zuora_is_synced(database: Database) -> None:
    flood(database)
    verdict(database, plan("A"))

    assert verdict(database, plan("A", "active"), drastic=False) == Verdict.APPLY
    assert outcomes(database, "A") == ["superseded", "changed"]


def test_a_released_number_is_queued_for_a_full_sync_that_passes_the_stop(database: Database) -> None:
    flood(database)
    verdict(database, plan("A"))
    release_held(database, "A", OLGA)

    (claim,) = take(database, 5)
    cause = rows(database, "SELECT trigger, actor FROM sync_cause WHERE key = 'A'")
    passed = verdict(database, plan("A"), read_triggers(name for name, _ in cause))

    assert (claim.key, claim.full, claim.priority) == ("A", True, 0)
    assert cause == [("admin", "olga@example.com")]
    assert passed == Verdict.APPLY
    assert outcomes(database, "A") == ["released", "changed"]


def test_a_dropped_plan_is_neither_applied_nor_held_again(database: Database) -> None:
    flood(database)
    verdict(database, plan("A"))
    drop_held(database, "A", OLGA)
    during = verdict(database, plan("A"))
    execute(database, "UPDATE sync_run SET ended_at = ended_at - 3600001")

    assert during == Verdict.LEAVE
    assert verdict(database, plan("A")) == Verdict.LEAVE
    assert outcomes(database, "A") == ["dropped"]


def test_a_person_may_still_sync_a_number_whose_plan_was_dropped(database: Database) -> None:
    flood(database)
    verdict(database, plan("A"))
    drop_held(database, "A", OLGA)

    assert verdict(database, plan("A"), PERSON) == Verdict.APPLY


def test_after_zuora_said_something_else_a_dropped_plan_is_held_again(database: Database) -> None:
    flood(database)
    verdict(database, plan("A"))
    drop_held(database, "A", OLGA)
    other = verdict(database, plan("A", "expired"))

    assert other == Verdict.HOLD
    assert verdict(database, plan("A")) == Verdict.HOLD
    assert outcomes(database, "A") == ["dropped", "superseded", "held"]


def test_what_is_held_can_be_listed_and_counted(database: Database) -> None:
    flood(database)
    for number in ("A", "B", "C"):
        verdict(database, plan(number))
    drop_held(database, "B", OLGA)

    with database.reading() as session:
        held = safety.list_held(session, limit=10)
        assert [run.key for run in held] == ["A", "C"]
        assert [run.key for run in safety.list_held(session, limit=10, after=(held[0].ended_at, held[0].id or 0))] == [
            "C"
        ]
        assert safety.count_held(session) == 2
        assert safety.read_held(session, "B") is None


def test_plans_that_change_the_same_have_the_same_hash_whatever_they_say_about_it() -> None:
    document = {"date": date(2026, 1, 1), "amount": Decimal("9.99")}
    made = Create(record_type="schedule", document=document, reason="due")
    ended = Cancel(record_type="schedule", id="sch-1", document={"status": "active"}, reason="gone")
    one = SyncPlan(number="A", changes=(made, ended), notes=("a note",))
    same = SyncPlan(number="A", changes=(made, ended), look_again_on=date(2026, 2, 1))
    other = SyncPlan(number="A", changes=(made,))

    assert one.hash == same.hash
    assert one.hash != other.hash


def hold(world: World, number: str) -> None:
    """Zuora cancels `number` in the middle of a flood."""
    world.subscribe(number)
    world.sync(number)
    world.do("cancel", key=number)
    checked(world.database, 100)
    applied(world.database, 60)
    ask(world.database, number, Cause(Trigger.CALLOUT))
    world.work()
    assert outcomes(world.database, number)[-1] == "held"


def ask(database: Database, number: str, cause: Cause) -> None:
    with database.transaction() as session:
        enqueue(session, Kind.SUBSCRIPTION, number, cause, priority=Priority.PERSON, full=True)


def decisions(database: Database) -> list[str]:
    """What the activity log says was decided."""
    return [action for (action,) in rows(database, "SELECT action FROM admin_action ORDER BY id")]


def test_a_released_plan_cannot_be_dropped_before_its_sync_has_run(database: Database) -> None:
    with open_world(database) as world:
        hold(world, "A-S1")
        release_held(database, "A-S1", OLGA)
        with database.reading() as session:
            waiting = [(run.key, run.decided_by) for run in list_released(session, limit=10)]

        with pytest.raises(DecisionRefused, match=r"A-S1 was released by olga@example\.com and waits for its sync"):
            drop_held(database, "A-S1", OLGA)
        with pytest.raises(DecisionRefused, match="was released"):
            release_held(database, "A-S1", OLGA)
        world.work()

    assert waiting == [("A-S1", "olga@example.com")]
    assert outcomes(database, "A-S1")[-2:] == ["released", "changed"]
    assert decisions(database) == ["release held"]
    with database.reading() as session:
        assert list_released(session, limit=10) == []


def test_a_plan_is_not_dropped_while_a_persons_sync_that_passes_the_stop_waits(database: Database) -> None:
    with open_world(database) as world:
        hold(world, "A-S1")
        ask(database, "A-S1", Cause(Trigger.CLI, actor="ada"))

        with pytest.raises(DecisionRefused, match="ada asked for a sync of it"):
            drop_held(database, "A-S1", OLGA)
        world.work()

    assert outcomes(database, "A-S1")[-2:] == ["released", "changed"]
    assert decisions(database) == []


def test_of_two_opposite_decisions_at_once_only_one_is_told_done(database: Database) -> None:
    flood(database)
    verdict(database, plan("A"))

    def decide_as(what: Callable[[Database, str, Cause], str]) -> str:
        try:
            return what(database, "A", OLGA)
        except DecisionRefused:
            return "refused"

    told = at_once([lambda: decide_as(release_held), lambda: decide_as(drop_held)])

    assert sorted(told) == ["A", "refused"]
    assert len(decisions(database)) == 1
    waits = rows(database, "SELECT count(*) FROM sync_request WHERE key = 'A'") == [(1,)]
    assert outcomes(database, "A") == (["released"] if waits else ["dropped"])
