"""History: one stream with its query bar, views, permalinks, comparison, and the export for finance."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sync_service.access.users import Role
from sync_service.queue.claims import claim
from sync_service.queue.requests import Cause, Kind, Priority, enqueue, finish
from sync_service.store.engine import Database
from sync_service.store.tables import AdminActionRow, AdminViewRow, CalloutRow
from sync_service.subscription.trigger import Trigger
from tests.integration.web.admin import SHARE, Visitor, make_run, plan_of, put_rows, put_subscription, visit

pytestmark = pytest.mark.either_database

T = 1_790_000_000_000  # 2026-09-21T14:13:20Z


def ask(visitor: Visitor, text: str) -> str:
    """What the page shows for words in the query bar."""
    place = visitor.post("/history", {"text": text}, page="/history").location
    assert text not in place
    return visitor.client.get(place).text


def keys(shown: str) -> list[str]:
    """The subscriptions of the entries, in their order."""
    stream = shown.partition('class="stream"')[2].partition("</ol>")[0]
    return re.findall(r'class="subject"><a class="key"[^>]*><bdi>([^<]+)', stream)


def moved(before: str, after: str, amount: str = "9.99") -> dict[str, Any]:
    def payment(day: str) -> dict[str, Any]:
        return {"data": {"date": f"{day}T00:00:00.000", "amount": amount, "currency": "GBP"}}

    return {
        "number": "A-S1",
        "changes": [
            {"change": "create", "record_type": "schedule", "document": payment(after), "reason": "Due in Zuora."},
            {"change": "cancel", "record_type": "schedule", "id": "p", "document": payment(before), "reason": "Gone."},
        ],
        "notes": [],
    }


def put_story(database: Database) -> str:
    """Zuora told of an order, and the sync of it moved a payment; another subscription's sync failed."""
    key = put_subscription(database, "A-S1", name="Emma Smith")
    put_subscription(database, "A-S2", name="Jürgen Müller")
    with database.transaction() as session:
        session.add(
            CalloutRow(
                received_at=T,
                key="A-S1",
                verdict="accepted",
                order_number="O-00000747",
                created_by="agent 7",
                source="ui",
            )
        )
        session.flush()
        cause = Cause(Trigger.CALLOUT, callout_id=1)
        enqueue(session, Kind.SUBSCRIPTION, "A-S1", cause, priority=Priority.EVENT)
    (claimed,) = claim(database, 1, SHARE)
    with database.transaction() as session:
        finish(session, claimed)
        values = {"plan": moved("2026-12-25", "2026-12-21"), "change_count": 2, "touched": " dates "}
        session.add(
            make_run("A-S1", "changed", seq=claimed.seen, began_at=T + 1000, ended_at=T + 1200, calls=2, **values)
        )
        session.add(
            make_run("A-S2", "failed", ended_at=T + 500, error="No.", error_code="zuora failed", trigger="sweep")
        )
    return key


def test_a_moved_payment_date_tells_who_and_why_and_how_long_it_took(database: Database) -> None:
    key = put_story(database)
    visitor = visit(database, Role.VIEWER)

    shown = visitor.get(f"/subscriptions/{key}").text

    assert "<h1><bdi>Emma Smith</bdi>" in shown
    assert "payment of £9.99 moved 25 Dec 2026 → 21 Dec 2026" in shown
    assert "By <bdi>agent 7 in Zuora</bdi> · <bdi>order O-00000747</bdi>" in shown
    assert "200 ms, 2 calls to Zuora; written 1 s after the callout" in shown
    assert "Zuora reported order O-00000747; its sync ended as changed" in shown
    # Of the other subscription nothing of this is true.
    other = visitor.get("/subscriptions/sub-A-S2").text
    assert "moved" not in other
    assert "O-00000747" not in other
    assert "Failed: No." in other
    assert "after the callout" not in other


