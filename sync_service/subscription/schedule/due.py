"""The schedule as Zuora's answers make it: which lines fall due on which day. Pure.

In advance and once, a line is due on the first day of its service; in arrears and for usage on the day after its last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property

from sync_service.subscription.schedule.charges import (
    Charge,
    billed_and_not_over,
    is_billed_day,
    is_in_arrears,
)
from sync_service.subscription.schedule.computed import (
    CannotCompute,
    compute_billed,
    compute_renewal,
)
from sync_service.subscription.schedule.coverage import (
    as_billed_by_now,
    check_preview_complete,
    days_covered,
    unscheduled_charges,
)
from sync_service.subscription.schedule.money import round_amount
from sync_service.subscription.terms import TermOnDay
from sync_service.subscription.zuora import Preview, PreviewItem


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a payment, in whole smallest units of the currency."""

    name: str
    amount: Decimal
    tax: Decimal = Decimal(0)
    #: A discount is `Discount`, everything else `Charge`.
    processing_type: str = "Charge"
    product: str = ""
    description: str = ""
    #: None where Zuora names none.
    quantity: Decimal | None = None
    #: False where the charge is taxed on top of its price: Zuora previews no tax for it, which does not mean none.
    tax_known: bool = True

    @property
    def order(self) -> tuple[object, ...]:
        """For putting lines in one order, whatever order Zuora answered in."""
        quantity = Decimal(-1) if self.quantity is None else self.quantity
        return (self.name, self.amount, self.tax, self.processing_type, self.product, self.description, quantity)


@dataclass(frozen=True, kw_only=True)
class DueSchedule:
    """What is due when, and what can be said of the days between."""

    #: By day, sorted lines.
    lines: Mapping[date, tuple[Line, ...]]
    #: Days on which something is due whose amount is not known yet.
    unknown_days: frozenset[date]
    charges: tuple[Charge, ...]
    #: The term's end or the horizon (exclusive, by the first day of service).
    end: date
    #: Payments come after `end`, too.
    goes_on: bool
    #: From this day on the preview may lack lines.
    covered_until: date
    currency: str | None
    #: Nothing may be cancelled, for a reason that the notes name.
    keep_all: bool = False
    notes: tuple[str, ...] = ()

    @cached_property
    def days(self) -> tuple[date, ...]:
        """The days on which lines are due, in order."""
        return tuple(sorted(self.lines))

    def must_keep(self, day: date) -> bool:
        """Whether absence from the preview means nothing on `day`, so that no entry and no line goes.

        That is a billed day and a day of something still unknown.
        """
        return self.keep_all or day in self.unknown_days or is_billed_day(self.charges, day)

    def renewal_day(self, taken: Iterable[date], today: date) -> date | None:
        """Of the days that have payments the one of the payment that renews: the first to come on or after the end.

        None where the subscription does not go on.
        """
        return min((day for day in taken if day >= max(self.end, today)), default=None) if self.goes_on else None

    def renewal_lines(self, day: date) -> tuple[Line, ...]:
        """What is due on the renewal day: the previewed lines and what the charges in force then cost in advance.

        Raises CannotCompute where Zuora does not tell that.
        """
        items = compute_renewal(day, self.charges, self.end)
        return _in_order((*self.lines.get(day, ()), *(_line(item, self.currency, tax_known=True) for item in items)))

    def billed_lines(self, taken: frozenset[date], today: date) -> tuple[dict[date, tuple[Line, ...]], tuple[str, ...]]:
        """Lines of billed periods that run or are yet to come, on days that are not `taken`; and what has no answer."""
        lines: dict[date, list[Line]] = defaultdict(list)
        notes = []
        for period in billed_and_not_over(self.charges, today, self.end):
            if period.start in taken or period.start >= self.covered_until:
                continue
            try:
                item = compute_billed(period, self.charges)
                lines[period.start].append(_line(item, self.currency, tax_known=True))
            except CannotCompute as refusal:
                notes.append(f"The billed payment of {period.start} is missing and not known: {refusal}.")
        return {day: _in_order(due) for day, due in lines.items()}, tuple(sorted(notes))


