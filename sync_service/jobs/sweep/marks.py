"""What a sweep asks for: numbers in groups of one cause, counted by why they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sync_service.queue.history import FoundAs
from sync_service.queue.requests import Cause, Kind, Priority, enqueue_many
from sync_service.subscription.listed import ListDifference
from sync_service.subscription.trigger import Trigger
from sync_service.sync.attempt import SyncContext


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
MOST_NAMED = 100


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
            if number not in listed and len(listed) < MOST_NAMED:
                listed.append(number)


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, list) else value
