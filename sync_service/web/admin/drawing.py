"""Where things stand in the drawings of the pages, as plain numbers; the templates turn them into SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

#: The drawing's own units.
WIDTH, HEIGHT = 1000, 150
_LEFT, _RIGHT = 20, 980
#: Entries beyond this are in the table alone.
MOST_DOTS = 200


@dataclass(frozen=True)
class DrawnPayment:
    """One entry of the schedule, as it is drawn."""

    due: date
    amount: str
    #: paid or past, coming, cancelled.
    state: str


@dataclass(frozen=True)
class Mark:
    """A dot or a line of the timeline: where, which kind, and what it says."""

    x: float
    kind: str
    label: str


@dataclass(frozen=True)
class Timeline:
    """The whole drawing."""

    marks: tuple[Mark, ...]
    lines: tuple[Mark, ...]
    months: tuple[Mark, ...]
    term_from: float | None
    term_to: float | None
    left_out: int


def draw_timeline(
    payments: Sequence[DrawnPayment], *, today: date, term_start: date | None, term_end: date | None
) -> Timeline | None:
    """Payments, today and the term on one line; None where there is nothing to draw."""
    shown = sorted(payments, key=lambda payment: payment.due)[-MOST_DOTS:]
    days = [payment.due for payment in shown] + [each for each in (term_start, term_end) if each]
    if not days:
        return None
    first, last = min([*days, today]), max([*days, today])
    pad = max(7, (last - first).days // 40)
    length = max(1, (last - first).days + 2 * pad)

    def x(when: date) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * ((when - first).days + pad) / length, 1)

    lines = [Mark(x(today), "today", "Today")]
    if term_end:
        lines.append(Mark(x(term_end), "end", "Term ends"))
    return Timeline(
        marks=tuple(Mark(x(each.due), each.state, f"{each.due:%d %b %Y}: {each.amount}") for each in shown),
        lines=tuple(lines),
        months=tuple(Mark(x(when), "tick", label) for when, label in _ticks(first, last)),
        term_from=x(term_start) if term_start else None,
        term_to=x(term_end) if term_end else None,
        left_out=len(payments) - len(shown),
    )


def _ticks(first: date, last: date) -> Iterable[tuple[date, str]]:
    """Beginnings of months or years, a readable number of them."""
    months = max(1, ((last - first).days // 30) // 8)
    step = next((size for size in (1, 2, 3, 6, 12, 24, 60, 120, 600) if size >= months), 1200)
    count = first.year * 12 + first.month
    count += -count % step
    while count // 12 < 9999:
        when = date(count // 12, count % 12 + 1, 1)
        if when > last:
            return
        if when >= first:
            yield when, f"{when:%b %Y}" if step < 12 else f"{when:%Y}"
        count += step


def day_of(at: int) -> date:
    """The UTC day of a moment in ms since 1970."""
    return date(1970, 1, 1) + timedelta(milliseconds=at)
