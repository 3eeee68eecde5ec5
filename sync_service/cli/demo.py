"""`demo`: the whole product against an emulated Zuora, as a guided tour in the terminal."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import requests
from sqlmodel import col, select

from sync_service.cli.demo_setup import DemoSetup, set_up_demo
from sync_service.cli.reselling import resell
from sync_service.cli.selling import SETTINGS, indent, say, sell
from sync_service.cli.show import plan_lines
from sync_service.queue.backlog import read_backlog
from sync_service.store.engine import Database
from sync_service.store.tables import CalloutRow, SyncRunRow
from sync_service.subscription.plan import SyncPlan
from zuora_emulator.control import control, show

#: Where the demo keeps its store and its logs.
FOLDER = Path("var/demo")
#: How long one change may take to arrive in the store, in seconds.
PATIENCE_SECONDS = 60.0
_LIMIO_REFERENCE = re.compile("[0-9A-V]{12}")


@dataclass(frozen=True, kw_only=True)
class TourStep:
    """One change in Zuora, and the outcomes of its runs that show that it arrived."""

    title: str
    action: str
    values: dict[str, Any]
    #: `changed`, `imported`, `echo` (ignored, no run) or `in step` (asked for, nothing to change).
    expected: str


@click.command()
@click.option("--keep", is_flag=True, help="Leave everything running at the end, and say where to look.")
def demo(keep: bool) -> None:
    """Tour the product against a Zuora tenant on this machine."""
    click.echo("Starting a Zuora tenant and the service, each in processes of its own ...")
    setup = set_up_demo(FOLDER, SETTINGS)
    try:
        _tour(setup)
        if keep:
            _leave_running(setup)
    finally:
        setup.stop()


def _tour(setup: DemoSetup) -> None:
    database = setup.database
    say("Limio's subscriptions are loaded into the store")
    click.echo(indent(setup.command("load", str((setup.folder / "limio-objects.jsonl").resolve()))))
    numbers = _limio_made(setup)
    say(f"The first sync of all {len(numbers)}: Zuora agrees with Limio, so nothing may change")
    for number in numbers:
        _request(setup, number)
    _settle(setup, database)
    changed = [run for run in _runs(database, 0) if run.change_count]
    _check(not changed, "the first sync changed something:", changed)
    click.echo(f"  {len(numbers)} synced, 0 changes")
    for step in _steps(setup, numbers):
        _play(setup, database, step)
    say("Why did it change? `sync-service why` tells")
    click.echo(indent(setup.command("why", numbers[0])))
    sell(setup, database)
    resell(setup, database)
    database.engine.dispose()
    say("Every change arrived, the echo was ignored, and every order is in Zuora once.")


def _steps(setup: DemoSetup, numbers: Sequence[str]) -> Iterator[TourStep]:
    """One change of each group, each on a subscription of its own, so that its effect stands alone."""
    monthly = [number for number in numbers if _is_monthly(setup, number)]
    priced, others = monthly[0], [number for number in numbers if number != monthly[0]]
    renewed, moved, renamed, kept, cancelled = others[:5]
    yield TourStep(
        title="A bill run bills all that is due. Zuora sends nothing; a sync afterwards must cancel nothing",
        action="bill_run",
        values={},
        expected="in step",
    )
    yield TourStep(title="Zuora renews a subscription", action="renew", values={"key": renewed}, expected="changed")
    yield TourStep(
        title="An agent raises a price from the next period on",
        action="change_price",
        values={"key": priced, "price": "29.90"},
        expected="changed",
    )
    yield TourStep(
        title="An agent corrects an address in place: no new version, only a callout for the account",
        action="change_address",
        values={
            "key": moved,
            "which": "sold_to",
            "address1": "2 Quay Street",
            "city": "Bristol",
            "postal_code": "BS1 4DJ",
        },
        expected="changed",
    )
    yield TourStep(
        title="A customer's name and email change on the account",
        action="change_name",
        values={
            "key": renamed,
            "which": "bill_to",
            "last_name": "Lovelace",
            "personal_email": "ada.lovelace@example.com",
        },
        expected="changed",
    )
    yield TourStep(
        title="An agent switches auto-renew off",
        action="auto_renew",
        values={"key": kept, "value": False},
        expected="changed",
    )
    yield TourStep(
        title="A subscription is cancelled for bad debt",
        action="cancel",
        values={"key": cancelled},
        expected="changed",
    )
    yield TourStep(
        title="Limio's own shop places an order: its callout is an echo and is not synced",
        action="auto_renew",
        values={"key": priced, "value": False, "source": "shop"},
        expected="echo",
    )
    yield TourStep(
        title="A subscription is made in Zuora that Limio never saw: it is imported with its customer",
        action="create_subscription",
        values={"account": _new_account(setup), "name": "Digital Monthly", "price": "14.99"},
        expected="imported",
    )


def _play(setup: DemoSetup, database: Database, step: TourStep) -> None:
    """Do the step in Zuora, wait until it has arrived, and show what was sent, answered and changed."""
    say(step.title)
    last_run, last_callout = _last_id(database, SyncRunRow), _last_id(database, CalloutRow)
    sent_before = len(_callouts(setup))
    control(setup.zuora, step.action, **step.values)
    if step.expected == "in step":
        numbers = _limio_made(setup)
        for number in numbers:
            _request(setup, number)
        click.echo(f"  asked for {len(numbers)} subscriptions: what was billed stays, what is coming stays")
    _settle(setup, database)
    for callout in _callouts(setup)[sent_before:]:
        _show_callout(callout)
    for reason in _ignored(database, last_callout):
        click.echo(f"  ignored      {reason}")
    runs = _runs(database, last_run)
    for run in runs:
        _show_run(run)
    _check(_arrived(step, runs, _ignored(database, last_callout)), f"expected {step.expected}, but got:", runs)


def _arrived(step: TourStep, runs: Sequence[SyncRunRow], ignored: Sequence[str]) -> bool:
    changed = [run.outcome for run in runs if run.change_count]
    match step.expected:
        case "echo":
            return bool(ignored) and not runs
        case "in step":
            return not changed
        case _:
            return step.expected in changed


def _show_callout(callout: dict[str, Any]) -> None:
    path = urlsplit(callout["url"]).path
    click.echo(f"  Zuora sent   POST {path}")
    for attempt in callout["attempts"]:
        click.echo(f"  answered     401 with a challenge, then {attempt['status']} {attempt['content'].strip()}")


def _show_run(run: SyncRunRow) -> None:
    if not run.change_count:
        click.echo(f"  synced       {run.key}: {run.outcome}")
        return
    click.echo(f"  synced       {run.key}: {run.outcome}, {run.change_count} changes, {run.calls} calls to Zuora")
    for line in plan_lines(SyncPlan.from_json(run.plan or {})):
        click.echo(f"           {line}")


def _limio_made(setup: DemoSetup) -> list[str]:
    """Subscriptions whose number is a Limio reference, that run and renew, in order."""
    rows = show(setup.zuora, "subscriptions")["subscriptions"]
    return [
        row["number"]
        for row in rows
        if _LIMIO_REFERENCE.fullmatch(row["number"]) and row["status"] == "Active" and row["auto_renew"]
    ]


def _is_monthly(setup: DemoSetup, number: str) -> bool:
    rows = show(setup.zuora, "subscriptions")["subscriptions"]
    return any("Monthly" in plan for row in rows if row["number"] == number for plan in row["plans"])


def _new_account(setup: DemoSetup) -> str:
    made = control(
        setup.zuora,
        "create_account",
        first_name="Grace",
        last_name="Hopper",
        personal_email="grace.hopper@example.com",
        address1="1 Navy Yard",
        city="Arlington",
        state="Virginia",
        country="United States",
        postal_code="22202",
        currency="USD",
    )
    return str(made["account"])


def _request(setup: DemoSetup, number: str) -> None:
    """Ask for a sync as Zuora would, without waiting for it."""
    address = f"{setup.service}/api/plugins/zuora/sync/subscription/{number}"
    credentials = (setup.environ["CALLOUT_USERNAME"], setup.environ["CALLOUT_PASSWORD"])
    answer = requests.post(address, auth=credentials, timeout=10)
    _check(answer.status_code == 200, f"the service answered {answer.status_code}:", answer.text)


def _settle(setup: DemoSetup, database: Database) -> None:
    """Wait until Zuora has sent all its callouts and the service has served all requests."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        sent = show(setup.zuora, "wait", seconds=20)["idle"]
        with database.reading() as session:
            backlog = read_backlog(session)
        if sent and not (backlog.waiting or backlog.running):
            return
        time.sleep(0.1)
    raise click.ClickException(f"The change did not arrive in time; see {setup.folder}/run.log")


