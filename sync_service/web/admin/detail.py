"""All that one page shows of a subscription, read in one look, and where its payments stand in the drawing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from sqlmodel import col, select

from sync_service.queue.runs.history import Why, why
from sync_service.store.engine import Session
from sync_service.store.object_rows import find_subscription, read_addresses
from sync_service.store.reads import resolve_key
from sync_service.store.tables import (
    CustomerRow,
    ScheduleRow,
    SubscriptionOfferRow,
    SubscriptionRow,
    SyncRunRow,
    ZuoraLinkRow,
)
from sync_service.subscription.limio.documents import get_value
from sync_service.subscription.schedule.money import parse_amount
from sync_service.web.admin.words import money

#: The drawing's own units.
WIDTH, HEIGHT = 1000, 150
_LEFT, _RIGHT = 20, 980
#: Entries beyond this are in the table alone.
MAX_DOTS = 200


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
    shown = sorted(payments, key=lambda payment: payment.due)[-MAX_DOTS:]
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
    months = max(1, ((last - first).days // 30) // 5)
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


#: Rows of the schedule on a page; more stand in the objects API.
MAX_ENTRIES = 400
#: Offers of one subscription that are looked through for the one that names its plan.
_OFFERS = 20
ADDRESS_FIELDS = (
    *("address1", "address2", "city", "county", "state", "postalCode", "country"),
    *("phone", "workPhone", "otherPhone", "workEmail"),
)


@dataclass(frozen=True)
class ScheduledPayment:
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
    #: What the customer has bought; empty where nothing names it.
    plan: str
    subscription: SubscriptionRow | None
    customer: CustomerRow | None
    link: ZuoraLinkRow | None
    known: Why
    held: SyncRunRow | None
    entries: tuple[ScheduledPayment, ...]
    #: The schedule has more entries than these.
    is_cut: bool
    totals: tuple[tuple[str, str], ...]
    timeline: Timeline | None
    addresses: tuple[Address, ...]
    siblings: tuple[SubscriptionRow, ...]

    @property
    def is_unknown(self) -> bool:
        """Nothing at all is known of the key."""
        return self.subscription is None and not self.known.causes and not self.known.runs

    @property
    def next_payment(self) -> ScheduledPayment | None:
        """The first payment that is still to come."""
        return next((entry for entry in self.entries if entry.state == "coming"), None)

    @property
    def title(self) -> str:
        """The customer and the plan, as far as they are known; else the number."""
        name = self.customer.name if self.customer else ""
        return " · ".join(filter(None, (name, self.plan))) or self.number


def read_detail(session: Session, key: str, today: date) -> Detail:
    """Everything of the subscription that `key` names, or of the request that waits under it."""
    number = resolve_key(session, key)
    kind = "alias" if number is None else "subscription"
    number = number or key
    subscription = find_subscription(session, number)
    if subscription is None:
        subscription = session.get(SubscriptionRow, key)
    rows = _read_schedule(session, subscription)
    is_cut, rows = len(rows) > MAX_ENTRIES, rows[-MAX_ENTRIES:]
    entries = tuple(_entry(row, today) for row in rows)
    drawn = [DrawnPayment(entry.due, entry.amount, entry.state) for entry in entries if entry.due]
    return Detail(
        key=subscription.id if subscription else key,
        kind=kind,
        number=number,
        subscription=subscription,
        customer=session.get(CustomerRow, subscription.customer) if subscription and subscription.customer else None,
        link=session.get(ZuoraLinkRow, number),
        plan=read_plan_name(session, subscription) if subscription else "",
        known=why(session, number, kind=kind, limit=1),
        held=_read_held(session, number),
        entries=entries,
        is_cut=is_cut,
        totals=_totals(rows, today),
        timeline=draw_timeline(
            drawn,
            today=today,
            term_start=subscription.term_start if subscription else None,
            term_end=subscription.term_end if subscription else None,
        ),
        addresses=_addresses(session, subscription),
        siblings=_read_siblings(session, subscription),
    )


def read_plan_name(session: Session, subscription: SubscriptionRow) -> str:
    """The name of the newest offer that is no discount, else what the subscription itself is called."""
    row = SubscriptionOfferRow
    theirs = select(row).where(row.subscription_id == subscription.id).order_by(col(row.created).desc(), col(row.id))
    offers = [offer.document for offer in session.exec(theirs.limit(_OFFERS))]
    current = [each for each in offers if get_value(each, "data.record_subtype") != "discount"]
    names = [get_value(each, "data.name") for each in (*current, subscription.document)]
    return next((name for name in names if isinstance(name, str) and name), "")


def read_coming(session: Session, subscription: SubscriptionRow, today: date) -> tuple[ScheduledPayment, ...]:
    """The payments that are still to come, the next one first."""
    entries = (_entry(row, today) for row in _read_schedule(session, subscription))
    return tuple(entry for entry in entries if entry.state == "coming")


def _read_schedule(session: Session, subscription: SubscriptionRow | None) -> list[ScheduleRow]:
    if subscription is None:
        return []
    rows = select(ScheduleRow).where(ScheduleRow.subscription_id == subscription.id)
    newest = rows.order_by(col(ScheduleRow.due).desc(), col(ScheduleRow.id)).limit(MAX_ENTRIES + 1)
    return list(reversed(session.exec(newest).all()))


def _entry(row: ScheduleRow, today: date) -> ScheduledPayment:
    status = (row.status or "").lower()
    is_past = row.due is not None and row.due < today
    state = "cancelled" if status.startswith("cancel") else "past" if is_past else "coming"
    return ScheduledPayment(
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


def _read_siblings(session: Session, subscription: SubscriptionRow | None) -> tuple[SubscriptionRow, ...]:
    """The customer's other subscriptions."""
    if subscription is None or not subscription.customer:
        return ()
    row = SubscriptionRow
    others = select(row).where(row.customer == subscription.customer, row.id != subscription.id)
    return tuple(session.exec(others.order_by(col(row.id)).limit(20)))
