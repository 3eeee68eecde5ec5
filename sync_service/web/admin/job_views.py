"""Jobs as people look at them: sweeps, backfills and the rest, with what each found in words. Nothing is read here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sync_service.queue.history import FoundAs
from sync_service.store.tables import JobRow
from sync_service.subscription.pace import duration_in_words
from sync_service.web.admin.progress import PATIENCE_MS
from sync_service.web.admin.words import span

#: A job due that far ahead runs only on request.
_NEVER_MS = 10 * 365 * 86_400_000
_SWEEPS = {"sweep delta": "Delta sweep", "sweep full": "Full sweep"}
_ABOUT = {
    "sweep delta": "What Zuora updated since the last one, every 15 minutes.",
    "sweep full": "Everything that Zuora has, every week.",
}
_NAMED = {
    "drift_numbers": "Drift",
    "missing_from_load": "Missing from the load",
    "absent_numbers": "Read before, and no longer in Zuora's list",
}


@dataclass(frozen=True, kw_only=True)
class JobView:
    """One job on a page."""

    name: str
    title: str
    about: str
    #: sweep, backfill or other.
    kind: str
    #: good, warn, bad or calm, and the word beside the dot.
    tone: str
    state: str
    #: The next run; None if it runs only on request, or is not waiting.
    next_at: int | None
    is_running: bool
    #: Requested, and ends by itself.
    is_underway: bool
    is_paused: bool
    can_resume: bool
    began: int | None
    ended: int | None
    error: str | None
    #: How far, in words and as a share; no share if the end is not known.
    text: str
    value: int | None
    most: int | None
    #: Counts with their meaning.
    counts: tuple[tuple[str, int, str], ...]
    #: Subscriptions by name: the title, the numbers.
    named: tuple[tuple[str, tuple[str, ...]], ...]
    #: Given up: key and reason.
    failures: tuple[tuple[str, str], ...]
    #: What a sweep left out: how many, why.
    left_out: tuple[tuple[int, str], ...]
    progress: Mapping[str, Any]

    @property
    def found(self) -> Mapping[str, int]:
        """A sweep's drift and echo; empty before its first pages."""
        counts = {name: count for name, count, _ in self.counts}
        return {name: counts[name] for name in ("drift", "echo") if name in counts}


def view_jobs(rows: Iterable[JobRow], now: int) -> list[JobView]:
    """All jobs: sweeps first, then backfills with the latest first."""
    rows = list(rows)
    busy = next((row.name for row in rows if is_backfill(row) and _is_running(row, now)), None)
    views = [view_job(row, now, busy=busy) for row in rows]
    order = {"sweep": 0, "backfill": 1, "other": 2}
    return sorted(views, key=lambda view: (order[view.kind], -(view.began or now) if view.kind == "backfill" else 0))


def is_backfill(row: JobRow) -> bool:
    """Whether the job is a backfill."""
    return row.name.split(" ")[0] == "backfill"


def view_job(row: JobRow, now: int, *, busy: str | None = None) -> JobView:
    """One job; `busy` is the backfill that runs, if any: a scheduler runs one after the other."""
    kind = "sweep" if row.name in _SWEEPS else "backfill" if is_backfill(row) else "other"
    running = _is_running(row, now)
    is_due = row.due_at <= now
    tone, state = _state(row, kind, now, running=running)
    progress = row.progress
    total = progress.get("total") if kind == "backfill" else None
    settled = _whole(progress.get("done")) + _whole(progress.get("failed"))
    return JobView(
        name=row.name,
        title=_SWEEPS.get(row.name) or _title(row.name),
        about=_ABOUT.get(row.name, ""),
        kind=kind,
        tone=tone,
        state=state,
        next_at=row.due_at if now < row.due_at < now + _NEVER_MS and not row.paused else None,
        is_running=running,
        is_underway=not row.paused and (running or is_due),
        is_paused=row.paused,
        can_resume=row.paused,
        began=row.last_began,
        ended=row.last_ended,
        error=row.last_error,
        text=_text(row, kind, now, settled, total, running=running, busy=busy),
        value=settled if isinstance(total, int) else None,
        most=total if isinstance(total, int) and total > 0 else None,
        counts=_counts(progress, kind),
        named=tuple((title, _numbers(progress.get(key))) for key, title in _NAMED.items() if progress.get(key)),
        failures=_failures(progress),
        left_out=_left_out(progress),
        progress=progress,
    )


