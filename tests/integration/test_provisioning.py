"""`callouts install|list|remove` against an emulated Zuora, and the callouts that come of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result
from werkzeug.serving import WSGIRequestHandler, make_server

from sync_service.app import create_app
from sync_service.cli.main import main
from sync_service.operations.check.callouts import check_provisioned
from sync_service.settings import load_settings
from sync_service.store.engine import Database
from sync_service.store.tables import CalloutRow
from tests.sweep_world import World, open_world
from zuora_emulator.zuora_api import CLIENT_ID, CLIENT_SECRET

TRIGGERS, TEMPLATES, DEFINITIONS = (
    "events/event-triggers",
    "notifications/callout-templates",
    "notifications/notification-definitions",
)


class QuietHandler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Nothing."""


@dataclass
class Connected:
    """A tenant, our service as Zuora reaches it, and the command line."""

    world: World
    environ: dict[str, str]

    def run(self, *words: str, **environ: str) -> Result:
        return CliRunner().invoke(main, ["callouts", *words], env={**self.environ, **environ})

    def install(self, *words: str, **environ: str) -> str:
        result = self.run("install", "--yes", *words, **environ)
        assert result.exit_code == 0, result.output
        return result.stdout

    def there(self) -> dict[str, list[Any]]:
        """All that the tenant has, without ids."""
        kept = self.world.zuora.emulator.api.notifications.store.kept
        return {
            kind: [{name: value for name, value in row.items() if name != "id"} for row in rows.values()]
            for kind, rows in kept.items()
        }

    def make(self, kind: str, **row: Any) -> str:
        """The customer makes something of its own."""
        return str(self.world.zuora.emulator.api.notifications.store.create(kind, row)["id"])

    def heard(self, do: Callable[[], object]) -> list[tuple[str, str]]:
        """The keys and verdicts of the callouts that an event brings us."""
        before = len(self.world.rows("SELECT id FROM callout"))
        do()
        assert self.world.zuora.emulator.callouts.wait_until_idle(10)
        rows = self.world.rows("SELECT key, verdict FROM callout ORDER BY id")
        return [(key, verdict) for key, verdict in rows[before:]]


@pytest.fixture
def connected(sqlite_database: Database, tmp_path: Path) -> Iterator[Connected]:
    with open_world(sqlite_database) as world:
        world.subscribe("A-S1", "A-S2")
        environ = {
            "DATABASE_URL": f"sqlite:///{tmp_path / 'store.db'}",
            "ZUORA_BASE_URL": world.zuora.url,
            "ZUORA_CLIENT_ID": CLIENT_ID,
            "ZUORA_CLIENT_SECRET": CLIENT_SECRET,
            "CALLOUT_USERNAME": "zuora",
            "CALLOUT_PASSWORD": "correct horse",
            "SECRET_KEY": "k" * 40,
        }
        app = create_app(load_settings(environ), sqlite_database)
        server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=QuietHandler)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield Connected(world, {**environ, "PUBLIC_URL": f"http://127.0.0.1:{server.server_port}"})
        server.shutdown()
        thread.join(timeout=5)
        server.server_close()


def test_without_yes_nothing_is_changed(connected: Connected) -> None:
    before = connected.there()

    result = connected.run("install")

    assert result.exit_code == 0
    assert "+ callout template limio-sync: order actions" in result.stdout
    assert "Nothing was changed" in result.stdout
    assert connected.there() == before


def test_a_foreign_order_calls_us_and_one_of_our_own_does_not(connected: Connected) -> None:
    connected.install()

    def order(source: str | None) -> list[tuple[str, str]]:
        fields = {"key": "A-S1", "value": "off"} | ({"source": source} if source else {})
        return connected.heard(lambda: connected.world.do("auto_renew", **fields))

    assert order(None) == [("A-S1", "accepted")]
    assert order("shop") == []
    assert order("csr") == [("A-S1", "accepted")]
    # Zuora compares with case, we do not.
    assert order("SHOP") == [("A-S1", "ignored")]


def test_without_the_filter_our_own_orders_call_and_are_told(connected: Connected) -> None:
    connected.install("--no-filter")

    heard = connected.heard(lambda: connected.world.do("auto_renew", key="A-S1", value="off", source="shop"))

    assert heard == [("A-S1", "ignored")]
    ((reason, order, creator),) = connected.world.rows("SELECT reason, order_number, created_by FROM callout")
    assert reason == "echo: the order's source is shop"
    assert order.startswith("O-")
    assert len(creator) == 32


