"""`emulator`: a Zuora tenant on this machine, and a way to change things in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import click
import requests

from sync_service.emulator.control import ControlRefused, control
from sync_service.emulator.control import show as show_state
from sync_service.emulator.delivery import Destination
from sync_service.emulator.limio_objects import limio_objects as objects_of
from sync_service.emulator.server import Options, serve

#: Where the emulator listens unless told otherwise.
DEFAULT_PORT = 8100
_address = click.option(
    "--at", "url", default=f"http://127.0.0.1:{DEFAULT_PORT}", show_default=True, help="The emulator's address."
)


@click.group(invoke_without_command=True)
@click.option("--port", type=int, default=DEFAULT_PORT, show_default=True, help="Where to listen; 0 takes a free one.")
@click.option("--seeds", type=click.Choice(["demo", "none"]), default="demo", help="A dozen customers, or nobody.")
@click.option("--time-zone", default="UTC", show_default=True, help="The tenant's zone.")
@click.option("--today", type=click.DateTime(["%Y-%m-%d"]), help="The tenant's day; it stands still then.")
@click.option("--callouts-to", default="", help="The service's address, such as http://127.0.0.1:8000.")
@click.option("--username", default="", help="Basic credentials of the callouts.")
@click.option("--password", default="", help="Basic credentials of the callouts.")
@click.pass_context
def emulator(
    context: click.Context,
    port: int,
    seeds: str,
    time_zone: str,
    today: Any,
    callouts_to: str,
    username: str,
    password: str,
) -> None:
    """A Zuora tenant on this machine; without a command below, start it.

    It answers Zuora's REST API, keeps state, bills, and sends callouts as Zuora does. Nothing leaves this machine.
    """
    if context.invoked_subcommand is not None:
        return
    options = Options(
        port=port,
        seeds=seeds,
        time_zone=time_zone,
        today=today.date() if today else None,
        destination=Destination(url=callouts_to, username=username, password=password),
    )
    serve(options, lambda url: click.echo(url))


@emulator.command("do")
@click.argument("action")
@click.argument("values", nargs=-1)
@_address
def do(action: str, values: tuple[str, ...], url: str) -> None:
    """Do ACTION in a running emulator; VALUES are NAME=VALUE (`do renew key=A-S00000271 source=shop`).

    `show actions` lists what can be done.
    """
    pairs = [value.partition("=") for value in values]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise click.BadParameter(f"{wrong[0]} is no NAME=VALUE", param_hint="VALUES")
    try:
        fields: dict[str, Any] = {name: value for name, _, value in pairs}
        done = control(url, action, **fields)
    except (ControlRefused, requests.RequestException) as error:
        raise click.ClickException(str(error)) from None
    click.echo(json.dumps(done, indent=2))


@emulator.command("show")
@click.argument("what", default="state")
@_address
def show(what: str, url: str) -> None:
    """Show something of a running emulator: state, actions, subscriptions, callouts, traffic, faults."""
    try:
        click.echo(json.dumps(show_state(url, what), indent=2))
    except (ControlRefused, requests.RequestException) as error:
        raise click.ClickException(str(error)) from None


@emulator.command("limio-objects")
@click.option("--today", type=click.DateTime(["%Y-%m-%d"]), help="The day that the emulator was started with.")
def limio_objects(today: Any) -> None:
    """Print what Limio holds of the emulator's customers, one object a line, for `sync-service load -`."""
    for each in objects_of(today.date() if today else datetime.now(UTC).date()):
        click.echo(json.dumps(each))
