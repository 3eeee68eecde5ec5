"""`status`, `failed`, `held`, `history`, `callouts log`: looking after a service that runs."""

from __future__ import annotations

import getpass
from typing import Any

import click
from sqlmodel import col, or_, select

from sync_service.cli.output import (
    fail,
    iso,
    moment,
    print_json,
    print_rows,
    print_table,
    project,
    say,
    shorten,
    with_json,
)
from sync_service.cli.show import run_as_json, show_run
from sync_service.cli.wiring import KEY, open_database, open_store, read_settings
from sync_service.queue.backlog import list_failed
from sync_service.queue.outbox import OutboxState
from sync_service.queue.requests import Cause, Kind
from sync_service.queue.runs.decisions import dismiss_failed, drop_held, release_held, retry_all, retry_one
from sync_service.queue.runs.held import list_held
from sync_service.queue.runs.history import read_runs
from sync_service.queue.status.findings import Severity
from sync_service.queue.status.heartbeats import ProcessRole
from sync_service.queue.status.summary import ServiceStatus, is_running, next_run, read_status
from sync_service.store.engine import Session
from sync_service.store.reads import resolve_key
from sync_service.store.tables import CalloutRow, JobRow, SubscriptionAliasRow, SyncRunRow
from sync_service.subscription.keys import normalise_key
from sync_service.subscription.pace import duration_in_words
from sync_service.subscription.trigger import Trigger

_FAILED = ["kind", "key", "last_error", "requested_at"]
_CALLOUT = (
    *("id", "received_at", "key", "verdict", "reason", "notification_id", "request_id", "source"),
    *("order_number", "created_by", "body_sha256"),
)
_LAST_RUN = ("last_began", "last_ended", "last_error", "progress")
_limit = click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many.")


@click.command()
@with_json
def status(as_json: bool) -> None:
    """Show the queue, failures, Zuora's health, budget and jobs."""
    settings = read_settings()
    database = open_database(settings)
    with database.reading() as session:
        found = read_status(session, settings)
    if as_json:
        print_json(_status_as_json(found))
    else:
        _show_status(found)


@click.group()
def failed() -> None:
    """Subscriptions whose sync failed for good."""


@failed.command("list")
@_limit
@with_json
def failed_list(limit: int, as_json: bool) -> None:
    """List the subscriptions that failed for good."""
    with open_store().reading() as session:
        rows = list_failed(session, limit=limit)
    print_rows(
        rows,
        as_json=as_json,
        shape=lambda row: project(row, _FAILED, times=("requested_at",)),
        none="Nothing was given up.",
        headings=("asked for", "what", "key", "reason"),
        cells=lambda row: (moment(row.requested_at), row.kind, shorten(row.key), row.last_error),
        whole=2,
    )


@failed.command("retry")
@click.argument("key", required=False)
@click.option("--all", "everything", is_flag=True, help="All of them, behind callouts.")
@with_json
def failed_retry(key: str | None, everything: bool, as_json: bool) -> None:
    """Try KEY again, or everything with --all."""
    if (key is None) is not everything:
        raise click.UsageError("Give a KEY or --all.")
    if key is None:
        count = retry_all(open_store(), _person())
        say(f"Queued {count} for another sync.", {"queued": count}, as_json=as_json)
    else:
        key = retry_one(open_store(), key, _person())
        say(f"Queued {key} for another sync.", {"queued": 1, "key": key}, as_json=as_json)


@failed.command("dismiss")
@click.argument("key", type=KEY)
@with_json
def failed_dismiss(key: str, as_json: bool) -> None:
    """Forget a failed KEY that was never synced.

    For mistyped keys: they leave the list of failures, with all that was noted of them.
    """
    key = dismiss_failed(open_store(), key, _person())
    say(f"Dismissed {key}.", {"key": key, "dismissed": True}, as_json=as_json)


@click.group()
def held() -> None:
    """Plans that the safety stop keeps for a person's decision."""


