"""Jobs as people look at them: sweeps, backfills and the rest, with what each found in words. Nothing is read here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sync_service.queue.backfills import BACKFILL, DRY_RUN
from sync_service.queue.runs.history import FoundAs
from sync_service.store.tables import JobRow
from sync_service.subscription.pace import duration_in_words
from sync_service.web.admin.progress import PATIENCE_MS
from sync_service.web.admin.words import span

#: What a sweep found is told of these also where it is nothing.
_ALWAYS_SHOWN = (FoundAs.DRIFT, FoundAs.ECHO)
_TAKEN_UP = "A scheduler takes it up within a few seconds."
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
    #: sweep, backfill, dry run or other.
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
    #: What a dry run saw: key and what would change, in words.
    would_change: tuple[tuple[str, str], ...]
    #: Who the runs of a backfill name as the one who asked; empty before it began.
    actor: str
    progress: Mapping[str, Any]

    @property
    def is_wished(self) -> bool:
        """Whether a person wanted it once: a backfill or a dry run."""
        return self.kind in ("backfill", "dry run")

    @property
    def source(self) -> tuple[str, str]:
        """What a dry run looked at, as the form has it: the field and its value."""
        return str(self.progress.get("source") or ""), str(self.progress.get("value") or "")

    @property
    def found(self) -> Mapping[str, int]:
        """A sweep's drift and echo; empty before its first pages."""
        counts = {name: count for name, count, _ in self.counts}
        return {name: counts[name] for name in ("drift", "echo") if name in counts}


def view_jobs(rows: Iterable[JobRow], now: int) -> list[JobView]:
    """All jobs: what people wanted, first what is under way and then the latest; sweeps; the rest."""
    rows = list(rows)
    wished = ("backfill", "dry run")
    busy = next((row.name for row in rows if _kind_of(row) in wished and _is_running(row, now)), None)
    views = [view_job(row, now, busy=busy) for row in rows]
    order = {"backfill": 0, "dry run": 0, "sweep": 1, "other": 2}

    def place(view: JobView) -> tuple[int, bool, bool, int]:
        waits = view.is_underway or view.is_paused
        return order[view.kind], not waits, not view.is_running, 0 if waits else -(view.ended or view.began or 0)

    return sorted(views, key=place)


def _kind_of(row: JobRow) -> str:
    if row.name in _SWEEPS:
        return "sweep"
    return next((kind for kind in (BACKFILL, DRY_RUN) if f"{row.name} ".startswith(f"{kind} ")), "other")


def view_job(row: JobRow, now: int, *, busy: str | None = None) -> JobView:
    """One job; `busy` is the backfill that runs, if any: a scheduler runs one after the other."""
    kind = _kind_of(row)
    running = _is_running(row, now)
    is_due = row.due_at <= now
    tone, state = _state(row, kind, now, running=running)
    progress = row.progress
    total = _total(progress, kind)
    settled = _whole(progress.get("looked")) + _whole(progress.get("done"))
    if kind == "backfill":
        settled += _whole(progress.get("failed"))
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
        began=row.last_began,
        ended=row.last_ended,
        error=row.last_error,
        text=_text(row, kind, now, settled, total, running=running, busy=busy),
        value=settled if total is not None else None,
        most=total or None,
        counts=_counts(progress, kind),
        named=tuple((title, _numbers(progress.get(key))) for key, title in _NAMED.items() if progress.get(key)),
        failures=_failures(progress),
        left_out=_left_out(progress),
        would_change=_would_change(progress),
        actor=str(progress.get("actor") or ""),
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
    if kind == "dry run":
        return "good", "Done"
    if kind == "backfill":
        return ("bad", "Done, with failures") if _whole(row.progress.get("failed")) else ("good", "Done")
    return "calm", "Idle"


def _is_running(row: JobRow, now: int) -> bool:
    return row.lease_until is not None and row.lease_until > now


def _total(progress: Mapping[str, Any], kind: str) -> int | None:
    """How much there is in all, where that is known; a dry run looks at a part of very many."""
    total = progress.get("total")
    if kind not in ("backfill", "dry run") or not isinstance(total, int):
        return None
    return min(total, _whole(progress.get("most"))) if kind == "dry run" else total


