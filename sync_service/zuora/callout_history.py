"""The callouts that Zuora could not deliver, from its history.

Source: "List callout notification histories" of Zuora's API reference. A record is one attempt; a callout that failed
and was delivered on a retry is listed with the attempt that failed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

from sync_service.errors import PayloadInvalid
from sync_service.zuora.reading import Reading

#: The most records of one page, by the documentation.
_PAGE_SIZE = 40


@dataclass(frozen=True, kw_only=True)
class FailedCallout:
    """One attempt that failed."""

    url: str
    #: The merge fields that the callout was made with, as a JSON object of texts.
    context: bytes
    #: Tells this attempt from every other; holds nothing personal.
    fingerprint: str


@dataclass(frozen=True)
class HistoryPage:
    """Records, the newest first, and whether there are more."""

    callouts: list[FailedCallout]
    is_last: bool


def fetch_failed_callouts(reading: Reading, since: datetime, page: int, zone: ZoneInfo) -> HistoryPage:
    """One page, from 1 on, of the attempts that failed since then. `zone` is the tenant's; one call.

    Whether the history's times are the tenant's or UTC is not said: the earlier of both is asked for. Raises
    PermissionRefused and every other error of a call.
    """
    start = min(since.astimezone(each).strftime("%Y-%m-%dT%H:%M:%S") for each in (UTC, zone))
    params = {
        "failedOnly": "true",
        "includeResponseContent": "false",
        "startTime": start,
        "page": page,
        "pageSize": _PAGE_SIZE,
    }
    answer = reading.call("GET", "/v1/notification-history/callout", params=params)
    records = answer.get("calloutHistories") or []
    if not isinstance(records, list):
        raise PayloadInvalid("calloutHistories is no list in Zuora's answer")
    callouts = [_read(record) for record in records if isinstance(record, Mapping) and record.get("requestUrl")]
    return HistoryPage(callouts, is_last=not answer.get("nextPage"))


def _read(record: Mapping[str, Any]) -> FailedCallout:
    url = str(record["requestUrl"])
    attempt = [url, *(str(record.get(name)) for name in ("createTime", "attemptedNum", "notification"))]
    context = json.dumps(_fields(record.get("eventContext")))
    return FailedCallout(
        url=url, context=context.encode(), fingerprint=sha256(repr([*attempt, context]).encode()).hexdigest()
    )


def _fields(context: Any) -> dict[str, str]:
    """Merge fields by name: `<Subscription.ID>` and `Subscription.ID` alike; an object, or one printed as a text."""
    if isinstance(context, str):
        try:
            context = json.loads(context)
        except ValueError:
            return {}
    if not isinstance(context, Mapping):
        return {}
    return {str(name).strip("<>{} "): str(value) for name, value in context.items() if value is not None}
