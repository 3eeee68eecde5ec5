"""`orders` and `catalog`: what became of orders, orders placed or previewed from a file, and what may be ordered."""

from __future__ import annotations

import getpass
import sys
import time
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, BinaryIO, NoReturn

import click

from sync_service.cli.contexts import open_context, open_order_context
from sync_service.cli.output import (
    fail,
    iso,
    moment,
    print_json,
    print_rows,
    print_table,
    project,
    say,
    shorten,
    with_json,
)
from sync_service.cli.wiring import open_database, open_store, read_settings
from sync_service.commerce.catalog import Offer
from sync_service.commerce.fields import read_json
from sync_service.commerce.order import CannotBePlacedError, Order, Problem, Refusal
from sync_service.commerce.payload import read_order
from sync_service.commerce.pricing import faults_of
from sync_service.commerce.steps import Choice
from sync_service.ordering.context import OrderContext
from sync_service.ordering.placing import run_claim
from sync_service.ordering.previews import preview_order, refresh_catalog
from sync_service.queue.claims import claim_one
from sync_service.queue.limit import Share
from sync_service.queue.orders.acceptance import OrderRequest, take_order
from sync_service.queue.orders.lanes import OrderState, decide, find_work, hurry, list_work
from sync_service.queue.orders.steps import read_steps
from sync_service.queue.requests import Kind
from sync_service.queue.story_lease import hold_story_lease
from sync_service.store.engine import Session
from sync_service.store.offers import newest_items, read_whole_catalog
from sync_service.store.tables import OrderStepRow, OrderWorkRow

#: How long `submit` waits for the outcome, in seconds.
PATIENCE_SECONDS = 180.0
#: Orders of one subscription that `why` shows.
MAX_ORDERS = 20
_ORDER = (
    *("order_id", "number", "order_type", "state", "subscription_number", "external_id", "client", "submitted_at"),
    *("ended_at", "error_code", "error", "choices", "notes"),
)
_ORDER_TIMES = ("submitted_at", "ended_at")
_CALL = ("n", "name", "method", "path", "state", "sends", "sent_at", "answered_at", "idempotency_key", "error")
_CALL_TIMES = ("sent_at", "answered_at")
_limit = click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many.")
_file = click.argument("file", type=click.File("rb"))


@click.group()
def orders() -> None:
    """Limio's orders on their way into Zuora."""


@orders.command("list")
@click.option(
    "--state", "states", multiple=True, type=click.Choice([each.value for each in OrderState]), help="Only these."
)
@_limit
@with_json
def orders_list(states: tuple[str, ...], limit: int, as_json: bool) -> None:
    """List the latest orders, newest first."""
    with open_store().reading() as session:
        rows = list_work(session, limit=limit, states=[OrderState(state) for state in states])
    print_rows(
        rows,
        as_json=as_json,
        shape=order_as_json,
        none=f"No order is {' or '.join(states)}." if states else "No order was submitted yet.",
        headings=("submitted", "number", "type", "state", "subscription", "reason"),
        cells=lambda row: (
            *(moment(row.submitted_at), row.number, row.order_type, row.state),
            *(shorten(row.subscription_number or "-"), row.error or ""),
        ),
    )


@orders.command("show")
@click.argument("key")
@with_json
def orders_show(key: str, as_json: bool) -> None:
    """Show the order KEY, an id or a number, and its calls to Zuora."""
    with open_store().reading() as session:
        row = _find(session, key)
        calls = read_steps(session, row.order_id)
    if as_json:
        print_json({**order_as_json(row), "calls": [_call_as_json(call) for call in calls]})
        return
    click.echo("\n".join([show_order(row), *(line for call in calls for line in _call_lines(call))]))


