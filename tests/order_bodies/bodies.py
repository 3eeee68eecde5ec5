"""The worked examples, with the ids of a tenant put into them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

BODIES = Path(__file__).with_name("bodies.json")


class Example(NamedTuple):
    """A request of an example."""

    id: str
    method: str
    path: str
    body: dict[str, Any]


@cache
def read_examples() -> tuple[Example, ...]:
    """Every example, in the order of the file."""
    told = json.loads(BODIES.read_text(encoding="utf-8"))["examples"]
    return tuple(Example(each["id"], each["method"], each["path"], each["body"]) for each in told)


def fill(example: Example, ids: Mapping[str, str]) -> Example:
    """The example with the ids of a tenant. Raises KeyError for a name that has none."""
    text = json.dumps({"path": example.path, "body": example.body})
    filled = json.loads(re.sub(r"\{([A-Za-z][\w-]*)\}", lambda name: ids[name[1]], text))
    return Example(example.id, example.method, filled["path"], filled["body"])