@held.command("list")
@_limit
@with_json
def held_list(limit: int, as_json: bool) -> None:
    """List the held plans: cancellations and emptied schedules."""
    with open_store().reading() as session:
        runs = list_held(session, limit=limit)
    text = "\n".join(map(show_run, runs)) or "Nothing is held."
    say(text, [run_as_json(run) for run in runs], as_json=as_json)


@held.command("release")
@click.argument("key")
@with_json
def held_release(key: str, as_json: bool) -> None:
    """Release the held plan for KEY.

    KEY is read again and synced, past the safety stop.
    """
    key = release_held(open_store(), key, _person())
    say(f"Released {key}; it is queued for a sync.", {"key": key, "decision": "released"}, as_json=as_json)


@held.command("drop")
@click.argument("key")
@with_json
def held_drop(key: str, as_json: bool) -> None:
    """Discard the held plan for KEY.

    The same plan is not held again unless Zuora's data changes.
    """
    key = drop_held(open_store(), key, _person())
    say(f"Discarded the held plan for {key}.", {"key": key, "decision": "dropped"}, as_json=as_json)


@click.command()
@click.argument("key", type=KEY)
@_limit
@with_json
def history(key: str, limit: int, as_json: bool) -> None:
    """Show every run of KEY: what changed, when and why."""
    with open_store().reading() as session:
        runs = _runs_of(session, key, limit)
    if not runs:
        fail(
            f"No run of {key} is in the history. Scheduled runs that changed nothing are not kept; `why {key}` tells "
            "whether the key is known."
        )
    say("\n".join(show_run(run) for run in runs), [run_as_json(run) for run in runs], as_json=as_json)


@click.group()
def callouts() -> None:
    """Zuora's notifications to us."""


@callouts.command("log")
@click.option("--key", help="Only those for this subscription or account.")
@click.option("--verdict", type=click.Choice(["accepted", "ignored", "rejected"]), help="Only those.")
@_limit
@with_json
def callouts_log(key: str | None, verdict: str | None, limit: int, as_json: bool) -> None:
    """List received callouts and how they were answered."""
    with open_store().reading() as session:
        rows = _callouts_of(session, normalise_key(key) if key else None, verdict, limit)
    print_rows(
        rows,
        as_json=as_json,
        shape=lambda row: project(row, _CALLOUT, times=("received_at",)),
        none="No callout.",
        headings=("received", "verdict", "key", "what it said"),
        cells=lambda row: (moment(row.received_at), row.verdict, shorten(row.key or ""), _callout_in_words(row)),
        whole=2,
    )


def _person() -> Cause:
    return Cause(Trigger.CLI, actor=getpass.getuser())


def _status_as_json(found: ServiceStatus) -> dict[str, Any]:
    came = found.callouts
    counted = {"accepted": came.accepted, "ignored": came.ignored, "rejected": came.rejected}
    return {
        "now": iso(found.now),
        "queue": vars(found.backlog) | {"held": found.held},
        "zuora": vars(found.zuora),
        "callouts_last_hour": {"last_at": iso(came.last), **counted},
        "webhooks": vars(found.webhooks),
        "jobs": [_job_as_json(job, found.now) for job in found.jobs],
        "findings": [finding.as_json() for finding in found.findings],
    }


def _job_as_json(job: JobRow, now: int) -> dict[str, Any]:
    state = {
        "name": job.name,
        "running": is_running(job, now),
        "paused": job.paused,
        "next_at": iso(next_run(job, now)),
    }
    return state | project(job, _LAST_RUN, times=("last_began", "last_ended"))


