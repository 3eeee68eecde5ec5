"""Accounts and contacts of Zuora's lists against the store: an edit of either touches no subscription in Zuora.

Remembered is a hash of each one that belongs to a subscription of ours, so that a bill run, which updates every
account, asks for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from sync_service.jobs.sweep.marks import Marks, Sweep, ask_for
from sync_service.jobs.sweep.memory import (
    Sight,
    read_fingerprints,
    read_last,
    read_news,
    read_sights,
    read_waiting,
    remember,
)
from sync_service.queue.requests import BATCH
from sync_service.subscription.fingerprint import Fingerprint
from sync_service.subscription.listed import (
    ListDifference,
    ListedAccount,
    ListedContact,
    is_account_changed,
    is_contact_changed,
)

_Holder = TypeVar("_Holder", ListedAccount, ListedContact)


def mark_accounts(sweep: Sweep, rows: Sequence[ListedAccount]) -> None:
    """Ask for all subscriptions of accounts that changed in what matters to them. Repeatable."""
    sweep.report.add("looked_at", len(rows), of="accounts")
    for begin in range(0, len(rows), BATCH):
        _mark(sweep, rows[begin : begin + BATCH], "account", lambda row: row.id, _is_account_news)


def mark_contacts(sweep: Sweep, rows: Sequence[ListedContact]) -> None:
    """Ask for the subscriptions of an account that were last read with other values of a contact. Repeatable."""
    sweep.report.add("looked_at", len(rows), of="contacts")
    for begin in range(0, len(rows), BATCH):
        _mark(sweep, rows[begin : begin + BATCH], "contact", lambda row: row.account_id, _is_contact_news)


def _mark(
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