def test_edits_of_contacts_and_accounts_ask_for_the_account_and_bills_do_not(connected: Connected) -> None:
    connected.install()
    account = connected.world.zuora.emulator.tenant.accounts["A-of-A-S1"]

    edited = connected.heard(lambda: connected.world.do("change_contact", key="A-S1", city="York"))
    replaced = connected.heard(
        lambda: connected.world.do("change_contact", key="A-S1", which="bill_to", how="new", city="Hull")
    )
    renamed = connected.heard(lambda: connected.world.do("rename_account", key="A-of-A-S1", name="Byron"))
    billed = connected.heard(lambda: connected.world.do("bill_run"))

    assert edited == replaced == [(account.id, "accepted")]
    assert renamed == billed == []


def test_callouts_of_the_account_reach_all_its_subscriptions(connected: Connected) -> None:
    connected.world.subscribe("A-S3", account="A-of-A-S1")
    connected.world.sync("A-S1", "A-S2", "A-S3")
    connected.install()
    connected.heard(lambda: connected.world.do("change_contact", key="A-S1", city="York"))

    connected.world.work()

    cities = connected.world.rows(
        "SELECT DISTINCT limio_subscription.reference FROM limio_subscription JOIN limio_address"
        " ON limio_address.subscription_id = limio_subscription.id"
        " WHERE limio_address.document LIKE '%York%' ORDER BY 1"
    )
    assert cities == [("A-S1",), ("A-S3",)]


def test_the_second_time_changes_nothing(connected: Connected) -> None:
    connected.install()
    before = connected.there()
    connected.world.calls()

    second = connected.install()

    assert "Already up to date." in second
    assert connected.there() == before
    asked = connected.world.zuora.emulator.traffic.listed()["calls"]
    assert not [route for route in asked if route.startswith(("PUT", "DELETE")) or "POST /notif" in route]


def test_removal_leaves_the_tenant_as_it_was(connected: Connected) -> None:
    connected.make(
        TRIGGERS,
        baseObject="Contact",
        condition="changeType == 'UPDATE'",
        eventType={"name": "TheirContactEvent", "displayName": "Theirs"},
    )
    event = {"eventTypeName": "TheirContactEvent", "eventTypeNamespace": "user.notification"}
    template = connected.make(
        TEMPLATES, name="Theirs", calloutBaseurl="https://crm.example.com/in", httpMethod="POST", **event
    )
    connected.make(DEFINITIONS, name="Theirs", calloutTemplateIds=[template], **event)
    before = connected.there()

    installed = connected.install()
    there = connected.there()
    removed = connected.run("remove", "--yes")

    # Zuora would have merged a second one with the same condition, and the customer's would be gone.
    assert "event trigger TheirContactEvent, which is not ours" in installed
    assert [row["eventType"]["name"] for row in there[TRIGGERS]] == ["TheirContactEvent", "LimioSyncAccountUpdated"]
    assert removed.exit_code == 0, removed.output
    assert connected.there() == before
    assert "No sync-service callouts" in connected.run("list").stdout


def test_a_tenant_without_the_fields_of_limio_gets_no_filter_and_still_calls(connected: Connected) -> None:
    connected.world.do("settings", order_fields="-")

    said = connected.install()

    assert "no filter rule" in said
    assert all("filterRule" not in row for row in connected.there()[DEFINITIONS])
    assert connected.heard(lambda: connected.world.do("auto_renew", key="A-S1", value="off")) == [("A-S1", "accepted")]


def test_a_filter_on_a_field_that_is_not_there_would_have_silenced_it(connected: Connected) -> None:
    connected.install()
    connected.world.do("settings", order_fields="-")

    assert connected.heard(lambda: connected.world.do("auto_renew", key="A-S1", value="off")) == []
    connected.install()
    assert connected.heard(lambda: connected.world.do("auto_renew", key="A-S1", value="on")) == [("A-S1", "accepted")]


def test_accounts_of_every_communication_profile_call(connected: Connected) -> None:
    connected.install()
    connected.world.do("communication_profile", key="A-of-A-S2", name="Premium")

    def order() -> list[tuple[str, str]]:
        return connected.heard(lambda: connected.world.do("auto_renew", key="A-S2", value="off"))

    assert order() == []  # a new profile silently drops its accounts
    connected.install()
    assert order() == [("A-S2", "accepted")]


