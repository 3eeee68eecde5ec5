"""The payments of a subscription on a page: a table around today, their sums, and a line with a dot for each."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import islice
from operator import attrgetter
from typing import Any, Protocol

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
    found = session.run(_THEIRS, {"subscription_id": subscription_id}).all()
    rows = found[:MAX_READ]
    coming = bisect_left(rows, today, key=lambda each: each.due or date.max)
    shown = rows if whole else rows[max(0, coming - MAX_PAST) : coming + MAX_COMING]
    documents = dict(session.run(_DOCUMENTS, {"ids": [each.id for each in shown]}).all())
    return PaymentTable(
        listed=tuple(_tell(each, today, documents.get(each.id)) for each in shown),
        count=len(rows),
        is_cut=len(found) > MAX_READ,
        totals=_totals(rows[:coming], rows[coming:]),
        next_payment=next(
            (_tell(each, today) for each in rows[coming:] if each.due and not _is_cancelled(each.status)), None
        ),
    )


def read_coming(session: Session, subscription_id: str, today: date) -> tuple[ScheduledPayment, ...]:
    """The next payments, and one more than are shown of them (MAX_COMING) if there are more."""
    found = session.run(_THEIRS_SINCE, {"subscription_id": subscription_id, "since": today})
    coming = (_tell(each, today) for each in found if not _is_cancelled(each.status))
    return tuple(islice(coming, MAX_COMING + 1))


_ROW = ScheduleRow
_DOCUMENTS = select(_ROW.id, _ROW.document).where(within(_ROW.id, "ids"))
_THEIRS = (
    sqlalchemy.select(*map(col, (_ROW.id, _ROW.due, _ROW.type, _ROW.amount, _ROW.currency, _ROW.status)))
    .where(col(_ROW.subscription_id) == bindparam("subscription_id"))
    .order_by(col(_ROW.due).nulls_last(), col(_ROW.id))
    .limit(MAX_READ + 1)
)
_THEIRS_SINCE = _THEIRS.where(col(_ROW.due) >= bindparam("since"))


class _Payment(Protocol):
    """A row of the schedule without its document, as it is read."""

    id: str
    due: date | None
    type: str | None
    amount: str | None
    currency: str | None
    status: str | None


def _is_cancelled(status: str | None) -> bool:
    return (status or "").lower().startswith("cancel")


def _tell(payment: _Payment, today: date, document: Mapping[str, Any] | None = None) -> ScheduledPayment:
    is_past = payment.due is not None and payment.due < today
    return ScheduledPayment(
        due=payment.due,
        kind=payment.type or "payment",
        amount=money(payment.amount, payment.currency),
        status=payment.status or "",
        state="cancelled" if _is_cancelled(payment.status) else "past" if is_past else "coming",
        items=tuple(_items(document or {}, payment.currency)),
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


_ALIKE = attrgetter("amount", "currency", "status")


def _totals(past: Sequence[_Payment], coming: Sequence[_Payment]) -> tuple[tuple[str, str], ...]:
    sums: dict[tuple[str, str], Decimal] = {}
    for when, payments in (("Until yesterday", past), ("Still to come", coming)):
        for (written, currency, status), count in Counter(map(_ALIKE, payments)).items():
            amount = parse_amount(written)
            if amount is not None and not _is_cancelled(status):
                key = (when, currency or "")
                sums[key] = sums.get(key, Decimal(0)) + count * amount
    return tuple((when, money(amount, currency)) for (when, currency), amount in sorted(sums.items(), reverse=True))
