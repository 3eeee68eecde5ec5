"""The report of a sweep: counts, and the numbers that need attention. Kept as the job's progress."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

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
