"""`backfill`: sync many and wait for the end, or say what that would change."""

from __future__ import annotations

import getpass
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

import click

from sync_service.cli.contexts import open_context, refuse_other_tenant
from sync_service.cli.output import fail, print_json, say, with_json
from sync_service.cli.progress import Meter, open_meter
from sync_service.cli.wiring import KEY, read_settings
from sync_service.jobs.backfill.backfill import Backfill, Ending
from sync_service.jobs.backfill.dry_run import Summary, forecast_backfill
from sync_service.jobs.backfill.ledger import Failure
from sync_service.jobs.backfill.sources import AccountKeys, FileKeys, Source, TenantKeys
from sync_service.queue.backfills import needs_consent
from sync_service.sync.attempt import SyncContext
from sync_service.sync.forecast import Forecast
from sync_service.telemetry.log import set_up

#: Looks at a time of a dry run; the tenant's limit counts them like any other.
DRY_RUN_THREADS = 4
#: What a shell expects of a command that Ctrl-C ended.
INTERRUPTED = 130


@click.command()
@click.option("--account", type=KEY, metavar="A", help="The subscriptions that this Zuora account owns or pays for.")
@click.option(
    "--file",
    "file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    metavar="F",
    help="Keys, one a line; `-` is standard input.",
)
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="Only what Zuora updated on this day or later.")
@click.option("--yes", is_flag=True, help="Import without a question, also into a store that holds nothing of Limio's.")
@click.option("--dry-run", is_flag=True, help="Read everything, write nothing, and sum up what would change.")
@click.option("--limit", type=click.IntRange(1), help="With --dry-run: look at no more than so many.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, writable=True),
    help="Write failures (dry run: every plan) to this file, one JSON object a line.",
)
@with_json
def backfill(
    account: str | None,
    file: str | None,
    since: datetime | None,
    yes: bool,
    dry_run: bool,
    limit: int | None,
    report: str | None,
    as_json: bool,
) -> None:
    """Sync many subscriptions and wait for the end.

    Without an option: all of the tenant's; else those of an account, of a file, or updated since a day. Workers do the
    work, so one has to run; callouts are served first. After Ctrl-C or a crash the same command goes on where it was.
    Every number that is left with an error is named with the reason.
    """
    if sum(each is not None for each in (account, file, since)) > 1:
        raise click.UsageError("Give one of --account, --file and --since.")
    if limit is not None and not dry_run:
        raise click.UsageError("--limit goes with --dry-run.")
    settings = read_settings()
    context = open_context(settings, threads=DRY_RUN_THREADS + 1)
    refuse_other_tenant(context)
    name, open_source = _choose_source(context, account, file, since)
    with open_meter(sys.stderr) as meter, _stopping() as stop:
        set_up(settings.log_format, meter.log_level)
        if dry_run:
            _forecast(context, open_source, limit, report, meter, stop, as_json=as_json)
            return
        _ask_before_import(context, yes=yes, can_ask=file != "-")
        meter.start(name)
        work = Backfill(context, name, open_source, getpass.getuser())
        ending = work.run(meter.show, stop)
    _finish(ending, report, as_json=as_json)


def _choose_source(
    context: SyncContext, account: str | None, file: str | None, since: datetime | None
) -> tuple[str, Callable[[str | None], Source]]:
    """The job's name, the same for the same command, and how to open its keys."""
    if account is not None:
        return f"backfill account {account}", lambda _: AccountKeys(context, account)
    if file == "-":
        return "backfill standard input", lambda _: FileKeys(sys.stdin.buffer, once=True)
    if file is not None:
        path = Path(file).resolve()
        once = not path.is_file()  # a pipe
        return f"backfill file {path}", lambda _: FileKeys(path.open("rb"), once=once)
    if since is None:
        return "backfill", partial(_open_tenant, context, None)
    began = since.replace(tzinfo=context.settings.tenant_time_zone)
    return f"backfill since {since:%Y-%m-%d}", partial(_open_tenant, context, began)


def _open_tenant(context: SyncContext, since: datetime | None, position: str | None) -> Source:
    return TenantKeys(context, datetime.fromisoformat(position) if position else since)


def _ask_before_import(context: SyncContext, *, yes: bool, can_ask: bool) -> None:
    """Without Limio's own objects everything would be imported as made outside of Limio: hardly ever what is meant."""
    if yes:
        return
    with context.database.reading() as session:
        if not needs_consent(session):
            return
    warning = (
        "The store holds no object that Limio made: every subscription would be imported as made outside of Limio, "
        "without commerce actions. `sync-service load` takes in what Limio has."
    )
    if not can_ask or not sys.stdin.isatty():
        fail(f"{warning} To import all the same, say --yes.")
    click.echo(warning, err=True)
    click.confirm("Import all the same?", abort=True, err=True)


