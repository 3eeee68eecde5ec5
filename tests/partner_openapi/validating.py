"""Holds an answer against Limio's description of its partner API."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

_FILE = Path(__file__).with_name("limio-partner-openapi.json")


@cache
def _read_file() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return found


def documented_statuses(method: str, path: str) -> set[int]:
    """The statuses that Limio names for an operation, such as `GET /partner/mma/subscriptions/{id}`."""
    return {int(status) for status in _read_file()["paths"][path][method.lower()]["responses"]}


def check_answer(method: str, path: str, status: int, body: Any) -> None:
    """Raises jsonschema's ValidationError where `body` is not what Limio describes for this status."""
    document = _read_file()
    answer = document["paths"][path][method.lower()]["responses"][str(status)]
    if "$ref" in answer:
        answer = document["components"]["responses"][answer["$ref"].rsplit("/", 1)[-1]]
    if "content" not in answer:  # 403 and 404 have no schema there
        return
    schema = answer["content"]["application/json"]["schema"]
    jsonschema.validate(body, {**schema, "components": document["components"]})
