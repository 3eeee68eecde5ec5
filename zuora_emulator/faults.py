"""Faults that a test or a person turns on: what goes wrong, where, how often. Drawn from a seeded source of chance."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from random import Random
from threading import Lock
from typing import Any

from zuora_emulator.fields import Fields, Refused

#: What can go wrong, and what each does.
KINDS = {
    "latency": "waits `seconds` (to `up_to`) before answering",
    "hang": "waits `seconds` and closes the connection without an answer",
    "reset": "closes the connection at once",
    "cut": "closes the connection in the middle of the answer's body",
    "trickle": "sends the answer in small pieces over `seconds`",
    "rate_limit": "429 with code 70, as above the calls of a minute, an hour or a day; `retry_after`",
    "concurrency": "429 with code 50000070, as above 40 requests at a time; `retry_after`",
    "server_error": "500 in plain text, or `status`",
    "html": "502 with an HTML page, or `status`",
    "error": "Zuora's error with `code`, with the status that belongs to it",
    "unsuccessful": "200 with success false and `code`",
    "lock": "409 with code 50000050 (orders 40000050): another request holds the object",
    "lose_answer": "does the request, and after `seconds` (0) closes the connection without an answer",
    "finish_later": "closes the connection after `seconds` (or answers `status`), does the request after `up_to`",
    "decline": "the bank declines every payment of the request",
    "tax_error": "the tax engine fails while the request is billed",
    "refund_error": "the gateway gives no money back",
    "garbage": "200 with JSON that ends in the middle",
    "unauthorized": "401, as with a token that has expired",
    "empty_preview": "a billing preview without a line",
    "preview_not_permitted": "403 to billing previews",
    "without": "leaves out `part`, such as ratePlans, basicInfo or soldToContact, of an answer",
    "stale": "a subscription as it was before its last order, called the latest",
}
_MESSAGE = "Oops, internal error occurred, please contact Zuora support."
#: What the tenant itself acts out while it does a request.
ACTED_OUT = ("stale", "decline", "tax_error", "refund_error")
#: Where a kind happens unless told otherwise.
_WHERE = {
    "empty_preview": "billing-preview",
    "preview_not_permitted": "billing-preview",
    "stale": "subscriptions/",
    "decline": "POST /v1/",
    "tax_error": "POST /v1/orders$",
    "refund_error": "POST /v1/",
}
#: What only orders and money can meet.
OF_ORDERS = ("decline", "tax_error", "refund_error")


@dataclass(slots=True, kw_only=True)
class Fault:
    """One kind of trouble on the paths that match `path`; `count` is how often it still happens, None for ever."""

    kind: str
    path: str = "."
    probability: float = 1.0
    count: int | None = None
    seconds: float = 1.0
    up_to: float | None = None
    status: int | None = None
    code: int = 50000060
    message: str = _MESSAGE
    part: str = ""
    retry_after: int = 120
    seen: int = field(default=0)


class Faults:
    """The faults that are on."""

    def __init__(self, seed: int = 0) -> None:
        self._lock = Lock()
        self._chance = Random(seed)  # noqa: S311 - decides no secret
        self._on: list[Fault] = []

    def add(self, fields: Fields) -> Fault:
        """Turn one on. Raises Refused."""
        kind = fields.one_of("kind", KINDS, "")
        where = _WHERE.get(kind, ".")
        fault = Fault(
            kind=kind,
            path=fields.text("path", where) or where,
            probability=fields.share("probability", 1.0),
            count=fields.whole("count"),
            seconds=fields.share("seconds", 0.0 if kind == "lose_answer" else 1.0),
            up_to=fields.share("up_to", 0.0) or None,
            status=fields.whole("status"),
            code=fields.whole("code", 50000060) or 0,
            message=fields.text("message") or _MESSAGE,
            part=fields.text("part") or "",
            retry_after=fields.whole("retry_after", 120) or 0,
        )
        fields.finish()
        try:
            re.compile(fault.path)
        except re.error as error:
            raise Refused(f"path is no regular expression: {error}", 50000020) from None
        with self._lock:
            self._on.append(fault)
        return fault

    def clear(self, seed: int | None = None) -> None:
        """Turn all off; with a seed, chance begins anew."""
        with self._lock:
            self._on.clear()
            if seed is not None:
                self._chance.seed(seed)

    def listed(self) -> list[Mapping[str, Any]]:
        """Those that are on, and how often each happened."""
        with self._lock:
            return [asdict(fault) for fault in self._on]

    def draw(self, target: str) -> list[Fault]:
        """What goes wrong with this request; `target` is such as `GET /v1/accounts/A00000001`."""
        if not self._on:
            return []
        with self._lock:
            drawn = [each for each in self._on if self._happens(each, target)]
            self._on = [each for each in self._on if each.count is None or each.count > 0]
        return drawn

    def between(self, low: float, high: float) -> float:
        """A number by chance."""
        with self._lock:
            return self._chance.uniform(low, high)

    def _happens(self, fault: Fault, target: str) -> bool:
        if not re.search(fault.path, target) or self._chance.random() >= fault.probability:
            return False
        fault.seen += 1
        if fault.count is not None:
            fault.count -= 1
        return True
