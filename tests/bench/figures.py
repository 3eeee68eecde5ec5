"""What a part measured, and how it reads: medians with their range, beside the reference of the same run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TypeVar

from tests.bench.processes import Ground

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a figure's median has to reach; of the reference where `of_reference`, else in the figure's own unit."""

    least: float | None = None
    most: float | None = None
    of_reference: bool = False
    #: Of `most`: a share of the reference that will do as well.
    or_of_reference: float | None = None

    def __str__(self) -> str:
        words = f"at least {self.least:g}" if self.least is not None else f"below {self.most:g}"
        words += f", or {self.or_of_reference:g} of it" if self.or_of_reference is not None else ""
        return f"{words} of it" if self.of_reference else words

    def is_met(self, value: float) -> bool:
        """Whether `value` reaches it."""
        return value >= self.least if self.least is not None else value < (self.most or 0.0)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row: a value for each round, and that of its reference in the same round."""

    what: str
    unit: str
    values: Sequence[float]
    #: What it stands beside, in words, and its values; none where nothing compares.
    beside: str = ""
    reference: Sequence[float] = ()
    target: Target | None = None

    @property
    def shares(self) -> list[float]:
        """Of the reference, round by round."""
        return [value / other for value, other in zip(self.values, self.reference, strict=True) if other]

    @property
    def is_met(self) -> bool:
        """Whether the target is reached; true where there is none."""
        if self.target is None:
            return True
        will_do = self.target.or_of_reference
        if will_do is not None and median(self.shares) <= will_do:
            return True
        return self.target.is_met(median(self.shares if self.target.of_reference else self.values))


@dataclass(kw_only=True)
class Figures:
    """All that a part has to tell."""

    rows: list[Figure] = field(default_factory=list)
    #: Markdown paragraphs below the table.
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    """What a part measures with."""

    ground: Ground
    quick: bool
    say: Callable[[str], None]

    @property
    def rounds(self) -> int:
        """How often each figure is measured."""
        return 1 if self.quick else 5

    def pick(self, whole: T, quick: T) -> T:
        """The size for this kind of run."""
        return quick if self.quick else whole


@dataclass(frozen=True, kw_only=True)
class Part:
    """One thing that is measured, and its section of the page."""

    name: str
    title: str
    #: Markdown above the table: what is measured and how.
    about: str
    measure: Callable[[Bench], Figures]
    by_default: bool = True


def as_table(rows: Sequence[Figure]) -> str:
    """The rows in Markdown."""
    lines = ["| | measured | beside it | share | target |", "|---|--:|--:|--:|---|"]
    for row in rows:
        beside = f"{_spread(row.reference)} {row.unit}, {row.beside}" if row.reference else row.beside
        share = _spread(row.shares) if row.reference else ""
        target = f"{row.target}: {'met' if row.is_met else '**missed**'}" if row.target else ""
        lines.append(f"| {row.what} | {_spread(row.values)} {row.unit} | {beside} | {share} | {target} |")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "–"
    middle = f"**{_number(median(values))}**"
    if len(values) == 1:
        return middle
    return f"{middle} ({_number(min(values))}–{_number(max(values))})"


def _number(value: float) -> str:
    """Three digits that count."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"
