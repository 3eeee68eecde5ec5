"""`scrub` and `export`: what the store holds of a customer, erased for good or given out."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import TextIO

import click

from sync_service.cli.output import print_json, say, with_json
from sync_service.cli.wiring import open_database, read_settings
from sync_service.operations.export import export_customer
from sync_service.operations.scrub import find_scope, scrub_again
from sync_service.operations.scrub import scrub as scrub_customer
from sync_service.store.engine import Database
from sync_service.subscription.keys import normalise_key

_LEFTOVERS = {
    "sqlite": "Another process was reading the store: bytes of them may be in its files. Run the same command again.",
    "postgresql": "PostgreSQL frees dead rows in its own time; backups hold what they held: docs/data-protection.md.",
}


@click.command()
@click.argument("key", required=False)
@click.option("--again", type=click.File(encoding="utf-8"), help="Erase whom this log (- for input) tells of.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_json
def scrub(key: str | None, again: TextIO | None, yes: bool, as_json: bool) -> None:
    """Erase the personal values of a customer for good.

    KEY is a subscription's key, `cus-…` or `id-…`. Name, email, addresses and payment details go from all of the
    customer's objects, from the history and from callouts. Dates and amounts stay, and later syncs bring nothing back.
    Zuora itself is not touched. After a backup was restored, --again erases whom the service's log names as erased.
    """
    if (key is None) == (again is None):
        raise click.UsageError("Give a KEY, or --again with the service's log.")
    database = open_database(read_settings())
    if again is not None:
        reports = scrub_again(database, again, actor=getpass.getuser())
        told = f"Erased again: {len(reports)} customers. Whom the store does not hold was left out."
        say(told, [report.as_json() for report in reports], as_json=as_json)
        return
    key = normalise_key(key or "")
    if not yes:
        _ask(database, key)
    report = scrub_customer(database, key, actor=getpass.getuser())
    if as_json:
        print_json(report.as_json())
        return
    click.echo(
        f"Erased: {', '.join(report.customers) or 'no customer object'}; {len(report.subscriptions)} subscriptions."
    )
    click.echo(f"{report.objects} objects, {report.runs} runs and {report.callouts} callouts were changed.")
    if report.views:
        click.echo(f"{report.views} kept views of the history that found them were deleted.")
    if report.webhooks:
        click.echo(f"{report.webhooks} webhooks about them were deleted, whether delivered or not.")
    if report.leftovers:
        click.echo(_LEFTOVERS[database.dialect])


@click.command()
@click.argument("key")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True), default="-")
def export(key: str, file: str) -> None:
    """Write all that the store holds of a customer, as JSON.

    KEY is a subscription's key, `cus-…` or `id-…`. FILE must be new, and is readable by you only; `-` prints.
    """
    found = export_customer(open_database(read_settings()), normalise_key(key))
    text = json.dumps(found, indent=2, ensure_ascii=False)
    if file == "-":
        click.echo(text)
        return
    try:
        Path(file).touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        raise click.ClickException(f"{file} is there already: name a new file.") from None
    Path(file).write_text(text + "\n", encoding="utf-8")
    click.echo(f"Written to {file}: {len(found['objects'])} objects, {len(found['orders'])} orders.", err=True)


def _ask(database: Database, key: str) -> None:
    """Show whom the key leads to, and leave unless the answer is yes."""
    scope = find_scope(database, key)
    whom = "\n".join(f"  {each}" for each in (*scope.people, ", ".join(scope.numbers) or "no subscription"))
    click.echo(f"{key} leads to\n{whom}")
    click.confirm("Erase all that is personal of them, for good?", abort=True, err=True)
