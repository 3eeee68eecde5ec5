"""Amounts of money: exact decimals in, and the texts that Limio keeps out. Pure."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any

#: ISO 4217 currencies whose smallest unit is not a hundredth.
_NO_DECIMALS = frozenset(
    {
        *("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG"),
        *("RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"),
    }
)
_THREE_DECIMALS = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})

#: Wide enough for the largest amount that Zuora's answers are read with, to the last digit.
_WIDE = Context(prec=80)


def decimals_of(currency: str | None) -> int:
    """How many decimals amounts of `currency` (ISO 4217) have; 2 where it is not known."""
    code = (currency or "").upper()
    return 0 if code in _NO_DECIMALS else 3 if code in _THREE_DECIMALS else 2


def round_amount(amount: Decimal, currency: str | None) -> Decimal:
    """`amount` in whole smallest units of `currency`, halves away from zero."""
    unit = Decimal((0, (1,), -decimals_of(currency)))
    # Adding zero turns the negative zero of a tiny discount into a plain one.
    return _WIDE.add(amount.quantize(unit, ROUND_HALF_UP, _WIDE), 0)


def format_amount(amount: Decimal, currency: str | None) -> str:
    """`amount` as Limio writes it: a text with exactly the decimals of `currency`, such as `17.50` or `1750`."""
    return f"{round_amount(amount, currency):f}"


def as_json_number(value: Decimal) -> int | float:
    """`value` as a JSON number, where Limio's shape has one (a schedule's `taxAmount`, quantities).

    The float is only the way to write the digits: nothing is computed with it, and `parse_amount` reads the same
    digits back.
    """
    return int(value) if value == value.to_integral_value() else float(value)


def parse_amount(value: Any) -> Decimal | None:
    """The number that a Limio text or JSON number holds; None where it holds none."""
    if value is None or isinstance(value, bool):
        return None
    try:
        amount = Decimal(value if type(value) is str else str(value))  # blanks around it do not matter
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None
