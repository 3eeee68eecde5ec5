"""Holds an answer against Zuora's OpenAPI file: where it says something else than the file does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from tests.zuora_openapi.extract import LIMITS, SUBSET

#: Fields that a tenant adds to an object (`Source__c`), which no file can list.
_CUSTOM = "__(c|NS|QT)$"


class Deviation(NamedTuple):
    """A field of an answer that is not as the file has it, such as `ratePlans[].ratePlanCharges[].price`."""

    place: str
    #: `null`, `unknown` (the file has no such field), or what it breaks: `type`, `enum`, `format`, `required`.
    kind: str


@cache
def read_subset() -> dict[str, Any]:
    """Zuora's file, as `extract` cut it."""
    found: dict[str, Any] = json.loads(SUBSET.read_text(encoding="utf-8"))
    return found


def find_deviations(operation: str, answer: Any) -> set[Deviation]:
    """What `answer` says otherwise than the file does for `operation`, such as `GET /v1/accounts/{account-key}`."""
    errors = _validator("operations", operation).iter_errors(answer)
    return {deviation for error in errors for deviation in _deviations(error) if deviation.kind not in LIMITS}


def find_faults(operation: str, body: Any) -> set[Deviation]:
    """What the body of a request says otherwise than the file does; what it may be at most counts too."""
    errors = _validator("requests", operation).iter_errors(body)
    return {deviation for error in errors for deviation in _deviations(error)}


def find_places(value: Any, place: str = "") -> Iterator[str]:
    """Every field inside a JSON value."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            below = f"{place}.{key}" if place else key
            yield below
            yield from find_places(inner, below)
    elif isinstance(value, list):
        for inner in value:
            yield from find_places(inner, f"{place}[]")


@cache
def _validator(kind: str, operation: str) -> Draft202012Validator:
    whole = {**_closed(read_subset()[kind][operation]), "schemas": _closed_schemas()}
    return Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)


@cache
def _closed_schemas() -> dict[str, Any]:
    return {name: _closed(schema) for name, schema in read_subset()["schemas"].items()}


def _closed(schema: Any) -> Any:
    """The schema, allowing no field that it does not list."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    properties = {name: _closed(each) for name, each in schema.get("properties", {}).items()}
    closed = {key: _closed(each) for key, each in schema.items() if key not in ("properties", "enum", "required")}
    closed |= {key: schema[key] for key in ("enum", "required") if key in schema}
    if properties:
        custom = {_CUSTOM: {}}
        closed |= {"properties": properties, "patternProperties": custom, "additionalProperties": False}
    return closed


def _deviations(error: ValidationError) -> Iterator[Deviation]:
    place = "".join("[]" if isinstance(step, int) else f".{step}" for step in error.absolute_path).removeprefix(".")
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        for name in error.instance.keys() - known.keys():
            if not re.search(_CUSTOM, name):
                yield Deviation(f"{place}.{name}".removeprefix("."), "unknown")
    elif error.validator == "required":
        for name in set(error.validator_value) - error.instance.keys():
            yield Deviation(f"{place}.{name}".removeprefix("."), "required")
    else:
        yield Deviation(place, "null" if error.instance is None else str(error.validator))
