"""`webhooks`: where they go, what was delivered, and sending it again."""

from __future__ import annotations

import time
from typing import Any

import click
from sqlmodel import col, select

from sync_service.access.cipher import keep_secret_key
from sync_service.cli.output import fail, moment, print_json, print_rows, project, say, with_json
from sync_service.cli.wiring import open_database, open_store, read_settings
from sync_service.queue.outbox import DeliveryState, WebhookType
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.store.tables import WebhookEndpointRow
from sync_service.webhooks.caller import EndpointCaller
from sync_service.webhooks.delivery_log import count_deliveries, list_deliveries, replay, replay_dead
from sync_service.webhooks.destination import look_up
from sync_service.webhooks.endpoints import Endpoints

#: A delivery as JSON; its body may hold a person's values and is not shown.
_DELIVERY = (
    *("message_id", "endpoint_id", "type", "object_id", "state", "attempts", "last_status", "last_error"),
    *("made_at", "due_at", "tried_at", "ended_at"),
)
_DELIVERY_TIMES = ("made_at", "due_at", "tried_at", "ended_at")

_endpoint = click.option("--endpoint", "endpoint_id", help="Only those of this endpoint.")


@click.group()
def webhooks() -> None:
    """Webhooks to other systems: endpoints, the delivery log, replay."""


@webhooks.command("add")
@click.argument("url")
@click.option(
    "--type",
    "types",
    multiple=True,
    type=click.Choice(sorted(each.value for each in WebhookType)),
    help="None means all types.",
)
@with_json
def webhooks_add(url: str, types: tuple[str, ...], as_json: bool) -> None:
    """Send webhooks to URL, and print the secret that signs them.

    The secret is shown this once.
    """
    endpoints, settings, _ = _open()
    look_up(url, settings.webhook_allowed_networks)
    endpoint_id, secret = endpoints.add(url, [WebhookType(each) for each in types])
    _print_secret(endpoint_id, secret, as_json)


@webhooks.command("list")
@with_json
def webhooks_list(as_json: bool) -> None:
    """List the endpoints and count their deliveries."""
    with open_store().reading() as session:
        rows = session.exec(select(WebhookEndpointRow).order_by(col(WebhookEndpointRow.created_at))).all()
        counts, now = count_deliveries(session), session.now()
    found = [_as_json(row, counts.get(row.id, {}), now) for row in rows]
    print_rows(
        found,
        as_json=as_json,
        shape=dict,
        none="No endpoint: `webhooks add URL` makes one.",
        headings=("endpoint", "address", "types", *DeliveryState, ""),
        cells=_in_columns,
    )


@webhooks.command("test")
@click.argument("endpoint_id")
@with_json
def webhooks_test(endpoint_id: str, as_json: bool) -> None:
    """Send ENDPOINT_ID a test message now.

    It has the type `webhook.test`, is not repeated, and does not appear in the log.
    """
    endpoints, settings, _ = _open()
    endpoints.read(endpoint_id)
    caller, began = EndpointCaller(endpoints, settings, endpoint_id), time.monotonic()
    attempt = caller.test()
    caller.close()
    took = round((time.monotonic() - began) * 1000)
    if not attempt.delivered:
        fail(f"Not delivered: {attempt.error}", code="not delivered")
    text = f"Delivered: the endpoint answered {attempt.status} after {took} ms."
    say(text, {"endpoint": endpoint_id, "status": attempt.status, "took_ms": took}, as_json=as_json)


@webhooks.command("log")
@_endpoint
@click.option("--state", type=click.Choice([each.value for each in DeliveryState]), help="Only those.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many.")
@with_json
def webhooks_log(endpoint_id: str | None, state: str | None, limit: int, as_json: bool) -> None:
    """List deliveries with their last answer, newest first.

    Bodies are not shown.
    """
    wanted = DeliveryState(state) if state else None
    with open_store().reading() as session:
        rows = list_deliveries(session, endpoint_id=endpoint_id, state=wanted, limit=limit)
    print_rows(
        rows,
        as_json=as_json,
        shape=lambda row: project(row, _DELIVERY, times=_DELIVERY_TIMES),
        none="No delivery.",
        headings=("made", "message", "endpoint", "type", "about", "state", "tries", "last answer"),
        cells=lambda row: (
            *(moment(row.made_at), *project(row, _DELIVERY[:6]).values(), row.last_error or row.last_status),
        ),
        whole=2,
    )


@webhooks.command("replay")
@click.argument("message_ids", nargs=-1)
@click.option("--dead", is_flag=True, help="Everything that was given up.")
@_endpoint
@with_json
def webhooks_replay(message_ids: tuple[str, ...], dead: bool, endpoint_id: str | None, as_json: bool) -> None:
    """Deliver MESSAGE_IDS again, or all that was given up."""
    if bool(message_ids) is dead:
        raise click.UsageError("Give MESSAGE_IDS or --dead.")
    _, _, database = _open()
    if dead:
        count = replay_dead(database, endpoint_id=endpoint_id)
    else:
        count = replay(database, message_ids, endpoint_id=endpoint_id)
    say(f"{count} deliveries are due again.", {"deliveries": count}, as_json=as_json)


@webhooks.command("rotate")
@click.argument("endpoint_id")
@with_json
def webhooks_rotate(endpoint_id: str, as_json: bool) -> None:
    """Give ENDPOINT_ID a new secret and print it.

    It is shown this once. For 24 hours the old one signs too.
    """
    _print_secret(endpoint_id, _open()[0].rotate(endpoint_id), as_json)


@webhooks.command("remove")
@click.argument("endpoint_id")
@with_json
def webhooks_remove(endpoint_id: str, as_json: bool) -> None:
    """Send ENDPOINT_ID nothing more, and delete its log."""
    left = _open()[0].remove(endpoint_id)
    text = f"Removed; {left} deliveries were not made."
    say(text, {"endpoint": endpoint_id, "removed": True, "undelivered": left}, as_json=as_json)


def _open() -> tuple[Endpoints, Settings, Database]:
    settings = keep_secret_key(read_settings())
    database = open_database(settings)
    return Endpoints(database, settings), settings, database


def _print_secret(endpoint_id: str, secret: str, as_json: bool) -> None:
    if as_json:
        print_json({"endpoint": endpoint_id, "secret": secret})
        return
    click.echo(f"endpoint: {endpoint_id}\nsecret:   {secret}")
    click.echo("Keep the secret now: it is shown this once.", err=True)


def _in_columns(found: dict[str, Any]) -> tuple[object, ...]:
    """An endpoint as the list shows it."""
    types, counts = ", ".join(found["types"]) or "all", (found[state] for state in DeliveryState)
    remarks = {"disabled": "disabled", "paused": "fails, paused", "by_setting": "from the settings"}
    remark = next((words for name, words in remarks.items() if found[name]), None)
    return (found["endpoint"], found["url"], types, *counts, remark)


def _as_json(row: WebhookEndpointRow, counts: dict[str, int], now: int) -> dict[str, Any]:
    kept = project(row, ("url", "types", "by_setting", "created_at"), times=("created_at",))
    states = {state.value: counts.get(state, 0) for state in DeliveryState}
    reach = {"paused": (row.paused_until or 0) > now, "disabled": row.disabled_at is not None}
    return {"endpoint": row.id, **kept, **states, **reach}
