"""Erasing a customer: personal values go from objects, history and callouts, and a mark keeps them from coming back.

Dates and amounts stay, so that what was billed still adds up. One transaction, with the locks of a sync in the order
of a sync: a run that is under way is either over before, and its work is erased too, or finds the mark.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, update
from sqlmodel import col, or_, select

from sync_service.errors import UnknownKey
from sync_service.operations.export import (
    Belongings,
    aliases_of,
    find_belongings,
    names_of,
    read_objects,
    read_runs,
)
from sync_service.queue.orders.erasing import erase_messages, erase_orders, lock_orders, values_of_orders
from sync_service.store.engine import Database, Session
from sync_service.store.object_rows import write_document
from sync_service.store.reads import mark_scrubbed
from sync_service.store.statement import in_batches
from sync_service.store.tables import (
    AdminViewRow,
    AskRow,
    BasketRow,
    CalloutRow,
    CustomerRow,
    IdentityRow,
    LimioObject,
    OrderRow,
    ScrubMarkRow,
    SubscriptionRow,
    SweepSeenRow,
    SyncRunRow,
    WebhookDeliveryRow,
    ZuoraAccountRow,
)
from sync_service.subscription.limio.documents import timestamp_of
from sync_service.subscription.limio.personal import erase_object, erase_plan, erase_text, is_about, personal_values
from sync_service.subscription.trigger import Trigger
from sync_service.telemetry.log import logger

#: A word of a kept view's query, with the field that it is asked of (`web/admin/history_pages.py`).
_QUERY_WORD = re.compile(r'(?:([A-Za-z]+):)?("[^"]*"|[^\s"]+)')
#: Limio's ids of customers, identities and subscriptions, as a log holds them.
_ERASED = re.compile(r"(?<![\w-])(?:cus|id|sub)-[\w-]+")


@dataclass(kw_only=True)
class ScrubReport:
    """What was erased, by number of rows; doing it again finds nothing more to erase."""

    customers: tuple[str, ...]
    owners: tuple[str, ...]
    subscriptions: tuple[str, ...]
    numbers: tuple[str, ...]
    objects: int = 0
    runs: int = 0
    orders: int = 0
    callouts: int = 0
    webhooks: int = 0
    #: What partners were about to order for the customer.
    baskets: int = 0
    #: Queries of the history that people keep under a name.
    views: int = 0
    #: Messages of errors, of requests, jobs and Zuora's trouble.
    messages: int = 0
    #: Bytes may be left in the database's files (docs/data-protection.md).
    leftovers: bool = False

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Whom a key leads to, for the question whether to erase them."""

    #: Names and email addresses of the customers.
    people: tuple[str, ...]
    numbers: tuple[str, ...]


def find_scope(database: Database, key: str) -> Scope:
    """Whom `scrub` would erase by this key. Raises UnknownKey."""
    with database.reading() as session:
        person = find_belongings(session, key)
        found = [session.get(CustomerRow, each) for each in sorted(person.customers)]
        people = (_introduce(row.document) for row in found if row is not None)
        return Scope(people=tuple(people), numbers=tuple(sorted(person.numbers)))


def _introduce(document: dict[str, Any]) -> str:
    data = document.get("data") or {}
    return f"{data.get('name') or 'no name'} <{data.get('email') or 'no email'}> ({document.get('id')})"


