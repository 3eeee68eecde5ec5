"""How fast long work goes and when it will be over, told from the last minutes of it. Pure."""

from __future__ import annotations

from collections import deque

#: What lies further back says little of now, in seconds.
WINDOW_SECONDS = 120.0


class Pace:
    """A count that grows, noted from time to time; times are seconds of a clock that never goes back."""

    def __init__(self, window_seconds: float = WINDOW_SECONDS) -> None:
        self._window = window_seconds
        self._notes: deque[tuple[float, int]] = deque()

    def note(self, at: float, count: int) -> None:
        """The count at one moment."""
        self._notes.append((at, count))
        while len(self._notes) > 2 and self._notes[0][0] < at - self._window:
            self._notes.popleft()

    @property
    def per_second(self) -> float:
        """How much the count grows in a second; 0 while nothing is known."""
        if len(self._notes) < 2:
            return 0.0
        (began, first), (ended, last) = self._notes[0], self._notes[-1]
        return (last - first) / (ended - began) if ended > began else 0.0

    def seconds_for(self, rest: int) -> float | None:
        """The seconds that `rest` more will take at this pace; None if it cannot be told."""
        if rest <= 0:
            return 0.0
        return rest / self.per_second if self.per_second > 0 else None


def duration_in_words(seconds: float | None) -> str:
    """A duration as people say it, to the two largest units; `?` for None."""
    if seconds is None:
        return "?"
    whole = max(0, round(seconds))
    days, hours, minutes = whole // 86_400, whole // 3_600 % 24, whole // 60 % 60
    units = ((days, "d"), (hours, "h"), (minutes, "min"), (whole % 60, "s"))
    first = next((place for place, (count, _) in enumerate(units) if count), len(units) - 1)
    return " ".join(f"{count} {unit}" for count, unit in units[first : first + 2] if count) or "0 s"
