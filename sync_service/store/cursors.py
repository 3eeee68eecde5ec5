"""Lists in pages: some objects, and a cursor that says where the next page begins."""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Any

from sync_service.errors import SyncServiceError


class CursorInvalid(SyncServiceError):
    """`queryMore` is not one that this list gave out: start again without it."""

    code = "cursor invalid"


@dataclass(frozen=True, kw_only=True)
class ObjectPage:
    """Some objects and, where there are more, what to ask for them with."""

    items: tuple[dict[str, Any], ...]
    query_more: str | None = None


def make_cursor(what: str, last_id: str) -> str:
    """Where the page after `last_id` begins in the list called `what`: it need not be secret."""
    content = json.dumps({"v": 1, "t": what, "a": last_id}, separators=(",", ":"))
    return urlsafe_b64encode(content.encode()).decode().rstrip("=")


def open_cursor(what: str, query_more: str) -> str:
    """The id after which the page begins. Raises CursorInvalid for anything that is no cursor of this very list."""
    try:
        padding = "=" * (-len(query_more) % 4)
        content = json.loads(urlsafe_b64decode(query_more.encode("ascii") + padding.encode()))
    except (ValueError, binascii.Error, RecursionError):
        raise CursorInvalid from None
    if not isinstance(content, dict) or content.get("t") != what:
        raise CursorInvalid
    last_id = content.get("a")
    if content.get("v") != 1 or not isinstance(last_id, str) or "\0" in last_id or not _is_encodable(last_id):
        raise CursorInvalid
    return last_id


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
