"""`check`: is everything as it should be, and what to do where it is not."""

from __future__ import annotations

import sys
from contextlib import suppress

import click
from sqlalchemy.exc import SQLAlchemyError

from sync_service.cli.output import print_json, print_table, with_json
from sync_service.cli.wiring import open_client, open_database, read_settings
from sync_service.errors import SyncServiceError
from sync_service.operations.check.story import check_everything, keep_findings
from sync_service.queue.findings import Finding, Verdict, has_failed

_COLOURS = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAILED: "red", Verdict.NOT_CHECKED: "dim"}


@click.command()
@with_json
def check(as_json: bool) -> None:
    """Is everything as it should be? Database, clocks, credentials, permissions, callouts, queue, each with a remedy.

    The status is 1 where anything fails. The result is kept for the pages that show the last check.
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


def _show(findings: list[Finding]) -> None:
    rows = [
        (finding.verdict, finding.name, finding.says + (f"\n→ {finding.remedy}" if finding.remedy else ""))
        for finding in findings
    ]
    print_table(("", "", ""), rows, styles=[_COLOURS[finding.verdict] for finding in findings])
