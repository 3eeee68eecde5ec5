"""`check` and `settings`: whether the installation is as it should be, and what it was told."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import Field, fields
from typing import Any

import click
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from sync_service.cli.contexts import open_client
from sync_service.cli.output import print_json, print_table, with_json
from sync_service.cli.wiring import open_database, read_settings
from sync_service.errors import SyncServiceError
from sync_service.operations.check.everything import check_everything, keep_findings
from sync_service.queue.status.findings import Finding, Severity, has_failed
from sync_service.settings import Settings
from sync_service.settings.environment import read_env_file

_COLOURS = {Severity.OK: "green", Severity.WARNING: "yellow", Severity.FAILED: "red", Severity.NOT_CHECKED: "dim"}


@click.command()
@with_json
def check(as_json: bool) -> None:
    """Check the installation and say what to repair.

    Looks at the database, clocks, credentials, permissions, callouts and the queue. The status is 1 if anything fails.
    The result is kept for the pages that show the last check.
    """
    settings = read_settings()
    database = open_database(settings, checked=False)
    findings = list(check_everything(database, settings, open_client(settings)))
    with suppress(SQLAlchemyError, SyncServiceError):
        keep_findings(database, findings)
    if as_json:
        print_json({"findings": [finding.as_json() for finding in findings]})
    else:
        _show(findings)
    sys.exit(1 if has_failed(findings) else 0)


@click.command("settings")
@with_json
def show_settings(as_json: bool) -> None:
    """Show the settings in force, with secrets masked.

    Each with its source: the environment, a file that NAME_FILE names, the `.env` file, or the default.
    """
    settings = read_settings()
    rows = [(each.name.upper(), _masked(settings, each), _source(each.name.upper())) for each in fields(settings)]
    if as_json:
        print_json([dict(zip(("name", "value", "source"), row, strict=True)) for row in rows])
    else:
        print_table(("name", "value", "source"), rows)


def _masked(settings: Settings, setting: Field[Any]) -> str:
    value = getattr(settings, setting.name)
    if setting.name == "database_url":
        return make_url(value).render_as_string(hide_password=True)
    if not setting.repr:
        return "(secret)" if value else ""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _source(name: str) -> str:
    file = read_env_file()
    for source, given in (("environment", os.environ), (".env", file)):
        if given.get(name):
            return source
        if given.get(f"{name}_FILE"):
            return f"{source}: {name}_FILE"
    return "default"


def _show(findings: list[Finding]) -> None:
    rows = [
        (finding.verdict, finding.name, finding.says + (f"\n→ {finding.remedy}" if finding.remedy else ""))
        for finding in findings
    ]
    print_table(("", "", ""), rows, styles=[_COLOURS[finding.verdict] for finding in findings])