@orders.command("retry")
@click.argument("key")
@click.option(
    "--count-as-done", "choice", flag_value=Choice.COUNT_AS_DONE.value, help="The step has happened in Zuora: go on."
)
@click.option("--give-up", "choice", flag_value=Choice.FAIL.value, help="Undo what can be undone, and fail the order.")
@with_json
def orders_retry(key: str, choice: str | None, as_json: bool) -> None:
    """Try an order again now, or decide one that is held.

    KEY is its id or number. An order that waits goes on at once.
    """
    with open_store().transaction() as session:
        row = _find(session, key)
        if row.state in (OrderState.SUBMITTED, OrderState.WAITING, OrderState.RUNNING) and choice is None:
            hurry(session, row, actor=getpass.getuser())
        else:
            decide(session, row, Choice(choice or Choice.RETRY), actor=getpass.getuser())
    text = f"The order {row.number} goes on."
    say(text, {"order_id": row.order_id, "decision": choice or Choice.RETRY.value}, as_json=as_json)


@orders.command("submit")
@_file
@with_json
def orders_submit(file: BinaryIO, as_json: bool) -> None:
    """Place the order in FILE and wait for its end.

    FILE holds JSON as for `POST /api/order`; - is standard input.
    """
    settings = read_settings()
    context = open_order_context(open_context(settings))
    body = file.read()
    order = _read(context, body)
    asked = OrderRequest(client=f"cli {getpass.getuser()}", key=None, body=body)
    try:
        accepted = take_order(context.database, settings, order, asked, client=getpass.getuser())
    except CannotBePlacedError as refusal:
        _refuse(Refusal(problems=refusal.problems))
    row = _place_now(context, accepted.order_id)
    say(show_order(row), order_as_json(row), as_json=as_json)
    if row.state != OrderState.COMPLETE:
        raise SystemExit(1)


@orders.command("preview")
@_file
@with_json
def orders_preview(file: BinaryIO, as_json: bool) -> None:
    """Ask Zuora what the order in FILE would cost, and when.

    Nothing is stored or placed. FILE is as for `submit`.
    """
    context = open_order_context(open_context(read_settings()))
    order = _read(context, file.read())
    with hold_story_lease(context.database, "order preview", context.share, wait_seconds=10, probe=True) as lease:
        try:
            found = preview_order(context, order, lease.counting(context.zuora.reading()), lease)
        except CannotBePlacedError as refusal:
            _refuse(Refusal(problems=refusal.problems))
    if as_json:
        print_json(found)
    elif not found["schedule"]:
        click.echo("Nothing would be charged.")
    else:
        due = [each["data"] for each in found["schedule"]]
        rows = [(each["date"][:10], f"{each['amount']} {each['currency']}", each["description"]) for each in due]
        print_table(("on", "amount", "for"), rows)
    if not as_json:
        for warning in found.get("warnings", ()):
            click.echo(f"note: {warning}")


def order_as_json(row: OrderWorkRow) -> dict[str, Any]:
    """An order as JSON."""
    return project(row, _ORDER, times=_ORDER_TIMES)


def show_order(row: OrderWorkRow) -> str:
    """One order: what it is, where it stands and why."""
    head = f"{moment(row.submitted_at)}  {row.number}  {row.order_type}  {row.state}"
    who = f"  {row.order_id}, by {row.client or 'unknown'}"
    lines = [head, who + (f", subscription {row.subscription_number}" if row.subscription_number else "")]
    if row.error:
        lines.append(f"  {row.error_code}: {row.error}")
    if row.choices:
        lines.append(f"  a person decides: {', '.join(_CHOICES[Choice(choice)] for choice in row.choices)}")
    return "\n".join([*lines, *(f"  note: {note}" for note in row.notes)])


def show_orders(rows: Sequence[OrderWorkRow]) -> list[str]:
    """The orders of one subscription, under a heading; nothing where there are none."""
    return ["Orders:", *(f"  {line}" for row in rows for line in show_order(row).splitlines())] if rows else []


_CHOICES = {
    Choice.RETRY: "`orders retry` runs the step again",
    Choice.COUNT_AS_DONE: "`--count-as-done` goes on as if Zuora had answered",
    Choice.FAIL: "`--give-up` fails the order",
}


def _find(session: Session, key: str) -> OrderWorkRow:
    row = find_work(session, key)
    if row is None:
        fail(f"There is no order {key}.")
    return row


