"""How the whole service does, from the database alone: the same facts in the same words wherever they are told.

The pages, `status`, `check` and an API caller whose request waits are told at length; five lights on every page say it
by a few bounded reads. Well is only what was seen lately: silence is a finding of its own, and never a green light.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sqlmodel import col, select

from sync_service.queue.backlog import Backlog, read_backlog
from sync_service.queue.jobs import list_jobs
from sync_service.queue.limit import Limit, Share, read_limit
from sync_service.queue.runs.held import count_held
from sync_service.queue.status.findings import Finding, Severity, from_progress, worst
from sync_service.queue.status.heartbeats import GONE_MS, ProcessRole, read_last_seen
from sync_service.settings import Settings
from sync_service.store.engine import Session
from sync_service.store.statement import within
from sync_service.store.tables import CalloutRow, JobRow, SubscriptionRow
from sync_service.subscription.pace import duration_in_words

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
#: A due request should not wait longer; one that waits far longer is not being served.
MAX_WAIT_MS, LOST_WAIT_MS = MINUTE_MS, 30 * MINUTE_MS
#: Sweeps ask Zuora every 15 minutes.
MAX_SILENCE_MS = 60 * MINUTE_MS
#: The job that checks, which asks Zuora too. A check is made every hour.
CHECK = "check"
MAX_CHECK_AGE_MS = 2 * HOUR_MS
#: Of the callouts of a day, the part with an impossible key that is a broken template and not one slip.
_BROKEN_SHARE = 0.1
_OVERDUE_MS = 60 * MINUTE_MS
_START = {
    ProcessRole.WORKER: "Start one: `sync-service worker`, or `sync-service run` for everything.",
    ProcessRole.SCHEDULER: "Start one: `sync-service scheduler`, or `sync-service run` for everything.",
}
# The moment as a value: with the clock in the statement both databases would read the whole table.
_CALLOUTS = """
SELECT
  (SELECT received_at FROM callout WHERE verdict <> 'rejected' ORDER BY received_at DESC LIMIT 1) AS last,
  count(CASE WHEN verdict = 'accepted' THEN 1 END) AS accepted,
  count(CASE WHEN verdict = 'ignored' THEN 1 END) AS ignored,
  count(CASE WHEN verdict = 'rejected' THEN 1 END) AS rejected,
  count(CASE WHEN reason_code = 'impossible key' THEN 1 END) AS broken
FROM callout WHERE received_at > :since
"""

_MADE_BY_LIMIO = select(SubscriptionRow.id).where(col(SubscriptionRow.external).is_(False)).limit(1)


class CalloutsReceived:
    """The callouts since a moment, and when the last one came whose credentials were right."""

    def __init__(self, session: Session, since: int) -> None:
        row = session.run(_CALLOUTS, {"since": since}).one()
        self.last: int | None = row.last
        self.accepted: int = row.accepted
        self.ignored: int = row.ignored
        self.rejected: int = row.rejected
        self.broken: int = row.broken


def examine(session: Session, settings: Settings, received: CalloutsReceived | None = None) -> list[Finding]:
    """Everything that the database tells. Nothing is asked of Zuora. `received`: the last day's callouts, if known."""
    limit = read_limit(session, Share.of(settings))
    backlog = read_backlog(session)
    found = [
        describe_process(session, ProcessRole.WORKER, limit.now),
        describe_process(session, ProcessRole.SCHEDULER, limit.now),
        describe_zuora(limit, is_configured=settings.reaches_zuora),
        *_describe_budget(limit),
        describe_queue(backlog),
        *_describe_decisions(backlog, count_held(session)),
        *_describe_store(session),
        *_describe_callouts(session, settings, limit.now, received or CalloutsReceived(session, limit.now - DAY_MS)),
        *_describe_jobs(session, limit.now),
    ]
    return [replace(each, is_of_store=True) for each in found]


def read_findings(session: Session, settings: Settings, received: CalloutsReceived | None = None) -> list[Finding]:
    """What the database tells now, and what the last check found by asking Zuora and this machine.

    Whatever the check had from the database is left out: what was put right since must not be complained of.
    `received`: the last day's callouts, where they were counted a moment ago.
    """
    told = examine(session, settings, received)
    known = {each.name for each in told}
    check = session.look_up(JobRow, name=CHECK)
    asked = from_progress(check.progress) if check is not None else []
    return [*told, *(each for each in asked if not each.is_of_store and each.name not in known)]


