"""A plan's difference as people read it: equal changes in one line, money with its currency, days.

Also in one sentence, for a line of the stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sync_service.subscription.digest import Digest, DigestObject, Payment, Payments, Value, digest
from sync_service.subscription.plan import Document, SyncPlan, in_short, name_of, noun_of
from sync_service.web.admin.words import cut, day, money

#: Payments of a group that are named one by one; the others are counted.
_MAX_NAMED = 3
#: Clauses of a sentence; what is left is counted.
_MAX_CLAUSES = 3
_FIELDS = {
    "firstName": "First name",
    "lastName": "Last name",
    "address1": "Address",
    "address2": "Second line",
    "city": "City",
    "county": "County",
    "state": "State",
    "postalCode": "Postal code",
    "country": "Country",
    "phone": "Phone",
    "workPhone": "Work phone",
    "otherPhone": "Other phone",
    "workEmail": "Work email",
}


@dataclass(frozen=True, kw_only=True)
class DifferenceLine:
    """One line of a difference. `more` is folded below it."""

    #: added, changed or cancelled.
    kind: str
    what: str
    before: str = ""
    after: str = ""
    more: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Difference:
    """All of a plan: one sentence and its lines, how much more or less is to be paid, its notes, and why Zuora's side
    differs.
    """

    #: Empty where nothing changes.
    sentence: str = ""
    rows: tuple[DifferenceLine, ...] = ()
    sums: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.rows or self.notes)


def difference(
    plan: Mapping[str, Any] | None,
    known: Mapping[str, Payment] | None = None,
    addresses: Sequence[Document] = (),
) -> Difference:
    """Of a stored plan. `known`: payments of the store by id; `addresses`: all of the subscription's, oldest first."""
    if not plan:
        return Difference()
    read = SyncPlan.from_json(plan)
    found = digest(read, known)
    reasons = tuple(dict.fromkeys(change.reason for change in read.changes if change.record_type != "schedule"))
    return Difference(
        sentence=_sentence(found),
        rows=tuple(_rows(found, addresses)),
        sums=tuple(_sums(found)),
        notes=read.notes,
        reasons=tuple(cut(each) for each in reasons),
    )


def summarise(plan: Mapping[str, Any] | None) -> tuple[str, str]:
    """A stored plan in one line, and the payments that it takes away for good, such as `12 payments, £59.88`.

    Each is empty where there is none.
    """
    if not plan:
        return "", ""
    found = digest(SyncPlan.from_json(plan))
    count, sums = found.lost()
    amounts = ", ".join(money(amount, currency) for currency, amount in sums.items())
    return _sentence(found), f"{_payments(count)}, {amounts}" if count else ""


def _sentence(found: Digest) -> str:
    clauses = list(_clauses(found))
    rest = len(clauses) - _MAX_CLAUSES
    return "; ".join(clauses[:_MAX_CLAUSES] + ([f"{rest} more"] if rest > 0 else []))


def _payments(count: int) -> str:
    return "1 payment" if count == 1 else f"{count} payments"


def _rows(found: Digest, addresses: Sequence[Document]) -> Iterator[DifferenceLine]:
    for value in found.values:
        before, after = _shown(value.path, value.before), _shown(value.path, value.after)
        yield DifferenceLine(kind="changed", what=title_of(value), before=before, after=after)
    for group in found.payments:
        yield _payment_row(group)
    for thing in found.things:
        yield _thing_row(thing, addresses)
    if found.relined:
        count = found.relined
        yield DifferenceLine(kind="changed", what=f"Lines of {_payments(count)}; day and amount stay")


def _payment_row(group: Payments) -> DifferenceLine:
    if not group.before:
        return DifferenceLine(
            kind="added", what=_payments(group.count), after=_each(group.after), more=_days(group.after)
        )
    if not group.after:
        return DifferenceLine(
            kind="cancelled", what=_payments(group.count), before=_each(group.before), more=_days(group.before)
        )
    first, last = group.before[0], group.after[0]
    if group.is_moved:
        pairs = tuple(
            f"{day(one.due)} → {day(other.due)}" for one, other in zip(group.before, group.after, strict=True)
        )
        price = _price(first) if first.amount == last.amount else f"{_price(first)} → {_price(last)}"
        what = f"{_payments(group.count)} of {price} moved"
        return DifferenceLine(
            kind="changed", what=what, before=day(first.due), after=day(last.due), more=pairs if len(pairs) > 1 else ()
        )
    what = f"{_payments(group.count)}{_span(group.after)}"
    each = (last.amount or Decimal(0)) - (first.amount or Decimal(0))
    after = f"{_price(last)} ({'+' if each > 0 else ''}{money(each, last.currency)} each)"
    return DifferenceLine(kind="changed", what=what, before=_price(first), after=after, more=_days(group.after))


