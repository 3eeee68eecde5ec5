"""`db upgrade` and `load`: the store's schema and its first contents."""

from __future__ import annotations

import sys
from typing import BinaryIO, cast

import click

from sync_service.cli.output import say, with_json
from sync_service.cli.wiring import open_database, read_settings
from sync_service.store.load.story import LoadReport, load_objects, read_lines
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
