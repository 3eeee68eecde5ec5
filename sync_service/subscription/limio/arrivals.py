"""Limio's answers taken apart: which objects one line of JSON holds, and to which subscription they belong. Pure.

Three shapes, as Limio's APIs give them: one object (`GET /objects/limio/{type}/{id}`), a subscription with its
`offers`, `schedule` and `addOns` inside or beside it (self-service and the partner's), and several `items` (a list, or
`{"related_to": "sub-…", "items": […]}` around what `/related` answered).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from sync_service.subscription.limio.documents import ID_PREFIXES, type_of

#: Nothing in Limio nests nearly as deep; more would be an attack on its readers.
DEEPEST = 60
LONGEST_ID = 255

#: Limio's catalog: offers and add-ons with versions, and products, which are known by their path.
CATALOG_TYPES = frozenset({"offer", "catalog_add_on", "product"})
#: What a subscription may carry inside, by record type.
_INSIDE = {"offers": "subscription_offer", "addOns": "add_on", "schedule": "schedule", "addresses": "address"}


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One object of an answer. `subscription_id` is the subscription that the answer puts it under, if any."""

    line: int
    record_type: str
    document: dict[str, Any]
    subscription_id: str | None = None

    @property
    def id(self) -> str:
        """Limio's id of the object; a product of the catalog may have none."""
        return str(self.document.get("id"))


@dataclass(frozen=True)
class LineProblem:
    """What is wrong with a line, in words that hold no personal data."""

    line: int
    message: str


class _UnreadableError(ValueError):
    """The line, or one object in it, cannot be kept."""


def read_answer(line: int, text: str) -> tuple[list[Arrival], list[LineProblem]]:
    """The objects in one line of JSON, a subscription before what hangs on it, and what could not be read. Total."""
    arrivals: list[Arrival] = []
    problems: list[LineProblem] = []
    try:
        found = list(_find_objects(_parse(text)))
    except _UnreadableError as error:
        return [], [LineProblem(line, str(error))]
    for value, record_type, subscription_id in found:
        try:
            arrivals += _unpack(line, value, record_type, subscription_id, problems)
        except _UnreadableError as error:
            problems.append(LineProblem(line, str(error)))
    return arrivals, problems


def _parse(text: str) -> Any:
    try:
        value = json.loads(text.removeprefix("\ufeff"), parse_constant=_refuse_constant, parse_float=_read_float)
    except json.JSONDecodeError as error:
        raise _UnreadableError(f"This is no JSON: {error.msg} at character {error.pos + 1}.") from None
    except RecursionError:
        raise _UnreadableError(f"This nests deeper than {DEEPEST} levels.") from None
    except ValueError as error:
        reason = str(error) if isinstance(error, _UnreadableError) else "It holds a number that is too long."
        raise _UnreadableError(reason) from None
    _check_storable(value)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise _UnreadableError(f"This is no JSON: {name} is no number.")


def _read_float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _UnreadableError("It holds a number that is too large.")
    return number


def _check_storable(value: Any) -> None:
    """Both databases can keep what passes: no text that is no Unicode, no NUL, no endless nesting."""
    waiting = [(value, 0)]
    while waiting:
        inner, depth = waiting.pop()
        if depth > DEEPEST:
            raise _UnreadableError(f"This nests deeper than {DEEPEST} levels.")
        if isinstance(inner, dict):
            waiting += [(part, depth + 1) for pair in inner.items() for part in pair]
        elif isinstance(inner, list):
            waiting += [(part, depth + 1) for part in inner]
        elif isinstance(inner, str):
            _check_text(inner)


