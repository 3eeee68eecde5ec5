"""Plans, runs and all that is known of a subscription, as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sync_service.cli.output import moment, project
from sync_service.queue.runs.history import Why
from sync_service.store.tables import SubscriptionRow, SyncCauseRow, SyncRunRow, ZuoraLinkRow
from sync_service.subscription.plan import (
    Cancel,
    Change,
    Create,
    FieldChange,
    SyncPlan,
    Update,
    in_short,
    name_of,
    noun_of,
)

_RUN = (
    *("id", "kind", "key", "outcome", "trigger", "actor", "began_at", "ended_at", "calls", "error_code", "error"),
    *("subscription_id", "owner", "seq_from", "seq_to", "change_count", "plan"),
)
_RUN_TIMES = ("began_at", "ended_at")
_KNOWN = ["kind", "key", "waiting", "waiting_since", "running", "attempts", "last_error", "next_try_at", "checked_at"]
_KNOWN_TIMES = ("waiting_since", "next_try_at", "checked_at")
_CAUSE = ["seq", "trigger", "actor", "at", "callout_id"]


def show_plan(plan: SyncPlan) -> str:
    """What would change, a line each, and the notes."""
    head = "is up to date: nothing to change" if plan.is_empty else f"{len(plan.changes)} changes"
    return "\n".join([f"{plan.number}: {head}", *plan_lines(plan)])


def plan_lines(plan: SyncPlan) -> Iterator[str]:
    """The changes (+ new, ~ other values, - cancelled) and notes of a plan."""
    for change in plan.changes:
        yield from (f"  {line}" for line in _change_lines(change))
    yield from (f"  note: {note}" for note in plan.notes)


def show_run(run: SyncRunRow) -> str:
    """One run: when, why, how long, and what it changed or what went wrong."""
    who = f"{run.trigger or 'unknown trigger'}{f' by {run.actor}' if run.actor else ''}"
    took = f"{run.ended_at - run.began_at} ms, {run.calls} calls to Zuora"
    lines = [f"{moment(run.ended_at)}  {run.key}  {run.outcome}  ({who}; {took})"]
    if run.error:
        lines.append(f"  {run.error_code}: {run.error}")
    if run.plan:
        lines += plan_lines(SyncPlan.from_json(run.plan))
    return "\n".join(lines)


def show_why(
    known: Why, subscription: SubscriptionRow | None, link: ZuoraLinkRow | None, obstacle: str | None = None
) -> str:
    """The one screen: what the store knows, what waits and for what, who asked, what the runs did."""
    head = f"{known.key}  " + (f"Limio {subscription.id}" if subscription else "not in the Limio store")
    if link:
        head += f"  Zuora version {link.version}, read {moment(max(link.read_ended, known.checked_at or 0))}"
    lines = [head, f"  waits: {_waiting(known)}"]
    if obstacle:
        lines.append(f"  waiting for: {obstacle}")
    if known.checked_at:
        lines.append(f"  last verified: {moment(known.checked_at)}")
    if known.last_error:
        lines.append(f"  last error: {known.last_error}")
    if link and link.schedule_left_alone:
        lines.append(f"  its schedule is not kept in step: {link.schedule_left_alone}")
    if link and link.look_again_on:
        lines.append(f"  next scheduled check: {link.look_again_on}")
    lines += _section("Requested by", (_cause(cause) for cause in known.causes))
    lines += _section("Runs that changed something, failed or were requested by a person", map(show_run, known.runs))
    return "\n".join(lines)


def run_as_json(run: SyncRunRow) -> dict[str, Any]:
    """A run as JSON."""
    return project(run, _RUN, times=_RUN_TIMES)


def why_as_json(known: Why, link: ZuoraLinkRow | None, obstacle: str | None = None) -> dict[str, Any]:
    """All that is known of a key as JSON."""
    return {
        **project(known, _KNOWN, times=_KNOWN_TIMES),
        "obstacle": obstacle,
        "schedule_left_alone": link.schedule_left_alone if link else None,
        "look_again_on": link.look_again_on.isoformat() if link and link.look_again_on else None,
        "causes": [project(cause, _CAUSE, times=("at",)) for cause in known.causes],
        "runs": [run_as_json(run) for run in known.runs],
    }


def _waiting(known: Why) -> str:
    if known.running:
        return "a worker is syncing it now"
    if known.next_try_at is None:
        return "nothing; the last request failed for good" if known.last_error else "nothing"
    requests = f"{known.waiting} request{'s' if known.waiting > 1 else ''}"
    return f"{requests}; next try not before {moment(known.next_try_at)}, attempt {known.attempts + 1}"


def _section(title: str, lines: Iterable[str]) -> list[str]:
    return [f"{title}:", *([f"  {line}" for block in lines for line in block.splitlines()] or ["  (none)"])]


def _cause(cause: SyncCauseRow) -> str:
    actor = f" by {cause.actor}" if cause.actor else ""
    return f"{moment(cause.at)}  {cause.trigger}{actor}"


def _change_lines(change: Change) -> Iterator[str]:
    match change:
        case Create():
            yield f"+ {noun_of(change.record_type)}  {in_short(change.record_type, change.document)}  ({change.reason})"
        case Cancel():
            yield f"- {noun_of(change.record_type)}  {in_short(change.record_type, change.document)}  ({change.reason})"
        case Update():
            for field in _telling(change):
                yield (
                    f"~ {noun_of(change.record_type)}  {name_of(field.path)}: "
                    f"{_text(field.before)} → {_text(field.after)}  ({change.reason})"
                )


def _telling(change: Update) -> Sequence[FieldChange]:
    """The fields that a person looks for: of a payment the amount says it all, its line items are in the JSON."""
    if change.record_type != "schedule":
        return change.fields
    return [field for field in change.fields if field.path == "data.amount"] or change.fields


def _text(value: Any) -> str:
    return "(nothing)" if value is None else str(value)
