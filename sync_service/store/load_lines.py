"""Loading Limio's objects into the store: how a real store starts, and how it takes in what Limio changed later.

Doing it again changes nothing. What a sync wrote stays; of two versions that Limio gave, the later counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from sync_service.store.engine import Database
from sync_service.store.load_batch import LoadedBatch, load_batch
from sync_service.store.offers import Outcome
from sync_service.subscription.limio.arrivals import Arrival, LineProblem, read_answer

#: One transaction takes no more than this.
MAX_LINES = 500
MAX_OBJECTS = 1_000
MAX_CHARACTERS = 8_000_000
#: The longest line, in characters: a subscription with years of payments is far below.
LONGEST_LINE = 4_000_000
#: The problems that a report spells out; the others are counted.
MAX_PROBLEMS = 1_000
#: What the first line of a pretty-printed file is, and what to tell of it.
_PRETTY_PRINTED = {
    "{": "One object a line is wanted, and this one goes over several: `jq -c . FILE | sync-service load -`.",
    "[": "One object a line is wanted, and this is a list of several lines: `jq -c '.[]' FILE | sync-service load -`.",
}
#: How often a batch is tried that another transaction was in the way of.
TRIES = 5


@dataclass(kw_only=True)
class Counts:
    """What became of the objects of one record type."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    #: The store's version was kept: a sync wrote it, or it is the later one.
    kept: int = 0


@dataclass(kw_only=True)
class LoadReport:
    """What one load did."""

    lines: int = 0
    counts: dict[str, Counts] = field(default_factory=dict)
    problem_count: int = 0
    #: The first of them, in the order of the lines but for unattached addresses, which are told at the end.
    problems: list[LineProblem] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The report for machines."""
        return {
            "lines": self.lines,
            "objects": {record_type: dict(vars(counts)) for record_type, counts in sorted(self.counts.items())},
            "problem_count": self.problem_count,
            "problems": [dict(vars(problem)) for problem in self.problems],
        }

    def count(self, record_type: str, outcome: Outcome) -> None:
        """One more object with that outcome."""
        counts = self.counts.setdefault(record_type, Counts())
        setattr(counts, outcome, getattr(counts, outcome) + 1)

    def tell(self, problems: Iterable[LineProblem]) -> None:
        """Count problems, and keep the first ones."""
        for problem in problems:
            self.problem_count += 1
            if len(self.problems) < MAX_PROBLEMS:
                self.problems.append(problem)


@dataclass(kw_only=True)
class _Batch:
    arrivals: list[Arrival] = field(default_factory=list)
    problems: list[LineProblem] = field(default_factory=list)
    lines: int = 0
    characters: int = 0

    @property
    def is_full(self) -> bool:
        return self.lines >= MAX_LINES or len(self.arrivals) >= MAX_OBJECTS or self.characters >= MAX_CHARACTERS


@dataclass(kw_only=True)
class _LoadMemory:
    """What outlives a batch: addresses seen without a subscription by line, and subscriptions that were refused."""

    unattached: dict[str, int] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)


def read_lines(stream: BinaryIO) -> Iterator[str]:
    """The lines of a file that may be anything; of an endless line only the beginning is kept in memory."""
    while raw := stream.readline(LONGEST_LINE + 1):
        kept = raw
        while len(raw) > LONGEST_LINE and not raw.endswith(b"\n"):
            raw = stream.readline(LONGEST_LINE + 1)
        yield kept.decode("utf-8", errors="surrogateescape")


def load_objects(database: Database, lines: Iterable[str]) -> LoadReport:
    """Take Limio's objects, one answer of Limio as JSON on each line, into the store.

    A file whose JSON goes over several lines is refused as a whole, with what makes it one object a line.
    A broken line or object is reported and the rest goes on. Ids, references, owners and unknown fields are kept;
    fields that an answer lacks erase nothing. Transactions are short, so a load that is stopped is simply run again.
    Raises what the database raises where that is away.
    """
    report = LoadReport()
    memory = _LoadMemory()
    for batch in _batches(lines):
        report.lines += batch.lines
        report.tell(batch.problems)
        _load(database, batch.arrivals, memory, report)
    remedy = 'give it inside {"related_to": "sub-…", "items": […]}.'
    report.tell(
        LineProblem(line, f"{address_id} is attached to no subscription, so nothing can use it: {remedy}")
        for address_id, line in sorted(memory.unattached.items(), key=lambda known: known[1])
    )
    return report


def _batches(lines: Iterable[str]) -> Iterator[_Batch]:
    batch = _Batch()
    for number, text in enumerate(lines, 1):
        batch.lines += 1
        if number == 1 and text.strip() in _PRETTY_PRINTED:
            batch.problems.append(LineProblem(number, _PRETTY_PRINTED[text.strip()]))
            break
        if len(text) > LONGEST_LINE:
            batch.problems.append(LineProblem(number, f"The line is longer than {LONGEST_LINE} characters."))
        elif text.strip():
            arrivals, problems = read_answer(number, text)
            batch.arrivals += arrivals
            batch.problems += problems
            batch.characters += len(text)
        if batch.is_full:
            yield batch
            batch = _Batch()
    if batch.lines:
        yield batch


def _load(database: Database, arrivals: list[Arrival], memory: _LoadMemory, report: LoadReport) -> None:
    """One transaction; where the database refuses something in it, one for each line, so that the others go on."""
    try:
        loaded = _commit(database, arrivals, memory)
    except DBAPIError as error:
        if error.connection_invalidated or isinstance(error, OperationalError):
            raise
        lines = sorted({arrival.line for arrival in arrivals})
        if len(lines) == 1:
            report.tell([LineProblem(lines[0], f"The database refused it: {type(error.orig).__name__}.")])
            return
        for line in lines:
            _load(database, [arrival for arrival in arrivals if arrival.line == line], memory, report)
        return
    for record_type, outcome in loaded.outcomes:
        report.count(record_type, outcome)
    report.tell(loaded.problems)
    memory.refused |= loaded.refused
    memory.unattached |= loaded.unattached
    for address_id in loaded.attached:
        memory.unattached.pop(address_id, None)


def _commit(database: Database, arrivals: list[Arrival], memory: _LoadMemory) -> LoadedBatch:
    """Another load or a sync may be in the way (a deadlock, the same new id): then the batch is done once more."""
    tries = TRIES
    while True:
        try:
            with database.transaction() as session:
                return load_batch(session, arrivals, memory.refused, at=session.now())
        except (IntegrityError, OperationalError) as error:
            tries -= 1
            if not tries or error.connection_invalidated:
                raise