def _finish(ending: Ending, report: str | None, *, as_json: bool) -> None:
    standing = ending.standing
    if not ending.complete:
        why = "Paused" if ending.paused else "Stopped"
        rest = standing.asked - standing.settled
        click.echo(
            f"{why} after {standing.settled}: {rest} are still in the queue. The same command goes on.", err=True
        )
        sys.exit(INTERRUPTED)
    outcomes = ending.ledger.read_outcomes()
    failures = standing.failed + len(ending.problems)
    if as_json:
        counts = {"asked": standing.asked, "done": standing.done, "failed": failures, "outcomes": dict(outcomes)}
        if report is None:
            counts["failures"] = [vars(each) for each in _failures(ending)]
        print_json(counts)
    else:
        click.echo(f"{standing.asked} subscriptions asked for: {standing.done} done, {failures} failed.")
        for outcome, count in sorted(outcomes.items()):
            click.echo(f"  {outcome:14} {count}")
    _report_failures(ending, report, failures, quiet=as_json)
    sys.exit(1 if failures else 0)


def _report_failures(ending: Ending, report: str | None, count: int, *, quiet: bool) -> None:
    """Every failure and its reason: to the file, else to standard output; one at a time, whatever their number."""
    if report is not None:
        with _replacing(Path(report)) as file:
            for each in _failures(ending):
                print(json.dumps(vars(each)), file=file)
        click.echo(f"{count} failures are written to {report}.", err=True)
    elif not quiet:
        for each in _failures(ending):
            click.echo(f"  {each.key}: {each.reason}")


def _failures(ending: Ending) -> Iterator[Failure]:
    yield from ending.problems
    yield from ending.ledger.read_failures()


def _forecast(
    context: SyncContext,
    open_source: Callable[[str | None], Source],
    limit: int | None,
    report: str | None,
    meter: Meter,
    stop: threading.Event,
    *,
    as_json: bool,
) -> None:
    source = open_source(None)
    failures: list[Failure] = []
    most_named = 1000

    def keep(forecast: Forecast, file: TextIO | None) -> None:
        if file is not None:
            print(json.dumps(_forecast_as_json(forecast)), file=file)
        if forecast.error and len(failures) < most_named:
            failures.append(Failure(forecast.key, forecast.error))

    def run(file: TextIO | None) -> Summary:
        return forecast_backfill(
            context,
            source,
            threads=DRY_RUN_THREADS,
            limit=limit,
            keep=lambda forecast: keep(forecast, file),
            tell=meter.show_forecast,
            stop=stop,
        )

    meter.start("dry run")
    try:
        if report is None:
            summary = run(None)
        else:
            with _replacing(Path(report)) as file:
                summary = run(file)
    finally:
        source.close()
    meter.stop()
    failures = [*source.problems, *failures]
    say(_show_summary(summary, failures), summary.as_json(), as_json=as_json)
    sys.exit(INTERRUPTED if stop.is_set() else 1 if failures else 0)


def _forecast_as_json(forecast: Forecast) -> dict[str, Any]:
    plan = forecast.plan.as_json() if forecast.plan else None
    return {"key": forecast.key, "imports": forecast.imports, "error": forecast.error, "plan": plan}


def _show_summary(summary: Summary, failures: list[Failure]) -> str:
    head = f"{summary.looked} looked at, nothing written ({summary.calls} calls to Zuora)"
    lines = [
        head + (":" if summary.complete else "; there are more:"),
        f"  {summary.up_to_date} are up to date",
        f"  {summary.changed} would change",
        f"  {summary.imported} would be imported",
        f"  {summary.failed} cannot be told",
    ]
    if summary.drastic:
        lines.append(f"  {summary.drastic} would be cancelled or lose all coming payments (see SAFETY_SHARE)")
    lines += ["Changes:"] if summary.changes else []
    lines += [f"  {count:>7} {words}" for words, count in sorted(summary.changes.items())]
    lines += ["Cannot be told:"] if failures else []
    return "\n".join(lines + [f"  {each.key}: {each.reason}" for each in failures])


@contextmanager
def _replacing(path: Path) -> Iterator[TextIO]:
    """A text file that takes its name only when it is whole."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with draft.open("w", encoding="utf-8") as file:
            yield file
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C or SIGTERM sets; the second one ends the process at once."""
    stop = threading.Event()

    def ask(number: int, _: FrameType | None) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
