"""What a billing preview says and what a bill run does.

Sources: "Generate a billing preview" of Zuora's API reference, and recorded previews: items begin where billing ended,
amounts are without tax, discounts are items of their own, negative, under the discount charge's number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

from zuora_emulator.periods import Period, billed_through, months_of, periods
from zuora_emulator.records import Charge, RatePlan, Tier, Version

_WITHOUT_DECIMALS = frozenset({"JPY", "KRW", "CLP", "VND", "ISK", "UGX", "XAF", "XOF", "PYG"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One line of a preview: `charge` names it, `amount` is without tax, `end` is exclusive."""

    version: Version
    plan: RatePlan
    charge: Charge
    start: date
    end: date
    #: The day on which it is billed.
    due: date
    amount: Decimal
    tax: Decimal
    quantity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What a preview is asked with. `renewal` is `None`, `Autorenew` or `All`."""

    target: date
    renewal: str = "None"
    evergreen: bool = False
    without_types: frozenset[str] = frozenset()


def round_money(amount: Decimal, currency: str) -> Decimal:
    """The amount with the currency's decimals."""
    return amount.quantize(Decimal(1) if currency in _WITHOUT_DECIMALS else Decimal("0.01"), ROUND_HALF_UP)


def preview(versions: Iterable[Version], assumed: Assumptions) -> Iterator[Item]:
    """The lines that these subscriptions have not been billed for, up to the target date."""
    for version in versions:
        if version.term_type == "EVERGREEN" and not assumed.evergreen:
            continue
        if version.base_status != "Active":
            continue
        renews = assumed.renewal == "All" or (assumed.renewal == "Autorenew" and version.auto_renew)
        yield from lines(version, assumed, renews=renews and version.cancelled_on is None)


def lines(version: Version, assumed: Assumptions, *, renews: bool = False, billed_too: bool = False) -> Iterator[Item]:
    """The lines of one subscription; `billed_too` from the beginning instead of from where billing ended."""
    discounts = _Discounts(version)
    for plan in version.rate_plans:
        for charge in plan.charges:
            if charge.is_discount or charge.type == "Usage" or charge.type in assumed.without_types:
                continue
            for period in periods(version, charge, assumed.target, renews=renews):
                if period.due(charge) > assumed.target:
                    break
                if billed_too or charge.billed_through is None or period.start >= charge.billed_through:
                    price = price_of(version, charge, period)
                    yield _item(version, plan, charge, charge, period, price)
                    for named, by, off in discounts.of(plan, charge, period, price):
                        yield _item(version, named, by, charge, period, -off)


def credits(before: Version, after: Version) -> Iterator[Item]:
    """What was billed for days on which a change lets charges no longer run: negative, by the day."""
    discounts = _Discounts(before)
    for plan, charge, was, end in _cut(before, after):
        billed = charge.billed_through or end
        for period in periods(before, was, billed - timedelta(days=1)):
            if period.end <= end or period.start >= billed:
                continue
            price = price_of(before, was, period)
            left = replace(period, start=max(period.start, end))
            share = Decimal((left.end - left.start).days) / (period.end - period.start).days
            yield _item(after, plan, charge, was, left, -round_money(price * share, after.currency))
            for named, by, off in discounts.of(plan, was, period, price):
                yield _item(after, named, by, was, left, round_money(off * share, after.currency))


def credited(before: Version, after: Version) -> Version:
    """The version after its `credits` were given: what they gave back is no longer billed."""
    ends = {charge.number: end for _, charge, _, end in _cut(before, after)}
    plans = tuple(
        replace(
            plan,
            charges=tuple(
                replace(each, billed_through=ends[each.number]) if each.number in ends else each
                for each in plan.charges
            ),
        )
        for plan in after.rate_plans
    )
    return replace(after, rate_plans=plans)