def test_an_entry_has_an_address_of_its_own_that_leads_to_what_belongs_to_it(database: Database) -> None:
    put_story(database)
    visitor = visit(database, Role.VIEWER)

    run, callout = visitor.get("/history/run/1").text, visitor.get("/history/callout/1").text

    assert 'href="/admin/history/callout/1"' in run
    assert 'href="/admin/history/run/1"' in callout
    assert "agent 7" in callout
    for path in ("run/99", "callout/99", "act/99", "order/none", "run/x", "run/²", "none/1", "order/%00"):
        assert visitor.get(f"/history/{path}").status_code == 404, path


def test_the_query_bar_finds_by_each_of_its_words(database: Database) -> None:
    put_story(database)
    visitor = visit(database, Role.VIEWER)

    expected = {
        "customer:smith": ["A-S1", "A-S1"],
        "muller": ["A-S2"],
        "number:A-S2": ["A-S2"],
        "O-00000747": ["A-S1", "A-S1"],
        "order:O-00000747": ["A-S1"],
        "kind:syncs": ["A-S1", "A-S2"],
        "kind:callouts": ["A-S1"],
        "outcome:failed": ["A-S2"],
        "trigger:sweep": ["A-S2"],
        "field:dates": ["A-S1"],
        "field:amounts": [],
        "verdict:ignored": [],
        'by:"agent 7"': ["A-S1"],
        "from:2026-09-21 to:2026-09-21 kind:syncs": ["A-S1", "A-S2"],
        "to:2026-09-20": [],
        "from:2026-09-22 kind:syncs": [],
        "customer:smith outcome:failed": [],
        "customer:hasnosuchname": [],
    }
    for text, found in expected.items():
        assert keys(ask(visitor, text)) == found, text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("colour:red", "“colour:” is not known"),
        ("field:colour", "“field:” may be dates, amounts"),
        ("from:yesteryear", "&#39;yesteryear&#39; is no day"),
    ],
)
def test_words_that_cannot_be_read_are_named_and_kept(sqlite_database: Database, text: str, says: str) -> None:
    visitor = visit(sqlite_database, Role.VIEWER)

    place = visitor.post("/history", {"text": text}, page="/history").location
    shown = visitor.client.get(place)

    assert shown.status_code == 422
    assert says in shown.text
    assert f'value="{text}"' in shown.text


def test_chips_and_days_narrow_what_the_bar_found(sqlite_database: Database) -> None:
    put_story(sqlite_database)
    visitor = visit(sqlite_database, Role.VIEWER)

    assert keys(visitor.get("/history?show=dates").text) == ["A-S1"]
    assert keys(visitor.get("/history?show=nonsense&outcome=failed").text) == ["A-S2"]
    assert keys(visitor.get("/history?from=2026-09-21&to=2026-09-21&show=syncs").text) == ["A-S1", "A-S2"]
    assert keys(visitor.get("/history?from=2026-09-21T14:13:21Z&to=2026-09-21T14:13:22Z&show=syncs").text) == ["A-S1"]
    assert keys(visitor.get("/history?from=2026-09-22&show=syncs").text) == []
    assert keys(visitor.get("/history?from=nonsense&to=%00&show=syncs").text) == ["A-S1", "A-S2"]


def test_a_day_is_one_of_the_tenants_calendar(sqlite_database: Database) -> None:
    at = int(datetime(2026, 9, 21, 3, 0, tzinfo=UTC).timestamp() * 1000)  # the evening of the 20th in New York
    put_rows(sqlite_database, make_run("A-S1", "changed", ended_at=at))
    put_subscription(sqlite_database, "A-S1")
    visitor = visit(sqlite_database, Role.VIEWER, tenant_time_zone=ZoneInfo("America/New_York"))

    assert keys(visitor.get("/history?from=2026-09-20&to=2026-09-20&show=syncs").text) == ["A-S1"]
    assert keys(visitor.get("/history?from=2026-09-21&to=2026-09-21&show=syncs").text) == []