def _show_status(found: ServiceStatus) -> None:
    backlog, zuora = found.backlog, found.zuora
    oldest = "" if backlog.oldest_ms is None else f", the oldest for {duration_in_words(backlog.oldest_ms / 1000)}"
    budget = "" if zuora.calls_left is None else f", {zuora.calls_left} left of the budget"
    came = found.callouts
    last = "none ever" if came.last is None else f"the last one {_ago(came.last, found.now)}"
    print_table(
        ("", ""),
        [
            ("waiting", f"{backlog.waiting}{oldest}; {backlog.backing_off} of them after a failed attempt"),
            ("running", str(backlog.running)),
            ("failed", f"{backlog.failed}{' (`failed list`)' if backlog.failed else ''}"),
            ("held", f"{found.held}{' (`held list`)' if found.held else ''}"),
            *((finding.name, finding.says) for finding in found.findings if finding.name in set(ProcessRole)),
            ("Zuora", zuora.words),
            ("calls", f"{zuora.calls_today} today{budget}; {zuora.live} of {zuora.permitted} call slots in use"),
            (
                "callouts",
                f"{came.accepted} accepted, {came.ignored} ignored, {came.rejected} rejected in the last hour; {last}",
            ),
            ("webhooks", _webhooks_in_words(found.webhooks)),
        ],
    )
    unwell = [each for each in found.findings if each.verdict in (Severity.FAILED, Severity.WARNING)]
    if unwell:
        click.echo()
        print_table(("needs a look", "what", "remedy"), [(each.name, each.says, each.remedy) for each in unwell])
    if found.jobs:
        click.echo()
        print_table(("job", "last run", "next run", "says"), [_job_row(job, found.now) for job in found.jobs])


def _webhooks_in_words(outbox: OutboxState) -> str:
    if not outbox.endpoints:
        return "no endpoint"
    oldest = "" if outbox.oldest_ms is None else f", the oldest for {duration_in_words(outbox.oldest_ms / 1000)}"
    paused = f"; {outbox.paused} of {outbox.endpoints} endpoints fail and are paused" if outbox.paused else ""
    dead = f"; {outbox.dead} given up (`webhooks log --state dead`)" if outbox.dead else ""
    return f"{outbox.pending} to deliver{oldest}{dead}{paused}"


def _job_row(job: JobRow, now: int) -> tuple[str | None, ...]:
    last = None if job.last_ended is None else _ago(job.last_ended, now)
    due = next_run(job, now)
    upcoming = "when asked" if due is None else "now" if due <= now else _ahead(due, now)
    state = "paused" if job.paused else "running" if is_running(job, now) else upcoming
    return job.name, last, state, job.last_error or _gist(job.progress)


def _gist(progress: dict[str, Any]) -> str:
    """The plain values of a job's progress."""
    plain = {key: value for key, value in progress.items() if isinstance(value, str | int) and key != "at"}
    if isinstance(plain.get("until"), int):
        plain["until"] = moment(int(plain["until"]))
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in plain.items())


def _ago(at: int, now: int) -> str:
    return f"{duration_in_words(max(0, now - at) / 1000)} ago"


def _ahead(at: int, now: int) -> str:
    return f"in {duration_in_words((at - now) / 1000)}"


def _runs_of(session: Session, key: str, limit: int) -> list[SyncRunRow]:
    number = resolve_key(session, key)
    if number:
        return read_runs(session, number, limit)
    for kind in Kind:
        runs = read_runs(session, key, limit, kind=kind)
        if runs:
            return runs
    return []


def _callouts_of(session: Session, key: str | None, verdict: str | None, limit: int) -> list[CalloutRow]:
    row = CalloutRow
    statement = select(row)
    if key is not None:
        number = resolve_key(session, key) or key
        aliases = select(SubscriptionAliasRow.alias).where(SubscriptionAliasRow.number == number)
        statement = statement.where(or_(col(row.key).in_((key, number)), col(row.key).in_(aliases)))
    if verdict is not None:
        statement = statement.where(row.verdict == verdict)
    return list(session.exec(statement.order_by(col(row.received_at).desc(), col(row.id).desc()).limit(limit)))


def _callout_in_words(row: CalloutRow) -> str:
    said = {
        "order": row.order_number,
        "source": row.source,
        "made by": row.created_by,
        "notification": row.notification_id,
    }
    return "; ".join(filter(None, [row.reason, ", ".join(f"{name} {value}" for name, value in said.items() if value)]))