def _check_text(text: str) -> None:
    if "\0" in text:
        raise _UnreadableError("It holds a NUL character.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _UnreadableError("It holds characters that are not Unicode: is the file UTF-8?") from None


#: An object, the record type to assume where it names none, the subscription that it came under.
_Found = tuple[Any, str | None, str | None]


def _find_objects(value: Any) -> Iterator[_Found]:
    if isinstance(value, list):
        yield from ((item, None, None) for item in value)
    elif not isinstance(value, dict):
        raise _UnreadableError("This is no object.")
    elif "related_to" in value:
        yield from _find_related(value)
    elif isinstance(value.get("items"), list) and "id" not in value:
        yield from ((item, None, None) for item in value["items"])
    elif isinstance(value.get("subscription"), dict) and "id" not in value:
        beside = {key: inner for key, inner in value.items() if key in _INSIDE}
        yield ({**value["subscription"], **beside}, "subscription", None)
    else:
        yield (value, None, None)


def _find_related(value: Mapping[str, Any]) -> Iterator[_Found]:
    related_to, items = value["related_to"], value.get("items")
    if not isinstance(related_to, str) or not isinstance(items, list):
        raise _UnreadableError("related_to must be the id of a subscription, and items a list.")
    subscription_id = related_to if related_to.startswith("sub-") and len(related_to) <= LONGEST_ID else None
    if subscription_id is None:
        raise _UnreadableError("related_to must be the id of a subscription (sub-…).")
    yield from ((item, None, subscription_id) for item in items)


def _unpack(
    line: int, value: Any, assumed: str | None, subscription_id: str | None, problems: list[LineProblem]
) -> list[Arrival]:
    """The object and, where it is a subscription, everything inside it, which counts as its own."""
    catalog_type = None if assumed else _catalog_type(value)
    if catalog_type:
        return [Arrival(line=line, record_type=catalog_type, document=_check_item(value, catalog_type))]
    document = _check_object(value, assumed)
    record_type = document["record_type"]
    if record_type != "subscription":
        return [Arrival(line=line, record_type=record_type, document=document, subscription_id=subscription_id)]
    inside = {key: document.pop(key) for key in _INSIDE if isinstance(document.get(key), list)}
    arrivals = [Arrival(line=line, record_type=record_type, document=document)]
    for key, items in inside.items():
        for item in items:
            try:
                inner = _check_object(item, _INSIDE[key])
            except _UnreadableError as error:
                problems.append(LineProblem(line, f"In {key}: {error}"))
                continue
            arrivals.append(
                Arrival(
                    line=line, record_type=inner["record_type"], document=inner, subscription_id=str(document["id"])
                )
            )
    return arrivals


def _catalog_type(value: Any) -> str | None:
    """Which part of the catalog this is; a subscription's own add-on has the catalog's inside it."""
    if not isinstance(value, dict):
        return None
    data = value.get("data")
    kind = value.get("record_type") or (data.get("record_type") if isinstance(data, dict) else None)
    if kind == "add_on":
        own = str(value.get("id")).startswith("add_on-") or (isinstance(data, dict) and "add_on" in data)
        return None if own else "catalog_add_on"
    return kind if kind in ("offer", "product") else None


def _check_item(value: dict[str, Any], kind: str) -> dict[str, Any]:
    """A copy of a part of the catalog that has what it is known by."""
    data = value.get("data")
    names = [value.get("path"), data.get("path") if isinstance(data, dict) else None]
    known_by = next((name for name in names if name), None) if kind == "product" else value.get("id")
    if not isinstance(known_by, str) or not 0 < len(known_by) <= LONGEST_ID:
        raise _UnreadableError(f"A part of the catalog without {'a path' if kind == 'product' else 'an id'}.")
    return dict(value)


def _check_object(value: Any, assumed: str | None) -> dict[str, Any]:
    """A copy of the object with its record type written out."""
    if not isinstance(value, dict):
        raise _UnreadableError("This is no object.")
    object_id = value.get("id")
    if not isinstance(object_id, str) or not 0 < len(object_id) <= LONGEST_ID:
        raise _UnreadableError("An object without an id cannot be kept.")
    record_type = value.get("record_type") or assumed or type_of(object_id)
    if record_type not in ID_PREFIXES:
        named = record_type if isinstance(record_type, str) else "nothing that we know"
        raise _UnreadableError(f"{object_id[:60]}: objects of the type {named[:60]} are not kept here.")
    return {**value, "record_type": record_type}
