"""`sweep delta`, `sweep full`: one reconciliation pass now, with its report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import click

from sync_service.cli.contexts import open_context
from sync_service.cli.output import fail, say, with_json
from sync_service.cli.wiring import read_settings
from sync_service.jobs.recovery import CalloutText, ReadCallout
from sync_service.jobs.sweep.delta import sweep_delta
from sync_service.jobs.sweep.full import sweep_full
from sync_service.jobs.sweep.walk import PartWay
from sync_service.queue.jobs import EVERY_MS, JobLease, done, ensure_job, put_back, run_soon, take
from sync_service.queue.runs.history import FoundAs
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.store.tables import JobRow
from sync_service.subscription.hints import read_fields, read_hints, read_subscription_key, why_echo
from sync_service.sync.attempt import SyncContext

#: How often a sweep that a scheduler runs is looked at, in seconds.
_LOOK_SECONDS = 0.5

_Story = Callable[[SyncContext, JobLease], Mapping[str, Any] | PartWay]


@click.group()
def sweep() -> None:
    """Find changes that no callout reported, and sync them."""


@sweep.command()
@with_json
def delta(as_json: bool) -> None:
    """Compare what Zuora updated since the last delta sweep."""
    _sweep("sweep delta", sweep_delta, as_json=as_json)


@sweep.command()
@with_json
def full(as_json: bool) -> None:
    """Compare everything that Zuora has."""
    _sweep("sweep full", sweep_full, as_json=as_json)


def callout_reader(settings: Settings) -> ReadCallout:
    """Reads a callout from Zuora's history as the sync addresses read one that comes in."""

    def read(body: bytes) -> CalloutText:
        fields = read_fields(body)
        echo = why_echo(read_hints(fields), settings.ignored_sources, settings.zuora_integration_users)
        return CalloutText(key=read_subscription_key(fields), echo=echo)

    return read


def _sweep(name: str, story: _Story, *, as_json: bool) -> None:
    context = open_context(read_settings())
    report = run_now(context, name, story, tell=lambda text: click.echo(text, err=True))
    say(show_report(name, report), {"sweep": name, **report}, as_json=as_json)


def run_now(context: SyncContext, name: str, story: _Story, *, tell: Callable[[str], None]) -> Mapping[str, Any]:
    """Run the job to its end under its own lease, or watch the scheduler that is faster; the report.

    An interrupted sweep continues where it stopped. Ends the command if the job is paused, or if Zuora cannot
    be asked now: the scheduler goes on later.
    """
    database = context.database
    ensure_job(database, name)
    with database.transaction() as session:
        asked_at = session.now()
        run_soon(session, name)
    while True:
        lease = take(database, name)
        if lease is None:
            report = _watch(database, name, asked_at)
            if report is not None:
                return report
            time.sleep(_LOOK_SECONDS)
            continue
        try:
            result = story(context, lease)
        except BaseException:
            put_back(database, lease, error="interrupted")
            raise
        if not isinstance(result, PartWay):
            done(database, lease, next_due_in_ms=EVERY_MS[name], progress=result)
            return result
        if result.paused:
            fail(f"The job {name} was paused.")
        put_back(database, lease, error=result.error, retry_in_ms=result.again_in_ms if result.error else 0)
        if result.error:
            fail(f"{result.error} The scheduler goes on from here later.")
        _tell(database, name, tell)


def _watch(database: Database, name: str, asked_at: int) -> Mapping[str, Any] | None:
    """The report of a run that ended since then; None while it goes on."""
    with database.reading() as session:
        row = session.get(JobRow, name)
    if row is None or row.paused:
        fail(f"The job {name} is paused.")
    if row.last_ended is not None and row.last_ended >= asked_at and row.lease_until is None and not row.cursor:
        return row.progress
    return None


def _tell(database: Database, name: str, tell: Callable[[str], None]) -> None:
    with database.reading() as session:
        row = session.get(JobRow, name)
    progress = row.progress if row else {}
    looked = progress.get("looked_at", {}).get("subscriptions", 0)
    tell(f"{progress.get('pages', 0)} pages, {looked} subscriptions looked at, {progress.get('marked', 0)} asked for")


def show_report(name: str, report: Mapping[str, Any]) -> str:
    """The report for people."""
    looked = ", ".join(f"{count} {what}" for what, count in report.get("looked_at", {}).items()) or "nothing"
    lines = [
        f"{name} by {report.get('source')}: looked at {looked}",
        f"  {report.get('pages', 0)} pages, {report.get('calls', 0)} calls, {report.get('seconds', 0)} s",
        f"  asked for {report.get('marked', 0)}, waiting already {report.get('waiting', 0)}",
    ]
    lines += [
        f"    {report[found]}  {found.replace('_', ' ')}: {found.about}" for found in FoundAs if report.get(found)
    ]
    lines += [f"    {count}  {reason}" for reason, count in report.get("reasons", {}).items()]
    lines += [f"  left out {count}: {reason}" for reason, count in report.get("left_out", {}).items()]
    named = {
        "drift_numbers": "drift",
        "missing_from_load": "missing from the load",
        "absent_numbers": "read before and no longer in Zuora's list",
    }
    for key, title in named.items():
        if report.get(key):
            lines.append(f"  {title}: {', '.join(report[key])}")
    if report.get("unreadable"):
        lines.append(f"  {report['unreadable']} rows of Zuora's list could not be read")
    return "\n".join(lines)