def describe_zuora(limit: Limit, *, is_configured: bool = True) -> Finding:
    """How Zuora does, as far as our calls tell."""
    row, name = limit.row, "zuora"
    if not is_configured:
        remedy = "Set ZUORA_BASE_URL, ZUORA_CLIENT_ID and ZUORA_CLIENT_SECRET."
        return Finding(name, Severity.FAILED, "The tenant's address or credentials are not set.", remedy)
    trouble = _sentence(row.trouble_text or row.trouble_code or "The last call failed.")
    if limit.is_paused:
        wait = duration_in_words(((row.open_until or 0) - limit.now) / 1000)
        words = f"Zuora cannot be used: {trouble} Everything waits; the next try is in {wait}."
        return Finding(name, Severity.FAILED, words, "Nothing is lost; what the message names may need you.")
    if row.trouble:
        words = f"Zuora had trouble: {trouble} One request at a time tries whether it is over."
        return Finding(name, Severity.WARNING, words, "Nothing is lost; what the message names may need you.")
    if row.permitted < limit.share.max_concurrency:
        words = f"Zuora asked us to slow down: {row.permitted} of {limit.share.max_concurrency} at a time for now."
        return Finding(name, Severity.WARNING, words, "It recovers by itself.")
    if row.answered_at is None:
        return Finding(name, Severity.NOT_CHECKED, "Zuora was not asked yet.", _START[ProcessRole.WORKER])
    ago = _ago(limit.now, row.answered_at)
    if limit.now - row.answered_at > MAX_SILENCE_MS:
        return Finding(name, Severity.WARNING, f"Zuora last answered {ago}.", "`check` asks it now.", row.answered_at)
    return Finding(name, Severity.OK, f"Zuora answered {ago}.", at=row.answered_at)


def describe_process(session: Session, role: ProcessRole, now: int) -> Finding:
    """Whether a process with `role` runs."""
    seen = read_last_seen(session, role)
    if seen is None:
        return Finding(role.value, Severity.WARNING, f"No {role} has run yet.", _START[role])
    if now - seen > GONE_MS:
        words = f"No {role} runs: the last one was seen {_ago(now, seen)}."
        return Finding(role.value, Severity.FAILED, words, _START[role], seen)
    return Finding(role.value, Severity.OK, f"A {role} runs.", at=seen)


def describe_queue(backlog: Backlog) -> Finding:
    """Whether what is due is served."""
    age = backlog.oldest_ms or 0
    oldest = f"; the oldest has waited {duration_in_words(age / 1000)}" if backlog.oldest_ms is not None else ""
    retried = f", {backlog.backing_off} to be tried again" if backlog.backing_off else ""
    words = (
        f"{'At least ' if backlog.is_cut else ''}{backlog.waiting} waiting{retried}, {backlog.running} running{oldest}."
    )
    if age <= MAX_WAIT_MS:
        return Finding("queue", Severity.OK, words)
    remedy = "If workers run, more threads or hosts of `sync-service worker` serve it faster."
    return Finding("queue", Severity.FAILED if age > LOST_WAIT_MS else Severity.WARNING, words, remedy)


def describe_check(job: JobRow | None, now: int) -> Finding:
    """Whether the last check is recent; what it found is kept with it."""
    remedy = "`check` checks now; a scheduler does it every hour."
    if job is None or not job.progress.get("findings"):
        return Finding("last check", Severity.NOT_CHECKED, "Nothing was checked yet.", remedy)
    at = int(job.progress.get("at") or job.last_ended or 0)
    verdict = Severity.WARNING if now - at > MAX_CHECK_AGE_MS else Severity.OK
    return Finding("last check", verdict, f"The last check was {_ago(now, at)}.", remedy)


def tell_obstacle(session: Session, share: Share) -> str | None:
    """Why what is due is not taken up just now, in words; None where workers take it comes."""
    limit = read_limit(session, share)
    if limit.is_paused or limit.row.trouble:
        return describe_zuora(limit).says
    for budget in _describe_budget(limit):
        return budget.says
    if limit.room == 0:
        return f"All {limit.live} call slots are in use, or were by a worker that died in the last minute and a half."
    return None