def _read(context: OrderContext, body: bytes) -> Order:
    try:
        payload = read_json(body.decode())
    except (ValueError, RecursionError):
        fail("The file holds no JSON.")
    order = read_order(payload, context.settings.tenant_time_zone, may_refund=True)
    if isinstance(order, Refusal):
        _refuse(order)
    return order


def _refuse(refusal: Refusal) -> NoReturn:
    fail("The order cannot be placed:\n" + "\n".join(_problem_line(problem) for problem in refusal.problems))


def _problem_line(problem: Any) -> str:
    return f"  {problem.field}: {problem.message}" if problem.field else f"  {problem.message}"


def _place_now(context: OrderContext, order_id: str) -> OrderWorkRow:
    """Place it here under the queue's lease, or wait for the worker that was faster."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with context.database.reading() as session:
            row = _find(session, order_id)
        if row.ended_at is not None or time.monotonic() > deadline:
            return row
        claimed = claim_one(context.database, Kind.ORDER, row.lane, context.share)
        if claimed is not None:
            run_claim(context, claimed)
        else:
            time.sleep(0.2)


def _call_as_json(call: OrderStepRow) -> dict[str, Any]:
    shape = project(call, _CALL, times=_CALL_TIMES)
    return {
        **shape,
        "request": call.body and read_json(call.body),
        "answer": call.answer and read_json(call.answer),
    }


def _call_lines(call: OrderStepRow) -> list[str]:
    took = f"{call.answered_at - call.sent_at} ms" if call.answered_at is not None else "no answer"
    lines = [f"  {iso(call.sent_at)}  {call.name}: {call.method} {call.path}  {call.state}, {took}, sent {call.sends}x"]
    lines += [f"    {label} {text}" for label, text in (("request", call.body), ("answer", call.answer)) if text]
    return lines + ([f"    {call.error}"] if call.error else [])


#: How long a person waits for a place among the calls to Zuora, in seconds.
_WAIT_SECONDS = 10


@click.group()
def catalog() -> None:
    """Look after what orders may buy."""


@catalog.command()
@with_json
def refresh(as_json: bool) -> None:
    """Read all product rate plans from Zuora. Repeatable; the scheduler does it daily."""
    settings = read_settings()
    context = open_context(settings)
    share = Share.of(settings)
    count = refresh_catalog(context.database, context.zuora, share, wait_seconds=_WAIT_SECONDS)
    say(f"Zuora has {count} product rate plans.", {"rate_plans": count}, as_json=as_json)


@catalog.command()
@click.option("--on", "day", type=click.DateTime(["%Y-%m-%d"]), help="The day on which it is to be ordered; today.")
@with_json
def check(day: datetime | None, as_json: bool) -> None:
    """List every offer that could not be ordered, and why.

    Looks at the newest published version of each offer and add-on. The status is 1 if one is listed.
    """
    settings = read_settings()
    with open_database(settings).reading() as session:
        whole = read_whole_catalog(session)
        on = settings.day_at(session.now()) if day is None else day.date()
    items = [offer for offer in newest_items(whole) if offer.is_published]
    faults = [(offer, found) for offer in items if (found := faults_of(offer, whole, on))]
    shape = {
        "on": on.isoformat(),
        "checked": len(items),
        "faulty": [{**_name(offer), "problems": [problem.message for problem in found]} for offer, found in faults],
    }
    say(_show(items, faults, on), shape, as_json=as_json)
    sys.exit(1 if faults else 0)


def _name(offer: Offer) -> dict[str, str | None]:
    return {
        "record_type": offer.record_type,
        "id": offer.ref.id,
        "version": offer.ref.version,
        "name": offer.name,
        "path": offer.path,
    }


def _show(items: Sequence[Offer], faults: Sequence[tuple[Offer, tuple[Problem, ...]]], on: date) -> str:
    lines = [f"{len(items)} published offers and add-ons looked at for {on}; {len(faults)} could not be ordered."]
    for offer, found in faults:
        lines.append(f"  {offer.label}")
        lines += [f"    {problem.message}" for problem in found]
    return "\n".join(lines)
