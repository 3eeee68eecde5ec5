"""Zuora's lists against the store, page by page: subscriptions, and the accounts and contacts that belong to them.

What differs is asked for, what is equal leaves no trace. What was asked for is remembered with what was seen, so that
the overlap of two sweeps, or a bill run that touches every subscription, asks once. An edit of an account or a contact
touches no subscription in Zuora: remembered is a hash of each one that belongs to a subscription of ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sync_service.errors import NotFoundInZuora, PermissionRefused, RequestRefused, SubscriptionError
from sync_service.jobs.sweep.memory import (
    News,
    OpenRequest,
    Sight,
    read_echoes,
    read_fingerprints,
    read_last,
    read_news,
    read_references,
    read_sights,
    read_waiting,
    remember,
)
from sync_service.jobs.sweep.walk import Cursor, Marks, Sweep, ask_for
from sync_service.queue.runs.history import FoundAs
from sync_service.store.engine import Session
from sync_service.store.statement import in_batches
from sync_service.subscription.fingerprint import Fingerprint
from sync_service.subscription.limio.documents import moment_at
from sync_service.subscription.listed import (
    LastSeen,
    ListDifference,
    ListedAccount,
    ListedContact,
    ListedSubscription,
    compare_subscription,
    is_account_changed,
    is_contact_changed,
)
from sync_service.subscription.trigger import Trigger, refuse_import
from sync_service.zuora.listing import Listing, ListQuery, ListSource, RowPage, fetch_page
from sync_service.zuora.reading import Reading

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
    for some in in_batches(rows):
        _mark(sweep, _latest(some))


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
        now=moment_at(now),
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


_Holder = TypeVar("_Holder", ListedAccount, ListedContact)


def mark_accounts(sweep: Sweep, rows: Sequence[ListedAccount]) -> None:
    """Ask for all subscriptions of accounts that changed in what matters to them. Repeatable."""
    sweep.report.add("looked_at", len(rows), of="accounts")
    for some in in_batches(rows):
        _mark_holders(sweep, some, "account", lambda row: row.id, _is_account_news)


def mark_contacts(sweep: Sweep, rows: Sequence[ListedContact]) -> None:
    """Ask for the subscriptions of an account that were last read with other values of a contact. Repeatable."""
    sweep.report.add("looked_at", len(rows), of="contacts")
    for some in in_batches(rows):
        _mark_holders(sweep, some, "contact", lambda row: row.account_id, _is_contact_news)


def _mark_holders(
    sweep: Sweep,
    rows: Sequence[_Holder],
    kind: str,
    account_of: Callable[[_Holder], str],
    is_news: Callable[[_Holder, Sight | None, Fingerprint | None], bool],
) -> None:
    """Everything of an account is read for it: the short way would not look at the account."""
    database, marks, facts = sweep.context.database, Marks(), {}
    difference = ListDifference.ACCOUNT_CHANGED if kind == "account" else ListDifference.CONTACT
    with database.reading() as session:
        sights = read_sights(session, kind, [row.id for row in rows])
        changed = [row for row in rows if row.id not in sights or sights[row.id].facts != row.facts]
        if not changed:
            return
        numbers = read_fingerprints(session, sorted({account_of(row) for row in changed}))
        wanted = set()
        for row in changed:
            ours = numbers.get(account_of(row), {})
            if ours:  # nothing is remembered of people who are not ours
                facts[row.id] = row.facts
            wanted |= {number for number, read in ours.items() if is_news(row, sights.get(row.id), read)}
        waiting = read_waiting(session, sorted(wanted))
        last = read_last(session, sorted(wanted))
        ids = {number: seen.zuora_id for number, (seen, _) in last.items()}
        news = read_news(session, ids, {number: began for number, (_, began) in last.items()})
    for number in wanted:
        if number in waiting and waiting[number].covers(full=True):
            sweep.report.add("waiting")
        else:
            marks.add(number, news.classify(number), difference)
    ask_for(sweep, marks, full=True)
    remember(database, kind, facts)


def _is_account_news(row: ListedAccount, sight: Sight | None, read: Fingerprint | None) -> bool:
    return sight is not None or is_account_changed(row, read)


def _is_contact_news(row: ListedContact, _: Sight | None, read: Fingerprint | None) -> bool:
    return is_contact_changed(row, read)


#: The tenant, its edition or our user lacks what was asked with.
NOT_TO_BE_HAD = (PermissionRefused, NotFoundInZuora, RequestRefused)
#: How often a listing is begun anew in one sweep because Zuora does not know its own cursor any more.
_MAX_RESTARTS = 3
#: Subscriptions first: what is asked for there with the account's news is then already waiting.
_ORDER = (Listing.SUBSCRIPTIONS, Listing.ACCOUNTS, Listing.CONTACTS)


def first_page(source: ListSource) -> dict[str, Any]:
    """The cursor of the first listing's first page."""
    return {"source": source.value, "listing": _ORDER[0].value, "place": None}


def fetch_marked(sweep: Sweep, reading: Reading, question: ListQuery, cursor: Cursor) -> tuple[RowPage, Cursor | None]:
    """Fetch the page at `cursor`, mark what differs; the page, and the next cursor or None after the last.

    Where this way of asking is refused, the page is empty and the next cursor asks the other way. Raises what refuses
    that one too.
    """
    place = cursor.get("place")
    try:
        page = fetch_page(reading, question, place)
    except NOT_TO_BE_HAD as refusal:
        return RowPage(), _other_way(sweep, cursor, refusal)
    mark_subscriptions(sweep, page.subscriptions)
    mark_accounts(sweep, page.accounts)
    mark_contacts(sweep, page.contacts)
    sweep.report.add("unreadable", page.unreadable)
    if page.following is not None:
        return page, {**cursor, "place": page.following}
    return page, _next_listing(cursor, with_people=question.with_people)


def _next_listing(cursor: Cursor, *, with_people: bool) -> Cursor | None:
    following = _ORDER[_ORDER.index(Listing(cursor["listing"])) + 1 :]
    return {**cursor, "listing": following[0].value, "place": None} if following and not with_people else None


def _other_way(sweep: Sweep, cursor: Mapping[str, Any], refusal: Exception) -> Cursor:
    restarts = cursor.get("restarts", 0) + 1
    if cursor.get("place") is not None:
        if restarts > _MAX_RESTARTS:
            raise SubscriptionError(f"Zuora keeps refusing the next page of its list: {refusal}") from refusal
        return {**cursor, "place": None, "restarts": restarts}
    if cursor["source"] == ListSource.ZOQL.value:
        raise SubscriptionError(f"Neither Object Query nor ZOQL is to be had for a sweep: {refusal}") from refusal
    sweep.report.values["source"] = ListSource.ZOQL.value
    return {**cursor, "source": ListSource.ZOQL.value, "restarts": restarts}