def test_a_check_finds_what_the_command_made_and_the_profile_that_came_later(connected: Connected) -> None:
    def check() -> list[tuple[str, str]]:
        settings = replace(connected.world.context.settings, public_url=connected.environ["PUBLIC_URL"])
        findings = list(check_provisioned(connected.world.database, settings, connected.world.context.zuora))
        return [(each.verdict.value, each.says) for each in findings]

    before = check()
    connected.install()
    installed = check()
    connected.world.do("communication_profile", key="A-of-A-S2", name="Premium")
    later = check()

    assert [verdict for verdict, _ in before] == ["warning", "not checked"]
    assert installed == [
        (
            "ok",
            "3 notifications send to us: LimioSyncAccountUpdated, LimioSyncContactUpdated, OrderActionProcessed.",
        ),
        ("ok", "Each of 1 has a notification of ours."),
    ]
    assert later[1] == ("failed", "Accounts with these communication profiles do not call us: Premium.")


def test_a_changed_password_is_sent_when_asked(connected: Connected) -> None:
    connected.install(CALLOUT_PASSWORD="old")
    wrong = connected.heard(lambda: connected.world.do("auto_renew", key="A-S1", value="off"))
    unseen = connected.install()
    connected.install("--renew-password")
    right = connected.heard(lambda: connected.world.do("auto_renew", key="A-S1", value="on"))

    assert [verdict for _, verdict in wrong] == ["rejected"]
    assert "Already up to date." in unseen
    assert [verdict for _, verdict in right] == ["accepted"]


def test_a_user_who_may_not_is_told_which_permission_is_missing(connected: Connected) -> None:
    connected.world.do("fault", kind="preview_not_permitted", path="notifications")

    result = connected.run("install")

    assert result.exit_code == 1
    assert "Events & Notifications Manage Access" in result.stderr


def test_a_step_that_zuora_refuses_is_named_and_the_rest_goes_on_the_next_time(connected: Connected) -> None:
    connected.world.do("fault", kind="error", path="POST /notifications/notification-definitions", count=1)
    result = connected.run("install", "--yes")

    assert result.exit_code == 1
    assert "create the notification definition limio-sync: order actions" in result.stderr
    assert "5 of 8 are done" in result.stderr
    connected.install()
    assert len(connected.there()[DEFINITIONS]) == 3


def test_an_address_that_zuora_cannot_call_is_refused_before_anything_is_asked(connected: Connected) -> None:
    connected.world.calls()

    result = connected.run("install", "--yes", PUBLIC_URL="http://sync.example.com")

    assert result.exit_code == 2
    assert "PUBLIC_URL: must be an https address" in result.stderr
    assert connected.world.calls() == 0


def test_the_tenant_of_another_store_is_left_alone(connected: Connected) -> None:
    connected.world.execute("INSERT INTO store_tenant (id, tenant, since) VALUES (1, 'tenant.77', 0)")

    result = connected.run("install", "--yes")

    assert result.exit_code == 1
    assert "tenant.77" in result.stderr
    assert connected.there()[TEMPLATES] == []


def test_machines_read_the_plan_without_the_password(connected: Connected) -> None:
    result = connected.run("install", "--yes", "--json")

    plan = json.loads(result.stdout)
    assert plan["applied"] is True
    assert [step["act"] for step in plan["steps"]] == ["create"] * 8
    assert "correct horse" not in result.stdout
    listed = json.loads(connected.run("list", "--json").stdout)
    assert [row["active"] for row in listed] == [True] * 8
    assert {row["thing"] for row in listed} == {"event trigger", "callout template", "notification definition"}
    assert len(connected.world.rows(f"SELECT id FROM {CalloutRow.__tablename__}")) == 0


def test_long_lists_are_read_to_their_end(connected: Connected) -> None:
    for number in range(25):
        connected.make(
            TRIGGERS,
            baseObject="Invoice",
            condition=f"Invoice.Amount > {number}.0",
            eventType={"name": f"Invoice{number}", "displayName": "x"},
        )
    connected.world.zuora.emulator.api.notifications.store.kept[DEFINITIONS].update(
        {
            f"d{number}": {"id": f"d{number}", "name": f"Mail {number}", "active": True, "calloutActive": False}
            for number in range(230)
        }
    )
    connected.install()

    assert "Already up to date." in connected.install()
    assert len(json.loads(connected.run("list", "--json").stdout)) == 8