def _cut(before: Version, after: Version) -> Iterator[tuple[RatePlan, Charge, Charge, date]]:
    """The recurring charges that a change ends within what is billed: as they are and were, and where they end."""
    were = {charge.number: charge for charge in before.charges}
    for plan in after.rate_plans:
        for charge in plan.charges:
            was, billed = were.get(charge.number), charge.billed_through
            if was is None or billed is None or charge.type != "Recurring" or charge.is_discount:
                continue
            end, ended = after.segment_end(charge.segments[-1]), before.segment_end(was.segments[-1])
            if end is not None and end < billed and (ended is None or end < ended):
                yield plan, charge, was, end


def bill(version: Version, target: date) -> Version:
    """The version after a bill run up to the target date: no new version, `chargedThroughDate` moves."""
    plans = tuple(
        replace(
            plan,
            charges=tuple(replace(each, billed_through=billed_through(version, each, target)) for each in plan.charges),
        )
        for plan in version.rate_plans
    )
    return replace(version, rate_plans=plans)


def price_of(version: Version, charge: Charge, period: Period) -> Decimal:
    """What one period of a charge costs, with the tax that its price includes."""
    segment = period.segment
    if segment.tiers:
        amount = _price_of_tiers(charge.model, segment.tiers, segment.quantity)
    else:
        amount = segment.price or Decimal(0)
        if charge.model == "PerUnit":
            amount *= segment.quantity
    if charge.list_price_base == "Per_Month":
        amount *= months_of(version, charge) or 1
    return round_money(amount, version.currency)


class _Discounts:
    """The discounts of one subscription; a fixed amount is given once a period, whatever the number of charges."""

    def __init__(self, version: Version) -> None:
        self.version = version
        self.all = [(plan, charge) for plan in version.rate_plans for charge in plan.charges if charge.is_discount]
        self.given: dict[tuple[str, date], Decimal] = {}

    def of(
        self, plan: RatePlan, charge: Charge, period: Period, price: Decimal
    ) -> Iterator[tuple[RatePlan, Charge, Decimal]]:
        """What each discount takes off one period of a charge, as a positive amount; never more than the price."""
        left = price
        for named, by in self.all:
            if by.discount_level == "rateplan" and named is not plan:
                continue
            if charge.type.upper() not in (by.apply_discount_to or "ONETIMERECURRINGUSAGE"):
                continue
            segment = next((each for each in by.segments if each.holds(period.start)), None)
            if segment is None:
                continue
            if segment.discount_percentage is not None:
                off = round_money(price * segment.discount_percentage / 100, self.version.currency)
            else:
                given = self.given.get((by.number, period.start), Decimal(0))
                off = (segment.discount_amount or Decimal(0)) - given
                self.given[by.number, period.start] = given + min(off, left)
            off = min(off, left)
            if off > 0:
                left -= off
                yield named, by, off


def _item(version: Version, plan: RatePlan, by: Charge, charge: Charge, period: Period, price: Decimal) -> Item:
    """The line of `by`: of the charge itself, or of a discount on it, which is timed and taxed as the charge is."""
    tax = Decimal(0)
    if charge.tax_rate is not None:
        tax = price - round_money(price / (1 + charge.tax_rate), version.currency)
    return Item(
        version=version,
        plan=plan,
        charge=by,
        start=period.start,
        end=period.end,
        due=period.due(charge),
        amount=price - tax,
        tax=tax,
        quantity=period.segment.quantity,
    )


def _price_of_tiers(model: str, tiers: tuple[Tier, ...], quantity: Decimal) -> Decimal:
    """Volume: all units at the price of the step that the quantity reaches. Tiered: each step's units at its own."""
    reached = [tier for tier in tiers if tier.starting_unit <= quantity]
    if model == "Volume":
        reached = reached[-1:]
    amount, below = Decimal(0), Decimal(0)
    for tier in reached:
        top = quantity if tier.ending_unit is None else min(quantity, tier.ending_unit)
        amount += tier.price if tier.price_format == "FlatFee" else tier.price * (top - below)
        below = top
    return amount
