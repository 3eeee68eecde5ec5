"""The fields of a JSON payload, read by paths such as `orderItems[0].offer.id`, with every wrong one remembered.

And JSON with exact numbers: what we tell Zuora of money never passes through a float.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from sync_service.commerce.order import Problem, ProblemCode
from sync_service.subscription.limio.documents import MAX_ID, is_id


def write_json(value: Any) -> str:
    """`value` as compact JSON text; a Decimal becomes the number with its digits, without trailing zeros."""
    match value:
        case Mapping():
            return "{" + ",".join(f"{json.dumps(str(key))}:{write_json(inner)}" for key, inner in value.items()) + "}"
        case list() | tuple():
            return "[" + ",".join(map(write_json, value)) + "]"
        case Decimal():
            return _digits(value)
    return json.dumps(value, allow_nan=False)


def read_json(text: str) -> Any:
    """What `write_json` wrote, with exact numbers."""
    return json.loads(text, parse_float=Decimal)


def _digits(number: Decimal) -> str:
    plain = format(number, "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


#: No field of Limio's or Zuora's that an order fills is longer.
MAX_TEXT = 500
#: Items and updates of one order.
MAX_ENTRIES = 50
#: Before and behind the point of an amount.
MAX_DIGITS = 15
#: The same of any number in the payload: its digits are written out.
MAX_WRITTEN_DIGITS = 100
#: Objects and lists inside each other.
MAX_DEPTH = 50

#: Whether it exists only a mail can tell.
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")

_Found = TypeVar("_Found")


def find_unkeepable(value: Any, path: str = "", depth: int = 0) -> Iterator[Problem]:
    """What a payload holds that cannot be kept: in a field that no order fills, too, because all of them are kept."""
    if depth > MAX_DEPTH:
        yield _unkeepable(path, f"must not be nested deeper than {MAX_DEPTH} levels")
        return
    match value:
        case Mapping():
            if not all(map(_is_storable, value)):
                yield _unkeepable(path, "has a field whose name no database stores")
            for key, inner in value.items():
                yield from find_unkeepable(inner, f"{path}.{key}" if path else str(key), depth + 1)
        case list():
            for index, inner in enumerate(value):
                yield from find_unkeepable(inner, f"{path}[{index}]", depth + 1)
        case str() if not _is_storable(value):
            yield _unkeepable(path, "holds characters that no database stores")
        case float() if not math.isfinite(value):
            yield _unkeepable(path, "must be a number")
        case Decimal() if abs(value.adjusted()) > MAX_WRITTEN_DIGITS:
            yield _unkeepable(path, f"must be a number of at most {MAX_WRITTEN_DIGITS} digits")


def _is_storable(text: Any) -> bool:
    """Without NUL and without halves of surrogate pairs."""
    return "\0" not in str(text) and not any("\ud800" <= character <= "\udfff" for character in str(text))


def _unkeepable(path: str, what: str) -> Problem:
    field = path[:MAX_TEXT].encode("utf-8", "replace").decode()
    return Problem(field=field, code=ProblemCode.INVALID, message=f"{field or 'The order'} {what}.")


class Fields:
    """One payload. Each reading gives None for what is absent, and for what is wrong, which `problems` then names."""

    def __init__(self, payload: Mapping[str, Any], zone: tzinfo) -> None:
        self.payload = payload
        self.problems: list[Problem] = []
        self._zone = zone

    def say(self, field: str, code: ProblemCode, message: str) -> None:
        """Remember a problem, the first one of each field."""
        if all(problem.field != field for problem in self.problems):
            self.problems.append(Problem(field=field, code=code, message=message))

    def value(self, path: str) -> Any:
        """None where any part of the path is missing."""
        value: Any = self.payload
        for key in path.replace("[", ".").replace("]", "").split("."):
            if isinstance(value, Mapping):
                value = value.get(key)
            elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
                value = value[int(key)]
            else:
                return None
        return value

    def first(self, read: Callable[[str], _Found | None], *paths: str) -> _Found | None:
        """The first of the paths that holds something."""
        return next((found for path in paths if (found := read(path)) is not None), None)

    def entries(self, path: str) -> list[str]:
        """The paths of a list's entries."""
        value = self.value(path)
        if value is None:
            return []
        if not isinstance(value, list) or not value or len(value) > MAX_ENTRIES:
            self.say(path, ProblemCode.INVALID, f"{path} must be a list of 1 to {MAX_ENTRIES} entries.")
            return []
        return [f"{path}[{index}]" for index in range(len(value))]

    def object(self, path: str) -> Mapping[str, Any] | None:
        """A JSON object."""
        value = self.value(path)
        if value is not None and not isinstance(value, Mapping):
            self.say(path, ProblemCode.INVALID, f"{path} must be an object.")
            return None
        return value

    def text(self, path: str, longest: int = MAX_TEXT) -> str | None:
        """Without surrounding blanks; blank is absent."""
        value = self.value(path)
        if value is None:
            return None
        if not isinstance(value, str) or len(value.strip()) > longest or "\0" in value:
            self.say(path, ProblemCode.INVALID, f"{path} must be a text of at most {longest} characters.")
            return None
        return value.strip() or None

    def id(self, path: str) -> str | None:
        """An id of Limio's, such as `id-…`."""
        value = self.text(path)
        if value is not None and not is_id(value):
            self.say(path, ProblemCode.INVALID, f"{path} must be an id of at most {MAX_ID} printable characters.")
            return None
        return value

    def email(self, path: str, longest: int = MAX_TEXT) -> str | None:
        """An address that has the form of one."""
        value = self.text(path, longest)
        if value is not None and not _EMAIL.fullmatch(value):
            self.say(path, ProblemCode.INVALID, f"{path} must be an email address.")
            return None
        return value

    def one_of(self, path: str, *words: str) -> str | None:
        """A word that must be there."""
        value = self.text(path)
        if value is None or value not in words:
            code = ProblemCode.MISSING if value is None else ProblemCode.INVALID
            self.say(path, code, f"{path} must be one of: {', '.join(words)}.")
            return None
        return value

    def flag(self, path: str) -> bool | None:
        """True or false, and nothing that only looks like it."""
        value = self.value(path)
        if value is not None and not isinstance(value, bool):
            self.say(path, ProblemCode.INVALID, f"{path} must be true or false.")
            return None
        return value

    def amount(self, path: str) -> Decimal | None:
        """A number, or a text that is one; never below 0."""
        value = self.value(path)
        if value is None:
            return None
        try:
            number = Decimal(str(value)) if isinstance(value, str | int | float | Decimal) else Decimal("NaN")
        except InvalidOperation:
            number = Decimal("NaN")
        if isinstance(value, bool) or not number.is_finite() or number < 0 or abs(number.adjusted()) > MAX_DIGITS:
            self.say(path, ProblemCode.INVALID, f"{path} must be a number of 0 or more.")
            return None
        return number

    def quantity(self, path: str) -> Decimal | None:
        """A whole number of 1 or more."""
        number = self.amount(path)
        if number is not None and (number <= 0 or number != number.to_integral_value()):
            self.say(path, ProblemCode.INVALID, f"{path} must be a whole number of 1 or more.")
            return None
        return number

    def day(self, path: str) -> date | None:
        """The day in the tenant's zone of a timestamp with an offset, else the day as written."""
        value = self.value(path)
        text = value.strip() if isinstance(value, str) else value
        if text in (None, ""):
            return None
        try:
            moment = datetime.fromisoformat(text)
            return (moment if moment.tzinfo is None else moment.astimezone(self._zone)).date()
        except (TypeError, ValueError, OverflowError):
            self.say(path, ProblemCode.INVALID, f"{path} must be a date or a date with time in ISO 8601.")
            return None