def _text(row: JobRow, kind: str, now: int, settled: int, total: int | None, *, running: bool, busy: str | None) -> str:
    if not running and row.due_at <= now and not row.paused:
        if kind in ("backfill", "dry run") and busy is not None:
            return f"Waits for “{_title(busy)}” to end."
        if now - row.due_at > PATIENCE_MS:
            return (
                f"Due for {span(now - row.due_at)}: no scheduler that reaches Zuora has taken it up."
                " “sync-service scheduler” starts one."
            )
    if kind == "backfill":
        return _backfill_text(row, now, settled, total, running=running)
    if kind == "dry run":
        return _dry_run_text(row, settled, total, running=running)
    looked = row.progress.get("looked_at")
    if kind != "sweep" or not isinstance(looked, Mapping):
        return ""
    counts = ", ".join(f"{_whole(count):,} {what}" for what, count in looked.items() if _whole(count))
    return f"Looked at {counts or 'nothing'}{' so far' if running or row.cursor else ''}."


def _backfill_text(row: JobRow, now: int, settled: int, total: int | None, *, running: bool) -> str:
    progress = row.progress
    if "asked" not in progress:
        return _TAKEN_UP if not row.last_error else ""
    failed, changed = _whole(progress.get("failed")), progress.get("changed")
    parts = [f"{settled:,} of {total:,} done" if total is not None else f"{settled:,} done, still listing"]
    parts += [f"{changed:,} changed"] if isinstance(changed, int) else []
    retried = _whole(progress.get("backing_off"))
    if running and retried:
        next_try = progress.get("next_try_at")
        when = f", the next {_until(next_try, now)}" if isinstance(next_try, int) else ""
        parts.append(f"{retried:,} to be tried again{when}")
    parts.append(f"{failed:,} failed" if failed else "none failed")
    if running:
        parts += _pace(progress, total - settled if total is not None else None, retried, now)
    obstacle = progress.get("obstacle")
    return ", ".join(parts) + "." + (f" {obstacle}" if running and obstacle else "")


def _pace(progress: Mapping[str, Any], left: int | None, retried: int, now: int) -> list[str]:
    """How fast it goes and how long it will take: not less than until the last try that is known of."""
    pace = progress.get("per_second")
    if not isinstance(pace, int | float) or pace <= 0:
        return []
    words, last_try = [f"{pace:.1f} a second"], progress.get("last_try_at")
    if left is None or (left <= retried and not isinstance(last_try, int)):
        return words
    seconds = max(left / pace, (last_try - now) / 1000 if retried and isinstance(last_try, int) else 0)
    return [*words, f"about {duration_in_words(seconds)} left{' if the next tries succeed' if retried else ''}"]


def _dry_run_text(row: JobRow, looked: int, total: int | None, *, running: bool) -> str:
    progress = row.progress
    if "looked" not in progress:
        return _TAKEN_UP if not row.last_error else ""
    would = [
        f"{_whole(progress.get(name)):,} {words}"
        for name, words in (
            ("changed", "would change"),
            ("imported", "would be imported"),
            ("failed", "cannot be told"),
        )
        if _whole(progress.get(name))
    ]
    found = ", ".join(would) or "nothing would change"
    if running:
        pace = _pace(progress, None if total is None else total - looked, 0, 0)
        of_all = f" of {total:,}" if total is not None else ""
        return ", ".join([f"{looked:,}{of_all} looked at", found, *pace]) + "."
    if progress.get("complete"):
        return f"{looked:,} looked at: {found}. Nothing was written."
    return f"The first {looked:,} were looked at, there are more: {found}. Nothing was written."


def _until(at: int, now: int) -> str:
    return f"in {duration_in_words((at - now) / 1000)}" if at > now else "now"


def _counts(progress: Mapping[str, Any], kind: str) -> tuple[tuple[str, int, str], ...]:
    if kind == "sweep" and "pages" in progress:
        swept = ((each, _whole(progress.get(each))) for each in FoundAs)
        return tuple((each.replace("_", " "), n, each.about) for each, n in swept if n or each in _ALWAYS_SHOWN)
    if kind == "dry run" and "looked" in progress:
        drastic = _whole(progress.get("drastic"))
        about = "would be cancelled or lose all coming payments: the safety stop counts these"
        changes = progress.get("changes")
        found = changes.items() if isinstance(changes, Mapping) else ()
        return (
            *((str(words), _whole(count), "") for words, count in found),
            *([("drastic", drastic, about)] if drastic else []),
        )
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


def _would_change(progress: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    found = progress.get("would_change")
    rows = [each for each in found if isinstance(each, list) and len(each) == 2] if isinstance(found, list) else []
    return tuple((str(key), str(words)) for key, words in rows)


def _numbers(value: Any) -> tuple[str, ...]:
    return tuple(str(each) for each in value) if isinstance(value, list) else ()


def _title(name: str) -> str:
    if name in (BACKFILL, DRY_RUN):
        return f"{name.capitalize()} of the whole tenant"
    return name[:1].upper() + name[1:]


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0