def _callouts(setup: DemoSetup) -> list[dict[str, Any]]:
    return sorted(show(setup.zuora, "callouts")["callouts"], key=lambda each: int(each["number"]))


def _runs(database: Database, after: int) -> list[SyncRunRow]:
    with database.reading() as session:
        return list(session.exec(select(SyncRunRow).where(col(SyncRunRow.id) > after).order_by(col(SyncRunRow.id))))


def _ignored(database: Database, after: int) -> list[str]:
    with database.reading() as session:
        rows = session.exec(select(CalloutRow).where(col(CalloutRow.id) > after, CalloutRow.verdict == "ignored"))
        return [row.reason or "" for row in rows]


def _last_id(database: Database, table: type[SyncRunRow] | type[CalloutRow]) -> int:
    with database.reading() as session:
        return session.exec(select(table.id).order_by(col(table.id).desc()).limit(1)).first() or 0


def _check(holds: bool, message: str, shown: object) -> None:
    if not holds:
        raise click.ClickException(f"{message} {shown}")


def _leave_running(setup: DemoSetup) -> None:
    click.echo(
        f"\nStill running until Ctrl-C:\n"
        f"  the service    {setup.service}/docs\n"
        f"  Zuora          {setup.zuora}/control/state   "
        f"(sync-service emulator renew KEY --url {setup.zuora})\n"
        f"  the store      DATABASE_URL={setup.environ['DATABASE_URL']}\n"
        f"  logs           {setup.folder}/*.log"
    )
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    signal.sigwait(ends)
