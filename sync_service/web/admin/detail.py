"""All that one page shows of a subscription, read in one look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import union_all
from sqlmodel import col, select

from sync_service.queue.history import Why, why
from sync_service.store.engine import Session
from sync_service.store.object_rows import find_subscription, read_addresses
from sync_service.store.reads import resolve_key
from sync_service.store.tables import (
    CalloutRow,
    CustomerRow,
    ScheduleRow,
    SubscriptionAliasRow,
    SubscriptionRow,
    SyncRunRow,
    ZuoraLinkRow,
)
from sync_service.subscription.limio.documents import get_value
from sync_service.subscription.schedule.money import parse_amount
from sync_service.web.admin.drawing import Payment, Timeline, draw_timeline
from sync_service.web.admin.words import money

#: Rows of the schedule on a page; more stand in the objects API.
MOST_ENTRIES = 400
_RUNS, _CALLOUTS = 25, 15
#: Versions of a subscription whose ids are looked for among the callouts.
_NAMES = 100
ADDRESS_FIELDS = (
    *("address1", "address2", "city", "county", "state", "postalCode", "country"),
    *("phone", "workPhone", "otherPhone", "workEmail"),
)


@dataclass(frozen=True)
class Entry:
    """One payment, as a row of the table."""

    due: date | None
    kind: str
    amount: str
    status: str
    state: str
    items: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Address:
    """One address in use."""

    use: str
    person: str
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Detail:
    """The whole page. `subscription` is None where the store has none by that key."""

    key: str
    #: The row of the queue that serves the key.
    kind: str
    number: str
    subscription: SubscriptionRow | None
    customer: CustomerRow | None
    link: ZuoraLinkRow | None
    known: Why
    held: SyncRunRow | None
    entries: tuple[Entry, ...]
    totals: tuple[tuple[str, str], ...]
    timeline: Timeline | None
    addresses: tuple[Address, ...]
    callouts: tuple[CalloutRow, ...]
    siblings: tuple[SubscriptionRow, ...]

    @property
    def is_unknown(self) -> bool:
        """Nothing at all is known of the key."""
        return self.subscription is None and not self.known.causes and not self.known.runs


def read_detail(session: Session, key: str, today: date) -> Detail:
    """Everything of the subscription that `key` names, or of the request that waits under it."""
    number = resolve_key(session, key)
    kind = "alias" if number is None else "subscription"
    number = number or key
    subscription = find_subscription(session, number)
    if subscription is None:
        subscription = session.get(SubscriptionRow, key)
    rows = _read_schedule(session, subscription)
    entries = tuple(_entry(row, today) for row in rows)
    drawn = [Payment(entry.due, entry.amount, entry.state) for entry in entries if entry.due]
    return Detail(
        key=subscription.id if subscription else key,
        kind=kind,
        number=number,
        subscription=subscription,
        customer=session.get(CustomerRow, subscription.customer) if subscription and subscription.customer else None,
        link=session.get(ZuoraLinkRow, number),
        known=why(session, number, kind=kind, limit=_RUNS),
        held=_read_held(session, number),
        entries=entries,
        totals=_totals(rows, today),
        timeline=draw_timeline(
            drawn,
            today=today,
            term_start=subscription.term_start if subscription else None,
            term_end=subscription.term_end if subscription else None,
        ),
        addresses=_addresses(session, subscription),
        callouts=_read_callouts(session, number, subscription),
        siblings=_read_siblings(session, subscription),
    )


def _read_schedule(session: Session, subscription: SubscriptionRow | None) -> list[ScheduleRow]:
    if subscription is None:
        return []
    rows = select(ScheduleRow).where(ScheduleRow.subscription_id == subscription.id)
    newest = rows.order_by(col(ScheduleRow.due).desc(), col(ScheduleRow.id)).limit(MOST_ENTRIES)
    return list(reversed(session.exec(newest).all()))


def _entry(row: ScheduleRow, today: date) -> Entry:
    status = (row.status or "").lower()
    is_past = row.due is not None and row.due < today
    state = "cancelled" if status.startswith("cancel") else "past" if is_past else "coming"
    return Entry(
        due=row.due,
        kind=row.type or "payment",
        amount=money(row.amount, row.currency),
        status=row.status or "",
        state=state,
        items=tuple(_items(row)),
    )


def _items(row: ScheduleRow) -> list[tuple[str, str, str]]:
    found = get_value(row.document, "data.lineItems")
    items = [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []
    return [
        (
            str(item.get("chargeName") or item.get("name") or ""),
            " – ".join(str(item[name])[:10] for name in ("serviceStartDate", "serviceEndDate") if item.get(name)),
            money(item.get("amount"), row.currency),
        )
        for item in items[:50]
    ]


def _totals(rows: list[ScheduleRow], today: date) -> tuple[tuple[str, str], ...]:
    sums: dict[tuple[str, str], Decimal] = {}
    for row in rows:
        amount = parse_amount(row.amount)
        if amount is None or (row.status or "").lower().startswith("cancel"):
            continue
        when = "Until yesterday" if row.due and row.due < today else "Still to come"
        sums[when, row.currency or ""] = sums.get((when, row.currency or ""), Decimal(0)) + amount
    return tuple((when, money(amount, currency)) for (when, currency), amount in sorted(sums.items(), reverse=True))


def _addresses(session: Session, subscription: SubscriptionRow | None) -> tuple[Address, ...]:
    """The newest active address of each use."""
    newest: dict[str, Mapping[str, Any]] = {}
    for document in read_addresses(session, subscription.id) if subscription else ():
        if document.get("status") in (None, "active"):
            newest[str(document.get("relationship_type") or "address")] = document
    return tuple(_address(use, document) for use, document in sorted(newest.items()))


def _address(use: str, document: Mapping[str, Any]) -> Address:
    data = document.get("data")
    data = data if isinstance(data, Mapping) else {}
    person = " ".join(str(data[name]) for name in ("firstName", "lastName") if data.get(name))
    return Address(use, person, tuple(str(data[name]) for name in ADDRESS_FIELDS if data.get(name)))


def _read_held(session: Session, number: str) -> SyncRunRow | None:
    run = SyncRunRow
    return session.exec(select(run).where(run.kind == "subscription", run.key == number, run.outcome == "held")).first()


def _read_callouts(session: Session, number: str, subscription: SubscriptionRow | None) -> tuple[CalloutRow, ...]:
    names = [number, *(key for key in (subscription.id, subscription.reference) if key)] if subscription else [number]
    aliases = select(SubscriptionAliasRow.alias).where(SubscriptionAliasRow.number == number)
    names += session.exec(aliases.order_by(col(SubscriptionAliasRow.alias)).limit(_NAMES))
    # The latest of each name by itself: together they would be read whole, to be sorted.
    latest = [
        select(CalloutRow.id).where(CalloutRow.key == name).order_by(col(CalloutRow.id).desc()).limit(_CALLOUTS)
        for name in dict.fromkeys(names)
    ]
    ids = union_all(*(select(each.subquery().c.id) for each in latest))
    about = select(CalloutRow).where(col(CalloutRow.id).in_(ids)).order_by(col(CalloutRow.id).desc())
    return tuple(session.exec(about.limit(_CALLOUTS)))


def _read_siblings(session: Session, subscription: SubscriptionRow | None) -> tuple[SubscriptionRow, ...]:
    """The customer's other subscriptions."""
    if subscription is None or not subscription.customer:
        return ()
    row = SubscriptionRow
    others = select(row).where(row.customer == subscription.customer, row.id != subscription.id)
    return tuple(session.exec(others.order_by(col(row.id)).limit(20)))