def due_schedule(term: TermOnDay, preview: Preview, currency: str | None) -> DueSchedule:
    """The schedule that `preview` makes; an item belongs to it where its service starts before the end.

    Raises PreviewIncomplete.
    """
    check_preview_complete(term, preview)
    told = term.charges
    charges = as_billed_by_now(told, preview, term)
    end, covered = term.schedule_end, days_covered(term, preview)
    lines: dict[date, list[Line]] = defaultdict(list)
    unknown: dict[date, set[str]] = defaultdict(set)
    by_number = {charge.number: charge for charge in charges}
    for item in preview.items:
        if item.service_start >= end:
            continue
        day = _due_day(item, preview.items, by_number)
        if item.amount is None:
            unknown[day].add(item.charge_name)
        else:
            lines[day].append(_line(item, currency, tax_known=_knows_tax(item, by_number)))
    used = sorted(set().union(*unknown.values()))
    notes = [f"{', '.join(used)}: the amount is known only after use."] if unknown else []
    unscheduled = unscheduled_charges(term, preview)
    if unscheduled:
        notes.append(f"Billed by an invoice schedule, which the preview does not show: {', '.join(unscheduled)}.")
    unposted = [after.name for before, after in zip(told, charges, strict=True) if before is not after]
    if unposted:
        notes.append(f"On a draft invoice, or billed while this was read: {', '.join(unposted)}.")
    if covered < end:
        since = "were" if covered <= term.today else f"from {covered} on were"
        notes.append(f"Zuora cut its preview short: payments {since} left alone.")
    if term.is_pending:
        notes.append("Not active yet: payments were not cancelled.")
    return DueSchedule(
        lines={day: _in_order(due) for day, due in lines.items()},
        unknown_days=frozenset(unknown),
        charges=charges,
        end=end,
        goes_on=term.goes_on,
        covered_until=covered,
        currency=currency,
        keep_all=bool(unscheduled) or term.is_pending,
        notes=tuple(notes),
    )


def _in_order(lines: Iterable[Line]) -> tuple[Line, ...]:
    return tuple(sorted(lines, key=lambda line: line.order))


def _due_day(item: PreviewItem, items: tuple[PreviewItem, ...], charges: Mapping[str, Charge]) -> date:
    """A discount falls due with what it is taken off: the lines of the same service that are none themselves."""
    arrears = _is_in_arrears(item, charges)
    if _is_discount(item, charges):
        reduced = [
            _is_in_arrears(each, charges)
            for each in items
            if (each.service_start, each.service_end) == (item.service_start, item.service_end)
            and not _is_discount(each, charges)
        ]
        arrears = all(reduced) if reduced else arrears
    return item.service_end + timedelta(days=1) if arrears else item.service_start


def _is_discount(item: PreviewItem, charges: Mapping[str, Charge]) -> bool:
    charge = charges.get(item.charge_number or "")
    return item.processing_type == "Discount" or (charge is not None and charge.segments[0].is_discount)


def _is_in_arrears(item: PreviewItem, charges: Mapping[str, Charge]) -> bool:
    charge = charges.get(item.charge_number or "")
    if item.charge_type == "Usage" or charge is None:
        return item.charge_type == "Usage"
    return is_in_arrears(charge.segment_on(item.service_start))


def _knows_tax(item: PreviewItem, charges: Mapping[str, Charge]) -> bool:
    """Zuora previews tax of tax-inclusive charges only ("Generate a billing preview")."""
    charge = charges.get(item.charge_number or "")
    exclusive = charge is not None and charge.segment_on(item.service_start).tax_mode == "TaxExclusive"
    return bool(item.tax_amount) or not exclusive


def _line(item: PreviewItem, currency: str | None, *, tax_known: bool) -> Line:
    return Line(
        name=item.charge_name.strip(),
        amount=round_amount(item.amount or Decimal(0), currency),
        tax=round_amount(item.tax_amount, currency),
        processing_type=item.processing_type,
        product=item.product_name.strip(),
        description=item.charge_description.strip(),
        quantity=item.quantity,
        tax_known=tax_known,
    )
