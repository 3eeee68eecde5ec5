"""What the database alone can tell: its schema and clock, what came in, what waits, and whether the jobs run."""

from __future__ import annotations

import time
from collections.abc import Iterator

from sqlalchemy.exc import SQLAlchemyError

from sync_service.errors import SchemaOutdated
from sync_service.queue.backlog import read_backlog
from sync_service.queue.findings import Finding, Verdict
from sync_service.queue.held import count_held
from sync_service.queue.jobs import list_jobs
from sync_service.queue.limit import Share, read_limit
from sync_service.settings import Settings
from sync_service.store.engine import Database, Session, tell_trouble
from sync_service.store.schema import check_schema
from sync_service.subscription.pace import duration_in_words

#: Clocks that differ by more are told of, and are a failure, in seconds.
CLOCK_WARNS, CLOCK_FAILS = 5.0, 30.0
#: A queue whose oldest due row waits longer is not being worked off, in ms.
QUEUE_WARNS_MS, QUEUE_FAILS_MS = 5 * 60_000, 30 * 60_000
#: Callouts are rare in small tenants; after a day without any somebody should look.
QUIET_MS = 86_400_000
#: The job that runs each minute shows whether a scheduler is there.
MINUTELY, MINUTELY_LATE_MS = "calendar", 10 * 60_000

# The moment as a value: with the clock in the statement both databases would read the whole table.
_CALLOUTS = """
SELECT
  (SELECT received_at FROM callout WHERE verdict <> 'rejected' ORDER BY received_at DESC LIMIT 1) AS last,
  count(CASE WHEN verdict = 'rejected' THEN 1 END) AS rejected,
  count(CASE WHEN verdict <> 'rejected' THEN 1 END) AS received
FROM callout WHERE received_at > :since
"""
_BROKEN = """
SELECT key, reason, count(*) AS times FROM callout
WHERE received_at > :since AND verdict = 'ignored' AND reason LIKE 'impossible key%'
GROUP BY key, reason ORDER BY times DESC, key LIMIT 5
"""


def check_database(database: Database) -> Iterator[Finding]:
    """Whether it answers and takes a write lock, is up to date, and agrees with this machine about the time."""
    try:
        with database.transaction(lock_timeout_ms=5_000) as session:
            host, now = time.time(), session.now() / 1000
    except (SQLAlchemyError, TimeoutError) as error:
        reason = tell_trouble(error) or type(getattr(error, "orig", None) or error).__name__
        yield Finding(
            "database", Verdict.FAILED, f"It cannot be used: {reason}.", "See DATABASE_URL and whether it is up."
        )
        return
    yield Finding("database", Verdict.OK, f"{database.dialect} answers and takes writes.")
    yield check_migrations(database)
    yield compare_clocks("clock", host - now, "this machine", "the database")


def check_migrations(database: Database) -> Finding:
    """Whether the schema is the one that this release needs."""
    try:
        check_schema(database)
    except SchemaOutdated as error:
        return Finding("migrations", Verdict.FAILED, str(error), "Run `sync-service db upgrade`.")
    return Finding("migrations", Verdict.OK, "The schema is up to date.")


def compare_clocks(name: str, seconds: float, ours: str, theirs: str) -> Finding:
    """`ours` is ahead of `theirs` by `seconds`."""
    apart = abs(seconds)
    verdict = Verdict.OK if apart < CLOCK_WARNS else Verdict.WARNING if apart < CLOCK_FAILS else Verdict.FAILED
    words = f"{ours} is {apart:.0f} s {'ahead of' if seconds > 0 else 'behind'} {theirs}."
    if verdict is Verdict.OK:
        return Finding(name, verdict, f"{ours[0].upper()}{ours[1:]} and {theirs} agree.")
    return Finding(name, verdict, f"{words[0].upper()}{words[1:]}", "Let both follow a time server (NTP).")


