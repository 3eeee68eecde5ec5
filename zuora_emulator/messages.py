"""Requests and answers between the HTTP server and what answers them, and Zuora's envelopes of errors.

Source: "Errors and warnings" and "Error handling" of Zuora's developer guides: the last two digits of a code are its
category, which decides the HTTP status, but only from the API version of 2024-05-20 on; before, coded errors come as
200.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, unquote
from uuid import uuid4

_STATUSES = {10: 403, 11: 401, 40: 404, 45: 405, 50: 409, 60: 500, 61: 500, 70: 429, 99: 500}
_MODERN = "2024-05-20"


@dataclass(frozen=True)
class Request:
    """One HTTP request; header names are in lower case, the path is still quoted."""

    method: str
    path: str
    query_string: str
    headers: Mapping[str, str]
    body: bytes
    #: The kinds of faults that the tenant itself acts out.
    troubles: frozenset[str] = frozenset()

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """The parameters of the address."""
        return parse_qs(self.query_string)

    @cached_property
    def parts(self) -> list[str]:
        """The pieces of the path, unquoted."""
        return [unquote(part) for part in self.path.strip("/").split("/")]

    def one(self, name: str) -> str | None:
        """The first value of a parameter."""
        return self.query.get(name, [None])[0]

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; empty where there is none. Raises ValueError."""
        value = json.loads(self.body) if self.body else {}
        if not isinstance(value, dict):
            raise ValueError("the body is no JSON object")
        return value

    def is_modern(self, default_version: str) -> bool:
        """Whether its Zuora-Version answers errors with their own status."""
        version = self.headers.get("zuora-version", default_version)
        return version[:4].isdigit() and "-" in version and version >= _MODERN


@dataclass
class Answer:
    """What goes out; `manner` is how: plain, cut, trickle, or none at all (the connection is closed)."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json;charset=UTF-8"
    manner: str = "plain"
    seconds: float = 0.0

    def encode(self) -> bytes:
        """The body in bytes."""
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.body is None else json.dumps(self.body, ensure_ascii=False).encode()


def make_request_id() -> str:
    """A Zuora-Request-Id: 36 characters."""
    return str(uuid4())


def status_of(code: int) -> int:
    """The HTTP status of an error code's category."""
    return _STATUSES.get(code % 100, 400)


def refusal(code: int, message: str, *, modern: bool = True) -> Answer:
    """The v1 envelope of an error."""
    body = {
        "success": False,
        "processId": uuid4().hex[:16].upper(),
        "reasons": [{"code": code, "message": message}],
        "requestId": str(uuid4()),
    }
    return Answer(status_of(code) if modern else 200, body)


def query_refusal(code: int, message: str) -> Answer:
    """Object Query's envelope of an error, which has no `success`."""
    return Answer(status_of(code), {"reasons": [{"code": code, "message": message}], "requestId": str(uuid4())})


def signed_out() -> Answer:
    """What a bad or expired token gets, whatever the version."""
    message = "this resource is protected, please sign in first"
    return Answer(401, {"success": False, "reasons": [{"code": 90000011, "message": message}]})


def rate_limited(window: str, seconds: int) -> Answer:
    """Above the calls of a window: no `success`, a code of two digits."""
    message = f"API Rate limit exceeded for the {window}, retry after {seconds} seconds"
    headers = {"Retry-After": str(seconds), "RateLimit-Remaining": "0", "RateLimit-Reset": str(seconds)}
    return Answer(429, {"reasons": [{"code": 70, "message": message}]}, headers)


def too_many_at_once(seconds: int) -> Answer:
    """Above the requests at a time."""
    message = (
        "The total number of concurrent requests has exceeded the limit allowed by the system. "
        "Please resubmit your request later."
    )
    answer = refusal(50000070, message)
    answer.headers["Retry-After"] = str(seconds)
    return answer
