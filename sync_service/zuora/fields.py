"""The marshmallow fields that Zuora's JSON is read with: tolerant of form, strict of meaning.

Null, absent and blank are the same, numbers may be printed as text, unknown words pass through. What cannot be read
is refused with a reason that holds no value: values are personal.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, TypeVar

from marshmallow import ValidationError, fields

T = TypeVar("T")

#: What stands for a text, and for a number. Tuples, because a union of types is made anew wherever it is written.
_DIGITS, _NUMBERS = (int, Decimal), (int, float, Decimal, str)
#: Money and quantities beyond these powers of ten are garbage, and would take for ever to print.
_LARGEST_EXPONENT, _SMALLEST_EXPONENT = 20, -40
#: What a database integer holds.
_LARGEST_INTEGER = 2**31 - 1
#: Years outside leave no room for arithmetic on dates.
_YEARS = range(1900, 9999)

_STATUSES = {
    status.replace(" ", "").lower(): status
    for status in (
        *("Draft", "Pending Activation", "Pending Acceptance", "Active", "Cancelled", "Expired", "Suspended"),
        "OutOfTerm",
    )
} | {"canceled": "Cancelled"}


class ZuoraField(fields.Field[T]):
    """A field whose null, absent and blank values count as missing; `Part.read` leaves it out, or refuses it."""

    def read(self, value: Any) -> T | None:
        """The meaning of a value that is not null; None for a blank one."""
        raise NotImplementedError


class Text(ZuoraField[str]):
    """A text without blanks around it; a number counts as its digits.

    Characters that no database stores (NUL, halves of surrogate pairs) are dropped or replaced.
    """

    def read(self, value: Any) -> str | None:
        """The text, or None for a blank one."""
        if not isinstance(value, str):
            if isinstance(value, bool) or not isinstance(value, _DIGITS):
                raise ValidationError("is not a text")
            value = str(value)
        if not value.isascii():
            value = value.encode("utf-8", "replace").decode("utf-8")
        if "\x00" in value:
            value = value.replace("\x00", "")
        return value.strip() or None


class Status(Text):
    """A status in Zuora's own spelling, whether it came with spaces, without, or in capitals."""

    def read(self, value: Any) -> str | None:
        """The status; an unknown one passes through."""
        text = super().read(value)
        return text and _STATUSES.get(text.replace(" ", "").replace("_", "").lower(), text)


class Number(ZuoraField[Decimal]):
    """A finite number, exact."""

    def read(self, value: Any) -> Decimal | None:
        """The number, or None for a blank text."""
        if isinstance(value, bool) or not isinstance(value, _NUMBERS):
            raise ValidationError("is not a number")
        if isinstance(value, str):
            value = value.strip()
            if not value:
                return None
            if "_" in value or not value.isascii():
                raise ValidationError("is not a number")
        try:
            number = value if isinstance(value, Decimal) else Decimal(str(value))
        except (InvalidOperation, ValueError):
            raise ValidationError("is not a number") from None
        if not number.is_finite():
            raise ValidationError("is not a number")
        if not number:
            return Decimal(0)
        if not _SMALLEST_EXPONENT <= number.adjusted() <= _LARGEST_EXPONENT:
            raise ValidationError("is no number that can be")
        return number


class Whole(Number):
    """A whole number that a database integer holds."""

    def read(self, value: Any) -> Any:
        """The number as an int, or None for a blank text."""
        if type(value) is int and abs(value) <= _LARGEST_INTEGER:  # as nearly all are; no bool
            return value
        number = super().read(value)
        if number is None:
            return None
        if number != number.to_integral_value() or abs(number) > _LARGEST_INTEGER:
            raise ValidationError("is not a whole number")
        return int(number)


class Flag(ZuoraField[bool]):
    """True or false, also as text."""

    def read(self, value: Any) -> bool | None:
        """The flag, or None for a blank text."""
        if isinstance(value, bool):
            return value
        text = value.strip().lower() if isinstance(value, str) else value
        if text == "":
            return None
        if text == "true":
            return True
        if text == "false":
            return False
        raise ValidationError("is neither true nor false")


class Day(ZuoraField[date]):
    """A date as YYYY-MM-DD; a time behind it is cut off, since Zuora's times are the tenant's."""

    def read(self, value: Any) -> date | None:
        """The date, or None for a blank text."""
        if not isinstance(value, str):
            raise ValidationError("is not a date")
        return _read_day(value.strip()[:11])


@lru_cache(maxsize=4096)
def _read_day(text: str) -> date | None:
    """The beginning of a text as a date. Kept: the days of an answer are a few that come again and again."""
    if not text:
        return None
    if len(text) > 10 and text[10] not in "T ":
        raise ValidationError("is not a date")
    # The dashes are checked because fromisoformat takes 20250131 and 2025-W05-5 as well.
    if text[4:5] != "-" or text[7:8] != "-":
        raise ValidationError("is not a date")
    try:
        day = date.fromisoformat(text[:10])
    except ValueError:
        raise ValidationError("is not a date") from None
    if day.year not in _YEARS:
        raise ValidationError("is a date that cannot be")
    return day
