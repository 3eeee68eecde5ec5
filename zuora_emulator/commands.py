"""The emulator's commands: serving, the Limio objects that go with it, and every control action by its name.

Actions take the key of a subscription or an account and words such as `on=term_end source=shop`.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
import requests

from zuora_emulator.bulk import Bulk
from zuora_emulator.control import ACTIONS, ControlRefused, control, show
from zuora_emulator.delivery import Destination
from zuora_emulator.limio_objects import limio_objects
from zuora_emulator.server import Options, serve
from zuora_emulator.zuora_api import CLIENT_ID, CLIENT_SECRET

DEFAULT_PORT = 8100
_DAY = click.DateTime(["%Y-%m-%d"])


def _bulk_options(command: Any) -> Any:
    for option in (
        click.option("--seeds", type=click.Choice(["demo", "none"]), default="demo", show_default=True),
        click.option("--bulk", type=int, default=0, help="So many plain monthly subscriptions besides."),
        click.option("--bulk-accounts", type=int, default=0, help="On so many accounts; one each by default."),
        click.option("--bulk-limio", is_flag=True, help="As though Limio's shop had ordered them."),
        click.option("--today", type=_DAY, help="The tenant's day; by default today, and it goes on with the clock."),
        click.option("--time-zone", default="UTC", show_default=True, help="The zone of the tenant's dates and times."),
    ):
        command = option(command)
    return command


class _ServesByDefault(click.Group):
    """`emulator --port 8100` is `emulator serve --port 8100`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["serve", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_ServesByDefault)
def emulator() -> None:
    """A Zuora tenant on this machine, to try things on. Without a command: serve it."""


@emulator.command("serve")
@click.option("--port", type=int, default=DEFAULT_PORT, show_default=True, help="0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--callout-url", default="", help="Where callouts go, such as http://127.0.0.1:8000; empty sends none.")
@click.option("--callout-username", default="")
@click.option("--callout-password", default="")
@click.option("--retry-seconds", type=float, default=1800.0, show_default=True, help="Between attempts of a callout.")
@click.option("--preemptive", is_flag=True, help="Send credentials with the first request of a callout.")
@click.option("--client-id", default=CLIENT_ID, show_default=True, help="36 characters.")
@click.option("--client-secret", default=CLIENT_SECRET, show_default=True)
@click.option("--seed-file", type=click.Path(exists=True, path_type=Path), help='Actions, a line each: {"do": …}.')
@click.option("--seed", type=int, default=0, help="Where chance begins: faults, lost callouts.")
@click.option("--no-compress", is_flag=True, help="Answer without gzip.")
@_bulk_options
def serve_command(**given: Any) -> None:
    """Serve the tenant and print its address."""
    destination = Destination(
        url=given["callout_url"],
        username=given["callout_username"],
        password=given["callout_password"],
        preemptive=given["preemptive"],
        interval_seconds=given["retry_seconds"],
    )
    today = given["today"]
    options = Options(
        port=given["port"],
        host=given["host"],
        today=today.date() if today else None,
        time_zone=given["time_zone"],
        client_id=given["client_id"],
        client_secret=given["client_secret"],
        destination=destination,
        seeds=given["seeds"],
        seed_file=given["seed_file"],
        bulk=_bulk(given),
        seed=given["seed"],
        compress=not given["no_compress"],
    )
    serve(options, lambda url: click.echo(f"Zuora emulator: {url}"))


@emulator.command("limio-objects")
@_bulk_options
def limio_objects_command(**given: Any) -> None:
    """Print the Limio objects that agree with the tenant, a line each, for `sync-service load`."""
    today = given["today"]
    day = today.date() if today else datetime.now(ZoneInfo(given["time_zone"])).date()
    for each in limio_objects(day, seeds=given["seeds"], bulk=_bulk(given)):
        sys.stdout.write(json.dumps(each, ensure_ascii=False) + "\n")


@emulator.command("show")
@click.argument("what", default="state")
@click.option("--url", default=f"http://127.0.0.1:{DEFAULT_PORT}", show_default=True)
def show_command(what: str, url: str) -> None:
    """Show what the emulator knows.

    WHAT is one of state, subscriptions, traffic, faults, callouts and actions.
    """
    _print(_ask(lambda: show(url, what)))


def _action_command(action: str) -> click.Command:
    @click.command(action.replace("_", "-"), short_help=action.replace("_", " ").capitalize())
    @click.argument("words", nargs=-1)
    @click.option("--url", default=f"http://127.0.0.1:{DEFAULT_PORT}", show_default=True)
    def run(words: tuple[str, ...], url: str) -> None:
        fields: dict[str, Any] = {}
        for word in words:
            name, sign, value = word.partition("=")
            if not sign and "key" in fields:
                raise click.UsageError(f"{word}: give name=value")
            fields |= {name: _value(value)} if sign else {"key": word}
        _print(_ask(lambda: control(url, action, **fields)))

    run.help = f"Do {action} at a running emulator: [KEY] [NAME=VALUE …]; a wrong name lists the right ones."
    return run


def _value(word: str) -> Any:
    """Lists and objects are JSON, everything else is text."""
    return json.loads(word) if word[:1] in "[{" and word else word


def _ask(question: Any) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = question()
    except ControlRefused as refused:
        raise click.ClickException(str(refused)) from None
    except requests.ConnectionError:
        raise click.ClickException("No emulator answers there; start one with: sync-service emulator") from None
    return answer


def _print(answer: dict[str, Any]) -> None:
    click.echo(json.dumps(answer, indent=2, ensure_ascii=False))


def _bulk(given: dict[str, Any]) -> Bulk | None:
    if not given["bulk"]:
        return None
    return Bulk(count=given["bulk"], accounts=given["bulk_accounts"], limios=given["bulk_limio"])


for _name in ACTIONS:
    emulator.add_command(_action_command(_name))