def check_intake(session: Session, settings: Settings) -> Iterator[Finding]:
    """Whether callouts can come in, do come in, and carry keys."""
    ways = (settings.callout_username, settings.callout_hmac_secret, settings.callout_secret)
    if not any(ways):
        remedy = "Set CALLOUT_USERNAME and CALLOUT_PASSWORD, or make a client with `client add NAME --callout`."
        yield Finding(
            "callout credentials", Verdict.WARNING, "No credentials are set that a callout could show.", remedy
        )
    now = session.now()
    last_day = {"since": now - QUIET_MS}
    row = session.run(_CALLOUTS, last_day).one()
    yield _arriving(row.last, now, row.received)
    if row.rejected:
        remedy = (
            "Compare the credentials in Zuora's callout template with CALLOUT_*; `callouts log --verdict rejected`."
        )
        yield Finding(
            "rejected callouts",
            Verdict.FAILED,
            f"{row.rejected} callouts of the last day had wrong credentials.",
            remedy,
        )
    broken = session.run(_BROKEN, last_day).all()
    if broken:
        shown = ", ".join(f"{each.key[:40]!r} ({each.times} times)" for each in broken)
        remedy = "A merge field of the template did not resolve: correct the address in it (docs/zuora-setup.md)."
        yield Finding(
            "broken keys", Verdict.FAILED, f"Callouts of the last day came with impossible keys: {shown}.", remedy
        )
    else:
        yield Finding("broken keys", Verdict.OK, "Every callout of the last day had a possible key.")


def check_work(session: Session, settings: Settings) -> Iterator[Finding]:
    """Whether what waits is worked off, and whether anything waits for a person."""
    backlog, now = read_backlog(session), session.now()
    limit = read_limit(session, Share(settings.zuora_max_concurrency, settings.zuora_daily_calls))
    age = backlog.oldest_ms or 0
    words = f"{backlog.waiting} wait, {backlog.running} run; the oldest has waited {duration_in_words(age / 1000)}."
    if limit.is_paused:
        yield Finding("zuora", Verdict.FAILED, f"All syncs are paused: {limit.row.trouble_text}", "See above.")
    verdict = Verdict.FAILED if age > QUEUE_FAILS_MS else Verdict.WARNING if age > QUEUE_WARNS_MS else Verdict.OK
    remedy = "Is a worker running? More threads or hosts of `sync-service worker` work it off faster."
    yield Finding("queue", verdict, words, None if verdict is Verdict.OK else remedy)
    if backlog.failed:
        remedy = "`failed list` shows why; `failed retry KEY` tries again."
        yield Finding("failed syncs", Verdict.WARNING, f"{backlog.failed} subscriptions were given up.", remedy)
    held = count_held(session)
    if held:
        remedy = "`held list` shows them; `held release KEY` or `held drop KEY` decides."
        yield Finding("held plans", Verdict.WARNING, f"{held} plans wait for a person's decision.", remedy)
    if limit.is_kept_for_people:
        words = (
            f"{limit.calls_today} of {settings.zuora_daily_calls} calls are used: only what people ask for is served."
        )
        yield Finding("budget", Verdict.WARNING, words, "Raise ZUORA_DAILY_CALLS, or wait for midnight UTC.")
    yield from _check_jobs(session, now)


def _arriving(last: int | None, now: int, received: int) -> Finding:
    remedy = "Set up the callout in Zuora (docs/zuora-setup.md); sweeps find changes meanwhile, later."
    if last is None:
        return Finding("callouts arriving", Verdict.WARNING, "No callout has ever come in.", remedy)
    ago = duration_in_words((now - last) / 1000)
    if now - last > QUIET_MS:
        return Finding("callouts arriving", Verdict.WARNING, f"The last callout came {ago} ago.", remedy)
    return Finding("callouts arriving", Verdict.OK, f"{received} callouts in the last day, the last one {ago} ago.")


def _check_jobs(session: Session, now: int) -> Iterator[Finding]:
    jobs = {job.name: job for job in list_jobs(session)}
    minutely = jobs.get(MINUTELY)
    if minutely is None or now - (minutely.last_ended or 0) > MINUTELY_LATE_MS:
        remedy = "Start one: `sync-service scheduler`, or `sync-service run` for everything."
        yield Finding("scheduler", Verdict.WARNING, "No scheduler has worked in the last ten minutes.", remedy)
    else:
        yield Finding("scheduler", Verdict.OK, "A scheduler is at work.")
    for job in jobs.values():
        error = f"its last run failed: {job.last_error}" if job.last_error else ""
        if job.paused:
            words = f"It is paused{', and ' if error else ''}{error or '.'}"
            yield Finding(f"job {job.name}", Verdict.WARNING, words, "Somebody paused it and may resume it.")
        elif error:
            words = f"{error[0].upper()}{error[1:]}"
            yield Finding(f"job {job.name}", Verdict.WARNING, words, "It is tried again; `status` shows when.")
