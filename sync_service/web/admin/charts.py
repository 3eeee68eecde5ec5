"""Three charts on one time axis: how long callouts took to be written, runs by how they ended, and drift.

Pure: where things stand, as plain numbers in the drawing's own units; the template turns them into SVG.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sync_service.queue.status.figures import DAY_MS, HOUR_MS, MINUTE_MS, Figures
from sync_service.subscription.pace import duration_in_words
from sync_service.web.admin.words import Clock

#: The sizes of a bar's parts by their kind, from the bottom up, and what a bar says.
Parts = Callable[[Figures], Sequence[tuple[str, float]]]
Say = Callable[[Figures], str]
WIDTH, HEIGHT = 960, 110
_TONES = {"changed": "good", "imported": "good", "held": "warn", "retried": "warn", "failed": "bad"}
_KINDS = ("good", "calm", "warn", "bad")
_LABELS = 6


@dataclass(frozen=True)
class Range:
    """A stretch that the charts can show."""

    name: str
    length: int
    #: Of one bar.
    step: int
    #: What the figures are read by.
    span: str


RANGES = {
    each.name: each
    for each in (
        Range("hour", HOUR_MS, MINUTE_MS, "minute"),
        Range("day", DAY_MS, 15 * MINUTE_MS, "minute"),
        Range("week", 7 * DAY_MS, 2 * HOUR_MS, "hour"),
        Range("month", 30 * DAY_MS, 8 * HOUR_MS, "hour"),
    )
}


@dataclass(frozen=True)
class Bar:
    """One step of the axis: where, what it says, the history that it opens, and its parts from the bottom up."""

    x: float
    width: float
    label: str
    since: str
    until: str
    #: Kind, y, height.
    parts: tuple[tuple[str, float, float], ...]


@dataclass(frozen=True)
class Chart:
    """One chart: its bars, and what its full height stands for."""

    bars: tuple[Bar, ...]
    top: str

    @property
    def is_empty(self) -> bool:
        """Nothing to draw."""
        return not self.bars


@dataclass(frozen=True)
class Axis:
    """The steps that all three charts share."""

    range: Range
    clock: Clock
    #: The beginning of the first step, in ms.
    first: int

    @classmethod
    def until(cls, range_: Range, clock: Clock) -> Axis:
        """The axis whose last step has the present moment in it."""
        count = range_.length // range_.step
        return cls(range_, clock, (clock.now // range_.step - count + 1) * range_.step)

    @property
    def steps(self) -> list[int]:
        """The beginning of each step."""
        return [self.first + n * self.range.step for n in range(self.range.length // self.range.step)]

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Where a moment is written below, and how."""
        steps = self.steps
        every = max(1, len(steps) // _LABELS)
        form = "%H:%M" if self.range.length <= DAY_MS else "%a %d %b" if self.range.length <= 7 * DAY_MS else "%d %b"
        return [(self._x(n), f"{self.clock.local(steps[n]):{form}}") for n in range(0, len(steps), every)]

    def draw_took(self, figures: Mapping[int, Figures]) -> Chart:
        """From callout to written: half within, and 95 of 100 within."""
        longest = max((each.within(0.95) or 0 for each in figures.values()), default=0)

        def parts(each: Figures) -> Sequence[tuple[str, float]]:
            half, most = each.within(0.5), each.within(0.95)
            return [] if half is None or most is None else [("half", half), ("most", most - half)]

        def say(each: Figures) -> str:
            half, most = each.within(0.5), each.within(0.95)
            if half is None or most is None:
                return "no callout was written"
            return f"half within {in_seconds(half)}, 95 % within {in_seconds(most)}"

        return Chart(self._draw(figures, parts, say, longest), in_seconds(longest))

    def draw_runs(self, figures: Mapping[int, Figures]) -> Chart:
        """Runs by how they ended."""
        top = max((each.runs for each in figures.values()), default=0)

        def parts(each: Figures) -> Sequence[tuple[str, float]]:
            counts = dict.fromkeys(_KINDS, 0)
            for outcome, count in each.outcomes.items():
                counts[_TONES.get(outcome, "calm")] += count
            return [(kind, counts[kind]) for kind in _KINDS]

        def say(each: Figures) -> str:
            return ", ".join(f"{count:,} {outcome}" for outcome, count in each.outcomes.most_common()) or "no runs"

        return Chart(self._draw(figures, parts, say, top), f"{top:,}")

    def draw_drift(self, figures: Mapping[int, Figures]) -> Chart:
        """Runs that put right what no callout told of."""
        top = max((each.drift for each in figures.values()), default=0)

        bars = self._draw(figures, lambda each: [("warn", each.drift)], lambda each: f"{each.drift:,} drifted", top)
        return Chart(bars, f"{top:,}")

    def _x(self, n: int) -> float:
        return round(n * WIDTH / (self.range.length // self.range.step), 2)

    def _draw(self, figures: Mapping[int, Figures], parts: Parts, say: Say, top: float) -> tuple[Bar, ...]:
        """A bar for each step in which there is anything to draw."""
        found = ((n, at, figures[at]) for n, at in enumerate(self.steps) if at in figures)
        bars = (self._bar(n, at, each, _stack(parts(each), top), say) for n, at, each in found)
        return tuple(bar for bar in bars if bar.parts)

    def _bar(self, n: int, at: int, each: Figures, parts: tuple[tuple[str, float, float], ...], say: Say) -> Bar:
        label = f"{self.clock.exact(at)}: {say(each)}"
        return Bar(self._x(n), self._x(1), label, _iso(at), _iso(at + self.range.step), parts)


def _stack(parts: Sequence[tuple[str, float]], top: float) -> tuple[tuple[str, float, float], ...]:
    """Each part's kind, y and height, from the bottom up; those of no height are left out."""
    stacked, height = [], 0.0
    for kind, size in parts:
        part = round(HEIGHT * size / top, 2) if top else 0.0
        if part:
            stacked.append((kind, round(HEIGHT - height - part, 2), part))
            height += part
    return tuple(stacked)


def _iso(at: int) -> str:
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at):%Y-%m-%dT%H:%MZ}"


def in_seconds(ms: int) -> str:
    """A bound of a duration, never shorter than it is."""
    return f"{ms / 1000:.1f} s" if ms < 10_000 else duration_in_words(ms / 1000)
