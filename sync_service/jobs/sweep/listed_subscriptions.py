"""Subscriptions of Zuora's list against the store: what differs is asked for, what is equal leaves no trace.

What was asked for is remembered with what was seen, so that the overlap of two sweeps, or a bill run that touches every
subscription, asks once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sync_service.jobs.sweep.marks import Marks, Sweep, ask_for
from sync_service.jobs.sweep.memory import (
    News,
    OpenRequest,
    Sight,
    read_echoes,
    read_last,
    read_news,
    read_references,
    read_sights,
    read_waiting,
    remember,
)
from sync_service.queue.history import FoundAs
from sync_service.queue.requests import BATCH
from sync_service.store.engine import Session
from sync_service.subscription.imports import refuse_import
from sync_service.subscription.listed import LastSeen, ListDifference, ListedSubscription, compare_subscription
from sync_service.subscription.trigger import Trigger

#: A difference in one of these that is still there after a run asks for another one.
_CERTAIN = frozenset({ListDifference.VERSION, ListDifference.NEVER_READ, ListDifference.UNKNOWN})


@dataclass(frozen=True, kw_only=True)
class _Memory:
    """What the store knows of the rows that differ."""

    differences: Mapping[str, tuple[ListDifference, ...]]
    #: When the last good run of each number began, ms by the database's clock, and which version it read.
    read_began: Mapping[str, int]
    versions: Mapping[str, int]
    sights: Mapping[str, Sight]
    waiting: Mapping[str, OpenRequest]
    #: When callouts of our own orders came.
    echoes: Mapping[str, Sequence[int]]
    news: News
    now: int

    def is_echo(self, row: ListedSubscription) -> bool:
        """Whether orders of our own explain every version since the last good run; one more than they is another's."""
        since = self.read_began.get(row.number, 0)
        announced = sum(at >= since for at in self.echoes.get(row.number, ()))
        return announced >= max(1, row.version - self.versions.get(row.number, 0))


def mark_subscriptions(sweep: Sweep, rows: Sequence[ListedSubscription]) -> None:
    """Ask for the numbers whose row differs from their last good run. Repeatable: nothing is asked for twice."""
    sweep.report.add("looked_at", len(rows), of="subscriptions")
    for begin in range(0, len(rows), BATCH):
        _mark(sweep, _latest(rows[begin : begin + BATCH]))


def _mark(sweep: Sweep, rows: Mapping[str, ListedSubscription]) -> None:
    with sweep.context.database.reading() as session:
        memory = _read_memory(sweep, session, rows)
    marks, facts = Marks(), {}
    for number, differences in memory.differences.items():
        row = rows[number]
        if ListDifference.UNKNOWN in differences and _is_left_out(
            sweep, row, echoed=number in memory.echoes, now=memory.now
        ):
            continue
        if _was_asked_for(sweep, row, differences, memory):
            continue
        waiting = memory.waiting.get(number)
        if waiting is not None and waiting.covers(full=False):
            sweep.report.add("waiting")
            continue
        marks.add(number, _classify(number, differences, memory, echoed=memory.is_echo(row)), differences[0])
        facts[number] = row.facts
    # In this order: killed in between, the open requests keep us from asking again.
    ask_for(sweep, marks)
    remember(sweep.context.database, "subscription", facts)


def _read_memory(sweep: Sweep, session: Session, rows: Mapping[str, ListedSubscription]) -> _Memory:
    context = sweep.context
    last = read_last(session, list(rows))
    unread = [number for number in rows if number not in last]
    references = read_references(session, unread) if unread else set()
    compared = ((number, _compare(sweep, row, last.get(number), references)) for number, row in rows.items())
    differences = {number: found for number, found in compared if found}
    if not differences:
        return _Memory(differences={}, read_began={}, versions={}, sights={}, waiting={}, echoes={}, news=News(), now=0)
    ours = {
        number: rows[number].id
        for number, found in differences.items()
        if ListDifference.UNKNOWN not in found or context.import_rules.import_all
    }
    return _Memory(
        differences=differences,
        read_began={number: began for number, (_, began) in last.items()},
        versions={number: seen.version for number, (seen, _) in last.items()},
        sights=read_sights(session, "subscription", list(ours)),
        waiting=read_waiting(session, list(ours)),
        echoes=read_echoes(session, ours),
        news=read_news(session, ours, {number: began for number, (_, began) in last.items()}),
        now=session.now(),
    )


def _compare(
    sweep: Sweep, row: ListedSubscription, last: tuple[LastSeen, int] | None, references: set[str]
) -> tuple[ListDifference, ...]:
    if last is not None:
        return compare_subscription(row, last[0], sweep.context.settings.tenant_time_zone)
    if row.is_latest is None and row.status == "Expired":
        return ()  # a superseded version; the latest one is in the list as well
    return (ListDifference.NEVER_READ if row.number in references else ListDifference.UNKNOWN,)


def _was_asked_for(
    sweep: Sweep, row: ListedSubscription, differences: tuple[ListDifference, ...], memory: _Memory
) -> bool:
    """Whether a sweep has asked for exactly this before, and no run since then has proved that it was in vain."""
    sight = memory.sights.get(row.number)
    if sight is None or sight.facts != row.facts:
        return False
    if not _CERTAIN.intersection(differences):
        return True
    return not sweep.insists and memory.read_began.get(row.number, 0) <= sight.at


def _is_left_out(sweep: Sweep, row: ListedSubscription, *, echoed: bool, now: int) -> bool:
    """Whether importing refuses this unknown number by what the list shows of it; counted and named."""
    rules = sweep.context.import_rules
    refusal = refuse_import(
        row.as_subscription(rules.tenant_zone),
        {Trigger.SWEEP},
        rules,
        echoed=echoed,
        now=datetime.fromtimestamp(now / 1000, UTC),
    )
    if refusal is None:
        return False
    sweep.report.add("left_out", of=refusal)
    if rules.limio_reference_format and re.fullmatch(rules.limio_reference_format, row.number):
        sweep.report.name("missing_from_load", [row.number])
    return True


def _classify(number: str, differences: tuple[ListDifference, ...], memory: _Memory, *, echoed: bool) -> FoundAs:
    if ListDifference.UNKNOWN in differences:
        return FoundAs.IMPORT
    if differences == (ListDifference.UPDATE_TIME,):
        return FoundAs.TOUCHED
    if echoed:
        return FoundAs.ECHO
    found = memory.news.classify(number)
    never_read = ListDifference.NEVER_READ in differences and found is FoundAs.DRIFT
    return FoundAs.FIRST_READ if never_read else found


def _latest(rows: Sequence[ListedSubscription]) -> dict[str, ListedSubscription]:
    """By number the highest version on the page; ZOQL lists superseded ones too."""
    latest: dict[str, ListedSubscription] = {}
    for row in rows:
        if row.number not in latest or row.version > latest[row.number].version:
            latest[row.number] = row
    return latest
