"""How a sweep walks through Zuora's pages: a stretch at a time, in a call slot, its cursor saved; and what it asks for.

Between two stretches it lets go of everything, so that callouts get their turn, a stopping scheduler need not wait and
a killed one is followed by another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sync_service.errors import (
    BusyError,
    CallBudgetSpent,
    LeaseLost,
    PermissionRefused,
    SubscriptionError,
    TenantError,
    WrongTenant,
)
from sync_service.queue.jobs import JobLease, save
from sync_service.queue.limit import check_tenant, note_success, note_tenant_error, read_limit
from sync_service.queue.requests import Cause, Kind, Priority, enqueue_many
from sync_service.queue.runs.history import FoundAs
from sync_service.queue.story_lease import StoryLease, hold_story_lease
from sync_service.subscription.listed import ListDifference
from sync_service.subscription.trigger import Trigger
from sync_service.sync.attempt import SyncContext
from sync_service.zuora.reading import Reading


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One sweep under way."""

    context: SyncContext
    name: str
    report: Report
    #: Ask again for what still differs although it was asked for before. A sweep that overlaps the one before does not.
    insists: bool


@dataclass
class Marks:
    """Numbers to ask for."""

    groups: dict[tuple[FoundAs, ListDifference], set[str]] = field(default_factory=dict)

    def add(self, number: str, kind: FoundAs, difference: ListDifference) -> None:
        """Ask for `number`; once, whatever else differs."""
        if not any(number in numbers for numbers in self.groups.values()):
            self.groups.setdefault((kind, difference), set()).add(number)


def ask_for(sweep: Sweep, marks: Marks, *, full: bool = False) -> None:
    """Request all marked numbers behind callouts and people, and count them; committed when this returns."""
    for (kind, difference), numbers in sorted(marks.groups.items()):
        cause = Cause(Trigger.SWEEP, f"{sweep.name}: {difference}", found_as=kind)
        count = enqueue_many(
            sweep.context.database, Kind.SUBSCRIPTION, numbers, cause, priority=Priority.JOB, full=full
        )
        sweep.report.add("marked", count)
        sweep.report.add(kind.value, count)
        sweep.report.add("reasons", count, of=difference.value)
        if kind is FoundAs.DRIFT:
            sweep.report.name("drift_numbers", sorted(numbers))


#: Numbers that a report names; further ones are only counted.
MAX_NAMED = 100


class Report:
    """Counts of one sweep, as JSON. Whatever was counted before an interruption stays counted."""

    def __init__(self, progress: Mapping[str, Any] | None = None) -> None:
        self.values: dict[str, Any] = {name: _copy(value) for name, value in (progress or {}).items()}

    def add(self, name: str, count: int = 1, *, of: str | None = None) -> None:
        """Count `count` more under `name`, or under `of` within it."""
        if of is None:
            self.values[name] = self.values.get(name, 0) + count
        else:
            group = self.values.setdefault(name, {})
            group[of] = group.get(of, 0) + count

    def name(self, under: str, numbers: Iterable[str]) -> None:
        """List numbers under `under`, as far as there is room; none twice."""
        listed = self.values.setdefault(under, [])
        for number in numbers:
            if number not in listed and len(listed) < MAX_NAMED:
                listed.append(number)


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, list) else value


#: Pages of one stretch, and after how many seconds it ends before that: a stopping scheduler waits for it.
STRETCH = 20
STRETCH_SECONDS = 20.0
#: The time between two stretches: so a full sweep of 100,000 subscriptions takes minutes, and never the whole tenant.
PAUSE_MS = 5_000
#: One page's total time, in seconds; a lease is longer.
PAGE_SECONDS = 50.0
#: How long a stretch waits for its place, in seconds.
_WAIT_SECONDS = 5.0
_BUSY_MS = 15_000
_REFUSED_MS = 300_000
_BUDGET_MS = 3_600_000

#: Where a walk stands, as JSON. Empty is the beginning.
Cursor = Mapping[str, Any]
#: Does the page at a cursor and gives the cursor of the next one; None after the last.
Step = Callable[[Reading, Cursor], Cursor | None]


@dataclass(frozen=True)
class PartWay:
    """Stopped before the end, with the cursor saved; continues in `again_in_ms`. `error` says why, if it failed."""

    again_in_ms: int
    error: str | None = None
    #: The job was paused; its lease is given back already.
    paused: bool = False


def walk(
    context: SyncContext, lease: JobLease, name: str, report: Report, step: Step, cursor: Cursor
) -> PartWay | None:
    """One stretch of steps from `cursor` on; None after the last one. Raises LeaseLost.

    The cursor is saved after each step, so a step is done twice at most and must bear it.
    """
    try:
        with hold_story_lease(context.database, name, context.share, wait_seconds=_WAIT_SECONDS) as place:
            return _stretch(context, lease, place, report, step, cursor)
    except LeaseLost:
        raise
    except CallBudgetSpent as error:
        return PartWay(_BUDGET_MS, str(error))
    except (PermissionRefused, WrongTenant, SubscriptionError) as error:
        # About this story or this process, not about the tenant: syncs go on.
        return PartWay(_REFUSED_MS, str(error))
    except TenantError as error:
        return PartWay(note_tenant_error(context.database, error, context.share), str(error))
    except BusyError as error:
        return PartWay(_BUSY_MS, str(error))


def _stretch(
    context: SyncContext, lease: JobLease, place: StoryLease, report: Report, step: Step, cursor: Cursor
) -> PartWay | None:
    following: Cursor | None = cursor
    until = time.monotonic() + STRETCH_SECONDS
    _check_tenant(context)
    for _ in range(STRETCH):
        _check_budget(context)
        assert following is not None  # noqa: S101 - the walk goes on only where there is a next page
        following = _one_step(context, place, report, step, following)
        if following is None:
            return None
        if not save(context.database, lease, cursor=following, progress=report.values):
            return PartWay(0, paused=True)
        place.renew()
        if time.monotonic() > until:
            break
    return PartWay(PAUSE_MS)


def _one_step(context: SyncContext, place: StoryLease, report: Report, step: Step, cursor: Cursor) -> Cursor | None:
    reading = place.counting(context.zuora.reading(PAGE_SECONDS))
    try:
        following = step(reading, cursor)
    finally:
        report.add("calls", reading.calls)
    report.add("pages")
    note_success(context.database, context.share)
    return following


def _check_tenant(context: SyncContext) -> None:
    """Raise WrongTenant before another tenant's list is taken for ours."""
    tenant = context.zuora.tenant(context.zuora.reading(PAGE_SECONDS))
    with context.database.reading() as session:
        check_tenant(session, tenant)


def _check_budget(context: SyncContext) -> None:
    with context.database.reading() as session:
        limit = read_limit(session, context.share)
    if limit.is_kept_for_people:
        raise CallBudgetSpent
