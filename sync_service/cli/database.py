"""`db` and `load`: the store's schema, its place and its first contents."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO, cast

import click

from sync_service.cli.output import fail, say, with_json
from sync_service.cli.wiring import open_database, read_settings
from sync_service.operations.copies import back_up, move_store
from sync_service.store.load_lines import LoadReport, load_objects, read_lines
from sync_service.store.schema import upgrade


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
    database = open_database(read_settings())
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