def test_the_stream_turns_pages_to_its_first_entry_without_gaps_or_repeats(database: Database) -> None:
    with database.transaction() as session:
        for index in range(60):
            session.add(make_run(f"A-S{index}", "changed", ended_at=T + 2 * index))
            session.add(CalloutRow(received_at=T + 2 * index + 1, key=f"A-S{index}", verdict="accepted"))
    visitor = visit(database, Role.VIEWER)
    found, address = list[str](), "/admin/history"
    while address:
        shown = visitor.client.get(address).text
        found += keys(shown)
        link = re.search(r'rel="next" href="([^"]+)"', shown)
        address = link[1].replace("&amp;", "&") if link else ""

    assert found == [f"A-S{index}" for index in reversed(range(60)) for _ in range(2)]
    assert "This is the first entry that is kept." in shown
    assert visitor.get("/history?before=nonsense").status_code == 200


def test_totals_say_how_many_entries_of_each_kind_fit(sqlite_database: Database) -> None:
    put_story(sqlite_database)
    visitor = visit(sqlite_database, Role.VIEWER)

    def totals(path: str) -> str:
        found = re.search(r'class="totals">([^<]*)', visitor.get(path).text)
        return found[1] if found else ""

    assert totals("/history?from=2026-09-21&to=2026-09-21") == "2 syncs · 1 callout"
    assert totals("/history?outcome=failed") == "1 sync"
    assert totals("/history?outcome=held") == ""


def test_a_person_keeps_views_that_no_other_sees(sqlite_database: Database) -> None:
    put_story(sqlite_database)
    visitor = visit(sqlite_database, Role.VIEWER)
    place = visitor.post("/history", {"text": "customer:smith"}, page="/history").location
    sealed = place.partition("q=")[2]

    visitor.post("/history/views", {"q": sealed, "name": "Emma"}, page="/history")

    assert [(row.email, row.name, row.query) for row in visitor.web.rows(AdminViewRow)] == [
        ("viewer@example.com", "Emma", "customer:smith")
    ]
    assert "Emma" in visitor.get("/history").text
    assert "Emma</bdi></a>" not in visit(sqlite_database, Role.OPERATOR).get("/history?show=people").text
    visitor.post("/history/views", {"q": sealed, "name": ""}, page="/history")
    visitor.post("/history/views", {"q": "forged", "name": "Forged"}, page="/history")
    assert [row.name for row in visitor.web.rows(AdminViewRow)] == ["Emma"]
    visitor.post("/history/views/forget", {"name": "Emma"}, page="/history")
    assert visitor.web.rows(AdminViewRow) == []


def read_export(visitor: Visitor, **form: str) -> list[dict[str, str]]:
    sent = visitor.post("/history/changes.csv", form, page="/history")
    assert sent.status_code == 200
    assert sent.data.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(sent.data.decode("utf-8-sig"), newline="")))


def test_finance_exports_what_changed_between_two_days_with_amounts_before_and_after(database: Database) -> None:
    put_story(database)
    put_subscription(database, "A-S3", name="=1+1")
    put_rows(
        database,
        make_run("A-S3", "changed", ended_at=T + 5000, plan=plan_of("A-S3"), change_count=3, actor="+ada"),
        make_run("A-S3", "changed", ended_at=T + 90_000_000, plan=plan_of("A-S3"), change_count=3, seq=2),
    )
    visitor = visit(database, Role.VIEWER)

    rows = read_export(visitor, **{"from": "2026-09-21", "to": "2026-09-21"})

    assert [(row["subscription"], row["what"], row["change"]) for row in rows] == [
        ("A-S1", "payment", "moved"),
        ("A-S3", "payment", "added"),
        ("A-S3", "payment", "removed"),
        ("A-S3", "Term end date", "changed"),
    ]
    first, added, removed, term = rows
    assert first["changed_at"] == "2026-09-21T14:13:21Z"
    assert (first["date_before"], first["date_after"]) == ("2026-12-25", "2026-12-21")
    assert (first["amount_before"], first["amount_after"], first["difference"]) == ("9.99", "9.99", "0.00")
    assert (first["currency"], first["zuora_orders"], first["made_in_zuora_by"]) == ("GBP", "O-00000747", "agent 7")
    assert (added["amount_before"], added["amount_after"], added["difference"]) == ("", "17.50", "17.50")
    assert (removed["amount_after"], removed["difference"]) == ("", "-17.50")
    assert (added["customer"], added["asked_by"]) == ("'=1+1", "'+ada")
    assert (term["value_before"], term["value_after"]) == ("2026-12-31", "2027-12-31")
    assert [
        row["what"] for row in read_export(visitor, **{"from": "2026-09-21", "to": "2026-09-21", "show": "term"})
    ] == ["Term end date"]
    assert read_export(visitor, **{"from": "2026-09-20", "to": "2026-09-20"}) == []
    assert "export" in [row.action for row in visitor.web.rows(AdminActionRow)]