def scrub(database: Database, key: str, *, actor: str, trigger: Trigger = Trigger.CLI) -> ScrubReport:
    """Erase the customer whom `key` leads to: a subscription's key, a customer (`cus-…`) or an identity (`id-…`).

    All of the customer's subscriptions are covered. Messages of errors go first, in a transaction of their own, because
    workers lock their rows before the others. Repeatable. Raises UnknownKey where the store has nothing by that name,
    and OrderUnderWay while an order of the customer has not ended.
    """
    with database.reading() as session:
        person = find_belongings(session, key)
        names = names_of(session, person)
        known = _values_of(read_objects(session, person), read_runs(session, person))
    with database.transaction() as session:
        messages = erase_messages(session, names, known)
    with database.transaction() as session:
        person = find_belongings(session, key)
        _lock(session, person)
        person = find_belongings(session, key)  # what came in until we had the locks belongs to it as well
        now = session.now()
        report = ScrubReport(
            messages=messages,
            customers=tuple(sorted(person.customers)),
            owners=tuple(sorted(person.owners)),
            subscriptions=tuple(sorted(person.subscriptions)),
            numbers=tuple(sorted(person.numbers)),
        )
        rows = list(read_objects(session, person, locked=True))
        runs = read_runs(session, person, locked=True)
        orders = lock_orders(session, person.numbers, [row.id for row in rows if isinstance(row, OrderRow)])
        known = _values_of(rows, runs) | values_of_orders(orders)
        report.objects = _erase_objects(rows, known, now)
        report.runs = _erase_runs(runs, known)
        report.orders = erase_orders(session, orders, known)
        report.callouts = _erase_callouts(session, person)
        report.webhooks = _forget_webhooks(session, [row.id for row in rows])
        report.baskets = _forget_baskets(session, person, known)
        report.views = _forget_views(session, known)
        _forget_traces(session, person)
        mark_scrubbed(session, _whom_to_mark(person), at=now, actor=actor)
        _record(session, person, now, actor, trigger)
        session.flush()
    report.leftovers = not database.compact()
    logger().info("customer_erased", actor=actor, marked=sorted(_whom_to_mark(person)))
    return report


def scrub_again(database: Database, log: Iterable[str], *, actor: str) -> list[ScrubReport]:
    """Erase whom a log says to have been erased, in a store that was restored from a backup of before.

    `log` is the service's own, as text or JSON: the ids in its lines `customer_erased` count. Whom the backup does not
    hold is left out. Repeatable. Raises OrderUnderWay.
    """
    erased = {each: None for line in log if "customer_erased" in line for each in _ERASED.findall(line)}
    reports, covered = [], set[str]()
    for key in erased:
        if key in covered:
            continue
        with suppress(UnknownKey):
            report = scrub(database, key, actor=actor)
            reports.append(report)
            covered |= {*report.customers, *report.owners, *report.subscriptions}
    return reports


def _lock(session: Session, person: Belongings) -> None:
    """Accounts, identities, customers, subscriptions: in the order in which syncs and loads take them."""
    accounts = {link.account_id for link in person.links} - {None}
    for row_class, key, ids in (
        (ZuoraAccountRow, ZuoraAccountRow.account_id, accounts),
        (IdentityRow, IdentityRow.id, person.owners),
        (CustomerRow, CustomerRow.id, person.customers),
        (SubscriptionRow, SubscriptionRow.id, set(person.subscriptions)),
    ):
        locked = select(row_class).where(col(key).in_(sorted(filter(None, ids)))).order_by(col(key)).with_for_update()
        session.exec(locked.execution_options(populate_existing=True)).all()


def _values_of(rows: Iterable[LimioObject], runs: Collection[SyncRunRow]) -> set[str]:
    """All that is known of the person, by which it is found in other texts."""
    known = set[str]().union(*(personal_values(row.record_type_name, row.document) for row in rows))
    return known.union(*(_values_of_plan(run.plan) for run in runs))


def _values_of_plan(plan: Any) -> set[str]:
    """What an earlier name or address was, which no object holds any more."""
    found: set[str] = set()
    for change in (plan or {}).get("changes") or ():
        record_type = str(change.get("record_type"))
        found |= personal_values(record_type, change.get("document") or {})
        for each in change.get("fields") or ():
            name = str(each.get("path")).rsplit(".", 1)[-1]
            for value in (each.get("before"), each.get("after")):
                found |= personal_values(record_type, {name: value})
    return found


def _erase_objects(rows: Collection[LimioObject], known: set[str], now: int) -> int:
    erased = 0
    for row in rows:
        document = erase_object(row.record_type_name, row.document, known)
        if document != row.document:
            # Marked as written by us: a later load of what Limio still had does not bring it back.
            write_document(row, {**document, "updated": timestamp_of(now)}, synced_at=now)
            erased += 1
    return erased


