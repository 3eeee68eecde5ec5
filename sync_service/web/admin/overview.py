"""The page Now: is everything in step, what needs a person, and how it went in the last hour, day, week or month."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flask import Blueprint, g, render_template, request

from sync_service.queue.backlog import Backlog, read_backlog
from sync_service.queue.jobs import list_jobs
from sync_service.queue.limit import Limit, read_limit
from sync_service.queue.runs.held import count_held
from sync_service.queue.status.figures import Figures, add_up, read_figures
from sync_service.queue.status.findings import Finding, Severity, worst
from sync_service.queue.status.health import CHECK, describe_check, has_loaded, read_findings
from sync_service.queue.status.heartbeats import ProcessRole, read_last_seen
from sync_service.settings import Settings
from sync_service.store.engine import Session
from sync_service.store.tables import JobRow
from sync_service.web.admin.charts import RANGES, Axis, in_seconds
from sync_service.web.admin.context import PageContext
from sync_service.web.admin.frame import TONES
from sync_service.web.admin.job_views import view_jobs
from sync_service.web.admin.words import clock

#: Complaints that the headline names.
_MAX_NAMED = 3
_ZUORA_WORDS = {
    Severity.OK: "Answers",
    Severity.NOT_CHECKED: "Not asked yet",
    Severity.WARNING: "Needs a look",
    Severity.FAILED: "Cannot be used",
}


@dataclass(frozen=True)
class Headline:
    """The state of everything in one line and one sentence."""

    tone: str
    title: str
    text: str


@dataclass(frozen=True)
class SetupStep:
    """One thing to do before the service is of use."""

    is_done: bool
    title: str
    #: How, in words and with commands.
    how: str


def attach(blueprint: Blueprint, context: PageContext) -> None:
    """The address /admin."""

    @blueprint.get("")
    @blueprint.get("/")
    def overview() -> str:
        chosen = RANGES.get(request.args.get("range", ""), RANGES["day"])
        axis = Axis.until(chosen, clock())
        with context.database.reading() as session:
            backlog = read_backlog(session)
            limit = read_limit(session, context.share)
            held = count_held(session)
            findings = read_findings(session, context.settings, g.frame.callouts)
            rows = list_jobs(session)
            steps = tuple(_steps(session, context.settings, limit))
            read = read_figures(session, chosen.span, axis.first, limit.now + 1)
            figures = add_up(read, chosen.step)
        check = next((row for row in rows if row.name == CHECK), None)
        checked = describe_check(check, limit.now)
        complaints = [*findings, checked]
        zuora = next(each for each in findings if each.name == "zuora")
        jobs = view_jobs(rows, limit.now)
        return render_template(
            "admin/overview.html",
            backlog=backlog,
            limit=limit,
            held=held,
            zuora=zuora,
            zuora_tone=TONES[zuora.verdict],
            zuora_word=_ZUORA_WORDS[zuora.verdict],
            sweeps=[job for job in jobs if job.kind == "sweep"],
            backfills=[job for job in jobs if job.is_wished and job.is_underway],
            troubled=[job for job in jobs if job.error and job.kind == "other"],
            processes=[(each, TONES[each.verdict]) for each in findings if each.name in set(ProcessRole)],
            checked=checked,
            unwell=[each for each in complaints if each.verdict in (Severity.WARNING, Severity.FAILED)],
            check_tone=TONES[worst(complaints).verdict],
            verdict=summarise(complaints, backlog),
            steps_to_do=steps if not all(step.is_done for step in steps) else (),
            **_view_figures(axis, figures, _counted_to(rows)),
        )


def _view_figures(axis: Axis, figures: Mapping[int, Figures], counted_to: int | None) -> dict[str, object]:
    total = Figures()
    for each in figures.values():
        total.add(each)
    half, most = total.within(0.5), total.within(0.95)
    return {
        "ranges": RANGES,
        "axis": axis,
        "took": axis.draw_took(figures),
        "runs": axis.draw_runs(figures),
        "drift": axis.draw_drift(figures),
        "total": total,
        "half": None if half is None else in_seconds(half),
        "most": None if most is None else in_seconds(most),
        "outcomes": Counter(total.outcomes).most_common(),
        "counted_to": counted_to,
    }


def _counted_to(rows: Sequence[JobRow]) -> int | None:
    """Up to when the figures are complete; None where no scheduler has counted any."""
    job = next((row for row in rows if row.name == "figures"), None)
    counted = job.progress.get("counted_to") if job else None
    return counted if isinstance(counted, int) else None


def _steps(session: Session, settings: Settings, limit: Limit) -> Iterator[SetupStep]:
    """What a new service needs, in the order of doing it."""
    yield SetupStep(
        settings.reaches_zuora, "Zuora is configured", "Set ZUORA_BASE_URL, ZUORA_CLIENT_ID, ZUORA_CLIENT_SECRET."
    )
    yield SetupStep(
        has_loaded(session), "Limio's objects are loaded", "“sync-service load FILE” takes them, one a line."
    )
    for role in (ProcessRole.WORKER, ProcessRole.SCHEDULER):
        seen = read_last_seen(session, role) is not None
        yield SetupStep(
            seen, f"A {role} has run", f"Start one: “sync-service {role}”, or “sync-service run” for everything."
        )
    yield SetupStep(
        limit.row.answered_at is not None, "Zuora has answered", "Sync one subscription: its page has the button."
    )
    credentials = bool(settings.callout_username or settings.callout_hmac_secret or settings.callout_secret)
    yield SetupStep(credentials, "Callouts can show who they are", "Set CALLOUT_USERNAME and CALLOUT_PASSWORD.")
    came = session.run("SELECT 1 FROM callout WHERE verdict = 'accepted' LIMIT 1").first() is not None
    yield SetupStep(came, "The first callout has come", "“sync-service callouts install” sets Zuora up to send them.")


def summarise(findings: Sequence[Finding], backlog: Backlog) -> Headline:
    """The worst of `findings`, by name; only if all are well, whether there is work to do."""
    zuora = next(each for each in findings if each.name == "zuora")
    if zuora.verdict is Severity.FAILED and backlog.waiting:
        return Headline("bad", "Waiting for Zuora", f"{backlog.waiting} requests are kept. {zuora.says}")
    # Permissions that cannot be tried and the like are no news: only silence of Zuora and of the checks is.
    if zuora.verdict is Severity.NOT_CHECKED and worst(findings).verdict is Severity.NOT_CHECKED:
        return Headline("calm", "Not known yet", zuora.says)
    for verdict, title in ((Severity.FAILED, "Something is wrong"), (Severity.WARNING, "Something needs a look")):
        bad = [each.says for each in findings if each.verdict is verdict]
        if bad:
            more = f" And {len(bad) - _MAX_NAMED} more." if len(bad) > _MAX_NAMED else ""
            return Headline(TONES[verdict], title, " ".join(bad[:_MAX_NAMED]) + more)
    if backlog.waiting or backlog.running:
        return Headline("good", "Catching up", f"{backlog.waiting} waiting, {backlog.running} running.")
    came = next((each.says for each in findings if each.name == "callouts arriving"), "")
    return Headline("good", "Everything is in step", f"Nothing waits, nothing failed, nothing is held. {came}".strip())
