"""The fields of a request: a control action's, or an object of Zuora's API; read by name, each with its meaning."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

_TRUE, _FALSE = frozenset({"true", "on", "yes", "1"}), frozenset({"false", "off", "no", "0"})


class Refused(Exception):
    """The tenant does not do this; the message says why, `code` is Zuora's."""

    def __init__(self, message: str, code: int = 50000030) -> None:
        super().__init__(message)
        self.code = code


class Fields:
    """A request's fields. A blank one counts as absent; `finish` refuses one that was not read."""

    def __init__(self, values: Mapping[str, Any], *, today: date) -> None:
        self.today = today
        self._values = {key: value for key, value in values.items() if value not in (None, "")}
        self._asked: set[str] = set()

    def raw(self, name: str) -> Any:
        """The value as it came, None for an absent one."""
        self._asked.add(name)
        return self._values.get(name)

    def names(self) -> list[str]:
        """The names of all fields that are there."""
        return list(self._values)

    def inner(self, name: str) -> Fields | None:
        """The object in a field, None for an absent one."""
        value = self.raw(name)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise Refused(f"{name} is no object", 50000020)
        return Fields(value, today=self.today)

    def inner_list(self, name: str) -> list[Fields]:
        """The objects in a list, none for an absent one."""
        value = self.raw(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
            raise Refused(f"{name} is no list of objects", 50000020)
        return [Fields(each, today=self.today) for each in value]

    def text(self, name: str, default: str | None = None) -> str | None:
        """A text."""
        value = self.raw(name)
        return default if value is None else str(value).strip()

    def need(self, name: str) -> str:
        """A text that must be there."""
        value = self.text(name)
        if not value:
            raise Refused(f"{name} is missing", 50000022)
        return value

    def flag(self, name: str, default: bool | None = None) -> bool | None:
        """True or false; on, off, yes, no, 1 and 0 as well."""
        value = self.raw(name)
        if value is None:
            return default
        word = str(value).strip().lower()
        if word not in _TRUE | _FALSE:
            raise Refused(f"{name} is neither true nor false", 50000020)
        return word in _TRUE

    def number(self, name: str, default: Decimal | None = None) -> Decimal | None:
        """A decimal number."""
        value = self.raw(name)
        try:
            return default if value is None else Decimal(str(value))
        except InvalidOperation:
            raise Refused(f"{name} is not a number", 50000020) from None

    def whole(self, name: str, default: int | None = None) -> int | None:
        """A whole number."""
        value = self.number(name)
        return default if value is None else int(value)

    def share(self, name: str, default: float) -> float:
        """A number such as seconds or a probability, for what is no money."""
        value = self.number(name)
        return default if value is None else float(value)

    def day(self, name: str, default: date | None = None, **words: date | None) -> date | None:
        """A date: `2026-11-20`, `today`, `+10` days from today, or one of the given words (`term_end`)."""
        text = self.text(name)
        if text is None:
            return default
        word = re.sub(r"[ -]", "_", text.lower())
        if word in words:
            return words[word]
        if word == "today":
            return self.today
        if re.fullmatch(r"[+-]\d{1,4}", text):
            return self.today + timedelta(days=int(text))
        try:
            return date.fromisoformat(text)
        except ValueError:
            known = ", ".join(["today", "+days", *words])
            raise Refused(f"{name} is not a date; give YYYY-MM-DD or one of: {known}", 50000020) from None

    def one_of(self, name: str, choices: Iterable[str], default: str) -> str:
        """One of some words."""
        value = self.text(name, default)
        if value not in (choices := list(choices)):
            raise Refused(f"{name} must be one of: {', '.join(choices)}", 50000020)
        return value

    def rest(self) -> dict[str, Any]:
        """The fields that were not read, to be passed on."""
        return {name: value for name, value in self._values.items() if name not in self._asked}

    def finish(self) -> None:
        """Refuse fields that were not read."""
        if unknown := sorted(self._values.keys() - self._asked):
            raise Refused(f"unknown: {', '.join(unknown)}; known: {', '.join(sorted(self._asked))}", 50000021)
