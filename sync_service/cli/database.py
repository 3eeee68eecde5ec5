"""`db`, `load`, `scrub` and `export`: the store's schema, its place and contents, and a customer's part of these."""

from __future__ import annotations

import getpass
import json
import sys
from pathlib import Path
from typing import BinaryIO, TextIO, cast

import click

from sync_service.cli.output import fail, print_json, say, with_json
from sync_service.cli.wiring import open_database, open_store, read_settings
from sync_service.operations.copies import back_up, move_store
from sync_service.operations.export import export_customer
from sync_service.operations.scrub import find_scope, scrub_again
from sync_service.operations.scrub import scrub as scrub_customer
from sync_service.store.engine import Database
from sync_service.store.load_lines import LoadReport, load_objects, read_lines
from sync_service.store.schema import upgrade
from sync_service.subscription.keys import normalise_key


@click.group()
def db() -> None:
    """Look after the database."""


@db.command("upgrade")
@with_json
def db_upgrade(as_json: bool) -> None:
    """Bring the schema up to date. Repeatable."""
    revision = upgrade(open_database(read_settings(), checked=False, create=True))
    say(f"The schema is at {revision}.", {"schema": revision}, as_json=as_json)


@db.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@with_json
def db_backup(file: Path, as_json: bool) -> None:
    """Copy the embedded store to FILE while the service goes on.

    FILE must be new. To restore: stop the service, put FILE where DATABASE_URL says, delete the `-wal` and `-shm`
    files beside it.
    """
    settings = read_settings()
    if settings.sqlite_path is None:
        fail("PostgreSQL is backed up by its own tools, such as pg_dump (docs/looking-after-the-data.md).")
    open_database(settings).engine.dispose()
    size = back_up(settings.sqlite_path, file)
    say(f"{size:,} bytes are in {file}.", {"file": str(file), "bytes": size}, as_json=as_json)


@db.command("move")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_json
def db_move(file: Path, as_json: bool) -> None:
    """Move the embedded store in FILE into PostgreSQL.

    DATABASE_URL names the empty database. Stop everything that uses FILE first. Rows and hashes of each table are
    compared before anything is committed; FILE stays as it is.
    """
    moved = move_store(file, open_database(read_settings(), checked=False))
    lines = [f"{each.rows:>10}  {each.table}" for each in moved if each.rows]
    lines.append(f"{sum(each.rows for each in moved):>10}  rows in all, the same in both by count and hash")
    key = file.with_name(f"{file.name}.secret-key")
    if key.exists():
        lines.append(f"The key of the embedded store goes on: set SECRET_KEY_FILE={key.resolve()}, or copy its text.")
    say("\n".join(lines), {"tables": [vars(each) for each in moved]}, as_json=as_json)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--lenient", is_flag=True, help="Leave with status 0 although something was refused.")
@with_json
def load(file: str, lenient: bool, as_json: bool) -> None:
    """Load Limio objects, one JSON object a line.

    FILE may be `-` for standard input. Broken lines are reported and the rest goes on; the status is 1 where anything
    was refused, or nothing was there.
    """
    database = open_store()
    with click.open_file(file, "rb") as stream:
        report = load_objects(database, read_lines(cast(BinaryIO, stream)))
    say(_show(report), report.as_json(), as_json=as_json)
    sys.exit(0 if report.counts and (lenient or not report.problem_count) else 1)


def _show(report: LoadReport) -> str:
    lines = [f"Lines read: {report.lines}"]
    if not report.counts:
        lines.append("Nothing was loaded.")
    for record_type, counts in sorted(report.counts.items()):
        parts = ", ".join(f"{count} {outcome}" for outcome, count in vars(counts).items() if count)
        lines.append(f"  {record_type:20} {parts}")
    if report.problem_count:
        lines.append(f"Problems: {report.problem_count}")
        lines += [f"  line {problem.line}: {problem.message}" for problem in report.problems]
    return "\n".join(lines)


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
    database = open_store()
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
    found = export_customer(open_store(), normalise_key(key))
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