def _describe_budget(limit: Limit) -> Iterator[Finding]:
    if limit.is_kept_for_people:
        words = (
            f"{limit.calls_today} of today's {limit.share.daily_calls} calls are used: until midnight UTC only what"
            " people ask for is synced."
        )
        yield Finding("budget", Severity.WARNING, words, "Raise ZUORA_DAILY_CALLS, or wait for midnight UTC.")


def _describe_decisions(backlog: Backlog, held: int) -> Iterator[Finding]:
    if backlog.failed:
        remedy = "`failed list` shows why; `failed retry KEY` tries again."
        yield Finding("failed syncs", Severity.WARNING, f"Given up: {backlog.failed}.", remedy)
    if held:
        remedy = "`held list` shows them; `held release KEY` or `held drop KEY` decides."
        yield Finding("held plans", Severity.WARNING, f"Plans that wait for a person's decision: {held}.", remedy)


def _describe_store(session: Session) -> Iterator[Finding]:
    if not has_loaded(session):
        words = "Nothing of Limio's was loaded: every subscription would be imported as made outside of Limio."
        yield Finding("store", Severity.WARNING, words, "`load FILE` takes Limio's objects.")


def has_loaded(session: Session) -> bool:
    """Whether the store has a subscription that Limio itself made; what syncs import is marked as external."""
    return session.run(_MADE_BY_LIMIO).first() is not None


def _describe_callouts(session: Session, settings: Settings, now: int, intake: CalloutsReceived) -> Iterator[Finding]:
    if not any((settings.callout_username, settings.callout_hmac_secret, settings.callout_secret)):
        remedy = "Set CALLOUT_USERNAME and CALLOUT_PASSWORD, or make a client with `client add NAME --callout`."
        words = "No credentials are set that a callout could show."
        yield Finding("callout credentials", Severity.WARNING, words, remedy)
    received = intake.accepted + intake.ignored
    yield describe_arriving(intake.last, now, received=received)
    if intake.rejected:
        # A warning whatever their number: anyone may send wrong credentials.
        words = f"Wrong callout credentials in the last day: {intake.rejected} requests beside {received} callouts."
        remedy = "If Zuora sent them, compare its callout template with CALLOUT_*; `callouts log --verdict rejected`."
        yield Finding("rejected callouts", Severity.WARNING, words, remedy)
    if not intake.broken:
        yield Finding("broken keys", Severity.OK, "Every callout of the last day had a possible key.")
        return
    words = f"Impossible keys in the last day: {intake.broken} of {received} callouts, such as {_broken(session)}."
    verdict = Severity.FAILED if intake.broken > received * _BROKEN_SHARE else Severity.WARNING
    remedy = "A merge field of the template did not resolve: correct the address in it (docs/zuora-setup.md)."
    yield Finding("broken keys", verdict, words, remedy)


def describe_arriving(last: int | None, now: int, *, received: int | None = None) -> Finding:
    """Whether callouts come: when the `last` one came, and how many were `received` in a day, where that is known."""
    name, remedy = "callouts arriving", "Set up the callout in Zuora (docs/zuora-setup.md); sweeps find changes later."
    if last is None:
        return Finding(name, Severity.WARNING, "No callout has ever arrived.", remedy)
    ago = _ago(now, last)
    if now - last > DAY_MS:
        return Finding(name, Severity.WARNING, f"The last callout came {ago}.", remedy, last)
    if received is None:
        return Finding(name, Severity.OK, f"The last callout came {ago}.", at=last)
    noun = "callout" if received == 1 else "callouts"
    return Finding(name, Severity.OK, f"{received} {noun} in the last day, the last one {ago}.", at=last)


def _broken(session: Session) -> str:
    row = CalloutRow
    latest = select(row.key).where(row.verdict == "ignored", row.reason_code == "impossible key")
    return repr((session.exec(latest.order_by(col(row.id).desc()).limit(1)).first() or "")[:40])


def _describe_jobs(session: Session, now: int) -> Iterator[Finding]:
    return (found for job in list_jobs(session) if (found := describe_job(job, now)) is not None)