def _erase_runs(runs: Collection[SyncRunRow], known: set[str]) -> int:
    erased = 0
    for run in runs:
        plan = erase_plan(run.plan, known) if run.plan else run.plan
        error = erase_text(run.error, known)
        if (plan, error) != (run.plan, run.error):
            run.plan, run.error = plan, error
            erased += 1
    return erased


def _erase_callouts(session: Session, person: Belongings) -> int:
    """The hash of a body that named the person, and who made the order."""
    callout = CalloutRow
    keys = names_of(session, person)
    holds = or_(col(callout.body_sha256).is_not(None), col(callout.created_by).is_not(None))
    count = 0
    for some in in_batches(sorted(keys)):
        statement = update(callout).where(col(callout.key).in_(some), holds)
        count += session.connection().execute(statement.values(body_sha256=None, created_by=None)).rowcount
    return count


def _forget_traces(session: Session, person: Belongings) -> None:
    """Hashes of contacts, and the requested previews."""
    contacts: set[str] = set()
    for link in person.links:
        contacts |= set(link.fingerprint.get("contact_hashes") or ())
        link.fingerprint = {}
    traces = person.numbers | contacts | {link.account_id for link in person.links if link.account_id}
    for some in in_batches(sorted(traces)):
        for seen in session.exec(select(SweepSeenRow).where(col(SweepSeenRow.key).in_(some))):
            session.delete(seen)
    names = person.numbers | person.subscriptions.keys() | aliases_of(session, person)
    for some in in_batches(sorted(names)):
        session.exec(delete(AskRow).where(col(AskRow.key).in_(some)))


def _forget_webhooks(session: Session, object_ids: list[str]) -> int:
    """Webhooks about the person's objects, whose bodies are those objects; what was not delivered is not sent."""
    count = 0
    for some in in_batches(sorted(object_ids)):
        count += (
            session.connection()
            .execute(delete(WebhookDeliveryRow).where(col(WebhookDeliveryRow.object_id).in_(some)))
            .rowcount
        )
    return count


def _forget_baskets(session: Session, person: Belongings, known: set[str]) -> int:
    """Baskets for the person's subscriptions, and any whose texts hold a personal value; none is older than a day."""
    count = 0
    for basket in session.exec(select(BasketRow)):
        text = json.dumps([basket.external_id, basket.wanted, basket.seen, basket.document], ensure_ascii=False)
        if basket.subscription_id in person.subscriptions or erase_text(text, known) != text:
            session.delete(basket)
            count += 1
    return count


def _forget_views(session: Session, known: set[str]) -> int:
    """Kept queries that find the person by words, or whose name or words hold a personal value."""
    count = 0
    for view in session.exec(select(AdminViewRow)):
        words = [word.strip('"') for name, word in _QUERY_WORD.findall(view.query) if name.lower() in ("", "customer")]
        text = f"{view.name} {view.query.replace(':', ' ')}"
        if is_about(words, known) or erase_text(text, known) != text:
            session.delete(view)
            count += 1
    return count


def _whom_to_mark(person: Belongings) -> set[str]:
    """The people; a subscription only if it has none, because it may go to another customer one day."""
    ownerless = {row.id for row in person.subscriptions.values() if row.customer is None and row.owner is None}
    return person.customers | person.owners | ownerless


def _record(session: Session, person: Belongings, now: int, actor: str, trigger: Trigger) -> None:
    """A run row for each number, so that the history says when and by whom; it covers no request."""
    marked = session.exec(select(ScrubMarkRow.at).where(col(ScrubMarkRow.object_id).in_(_whom_to_mark(person)))).all()
    if any(at != now for at in marked):
        return  # erased before
    for number in sorted(person.numbers):
        session.add(
            SyncRunRow(
                kind="subscription",
                key=number,
                seq_from=0,
                seq_to=0,
                outcome="scrubbed",
                trigger=trigger,
                actor=actor,
                began_at=now,
                ended_at=now,
                plan={"number": number, "changes": [], "notes": ["The customer's personal values were erased."]},
            )
        )