def _state(row: JobRow, kind: str, now: int, *, running: bool) -> tuple[str, str]:
    if row.paused:
        return "warn", "Paused"
    if running:
        return "good", "Running"
    if row.due_at <= now:
        return ("calm", "Part way, goes on soon") if row.cursor else ("calm", "Due now")
    if row.last_error:
        return "bad", "Ended with an error"
    if kind == "backfill":
        return ("bad", "Done, with failures") if _whole(row.progress.get("failed")) else ("good", "Done")
    return "calm", "Waiting"


def _is_running(row: JobRow, now: int) -> bool:
    return row.lease_until is not None and row.lease_until > now


def _text(row: JobRow, kind: str, now: int, settled: int, total: Any, *, running: bool, busy: str | None) -> str:
    if not running and row.due_at <= now and not row.paused:
        if kind == "backfill" and busy is not None:
            return f"Waits for “{_title(busy)}” to end."
        if now - row.due_at > PATIENCE_MS:
            return (
                f"Due for {span(now - row.due_at)}: no scheduler that reaches Zuora has taken it up."
                " “sync-service scheduler” starts one."
            )
    if kind == "backfill":
        return _backfill_text(row, now, settled, total, running=running)
    looked = row.progress.get("looked_at")
    if kind != "sweep" or not isinstance(looked, Mapping):
        return ""
    counts = ", ".join(f"{_whole(count):,} {what}" for what, count in looked.items() if _whole(count))
    return f"Looked at {counts or 'nothing'}{' so far' if running or row.cursor else ''}."


def _backfill_text(row: JobRow, now: int, settled: int, total: Any, *, running: bool) -> str:
    progress = row.progress
    if "asked" not in progress:
        return "A scheduler takes it up within a few seconds." if not row.last_error else ""
    failed = _whole(progress.get("failed"))
    parts = [f"{settled:,} of {total:,} done" if isinstance(total, int) else f"{settled:,} done, still listing"]
    parts.append(f"{failed:,} failed" if failed else "none failed")
    retried = _whole(progress.get("backing_off"))
    if running and retried:
        next_try = progress.get("next_try_at")
        when = f", the next {_until(next_try, now)}" if isinstance(next_try, int) else ""
        parts.append(f"{retried:,} to be tried again{when}")
    pace = progress.get("per_second")
    if running and isinstance(pace, int | float) and pace > 0:
        parts.append(f"{pace:.1f} a second")
        if isinstance(total, int) and total - settled > retried:
            parts.append(f"about {duration_in_words((total - settled) / pace)} left")
    obstacle = progress.get("obstacle")
    return ", ".join(parts) + "." + (f" {obstacle}" if running and obstacle else "")


def _until(at: int, now: int) -> str:
    return f"in {duration_in_words((at - now) / 1000)}" if at > now else "now"


def _counts(progress: Mapping[str, Any], kind: str) -> tuple[tuple[str, int, str], ...]:
    if kind == "sweep" and "pages" in progress:
        return tuple((each.replace("_", " "), _whole(progress.get(each)), each.about) for each in FoundAs)
    outcomes = progress.get("outcomes")
    if kind == "backfill" and isinstance(outcomes, Mapping):
        return tuple((str(name), _whole(count), "") for name, count in outcomes.items())
    return ()


def _failures(progress: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    found = progress.get("failures")
    rows = [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []
    return tuple((str(each.get("key", "")), str(each.get("reason", ""))) for each in rows)


def _left_out(progress: Mapping[str, Any]) -> tuple[tuple[int, str], ...]:
    found = progress.get("left_out")
    return tuple((_whole(count), str(why)) for why, count in found.items()) if isinstance(found, Mapping) else ()


def _numbers(value: Any) -> tuple[str, ...]:
    return tuple(str(each) for each in value) if isinstance(value, list) else ()


def _title(name: str) -> str:
    if name == "backfill":
        return "Backfill of the whole tenant"
    return name[:1].upper() + name[1:]


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0
