"""What an answer of Zuora's means: its JSON, or the error that it wraps in one of six envelopes.

Pure. The code's category (its last two digits) decides before the HTTP status, because the status depends on the API's
version: before 2024-05-20 every coded error was a 200. The categories are those of "Error handling" in Zuora's API
reference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from sync_service.errors import (
    LockedInZuora,
    NotFoundInZuora,
    NotServed,
    PermissionRefused,
    RateLimited,
    RequestRefused,
    ServerFailed,
    SyncServiceError,
    TokenRefused,
    ZuoraUnavailable,
)

#: No wait that Zuora asks for is longer, in seconds.
_LONGEST_WAIT = 3600.0
_MAX_CHARACTERS = 200

#: Numbers with a point or an exponent are handed on as they are printed, so that none is ever a float.
_EXACT = msgspec.json.Decoder(float_hook=Decimal)

_BY_CATEGORY: dict[int, type[SyncServiceError]] = {
    10: PermissionRefused,
    11: TokenRefused,
    **dict.fromkeys(range(20, 31), RequestRefused),
    40: NotFoundInZuora,
    45: RequestRefused,
    50: LockedInZuora,
    60: ServerFailed,
    61: ServerFailed,
    70: RateLimited,
    90: RequestRefused,
    99: ServerFailed,
}

#: The codes of the older "action" and CRUD calls are words.
_BY_WORD: dict[str, type[SyncServiceError]] = {
    "API_DISABLED": PermissionRefused,
    "INVALID_SESSION": TokenRefused,
    "LOCK_COMPETITION": LockedInZuora,
    "NO_PERMISSION": PermissionRefused,
    "REQUEST_EXCEEDED_LIMIT": RateLimited,
    "REQUEST_EXCEEDED_RATE": RateLimited,
    "SERVER_UNAVAILABLE": ZuoraUnavailable,
    "TRANSACTION_FAILED": ServerFailed,
    "TRANSACTION_TERMINATED": ServerFailed,
    "UNKNOWN_ERROR": ServerFailed,
}

_BY_STATUS: dict[int, type[SyncServiceError]] = {
    401: TokenRefused,
    403: PermissionRefused,
    404: NotFoundInZuora,
    408: NotServed,
    409: LockedInZuora,
    429: RateLimited,
}


def open_envelope(status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """The JSON object of a good answer, with exact numbers. Raises the error that any other answer means."""
    if status == 204:
        return {}
    content = read_json(body)
    if content is None and status not in (401, 429):
        raise ZuoraUnavailable(f"Zuora answered HTTP {status} with something that is no JSON: {_first_guess(status)}.")
    complaint = find_complaint(content)
    if 200 <= status < 300 and complaint is None:
        if isinstance(content, dict):
            return content
        raise ZuoraUnavailable("Zuora answered with JSON that is no object.")
    code, message = complaint or ("", "")
    kind = _decide_kind(status, code)
    text = f"Zuora answered HTTP {status}" + (f", code {code}" if code else "") + (f": {message}" if message else ".")
    if kind is RateLimited:
        raise RateLimited(text, retry_after=read_retry_after(headers))
    raise kind(text)


def open_text(status: int, headers: Mapping[str, str], body: bytes) -> str:
    """The text of a good answer that is no JSON. Errors come as JSON or as XML; raises as `open_envelope` does."""
    if status == 200 and read_json(body) is None:
        return body.decode("utf-8", "replace")
    if status in _BY_STATUS and read_json(body) is None:
        raise _BY_STATUS[status](f"Zuora answered HTTP {status}.")
    open_envelope(status, headers, body)
    raise ZuoraUnavailable(f"Zuora answered HTTP {status} with JSON where none was asked for.")


def read_json(body: bytes) -> Any:
    """The JSON value with exact numbers, or None where it is no JSON (or null, which is no answer either)."""
    try:
        return _EXACT.decode(body)
    except (msgspec.DecodeError, RecursionError):
        pass  # no JSON, or what only json reads: other encodings than UTF-8, halves of characters
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None


def read_retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """The seconds to wait that Zuora asks for, at most an hour: `Retry-After` (or its date), else `RateLimit-Reset`."""
    for name in ("Retry-After", "RateLimit-Reset"):
        seconds = _read_wait((headers.get(name) or "").strip(), now)
        if seconds is not None:
            return min(max(seconds, 0.0), _LONGEST_WAIT)
    return None


def _read_wait(text: str, now: datetime | None) -> float | None:
    if re.fullmatch(r"\d{1,9}(\.\d+)?", text, re.ASCII):
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return (until - (now or datetime.now(UTC))).total_seconds()


def _refuse_constant(word: str) -> Any:
    raise ValueError(word)


def _first_guess(status: int) -> str:
    if 300 <= status < 400:
        return "a redirect, so the address in ZUORA_BASE_URL is not the one of its API"
    if 400 <= status < 500:
        return "perhaps the address in ZUORA_BASE_URL is not the one of its API, or a proxy answers in its place"
    return "it may be down for maintenance"


def find_complaint(content: Any) -> tuple[str, str] | None:
    """The code and message of whichever error envelope this is; None where it is none."""
    if isinstance(content, list):
        found = (find_complaint(each) for each in content if isinstance(each, dict))
        return next((each for each in found if each), None)
    if not isinstance(content, dict):
        return None
    failed = content.get("success") is False or content.get("Success") is False
    for key, names in (("reasons", ("code", "message")), ("Errors", ("Code", "Message"))):
        entries = content.get(key)
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict) and (failed or content.get("success") is None):
                return _words(entry, *names)
    if "FaultCode" in content:
        return _words(content, "FaultCode", "FaultMessage")
    bare = "message" in content and content.keys() <= {"code", "message", "processId", "requestId"}
    return _words(content, "code", "message") if failed or bare else None


def is_known_code(code: str) -> bool:
    """Whether an error's code says by itself what kind of error it is."""
    return code.upper() in _BY_WORD or category_of(code) in _BY_CATEGORY


def category_of(code: str) -> int:
    """What an error's code says of its kind; 0 for codes that are words.

    Six digits of the resource and two of the category; the rate limit sends its category alone.
    """
    return int(code[-2:]) if code.isdecimal() and len(code) in (2, 8) else 0


def _words(entry: Mapping[str, Any], code: str, message: str) -> tuple[str, str]:
    return _clean(entry.get(code)), _clean(entry.get(message))


def _clean(value: Any) -> str:
    """A short text for people, without control characters and mail addresses."""
    if not isinstance(value, str | int) or isinstance(value, bool):
        return ""
    text = re.sub(r"\S+@\S+", "…@…", " ".join(str(value).split()))
    return "".join(each for each in text if each.isprintable())[:_MAX_CHARACTERS]


def _decide_kind(status: int, code: str) -> type[SyncServiceError]:
    if code.upper() in _BY_WORD:
        return _BY_WORD[code.upper()]
    category = category_of(code)
    if category in _BY_CATEGORY:
        return _BY_CATEGORY[category]
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    # A 200 that says `success: false` and no more is a refusal of this one question.
    if 200 <= status < 300 or 400 <= status < 500:
        return RequestRefused
    return NotServed if status >= 500 else ZuoraUnavailable
