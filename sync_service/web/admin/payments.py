"""The payments of a subscription on a page: a table around today, their sums, and a line with a dot for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import sqlalchemy
from sqlalchemy import bindparam
from sqlmodel import col, select

from sync_service.store.engine import Session
from sync_service.store.statement import within
from sync_service.store.tables import ScheduleRow
from sync_service.subscription.limio.documents import get_value
from sync_service.subscription.schedule.money import parse_amount
from sync_service.web.admin.words import money

#: The drawing's own units.
WIDTH, HEIGHT = 1000, 150
_LEFT, _RIGHT = 20, 980
#: Payments in the table, those before today and those from today on; a press lists all.
MAX_PAST, MAX_COMING = 20, 40
#: Payments of one subscription that are read, listed and summed at all: 38 years of weekly ones.
MAX_READ = 2_000


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


def draw_timeline(
    payments: Sequence[DrawnPayment], *, today: date, term_start: date | None, term_end: date | None
) -> Timeline | None:
    """Payments, today and the term on one line; None where there is nothing to draw."""
    days = [payment.due for payment in payments] + [each for each in (term_start, term_end) if each]
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
        marks=tuple(Mark(x(each.due), each.state, f"{each.due:%d %b %Y}: {each.amount}") for each in payments),
        lines=tuple(lines),
        months=tuple(Mark(x(when), "tick", label) for when, label in _ticks(first, last)),
        term_from=x(term_start) if term_start else None,
        term_to=x(term_end) if term_end else None,
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


@dataclass(frozen=True)
class ScheduledPayment:
    """One payment, as a row of the table."""

    due: date | None
    kind: str
    amount: str
    status: str
    #: past, coming, cancelled.
    state: str
    #: What it is for: name, period and amount of each item.
    items: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class PaymentTable:
    """The payments that are listed, and what is true of all of them."""

    listed: tuple[ScheduledPayment, ...] = ()
    count: int = 0
    #: There are more than are counted and summed.
    is_cut: bool = False
    #: Of all: until yesterday and still to come, by currency.
    totals: tuple[tuple[str, str], ...] = ()
    next_payment: ScheduledPayment | None = None

    @property
    def drawn(self) -> list[DrawnPayment]:
        """The listed ones that have a day."""
        return [DrawnPayment(each.due, each.amount, each.state) for each in self.listed if each.due]


def read_payments(session: Session, subscription_id: str, today: date, *, whole: bool = False) -> PaymentTable:
    """The payments around `today`, a day of the tenant's, or the `whole` schedule; its sums are of all of it.

    Documents are read of what is listed alone.
    """
    found = _read(session, subscription_id)
    rows = sorted(found[:MAX_READ], key=lambda each: (each.due or date.max, each.id))
    coming = next((index for index, each in enumerate(rows) if not each.is_before(today)), len(rows))
    shown = rows if whole else rows[max(0, coming - MAX_PAST) : coming + MAX_COMING]
    ids = [each.id for each in shown]
    documents = dict(session.run(_DOCUMENTS, {"ids": ids}).all())
    return PaymentTable(
        listed=tuple(each.tell(today, documents.get(each.id)) for each in shown),
        count=len(rows),
        is_cut=len(found) > MAX_READ,
        totals=_totals(rows, today),
        next_payment=next((each.tell(today) for each in rows[coming:] if each.due and not each.is_cancelled), None),
    )


def read_coming(session: Session, subscription_id: str, today: date) -> tuple[ScheduledPayment, ...]:
    """The next payments, and one more than are shown of them (MAX_COMING) if there are more."""
    payments = _read(session, subscription_id, since=today)
    return tuple(each.tell(today) for each in payments if not each.is_cancelled)[: MAX_COMING + 1]


_ROW = ScheduleRow
_DOCUMENTS = select(_ROW.id, _ROW.document).where(within(_ROW.id, "ids"))
_THEIRS = (
    sqlalchemy.select(*map(col, (_ROW.id, _ROW.due, _ROW.type, _ROW.amount, _ROW.currency, _ROW.status)))
    .where(col(_ROW.subscription_id) == bindparam("subscription_id"))
    .order_by(col(_ROW.due), col(_ROW.id))
    .limit(MAX_READ + 1)
)
_THEIRS_SINCE = _THEIRS.where(col(_ROW.due) >= bindparam("since"))


def _read(session: Session, subscription_id: str, since: date | None = None) -> list[_Payment]:
    """The first payments by date, one more than MAX_READ if there are more."""
    values: dict[str, object] = {"subscription_id": subscription_id}
    found = session.run(_THEIRS_SINCE, {**values, "since": since}) if since else session.run(_THEIRS, values)
    return [_Payment(*each) for each in found]


class _Payment(NamedTuple):
    """A row of the schedule without its document."""

    id: str
    due: date | None
    type: str | None
    amount: str | None
    currency: str | None
    status: str | None

    @property
    def is_cancelled(self) -> bool:
        return (self.status or "").lower().startswith("cancel")

    def is_before(self, today: date) -> bool:
        return self.due is not None and self.due < today

    def tell(self, today: date, document: Mapping[str, Any] | None = None) -> ScheduledPayment:
        return ScheduledPayment(
            due=self.due,
            kind=self.type or "payment",
            amount=money(self.amount, self.currency),
            status=self.status or "",
            state="cancelled" if self.is_cancelled else "past" if self.is_before(today) else "coming",
            items=tuple(_items(document or {}, self.currency)),
        )


def _items(document: Mapping[str, Any], currency: str | None) -> list[tuple[str, str, str]]:
    found = get_value(document, "data.lineItems")
    items = [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []
    return [
        (
            str(item.get("chargeName") or item.get("name") or ""),
            " – ".join(str(item[name])[:10] for name in ("serviceStartDate", "serviceEndDate") if item.get(name)),
            money(item.get("amount"), currency),
        )
        for item in items[:50]
    ]


def _totals(rows: Sequence[_Payment], today: date) -> tuple[tuple[str, str], ...]:
    sums: dict[tuple[str, str], Decimal] = {}
    counts = Counter((row.is_before(today), row.currency or "", row.amount) for row in rows if not row.is_cancelled)
    for (is_past, currency, written), count in counts.items():
        amount = parse_amount(written)
        if amount is not None:
            key = ("Until yesterday" if is_past else "Still to come", currency)
            sums[key] = sums.get(key, Decimal(0)) + count * amount
    return tuple((when, money(amount, currency)) for (when, currency), amount in sorted(sums.items(), reverse=True))