def describe_job(job: JobRow, now: int) -> Finding | None:
    """What is the matter with a job; None where it goes as it should."""
    name = f"job {job.name}"
    error = f"Its last run failed: {_sentence(job.last_error)}" if job.last_error else ""
    running = job.lease_until is not None and job.lease_until > now
    if job.paused:
        return Finding(name, Severity.WARNING, f"It is paused. {error}".strip(), "Resume it on the page Jobs.")
    if error:
        return Finding(name, Severity.WARNING, error, "It is tried again; `status` shows when.")
    if not running and now - job.due_at > _OVERDUE_MS:
        words = f"It has been due for {duration_in_words((now - job.due_at) / 1000)}."
        return Finding(name, Severity.WARNING, words, _START[ProcessRole.SCHEDULER])
    return None


def _ago(now: int, at: int) -> str:
    return f"{duration_in_words(max(0, now - at) / 1000)} ago"


def _sentence(text: str | None) -> str:
    """`text` with one full stop at its end."""
    return f"{(text or '').rstrip().rstrip('.')}."


#: More rows than this are not counted.
MAX_COUNTED = 1000
_SWEEPS = ("sweep delta", "sweep full")
_JOBS = select(JobRow).where(within(JobRow.name, "names")).order_by(col(JobRow.name))
# Each verdict by itself: an index has its callouts by their time.
_LAST_CALLOUT = """
SELECT max(last.received_at) FROM (
  SELECT * FROM (
    SELECT received_at FROM callout WHERE verdict = 'accepted' ORDER BY received_at DESC LIMIT 1) AS accepted
  UNION ALL
  SELECT * FROM (
    SELECT received_at FROM callout WHERE verdict = 'ignored' ORDER BY received_at DESC LIMIT 1) AS ignored
) AS last
"""
_QUEUE = """
SELECT
  (SELECT count(*) FROM (SELECT 1 FROM sync_request WHERE due_at IS NOT NULL LIMIT :most) AS open) AS open,
  (SELECT waiting_since FROM sync_request
   WHERE due_at IS NOT NULL AND due_at <= {now} AND (lease_until IS NULL OR lease_until <= {now})
   ORDER BY waiting_since LIMIT 1) AS oldest
"""


def read_lights(session: Session, settings: Settings) -> tuple[Finding, ...]:
    """Callouts, the queue, workers, Zuora and sweeps, in this order. Nothing is asked of Zuora."""
    limit = read_limit(session, Share.of(settings))
    now = limit.now
    return (
        replace(describe_arriving(session.run(_LAST_CALLOUT).scalar_one(), now), name="callouts"),
        _describe_queue(session, now),
        replace(describe_process(session, ProcessRole.WORKER, now), name="workers"),
        describe_zuora(limit, is_configured=settings.reaches_zuora),
        _describe_sweeps(session, now),
    )


def _describe_queue(session: Session, now: int) -> Finding:
    row = session.run(_QUEUE, {"most": MAX_COUNTED}).one()
    if not row.open:
        return Finding("queue", Severity.OK, "Nothing waits.")
    counted = f"{row.open:,} waiting or running" if row.open < MAX_COUNTED else f"{MAX_COUNTED:,} and more waiting"
    if row.oldest is None:
        return Finding("queue", Severity.OK, f"{counted}; nothing is due.")
    age = max(0, now - row.oldest)
    verdict = Severity.FAILED if age > LOST_WAIT_MS else Severity.WARNING if age > MAX_WAIT_MS else Severity.OK
    return Finding(
        "queue", verdict, f"{counted}; the oldest has waited {duration_in_words(age / 1000)}.", at=row.oldest
    )


def _describe_sweeps(session: Session, now: int) -> Finding:
    """The scheduler that makes them, and how they go."""
    jobs = session.run(_JOBS, {"names": _SWEEPS}).all()
    ended = max((job.last_ended for job in jobs if job.last_ended is not None), default=None)
    found = [
        describe_process(session, ProcessRole.SCHEDULER, now),
        *filter(None, (describe_job(job, now) for job in jobs)),
    ]
    bad = worst(found)
    if bad.verdict is not Severity.OK:
        of = f"{bad.name.removeprefix('job ').capitalize()}: " if bad.name.startswith("job ") else ""
        return replace(bad, name="sweeps", says=f"{of}{bad.says}", at=ended)
    if ended is None:
        return Finding("sweeps", Severity.NOT_CHECKED, "A scheduler runs; no sweep has ended yet.")
    return Finding("sweeps", Severity.OK, f"A sweep ended {duration_in_words((now - ended) / 1000)} ago.", at=ended)
