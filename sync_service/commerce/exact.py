"""JSON with exact numbers: what we tell Zuora of money never passes through a float."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any


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
