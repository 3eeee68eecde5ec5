"""The parameter `limit` of lists."""

from __future__ import annotations

from flask import request
from werkzeug.exceptions import BadRequest


def read_limit(default: int, most: int, name: str = "limit") -> int:
    """How many items the caller wants by the parameter `name`, from 1 to `most`. Raises BadRequest."""
    text = request.args.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= most):
        raise BadRequest(f"{name} must be a number from 1 to {most}.")
    return int(text)
