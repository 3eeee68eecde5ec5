"""Long work on a terminal: a bar where a person watches, a plain line now and then everywhere else."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from sync_service.jobs.backfill.backfill import Standing
from sync_service.jobs.backfill.dry_run import Summary
from sync_service.subscription.pace import Pace, duration_in_words

#: How often a plain line is written, in seconds.
LINE_SECONDS = 10.0


class Meter(Protocol):
    """Shows how far something has come."""

    #: What else may be written to standard error meanwhile.
    log_level: int

    def start(self, title: str) -> None:
        """Begin to show."""

    def show(self, standing: Standing) -> None:
        """A backfill's standing."""

    def show_forecast(self, summary: Summary, rest: int | None) -> None:
        """A dry run's counts and how many keys are left."""

    def stop(self) -> None:
        """Leave the terminal as it was."""


@contextmanager
def open_meter(stream: TextIO) -> Iterator[Meter]:
    """The meter that suits `stream`."""
    meter: Meter = _Bar(stream) if stream.isatty() else _Lines()
    try:
        yield meter
    finally:
        meter.stop()


def describe(standing: Standing, pace: Pace) -> str:
    """Counts, rate and the time that is left, in one line."""
    total = "?" if standing.total is None else str(standing.total)
    parts = [f"{standing.settled} of {total} settled", f"{pace.per_second:.1f}/s"]
    rest = None if standing.total is None else standing.total - standing.settled
    if rest is not None and (rest == 0 or rest > standing.backing_off):
        parts.append(f"{duration_in_words(pace.seconds_for(rest))} left")
    if standing.failed:
        parts.append(f"{standing.failed} failed")
    if standing.backing_off:
        parts.append(f"{standing.backing_off} to be tried again")
    return ", ".join(parts) + (f" ({standing.obstacle})" if standing.obstacle else "")


def describe_forecast(summary: Summary, rest: int | None, pace: Pace) -> str:
    """The same for a dry run."""
    left = "" if rest is None else f", {duration_in_words(pace.seconds_for(rest))} left"
    return (
        f"{summary.looked} looked at, {summary.changed + summary.imported} would change, {pace.per_second:.1f}/s{left}"
    )


class _Lines:
    log_level = logging.WARNING

    def __init__(self) -> None:
        self._pace = Pace()
        self._said_at = float("-inf")

    def start(self, title: str) -> None:
        click.echo(f"{title}: begun", err=True)
        self._said_at = time.monotonic() - LINE_SECONDS + 2

    def show(self, standing: Standing) -> None:
        self._pace.note(time.monotonic(), standing.settled)
        self._say(lambda: describe(standing, self._pace))

    def show_forecast(self, summary: Summary, rest: int | None) -> None:
        self._pace.note(time.monotonic(), summary.looked)
        self._say(lambda: describe_forecast(summary, rest, self._pace))

    def stop(self) -> None:
        """Nothing to put back."""

    def _say(self, words: Callable[[], str]) -> None:
        if time.monotonic() - self._said_at >= LINE_SECONDS:
            self._said_at = time.monotonic()
            click.echo(words(), err=True)


class _Bar:
    log_level = logging.ERROR

    def __init__(self, stream: TextIO) -> None:
        self._pace = Pace()
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=30),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=Console(file=stream),
            transient=False,
        )
        self._task: TaskID | None = None

    def start(self, title: str) -> None:
        self._progress.start()
        self._task = self._progress.add_task(title, total=None)

    def show(self, standing: Standing) -> None:
        self._pace.note(time.monotonic(), standing.settled)
        self._update(describe(standing, self._pace), standing.settled, standing.total)

    def show_forecast(self, summary: Summary, rest: int | None) -> None:
        self._pace.note(time.monotonic(), summary.looked)
        total = None if rest is None else summary.looked + rest
        self._update(describe_forecast(summary, rest, self._pace), summary.looked, total)

    def stop(self) -> None:
        self._progress.stop()

    def _update(self, words: str, completed: int, total: int | None) -> None:
        if self._task is not None:
            self._progress.update(self._task, description=words, completed=completed, total=total)
