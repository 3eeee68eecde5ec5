"""Charges and rate plans made from a request's fields: they are what the request says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal, InvalidOperation

from zuora_emulator.fields import Fields, Refused
from zuora_emulator.periods import add_term, months_of, next_boundary
from zuora_emulator.records import Charge, RatePlan, Segment, Tier, Version

_TYPES = ("Recurring", "OneTime", "Usage")
_PERIODS = (
    *("Month", "Quarter", "Semi_Annual", "Annual", "Eighteen_Months", "Two_Years", "Three_Years", "Five_Years"),
    *("Specific_Months", "Week", "Specific_Weeks", "Specific_Days", "Subscription_Term"),
)
_MODELS = ("FlatFee", "PerUnit", "Volume", "Tiered", "DiscountPercentage", "DiscountFixedAmount")


def make_plan(fields: Fields, make_number: Callable[[str], str], *, start: date) -> RatePlan:
    """A rate plan of `name` and `product` with one charge, `charge_name`: see `make_charge`."""
    name = fields.text("name") or "Digital"
    charge = make_charge(fields, fields.text("charge_name") or name, number=make_number("C-"), start=start)
    product = fields.text("product") or "Publication"
    return RatePlan(number=make_number("SRP-"), name=name, product_name=product, charges=(charge,))


def make_charge(fields: Fields, name: str, *, number: str, start: date) -> Charge:
    """A charge with one price.

    `price`, `quantity`, `type`, `model`, `billing_period` (with `every` for the Specific_… ones), `timing`
    (`IN_ADVANCE`, `IN_ARREARS`), `tax_rate`, `until` (its exclusive end); a discount by `percent` or `amount`; the
    prices of Volume and Tiered as `tiers`, such as `5:3.00, 2.50` (3.00 each up to 5 units, then 2.50).
    """
    percent, amount = fields.number("percent"), fields.number("amount")
    discount = (
        "DiscountPercentage" if percent is not None else "DiscountFixedAmount" if amount is not None else "FlatFee"
    )
    model = fields.one_of("model", _MODELS, discount)
    kind = fields.one_of("type", _TYPES, "Recurring")
    price, tiers = fields.number("price"), _tiers(fields)
    if price is None and not tiers and not model.startswith("Discount"):
        raise Refused("price is missing", 50000022)
    end = fields.day("until")
    segment = Segment(
        start=start,
        end=end,
        price=price,
        quantity=fields.number("quantity") or Decimal(1),
        discount_percentage=percent,
        discount_amount=amount,
        tiers=tiers,
    )
    return Charge(
        number=number,
        name=name,
        segments=(segment,),
        type=kind,
        model=model,
        billing_period=fields.one_of("billing_period", _PERIODS, "Month") if kind == "Recurring" else None,
        specific_billing_period=fields.whole("every"),
        billing_timing=_timing(fields, kind, model),
        unit_of_measure=fields.text("unit", "Each" if model == "PerUnit" else None),
        end_date_condition=_end_condition(kind, end),
        discount_level="subscription" if model.startswith("Discount") else None,
        apply_discount_to="ONETIMERECURRINGUSAGE" if model.startswith("Discount") else None,
        tax_rate=fields.number("tax_rate"),
    )


def start_of(version: Version, fields: Fields) -> date:
    """When an added product begins: `on`, which may be `next_period` or `term_end`; today by default."""
    running = next((charge for charge in version.charges if months_of(version, charge)), None)
    next_period = next_boundary(version, running, fields.today) if running else None
    return fields.day("on", fields.today, next_period=next_period, term_end=version.term_end) or fields.today


def term_end_of(fields: Fields, start: date, unit: str, term: int) -> date | None:
    """The end of the first term; None for `evergreen`."""
    return None if fields.flag("evergreen", False) else add_term(start, term, unit)


def _tiers(fields: Fields) -> tuple[Tier, ...]:
    tiers: list[Tier] = []
    above = Decimal(0)
    for step in filter(None, (fields.text("tiers") or "").split(",")):
        end, _, price = step.rpartition(":")
        try:
            last = Decimal(end) if end.strip() else None
            tiers.append(Tier(starting_unit=above, ending_unit=last, price=Decimal(price.strip())))
        except InvalidOperation:
            raise Refused("tiers are such as 5:3.00, 2.50", 50000020) from None
        above = (last or above) + 1
    return tuple(tiers)


def _timing(fields: Fields, kind: str, model: str) -> str | None:
    if model.startswith("Discount") or kind == "OneTime":
        return None
    return fields.one_of("timing", ("IN_ADVANCE", "IN_ARREARS"), "IN_ADVANCE" if kind == "Recurring" else "IN_ARREARS")


def _end_condition(kind: str, end: date | None) -> str:
    if kind == "OneTime":
        return "One_Time"
    return "Subscription_End" if end is None else "Specific_End_Date"