def test_an_export_needs_two_days_in_order_and_a_bounded_number_of_changes(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_story(sqlite_database)
    visitor = visit(sqlite_database, Role.VIEWER)
    for form in ({}, {"from": "2026-09-21"}, {"from": "2026-09-22", "to": "2026-09-20"}):
        assert visitor.post("/history/changes.csv", form, page="/history").status_code == 303
    assert "Give a first and a last day" in visitor.get("/history").text
    monkeypatch.setattr("sync_service.web.admin.history_pages.MAX_RUNS", 0)

    assert (
        visitor.post("/history/changes.csv", {"from": "2026-09-21", "to": "2026-09-21"}, page="/history").status_code
        == 303
    )
    assert "choose fewer days" in visitor.get("/history").text


def test_two_moments_are_compared_by_what_stayed_changed(sqlite_database: Database) -> None:
    key = put_subscription(sqlite_database, "A-S1")
    for seq, (before, after) in enumerate((("2026-12-25", "2026-12-21"), ("2026-12-21", "2026-12-23")), 1):
        plan = moved(before, after)
        put_rows(sqlite_database, make_run("A-S1", "changed", seq=seq, ended_at=T + seq, plan=plan, change_count=2))
    visitor = visit(sqlite_database, Role.VIEWER)

    both = visitor.get(f"/subscriptions/{key}/compare?b={T + 1}&a={T + 2}").text
    one = visitor.get(f"/subscriptions/{key}/compare?a={T + 2}&b={T + 2}").text
    none = visitor.get(f"/subscriptions/{key}/compare?a={T + 3}&b={T + 9}").text

    assert "25 Dec 2026" in both
    assert "23 Dec 2026" in both
    assert "21 Dec 2026" not in both
    assert "21 Dec 2026" in one
    assert "No sync changed anything between the two." in none
    for words in ("", "?a=x&b=1", f"?a={T}"):
        assert "Choose the sync" in visitor.get(f"/subscriptions/{key}/compare{words}").text


def test_a_customers_page_has_accounts_payments_orders_and_all_that_happened(sqlite_database: Database) -> None:
    entries = (("2026-01-01", "5.00", "paid"), ("2027-05-01", "17.50", "pending-external"))
    put_subscription(sqlite_database, "A-S1", entries=entries)
    with sqlite_database.transaction() as session:
        session.run("UPDATE zuora_link SET account_id = 'acc1'")
    put_rows(sqlite_database, make_run("A-S1", "failed", error="Zuora said no."))
    visitor = visit(sqlite_database, Role.VIEWER, zuora_base_url="https://rest.zuora.com")

    shown = visitor.get("/customers/cus-A-S1").text

    assert "£17.50 on 01 May 2027" in shown
    assert "£5.00 on" not in shown
    assert 'href="https://www.zuora.com/apps/CustomerAccount.do?method=view&amp;id=acc1"' in shown
    assert "Failed: Zuora said no." in shown
