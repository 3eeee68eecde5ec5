"""Figures over time: runs by how they ended, drift, and how long callouts took to be written.

The scheduler counts each minute once it is over, and each hour from its minutes. Durations are kept by bounds, each
1.4 times the one before, so that hours are sums of minutes: half of them were served within such a bound.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

from sqlmodel import col, delete, func, select

from sync_service.queue.runs.history import is_drift
from sync_service.store.engine import Session
from sync_service.store.tables import FigureRow, SyncRunRow

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
#: From an eighth of a second to a day and more.
BOUNDS_MS = tuple(round(125 * 2 ** (step / 2)) for step in range(40))
#: How long minutes and hours are kept.
KEEP_MS = {"minute": 3 * DAY_MS, "hour": 400 * DAY_MS}
_RUNS = """
SELECT ended_at / 60000 AS minute, outcome || '' AS outcome, count(*) FROM sync_run
WHERE ended_at >= :since AND ended_at < :until GROUP BY 1, 2
"""
# A run covers several callouts: the first of them has waited longest.
_TOOK = """
SELECT run.ended_at / 60000, run.ended_at - (
  SELECT min(cause.at) FROM sync_cause AS cause WHERE cause.kind = run.kind AND cause.key = run.key
    AND cause.seq > run.seq_from AND cause.seq <= run.seq_to)
FROM sync_run AS run
WHERE run.ended_at >= :since AND run.ended_at < :until AND run.outcome IN ('changed', 'imported')
  AND run.trigger IN ('callout', 'workflow', 'event')
"""


@dataclass
class Figures:
    """What happened in one stretch of time."""

    outcomes: Counter[str] = field(default_factory=Counter)
    drift: int = 0
    #: Runs by the place of their duration in BOUNDS_MS.
    took: Counter[int] = field(default_factory=Counter)

    @property
    def runs(self) -> int:
        """All that ended."""
        return self.outcomes.total()

    def add(self, other: Figures) -> None:
        """Count `other` in."""
        self.outcomes.update(other.outcomes)
        self.drift += other.drift
        self.took.update(other.took)

    def within(self, share: float) -> int | None:
        """The bound in ms within which this share of the callouts was written; None where none was."""
        if not self.took:
            return None
        wanted = share * self.took.total()
        sums = accumulate(self.took.get(place, 0) for place in range(len(BOUNDS_MS)))
        return next((BOUNDS_MS[place] for place, sum_ in enumerate(sums) if sum_ >= wanted), BOUNDS_MS[-1])


def count_minutes(session: Session, since: int, until: int) -> dict[int, Figures]:
    """The figures of each minute from `since` up to `until` (ms, whole minutes) in which a run ended, by its start."""
    found: dict[int, Figures] = {}

    def of(minute: int) -> Figures:
        return found.setdefault(int(minute) * MINUTE_MS, Figures())

    values = {"since": since, "until": until}
    for minute, outcome, count in session.run(_RUNS, values):
        of(minute).outcomes[outcome] += count
    for minute, took in session.run(_TOOK, values):
        if took is not None:
            of(minute).took[min(bisect_left(BOUNDS_MS, took), len(BOUNDS_MS) - 1)] += 1
    ended = col(SyncRunRow.ended_at)
    drifted = select(ended).where(is_drift(), ended >= since, ended < until)
    for at in session.exec(drifted):
        of(at // MINUTE_MS).drift += 1
    return found


def write_figures(session: Session, span: str, since: int, until: int, figures: Mapping[int, Figures]) -> None:
    """Let these be the figures from `since` up to `until`. Repeatable."""
    row = FigureRow
    session.exec(delete(row).where(col(row.span) == span, col(row.at) >= since, col(row.at) < until))
    for at, each in sorted(figures.items()):
        took = {str(place): count for place, count in each.took.items()}
        session.add(row(span=span, at=at, outcomes=dict(each.outcomes), drift=each.drift, took=took))
    session.flush()


def read_figures(session: Session, span: str, since: int, until: int) -> Iterator[tuple[int, Figures]]:
    """The figures of each minute or hour from `since` up to `until`, oldest first."""
    row = FigureRow
    wanted = select(row).where(row.span == span, col(row.at) >= since, col(row.at) < until).order_by(col(row.at))
    for each in session.exec(wanted):
        took = Counter({int(place): count for place, count in each.took.items()})
        yield each.at, Figures(Counter(each.outcomes), each.drift, took)


def add_up(figures: Iterable[tuple[int, Figures]], length: int) -> dict[int, Figures]:
    """The sums over stretches of `length` ms, by their start."""
    sums: dict[int, Figures] = {}
    for at, each in figures:
        sums.setdefault(at // length * length, Figures()).add(each)
    return sums


def forget_figures(session: Session, now: int) -> None:
    """Delete what is older than KEEP_MS."""
    for span, kept in KEEP_MS.items():
        session.exec(delete(FigureRow).where(col(FigureRow.span) == span, col(FigureRow.at) < now - kept))


def first_run_since(session: Session, since: int) -> int | None:
    """When the first run after `since` ended; None where none did."""
    ended = col(SyncRunRow.ended_at)
    return session.exec(select(func.min(ended)).where(ended >= since)).one()
