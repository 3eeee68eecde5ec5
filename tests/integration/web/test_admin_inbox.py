"""The inbox: everything that waits for a person, and decisions about one or many."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sync_service.access.users import Role
from sync_service.queue.status.health import read_findings
from sync_service.queue.status.inbox import read_inbox
from sync_service.store.engine import Database
from sync_service.store.tables import (
    AdminActionRow,
    HeartbeatRow,
    JobRow,
    OrderWorkRow,
    SyncCauseRow,
    SyncRequestRow,
    SyncRunRow,
    WebhookDeliveryRow,
    WebhookEndpointRow,
)
from tests.integration.web.admin import Visitor, make_run, plan_of, put_failure, put_rows, put_subscription, visit
from tests.integration.web.conftest import SETTINGS
from tests.integration.web.test_admin_orders import put_deliveries, put_order

pytestmark = pytest.mark.either_database


def actions(visitor: Visitor) -> list[tuple[str, str | None]]:
    return [
        (row.action, row.target)
        for row in visitor.web.rows(AdminActionRow)
        if row.action not in ("log in", "user added")
    ]


def put_held(database: Database, *numbers: str) -> None:
    gone = plan_of("x")
    gone["changes"] = [change for change in gone["changes"] if change["change"] != "create"]
    for number in numbers:
        put_subscription(database, number, name=f"Customer of {number}")
        put_rows(database, make_run(number, "held", plan=gone, change_count=2, drastic=True))


def chosen(shown: str) -> list[str]:
    """What may be ticked, or is asked for again."""
    return re.findall(r'name="chosen" value="([^"]+)"', shown)


def confirm(visitor: Visitor, decision: str, form: dict[str, Any]) -> str:
    """Send the form, and the one that asks whether that is meant; what the first answer showed."""
    asked = visitor.post(f"/inbox/held/{decision}", form, page="/inbox")
    assert asked.status_code == 200
    visitor.post(f"/inbox/held/{decision}", {"chosen": chosen(asked.text), "confirmed": "yes"}, page="/inbox")
    return asked.text


def outcomes(visitor: Visitor) -> dict[str, str]:
    return {row.key: row.outcome for row in visitor.web.rows(SyncRunRow)}


def test_an_inbox_without_items_says_so_and_one_with_items_does_not(sqlite_database: Database) -> None:
    visitor = visit(sqlite_database, Role.VIEWER)
    with sqlite_database.reading() as session:
        now = session.now()
    put_rows(
        sqlite_database,
        *(HeartbeatRow(id=role, role=role, started_at=now, seen_at=now) for role in ("worker", "scheduler")),
    )
    assert "The inbox is empty" not in visitor.get("/inbox").text  # nothing was loaded, and no callout has come

    with sqlite_database.reading() as session:
        names = {item.name for item in read_inbox(session, read_findings(session, SETTINGS))}

    assert "worker" not in names
    assert {"store", "callouts arriving"} <= names


def test_a_process_that_died_is_in_the_inbox_and_one_that_runs_is_not(sqlite_database: Database) -> None:
    visitor = visit(sqlite_database, Role.VIEWER)
    with sqlite_database.reading() as session:
        now = session.now()
    put_rows(
        sqlite_database,
        HeartbeatRow(id="a", role="worker", started_at=1, seen_at=now - 3_600_000),
        HeartbeatRow(id="b", role="scheduler", started_at=1, seen_at=now),
    )

    shown = visitor.get("/inbox").text

    assert "No worker runs: the last one was seen 1 h ago." in shown
    assert "No scheduler runs" not in shown
    assert "The inbox is empty" not in shown


def test_a_failing_check_is_in_the_inbox(sqlite_database: Database) -> None:
    findings = [
        {
            "name": "time zone",
            "verdict": "failed",
            "says": "The zones differ.",
            "remedy": "Set `TENANT_<ZONE>`, then check.",
        },
        {"name": "files", "verdict": "ok", "says": "They are private.", "remedy": None},
    ]
    put_rows(sqlite_database, JobRow(name="check", due_at=1, progress={"at": 1, "findings": findings}))

    shown = visit(sqlite_database, Role.VIEWER).get("/inbox").text

    assert "The zones differ." in shown
    assert "Set <code>TENANT_&lt;ZONE&gt;</code>, then check." in shown
    assert "They are private." not in shown


def test_failures_of_one_cause_are_one_item_with_customers_times_and_the_next_try(database: Database) -> None:
    put_subscription(database, "A-S1", name="Emma Smith")
    for number in ("A-S1", "A-S2"):
        put_failure(database, number)
    with database.transaction() as session:
        session.run("UPDATE sync_request SET error_code = 'zuora failed' WHERE key = 'A-S2'")
        session.add(JobRow(name="failed again", due_at=session.now() + 3_600_000))
    visitor = visit(database, Role.OPERATOR)

    shown = visitor.get("/inbox").text

    gone = shown.partition("Zuora no longer has it")[2].partition("</section>")[0]
    failed = shown.partition("Zuora had a problem of its own")[2].partition("</section>")[0]
    assert "Emma Smith" in gone
    assert "not tried again by itself" in gone
    assert "A-S2" in failed
    assert "; tried again by itself" in failed
    assert "Emma Smith" not in failed


def test_failures_are_tried_again_one_by_one_or_those_that_are_ticked(database: Database) -> None:
    for number in ("A-S1", "A-S2", "A-S3", "A-S4"):
        put_failure(database, number)
    visitor = visit(database, Role.OPERATOR)

    visitor.post("/inbox/failed/retry", {"chosen": "subscription A-S2"}, page="/inbox")
    visitor.post("/inbox/failed/retry", {"chosen": ["subscription A-S1", "subscription A-S3"]}, page="/inbox")

    waiting = {row.key: row.priority for row in visitor.web.rows(SyncRequestRow) if row.due_at is not None}
    assert waiting == {"A-S1": 2, "A-S2": 0, "A-S3": 2}
    causes = {(row.key, row.trigger) for row in visitor.web.rows(SyncCauseRow) if row.actor == "operator@example.com"}
    # Of one a person's word; several are what they were asked for before.
    assert causes == {("A-S2", "admin"), ("A-S1", "callout"), ("A-S3", "callout")}
    assert actions(visitor) == [("retry", "A-S2"), ("retry", "A-S1"), ("retry", "A-S3")]
    for word in ("x A-S1", "", "nothing"):
        assert visitor.post("/inbox/failed/retry", {"chosen": word}, page="/inbox").status_code == 400
    visitor.post("/inbox/failed/retry", {"chosen": "alias \0"}, page="/inbox")
    visitor.post("/inbox/failed/retry", {}, page="/inbox")
    assert len(actions(visitor)) == 3


@pytest.mark.parametrize(
    ("code", "retried"), [("gone from Zuora", ["A-S1", "A-S2"]), ("payload invalid", []), ("", ["A-S1", "A-S2"])]
)
def test_all_failures_of_a_cause_are_tried_again_for_the_reason_of_before(
    database: Database, code: str, retried: list[str]
) -> None:
    for number in ("A-S1", "A-S2"):
        put_failure(database, number)
    visitor = visit(database, Role.OPERATOR)

    visitor.decide("/inbox/failed/retry", {"code": code, "all": "yes"}, page="/inbox")

    waiting = [row.key for row in visitor.web.rows(SyncRequestRow) if row.due_at is not None]
    assert sorted(waiting) == retried
    causes = {(row.trigger, row.actor) for row in visitor.web.rows(SyncCauseRow) if row.actor}
    assert causes == ({("callout", "operator@example.com")} if retried else set())
    assert actions(visitor) == [("retry all", f"{len(retried)} of {code or 'any cause'}")]


def test_thirty_held_plans_are_released_in_one_go_after_they_were_shown(database: Database) -> None:
    numbers = [f"A-S{index}" for index in range(31)]
    put_held(database, *numbers)
    visitor = visit(database, Role.OPERATOR)
    shown = visitor.get("/inbox").text
    assert "1 payment, £17.50 would go" in shown
    assert "Customer of A-S7" in shown
    assert chosen(shown) == numbers[:30]  # the page; the last one is on the next

    asked = confirm(visitor, "release", {"chosen": numbers[:30]})

    assert "Release 30 changes?" in asked
    assert {number for number, outcome in outcomes(visitor).items() if outcome == "held"} == {"A-S30"}
    requests = visitor.web.rows(SyncRequestRow)
    assert {(row.priority, row.full) for row in requests} == {(0, 1)}
    assert len(requests) == 30
    assert actions(visitor).count(("release held", "A-S3")) == 1
    after = visitor.get("/inbox").text
    assert "Released, waiting for a worker" in after
    assert "released by <bdi>operator@example.com</bdi>" in after
    assert chosen(after) == ["A-S30"]


def test_all_that_is_held_is_dropped_in_one_go(database: Database) -> None:
    put_held(database, "A-S1", "A-S2", "A-S3")
    visitor = visit(database, Role.OPERATOR)

    confirm(visitor, "drop", {"all": "yes"})

    assert set(outcomes(visitor).values()) == {"dropped"}
    assert visitor.web.rows(SyncRequestRow) == []
    assert "Released" not in visitor.get("/inbox").text


def test_nothing_is_decided_before_several_were_confirmed(sqlite_database: Database) -> None:
    put_held(sqlite_database, "A-S1", "A-S2")
    visitor = visit(sqlite_database, Role.OPERATOR)

    for decision in ("release", "drop"):
        visitor.post(f"/inbox/held/{decision}", {"chosen": ["A-S1", "A-S2"]}, page="/inbox")
        visitor.post(f"/inbox/held/{decision}", {}, page="/inbox")

    assert set(outcomes(visitor).values()) == {"held"}


def test_a_released_plan_waits_visibly_and_cannot_be_dropped(database: Database) -> None:
    put_held(database, "A-S1", "A-S2")
    visitor = visit(database, Role.OPERATOR)
    visitor.post("/inbox/held/release", {"chosen": "A-S1"}, page="/inbox")

    late = visitor.post("/inbox/held/drop", {"chosen": ["A-S1", "A-S2"], "confirmed": "yes"}, page="/inbox")

    shown = visitor.client.get(late.location).text
    assert "A-S1 was released by operator@example.com and waits for its sync: it is not held any more." in shown
    assert outcomes(visitor) == {"A-S1": "released", "A-S2": "dropped"}
    assert "it cannot be dropped any more" in shown
    assert actions(visitor) == [("release held", "A-S1"), ("drop held", "A-S2")]


def test_what_was_decided_meanwhile_is_named_before_the_confirmation(sqlite_database: Database) -> None:
    put_held(sqlite_database, "A-S1", "A-S2", "A-S3")
    visitor = visit(sqlite_database, Role.OPERATOR)
    visitor.post("/inbox/held/drop", {"chosen": "A-S1"}, page="/inbox")

    asked = visitor.post("/inbox/held/release", {"chosen": ["A-S1", "A-S2", "A-S3"]}, page="/inbox").text

    assert "Release 2 changes?" in asked
    assert "1 of those that you chose is not held any more." in asked


def test_one_plan_opens_beside_the_list_with_its_preview(sqlite_database: Database) -> None:
    put_held(sqlite_database, "A-S1")
    visitor = visit(sqlite_database, Role.VIEWER)

    shown, closed = visitor.get("/inbox?open=1").text, visitor.get("/inbox").text

    assert 'action="/admin/subscriptions/A-S1/preview"' in shown
    assert "1 payment" in shown.partition('id="open"')[2]
    assert 'id="open"' not in closed
    for odd in ("9", "x", "²", "9" * 30):
        assert 'id="open"' not in visitor.get(f"/inbox?open={odd}").text


def test_a_viewer_sees_what_waits_and_may_not_decide(sqlite_database: Database) -> None:
    put_held(sqlite_database, "A-S1")
    put_failure(sqlite_database, "A-S2")
    visitor = visit(sqlite_database, Role.VIEWER)

    shown = visitor.get("/inbox").text

    assert "Customer of A-S1" in shown
    assert chosen(shown) == []
    assert visitor.post("/inbox/held/drop", {"chosen": "A-S1"}, page="/history").status_code == 403


def test_only_failures_that_were_never_synced_are_dismissed(database: Database) -> None:
    put_failure(database, "A-S1")
    put_failure(database, "A-S2")
    with database.transaction() as session:
        session.run("UPDATE sync_request SET requested_seq = 2, failed_seq = 2, done_seq = 1 WHERE key = 'A-S2'")
    visitor = visit(database, Role.OPERATOR)

    form = {"chosen": ["subscription A-S1", "subscription A-S2", "subscription A-S9"]}
    visitor.post("/inbox/failed/dismiss", form, page="/inbox")

    assert [row.key for row in visitor.web.rows(SyncRequestRow)] == ["A-S2"]
    assert "A-S2 was synced before" in visitor.get("/inbox").text


def test_held_orders_and_webhooks_that_were_given_up_are_in_the_inbox(sqlite_database: Database) -> None:
    order: dict[str, Any] = {"order_type": "new", "names": {}, "payload": "{}", "lane": "l", "submitted_at": 5}
    put_rows(
        sqlite_database,
        OrderWorkRow(
            order_id="order-1", number="R-1", seq=1, state="held", error="Zuora is silent.", ended_at=6, **order
        ),
        OrderWorkRow(order_id="order-2", number="R-2", seq=2, state="complete", ended_at=6, **order),
        WebhookEndpointRow(id="ep_1", url="https://shop.example/hooks?token=secret", created_at=1),
        WebhookDeliveryRow(
            message_id="m", endpoint_id="ep_1", type="x", object_id="o", body="{}", made_at=1, state="dead", ended_at=2
        ),
    )

    shown = visit(sqlite_database, Role.VIEWER).get("/inbox").text

    assert "1 order needs a decision" in shown
    assert "Zuora is silent." in shown
    assert "R-2" not in shown
    assert "Webhooks that shop.example did not take" in shown
    assert "1 delivery was given up" in shown
    assert "secret" not in shown


def test_orders_that_are_held_are_decided_in_the_inbox_each_where_that_is_a_choice(sqlite_database: Database) -> None:
    put_order(sqlite_database, "O-1", "held", choices=["retry", "fail"], error="Zuora did not answer.")
    put_order(sqlite_database, "O-2", "held", choices=["fail"])
    put_order(sqlite_database, "O-3", "complete")
    visitor = visit(sqlite_database, Role.OPERATOR)
    shown = visitor.get("/inbox").text
    assert "2 orders need a decision" in shown
    assert re.findall(r'formaction="/admin/inbox/orders/(\w+)"', shown) == ["retry", "fail"]
    ids = {"chosen": ["order-O-1", "order-O-2", "order-O-3", "order-none"]}

    visitor.post("/inbox/orders/fail", ids, page="/inbox")
    assert {row.state for row in visitor.web.rows(OrderWorkRow)} == {"held", "complete"}, "it asks first"
    visitor.post("/inbox/orders/retry", {"chosen": "order-O-1"}, page="/inbox")
    visitor.decide("/inbox/orders/fail", ids, page="/inbox")

    states = {row.number: (row.state, row.given_up_by) for row in visitor.web.rows(OrderWorkRow)}
    assert states["O-1"] == ("submitted", None)
    assert states["O-2"] == ("submitted", "operator@example.com")
    assert states["O-3"][0] == "complete"
    assert actions(visitor) == [("order retry", "O-1"), ("order fail", "O-2")]
    shown = visitor.get("/inbox").text
    assert "2 orders left as they were: no such choice." in shown
    decided = re.findall(r"operator@example.com</bdi> ([^<]+) <span class=\"key\"><bdi>([^<]+)", shown)
    assert decided == [("gave up the order", "O-2"), ("had the order&#39;s step tried again", "O-1")]


@pytest.mark.parametrize(
    ("decision", "left"), [("replay", ["delivered", "pending", "pending"]), ("dismiss", ["delivered"])]
)
def test_webhooks_that_were_given_up_are_sent_again_or_dismissed_in_the_inbox(
    database: Database, decision: str, left: list[str]
) -> None:
    put_deliveries(database)
    visitor = visit(database, Role.OPERATOR)
    assert "Webhooks that hooks.example.com did not take" in visitor.get("/inbox").text

    visitor.decide(f"/inbox/webhooks/{decision}", {"endpoint": "ep_1"}, page="/inbox")

    assert sorted(row.state for row in visitor.web.rows(WebhookDeliveryRow)) == left
    word = "webhooks replayed" if decision == "replay" else "webhooks dismissed"
    assert actions(visitor) == [(word, "2 of ep_1")]
    assert "did not take" not in visitor.get("/inbox").text
    assert visitor.decide(f"/inbox/webhooks/{decision}", {"endpoint": "none"}, page="/inbox").status_code == 404
