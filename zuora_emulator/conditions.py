"""Conditions of event triggers and filter rules: the part of JEXL that such rules are written in.

Source: "Create an event trigger" of Zuora's API reference and its "Examples of conditions". What names a field that is
not there cannot be evaluated, and then nothing is sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

_WORDS = re.compile(r"""\s*(?:(\|\||&&|==|!=|>=|<=|[()<>!])|'([^']*)'|"([^"]*)"|(-?\d+(?:\.\d+)?)|([A-Za-z_][\w.]*))""")
_COMPARE: dict[str, Callable[[str, str], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: _number(a) > _number(b),
    "<": lambda a, b: _number(a) < _number(b),
    ">=": lambda a, b: _number(a) >= _number(b),
    "<=": lambda a, b: _number(a) <= _number(b),
}


class CannotEvaluate(Exception):
    """The condition is no condition, or names a field that is not there."""


def holds(condition: str, values: Mapping[str, str]) -> bool:
    """Whether the condition is true of `values`, texts by their names; an absent value is empty, as null is.

    Raises CannotEvaluate.
    """
    parser = _Parser(list(_tokens(condition)), values)
    result = parser.either()
    if parser.words:
        raise CannotEvaluate(condition)
    return result


def _tokens(condition: str) -> Iterator[tuple[str, str]]:
    place = 0
    text = condition.rstrip()
    while place < len(text):
        found = _WORDS.match(text, place)
        if found is None:
            raise CannotEvaluate(condition)
        place = found.end()
        sign, single, double, number, name = found.groups()
        if sign is not None:
            yield "sign", sign
        elif name is not None:
            yield "name", name
        else:
            yield "value", next(each for each in (single, double, number) if each is not None)


class _Parser:
    """Reads from the left; `words` is what is left."""

    def __init__(self, words: list[tuple[str, str]], values: Mapping[str, str]) -> None:
        self.words = words
        self._values = values

    def either(self) -> bool:
        result = self._both()
        while self._take("||"):
            other = self._both()
            result = result or other
        return result

    def _both(self) -> bool:
        result = self._one()
        while self._take("&&"):
            other = self._one()
            result = result and other
        return result

    def _one(self) -> bool:
        if self._take("!"):
            return not self._one()
        if self._take("("):
            result = self.either()
            if not self._take(")"):
                raise CannotEvaluate("a bracket is not closed")
            return result
        left = self._value()
        kind, sign = self.words.pop(0) if self.words else ("", "")
        if kind != "sign" or sign not in _COMPARE:
            raise CannotEvaluate("a comparison is missing")
        return _COMPARE[sign](left, self._value())

    def _value(self) -> str:
        kind, word = self.words.pop(0) if self.words else ("", "")
        if kind == "value":
            return word
        if kind != "name":
            raise CannotEvaluate("a value is missing")
        if word == "null":
            return ""
        if word in ("true", "false"):
            return word
        name = word.removeprefix("DataSource.")
        if name not in self._values:
            raise CannotEvaluate(f"there is no {word}")
        return self._values[name]

    def _take(self, sign: str) -> bool:
        if self.words and self.words[0] == ("sign", sign):
            self.words.pop(0)
            return True
        return False


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise CannotEvaluate(f"{text} is no number") from None
