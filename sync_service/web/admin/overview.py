"""The first page: is everything in step, how does Zuora do, and what needs a person?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Blueprint, render_template

from sync_service.queue.backlog import Backlog, read_backlog
from sync_service.queue.findings import Finding, Verdict, from_progress
from sync_service.queue.health import DAY_MS, HOUR_MS, Intake, describe_check, examine
from sync_service.queue.heartbeats import Role
from sync_service.queue.held import count_held
from sync_service.queue.jobs import list_jobs
from sync_service.queue.limit import read_limit
from sync_service.store.engine import Session
from sync_service.store.tables import JobRow
from sync_service.web.admin.desk import Desk
from sync_service.web.admin.drawing import draw_bars
from sync_service.web.admin.job_views import view_jobs

HOURS = 24

_KIND_OF = {"failed": "bad", "retried": "warn", "held": "warn", "changed": "good", "imported": "good"}
_RUNS = """
SELECT CAST((:now - ended_at) / 3600000 AS INTEGER) AS hours_ago, outcome, count(*) AS runs FROM sync_run
WHERE ended_at > :now - 86400000 GROUP BY 1, 2
"""


@dataclass(frozen=True)
class Headline:
    """The state of everything in one line and one sentence."""

    tone: str
    title: str
    text: str


_TONES = {Verdict.OK: "good", Verdict.NOT_CHECKED: "calm", Verdict.WARNING: "warn", Verdict.FAILED: "bad"}
_ZUORA_WORDS = {
    Verdict.OK: "Answers",
    Verdict.NOT_CHECKED: "Not asked yet",
    Verdict.WARNING: "Needs a look",
    Verdict.FAILED: "Cannot be used",
}
#: Complaints that the headline names.
_MAX_NAMED = 3


def attach(blueprint: Blueprint, desk: Desk) -> None:
    """The address /admin."""

    @blueprint.get("")
    @blueprint.get("/")
    def overview() -> str:
        with desk.database.reading() as session:
            backlog = read_backlog(session)
            limit = read_limit(session, desk.share)
            held = count_held(session)
            findings = examine(session, desk.settings)
            rows = list_jobs(session)
            hours, outcomes = _read_hours(session)
            callouts = Intake(session, limit.now - DAY_MS)
        check = next((row for row in rows if row.name == "check"), None)
        checked = describe_check(check, limit.now)
        complaints = [*findings, checked, *_found_elsewhere(findings, check)]
        jobs = view_jobs(rows, limit.now)
        bars, top = draw_bars(hours)
        return render_template(
            "admin/overview.html",
            backlog=backlog,
            limit=limit,
            held=held,
            sweeps=[job for job in jobs if job.kind == "sweep"],
            backfills=[job for job in jobs if job.kind == "backfill" and job.is_underway],
            troubled=[job for job in jobs if job.error and job.kind != "backfill"],
            processes=[(each, _TONES[each.verdict]) for each in findings if each.name in set(Role)],
            checked=checked,
            unwell=[each for each in complaints if each.verdict in (Verdict.WARNING, Verdict.FAILED)],
            check_tone=_TONES[_worst(complaints)],
            bars=bars,
            top=top,
            hours=hours,
            outcomes=outcomes,
            callouts=callouts,
            verdict=summarise(complaints, backlog),
            **_view_zuora(findings),
        )


def _view_zuora(findings: Sequence[Finding]) -> dict[str, str]:
    zuora = next(each for each in findings if each.name == "zuora")
    tone, word = _TONES[zuora.verdict], _ZUORA_WORDS[zuora.verdict]
    return {"zuora_tone": tone, "zuora_word": word, "zuora_text": zuora.says}


def _found_elsewhere(findings: Sequence[Finding], check: JobRow | None) -> list[Finding]:
    """What the last check found out by asking Zuora and this machine; what the database tells is known better now."""
    known = {each.name for each in findings}
    return [each for each in from_progress(check.progress if check else {}) if each.name not in known]


def _worst(findings: Sequence[Finding]) -> Verdict:
    order = (Verdict.FAILED, Verdict.WARNING, Verdict.NOT_CHECKED, Verdict.OK)
    return min((each.verdict for each in findings), key=order.index, default=Verdict.OK)


def summarise(findings: Sequence[Finding], backlog: Backlog) -> Headline:
    """The worst of `findings`, by name; only if all are well, whether there is work to do."""
    zuora = next(each for each in findings if each.name == "zuora")
    if zuora.verdict is Verdict.FAILED and backlog.waiting:
        return Headline("bad", "Waiting for Zuora", f"{backlog.waiting} requests are kept. {zuora.says}")
    # Permissions that cannot be tried and the like are no news: only silence of Zuora and of the checks is.
    if zuora.verdict is Verdict.NOT_CHECKED and _worst(findings) is Verdict.NOT_CHECKED:
        return Headline("calm", "Not known yet", zuora.says)
    for verdict, title in ((Verdict.FAILED, "Something is wrong"), (Verdict.WARNING, "Something needs a look")):
        bad = [each.says for each in findings if each.verdict is verdict]
        if bad:
            more = f" And {len(bad) - _MAX_NAMED} more." if len(bad) > _MAX_NAMED else ""
            return Headline(_TONES[verdict], title, " ".join(bad[:_MAX_NAMED]) + more)
    if backlog.waiting or backlog.running:
        return Headline("good", "Catching up", f"{backlog.waiting} waiting, {backlog.running} running.")
    return Headline("good", "Everything is in step", "Nothing waits, nothing failed, nothing is held.")


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
