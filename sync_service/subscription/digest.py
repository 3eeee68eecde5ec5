"""What a sync plan comes to, as a person would tell it: payments that moved, got another price, came or went. Pure.

A plan names each object by itself. Here equal changes stand together, and a payment that goes on one day and comes with
the same amount on a day nearby is one that moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sync_service.subscription.limio.documents import get_value, read_day
from sync_service.subscription.plan import Cancel, Change, Create, Document, FieldChange, SyncPlan, Update
from sync_service.subscription.schedule.money import parse_amount

#: A payment that goes and one that comes this many days apart or fewer may be the same one, moved.
MAX_DAYS_MOVED = 45
_AMOUNT = "data.amount"
_NO_DAY = date.max


class Touch(StrEnum):
    """What a plan changes, for finding it again."""

    #: A payment came, went or moved.
    DATES = "dates"
    #: A payment has another amount.
    AMOUNTS = "amounts"
    TERM = "term"
    STATUS = "status"
    RENEWAL = "auto-renew"
    ADDRESS = "address"
    #: Name or email address.
    CUSTOMER = "customer"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class Payment:
    """One payment. What is not known of it is None."""

    due: date | None
    amount: Decimal | None
    currency: str | None


@dataclass(frozen=True, kw_only=True)
class Payments:
    """Payments with one fate, by day: `before` is empty where they came, `after` where they went.

    Where both are filled, they stand in pairs.
    """

    before: tuple[Payment, ...] = ()
    after: tuple[Payment, ...] = ()

    @property
    def is_moved(self) -> bool:
        """The same amounts on other days."""
        return bool(self.before and self.after) and self.before[0].due != self.after[0].due

    @property
    def count(self) -> int:
        """How many payments."""
        return len(self.after or self.before)


@dataclass(frozen=True, kw_only=True)
class Value:
    """A value of the subscription, its customer or another object. `path` as in a plan."""

    record_type: str
    path: str
    before: Any
    after: Any

    @property
    def touches(self) -> frozenset[Touch]:
        """What it is about."""
        field = FieldChange(path=self.path, before=self.before, after=self.after)
        return touches([Update(record_type=self.record_type, id="", fields=(field,), reason="")])


@dataclass(frozen=True, kw_only=True)
class DigestObject:
    """An object that is no payment and came or went, such as an address."""

    record_type: str
    document: Document
    came: bool


@dataclass(frozen=True, kw_only=True)
class Digest:
    """A plan as groups of equal changes."""

    values: tuple[Value, ...] = ()
    payments: tuple[Payments, ...] = ()
    things: tuple[DigestObject, ...] = ()
    #: Payments of which neither day nor amount changed, only their lines.
    relined: int = 0

    def sums(self) -> Mapping[str, Decimal]:
        """By currency, how much more is to be paid by all these changes together; less is negative."""
        sums: dict[str, Decimal] = {}
        for group in self.payments:
            for sign, payments in ((-1, group.before), (1, group.after)):
                for each in payments:
                    currency = each.currency or ""
                    sums[currency] = sums.get(currency, Decimal(0)) + sign * (each.amount or 0)
        return sums

    def lost(self) -> tuple[int, Mapping[str, Decimal]]:
        """How many payments go and none takes their place, and their sums by currency."""
        gone = [each for group in self.payments if not group.after for each in group.before]
        sums: dict[str, Decimal] = {}
        for each in gone:
            sums[each.currency or ""] = sums.get(each.currency or "", Decimal(0)) + (each.amount or 0)
        return len(gone), sums


def digest(plan: SyncPlan, known: Mapping[str, Payment] | None = None) -> Digest:
    """`plan` in groups. `known`: payments of the store by id, for the days of those that only got another price."""
    values: list[Value] = []
    things: list[DigestObject] = []
    gone: list[Payment] = []
    came: list[Payment] = []
    repriced: list[tuple[Payment, Payment]] = []
    relined = 0
    for change in plan.changes:
        match change:
            case Create(record_type="schedule"):
                came.append(_payment(change.document))
            case Cancel(record_type="schedule"):
                gone.append(_payment(change.document))
            case Update(record_type="schedule"):
                pair = _repriced(change, (known or {}).get(change.id))
                if pair is None:
                    relined += 1
                else:
                    repriced.append(pair)
            case Update():
                values += (
                    Value(record_type=change.record_type, path=field.path, before=field.before, after=field.after)
                    for field in change.fields
                )
            case Create() | Cancel():
                came_now = isinstance(change, Create)
                things.append(DigestObject(record_type=change.record_type, document=change.document, came=came_now))
    moved, gone, came = _pair(gone, came)
    payments = [*_group_pairs(moved), *_group_pairs(repriced)]
    payments += (Payments(after=group) for group in _group(came))
    payments += (Payments(before=group) for group in _group(gone))
    return Digest(values=tuple(values), payments=tuple(payments), things=tuple(things), relined=relined)


def touches(changes: Iterable[Change]) -> frozenset[Touch]:
    """What these changes are about."""
    return frozenset(touch for change in changes for touch in _touches(change))


def combine(plans: Sequence[SyncPlan]) -> SyncPlan:
    """Plans that were written one after another, oldest first, as the one difference between before and after them.

    What changed and changed back is in none of it.
    """
    updates: dict[tuple[str, str, str], FieldChange] = {}
    reasons: dict[tuple[str, str], str] = {}
    rest: list[Create | Cancel] = []
    for change in (change for plan in plans for change in plan.changes):
        if isinstance(change, Update):
            reasons[change.record_type, change.id] = change.reason
            for field in change.fields:
                key = (change.record_type, change.id, field.path)
                before = updates[key].before if key in updates else field.before
                updates[key] = FieldChange(path=field.path, before=before, after=field.after)
        else:
            _add_thing(rest, change)
    changed = [
        Update(record_type=record_type, id=object_id, fields=fields, reason=reason)
        for (record_type, object_id), reason in reasons.items()
        if (
            fields := tuple(
                field
                for (kind, its_id, _), field in updates.items()
                if (kind, its_id) == (record_type, object_id) and field.before != field.after
            )
        )
    ]
    return SyncPlan(number=plans[-1].number if plans else "", changes=(*changed, *rest))


def _add_thing(rest: list[Create | Cancel], change: Create | Cancel) -> None:
    """A payment that came and went is gone from the list; of the addresses of one use the last one counts."""
    if isinstance(change, Cancel) and change.record_type == "schedule":
        payment = _payment(change.document)
        for index, earlier in enumerate(rest):
            is_payment = isinstance(earlier, Create) and earlier.record_type == "schedule"
            if is_payment and _payment(earlier.document) == payment:
                del rest[index]
                return
    elif change.record_type == "address":
        use = change.document.get("relationship_type")
        rest[:] = [
            each for each in rest if each.record_type != "address" or each.document.get("relationship_type") != use
        ]
    rest.append(change)


def _payment(document: Document) -> Payment:
    currency = get_value(document, "data.currency")
    return Payment(
        due=read_day(get_value(document, "data.date")),
        amount=parse_amount(get_value(document, _AMOUNT)),
        currency=currency if isinstance(currency, str) else None,
    )


def _repriced(change: Update, known: Payment | None) -> tuple[Payment, Payment] | None:
    """Before and after of a payment whose amount or day changed; None where only its lines did."""
    fields = {field.path: field for field in change.fields}
    amount, day = fields.get(_AMOUNT), fields.get("data.date")
    if amount is None and day is None:
        return None
    due, currency, price = (known.due, known.currency, known.amount) if known else (None, None, None)
    before, after = (
        Payment(
            due=read_day(getattr(day, side)) if day else due,
            amount=parse_amount(getattr(amount, side)) if amount else price,
            currency=currency,
        )
        for side in ("before", "after")
    )
    return before, after


def _pair(
    gone: list[Payment], came: list[Payment]
) -> tuple[list[tuple[Payment, Payment]], list[Payment], list[Payment]]:
    """Payments that moved with what is left of both lists: each with the nearest free one of its amount."""
    free = sorted(came, key=_by_day)
    moved: list[tuple[Payment, Payment]] = []
    left: list[Payment] = []
    for each in sorted(gone, key=_by_day):
        fitting = [other for other in free if _may_be_moved(each, other)]
        if not fitting:
            left.append(each)
            continue
        nearest = min(fitting, key=lambda other: _apart(each, other))
        free.remove(nearest)
        moved.append((each, nearest))
    return moved, left, free


def _may_be_moved(before: Payment, after: Payment) -> bool:
    if before.due is None or after.due is None or before.due == after.due:
        return False
    same = (before.amount, before.currency) == (after.amount, after.currency)
    return same and _apart(before, after) <= MAX_DAYS_MOVED


def _apart(before: Payment, after: Payment) -> int:
    return abs(((after.due or _NO_DAY) - (before.due or _NO_DAY)).days)


def _group_pairs(pairs: Iterable[tuple[Payment, Payment]]) -> list[Payments]:
    """Pairs with the same amounts together, those that moved apart from those that did not."""
    groups: dict[tuple[Any, ...], list[tuple[Payment, Payment]]] = {}
    for before, after in sorted(pairs, key=lambda pair: _by_day(pair[1])):
        key = (before.amount, after.amount, after.currency, before.due != after.due)
        groups.setdefault(key, []).append((before, after))
    return [
        Payments(before=tuple(before for before, _ in group), after=tuple(after for _, after in group))
        for group in groups.values()
    ]


def _group(payments: Iterable[Payment]) -> list[tuple[Payment, ...]]:
    groups: dict[tuple[Any, ...], list[Payment]] = {}
    for each in sorted(payments, key=_by_day):
        groups.setdefault((each.amount, each.currency), []).append(each)
    return [tuple(group) for group in groups.values()]


def _by_day(payment: Payment) -> date:
    return payment.due or _NO_DAY


def _touches(change: Change) -> Iterable[Touch]:
    if change.record_type == "schedule":
        paths = {field.path for field in change.fields} if isinstance(change, Update) else {"data.date"}
        if "data.date" in paths:
            yield Touch.DATES
        if _AMOUNT in paths:
            yield Touch.AMOUNTS
    elif change.record_type == "address":
        yield Touch.ADDRESS
    elif change.record_type == "customer":
        yield Touch.CUSTOMER
    elif change.record_type == "subscription" and isinstance(change, Update):
        for field in change.fields:
            yield _BY_PATH.get(field.path, Touch.OTHER)
    elif change.record_type == "subscription" and isinstance(change, Cancel):
        yield Touch.STATUS
    else:
        yield Touch.OTHER


_BY_PATH: Mapping[str, Touch] = {
    "data.termStartDate": Touch.TERM,
    "data.termEndDate": Touch.TERM,
    "data.attributes.autoRenew": Touch.RENEWAL,
    "status": Touch.STATUS,
}