def _thing_row(thing: DigestObject, addresses: Sequence[Document]) -> DifferenceLine:
    if thing.record_type == "address":
        return _address_row(thing.document, addresses)
    what = noun_of(thing.record_type).capitalize()
    text = cut(in_short(thing.record_type, thing.document) or thing.document.get("name") or "")
    if thing.came:
        return DifferenceLine(kind="added", what=what, after=text)
    return DifferenceLine(kind="cancelled", what=what, before=text)


def _address_row(document: Document, addresses: Sequence[Document]) -> DifferenceLine:
    """Only the fields that differ from the address before it; the others are folded."""
    what = f"{str(document.get('relationship_type') or 'An').capitalize()} address"
    after = _fields(document)
    before = _before(document, addresses)
    if before is None:
        return DifferenceLine(kind="added", what=what, after=cut(", ".join(after.values())))
    old = _fields(before)
    changed = [name for name in _FIELDS if old.get(name) != after.get(name)]
    same = tuple(f"{_FIELDS[name]}: {cut(after[name])} (unchanged)" for name in after if name not in changed)
    return DifferenceLine(
        kind="changed",
        what=what,
        before=cut("; ".join(f"{_FIELDS[name]}: {old.get(name, '—')}" for name in changed)),
        after=cut("; ".join(f"{_FIELDS[name]}: {after.get(name, '—')}" for name in changed)),
        more=same,
    )


def _before(document: Document, addresses: Sequence[Document]) -> Document | None:
    """The address of the same use that stood when this one came; None where that is not known."""
    use, data = document.get("relationship_type"), document.get("data")
    theirs = [each for each in addresses if each.get("relationship_type") == use]
    for index in range(len(theirs) - 1, 0, -1):
        if theirs[index].get("data") == data:
            return theirs[index - 1]
    # Not written yet, as in a preview: the newest one stands.
    is_new = bool(theirs) and all(each.get("data") != data for each in theirs)
    return theirs[-1] if is_new else None


def _fields(document: Document) -> dict[str, str]:
    data = document.get("data")
    return {name: str(data[name]) for name in _FIELDS if data.get(name)} if isinstance(data, Mapping) else {}


def _sums(found: Digest) -> Iterator[str]:
    for currency, amount in found.sums().items():
        if amount:
            yield f"{'+' if amount > 0 else ''}{money(amount, currency)}"


def _clauses(found: Digest) -> Iterator[str]:
    for value in found.values:
        yield f"{title_of(value)} {_shown(value.path, value.before)} → {_shown(value.path, value.after)}"
    for group in found.payments:
        first, last = (group.before or group.after)[0], (group.after or group.before)[0]
        if not group.before:
            yield f"{_payments(group.count)} of {_price(last)} added{_span(group.after)}"
        elif not group.after:
            yield f"{_payments(group.count)} of {_price(first)} removed{_span(group.before)}"
        elif group.is_moved and group.count == 1:
            yield f"payment of {_price(last)} moved {day(first.due)} → {day(last.due)}"
        elif group.is_moved:
            days = f"{day(first.due)} → {day(last.due)} and {group.count - 1} more"
            yield f"{_payments(group.count)} of {_price(last)} moved, {days}"
        else:
            yield f"{_payments(group.count)} {_price(first)} → {_price(last)}"
    for thing in found.things:
        yield _clause(thing)
    if found.relined:
        yield f"lines of {_payments(found.relined)} changed"


def _clause(thing: DigestObject) -> str:
    if thing.record_type == "address":
        return f"{cut(thing.document.get('relationship_type') or 'an', 40)} address changed"
    return f"{noun_of(thing.record_type)} {'added' if thing.came else 'cancelled'}"


def title_of(value: Value) -> str:
    """What people call a value, at the beginning of a line."""
    name = name_of(value.path)
    return cut(name[:1].upper() + name[1:], 60)


def _shown(path: str, value: Any) -> str:
    if value is None or value == "":
        return "—"
    if isinstance(value, bool):
        return "on" if value else "off"
    if path.endswith("Date"):
        return day(str(value))
    return cut(value)


def _price(payment: Payment) -> str:
    return money(payment.amount, payment.currency)


def _each(payments: Sequence[Payment]) -> str:
    price = _price(payments[0])
    if len(payments) == 1:
        return f"{price} on {day(payments[0].due)}"
    total = sum((each.amount or Decimal(0) for each in payments), Decimal(0))
    return f"{price} each, {money(total, payments[0].currency)} together{_span(payments)}"


def _span(payments: Sequence[Payment]) -> str:
    days = sorted(each.due for each in payments if each.due is not None)
    if not days:
        return ""
    return f", {day(days[0])}" if len(days) == 1 else f", {day(days[0])} – {day(days[-1])}"


def _days(payments: Sequence[Payment]) -> tuple[str, ...]:
    """The days one by one, where the line itself does not say them all."""
    days: list[date] = sorted(each.due for each in payments if each.due is not None)
    return tuple(day(each) for each in days) if len(days) > _MAX_NAMED - 1 else ()
