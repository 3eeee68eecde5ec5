"""The first page: is everything in step, how does Zuora do, and what needs a person?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, render_template

from sync_service.queue.backlog import Backlog, read_backlog
from sync_service.queue.findings import Verdict, from_progress
from sync_service.queue.held import count_held
from sync_service.queue.jobs import list_jobs
from sync_service.queue.limit import Limit, read_limit
from sync_service.store.engine import Session
from sync_service.web.admin.desk import Desk
from sync_service.web.admin.drawing import draw_bars
from sync_service.web.admin.job_views import JobView, view_jobs

HOUR_MS = 3_600_000
HOURS = 24
#: Longer than this a due request should not wait.
SLOW_MS = 60_000

_KIND_OF = {"failed": "bad", "retried": "warn", "held": "warn", "changed": "good", "imported": "good"}
_RUNS = """
SELECT CAST((:now - ended_at) / 3600000 AS INTEGER) AS hours_ago, outcome, count(*) AS runs FROM sync_run
WHERE ended_at > :now - 86400000 GROUP BY 1, 2
"""
# Grouped by what no index orders: SQLite would rather read all verdicts than sort those of a day.
_CALLOUTS = """
SELECT verdict || '' AS verdict, count(*) AS callouts FROM callout WHERE received_at > :now - 86400000 GROUP BY 1
"""


@dataclass(frozen=True)
class Health:
    """Zuora's health in plain words."""

    tone: str
    headline: str
    text: str


def attach(blueprint: Blueprint, desk: Desk) -> None:
    """The address /admin."""

    @blueprint.get("")
    @blueprint.get("/")
    def overview() -> str:
        with desk.database.reading() as session:
            backlog = read_backlog(session)
            limit = read_limit(session, desk.share)
            held = count_held(session)
            jobs = view_jobs(list_jobs(session), limit.now)
            hours, outcomes = _read_hours(session)
            callouts = _read_callouts(session)
        bars, top = draw_bars(hours)
        check = _read_check(jobs)
        return render_template(
            "admin/overview.html",
            backlog=backlog,
            limit=limit,
            held=held,
            sweeps=[job for job in jobs if job.kind == "sweep"],
            backfills=[job for job in jobs if job.kind == "backfill" and job.is_underway],
            troubled=[job for job in jobs if job.error and job.kind != "backfill"],
            check=check,
            bars=bars,
            top=top,
            hours=hours,
            outcomes=outcomes,
            callouts=callouts,
            verdict=_verdict(backlog, limit, held, check),
            health=describe_zuora(limit),
        )


def describe_zuora(limit: Limit) -> Health:
    """How Zuora does, as far as our calls tell."""
    row = limit.row
    if limit.is_paused:
        seconds = max(1, ((row.open_until or 0) - limit.now) // 1000)
        return Health("bad", "Zuora is paused", f"{row.trouble_text or row.trouble_code}. Next probe in {seconds} s.")
    if row.trouble > 0:
        return Health("warn", "Zuora is being probed", f"{row.trouble_text or row.trouble_code}.")
    if limit.is_kept_for_people:
        return Health(
            "warn", "The day's calls are nearly spent", "Only what people ask for is synced until midnight UTC."
        )
    if row.permitted < limit.share.max_concurrency:
        text = f"Zuora asked us to slow down: {row.permitted} of {limit.share.max_concurrency} calls at a time for now."
        return Health("warn", "Zuora is recovering", text)
    return Health("good", "Zuora answers", "No trouble is known.")


@dataclass(frozen=True)
class CheckState:
    """What the last check found, at a glance."""

    failed: tuple[str, ...]
    warned: tuple[str, ...]
    at: int | None


def _read_check(jobs: Sequence[JobView]) -> CheckState | None:
    """None before the first check."""
    job = next((job for job in jobs if job.name == "check"), None)
    findings = from_progress(job.progress) if job else []
    if job is None or not findings:
        return None
    by = {verdict: tuple(each.name for each in findings if each.verdict is verdict) for verdict in Verdict}
    return CheckState(by[Verdict.FAILED], by[Verdict.WARNING], job.ended)


def _verdict(backlog: Backlog, limit: Limit, held: int, check: CheckState | None) -> Health:
    oldest = backlog.oldest_ms or 0
    if limit.is_paused:
        return Health(
            "bad", "Waiting for Zuora", f"{backlog.waiting} requests are kept and run when Zuora answers again."
        )
    if oldest > SLOW_MS:
        text = "Requests wait longer than they should: are enough workers running?"
        return Health("warn", "Running behind", text)
    if check and check.failed:
        return Health("bad", "A check fails", f"{', '.join(check.failed[:3])}: see Settings and checks for what to do.")
    if backlog.failed or held:
        return Health("warn", "Something needs a person", "Everything else is in step.")
    if backlog.waiting or backlog.running:
        return Health("good", "Catching up", f"{backlog.waiting} waiting, {backlog.running} running.")
    return Health("good", "Everything is in step", "Nothing waits, nothing failed, nothing is held.")


def _read_hours(session: Session) -> tuple[list[tuple[str, dict[str, int]]], Counter[str]]:
    """Runs of the last day by hour, oldest first, and by outcome."""
    by_hour: list[Counter[str]] = [Counter() for _ in range(HOURS)]
    outcomes: Counter[str] = Counter()
    now = session.now()  # as a value: for an expression no index would be used
    for ago, outcome, runs in session.run(_RUNS, {"now": now}):
        by_hour[min(max(0, int(ago)), HOURS - 1)][_KIND_OF.get(outcome, "calm")] += runs
        outcomes[outcome] += runs
    labels = [datetime.fromtimestamp((now - ago * HOUR_MS) / 1000, UTC) for ago in range(HOURS)]
    hours = [(f"{label:%H:%M}", dict(counts)) for label, counts in zip(labels, by_hour, strict=True)]
    return hours[::-1], outcomes


def _read_callouts(session: Session) -> dict[str, int]:
    rows: Any = session.run(_CALLOUTS, {"now": session.now()})
    return {row.verdict: row.callouts for row in rows}
