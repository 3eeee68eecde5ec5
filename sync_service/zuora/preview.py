"""The billing preview of an account, read whole or up to a date, and shared by the runs of one claim.

Zuora previews an account, not a subscription, and its documentation limits lists to 300 rows without saying whether
that holds for a preview. So an answer of exactly 300 rows is taken for one that may be cut.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from threading import Lock
from typing import Any

from sync_service.errors import ZuoraUnavailable
from sync_service.subscription.zuora import Preview
from sync_service.zuora.payloads import read_preview_rows
from sync_service.zuora.reading import Reading

#: The length at which Zuora cuts lists.
_CUT_AT = 300
#: How many earlier target dates are tried, each half as far as the one before.
_MAX_TRIES = 3


@dataclass(frozen=True)
class AccountPreview:
    """The coming lines of an account as Zuora answered, unread."""

    answer: Mapping[str, Any]
    #: The target date that was asked for.
    target_date: date
    #: Lines due on or after this date may be missing; None means none is, `date.min` that nothing is known.
    complete_until: date | None = None

    def of(self, number: str, target_date: date) -> Preview:
        """The lines of one subscription up to a target date not later than this preview's. Raises PayloadInvalid."""
        until = self.complete_until
        rows = read_preview_rows(self.answer, number)
        return Preview(
            items=tuple(row.item for row in rows if row.item.service_start <= target_date),
            target_date=target_date,
            complete_until=until if until is not None and until <= target_date else None,
        )

    def covers(self, target_date: date) -> bool:
        """Whether asking up to `target_date` would tell no more: a cut answer is cut the more for a later date."""
        return target_date <= self.target_date or self.complete_until is not None


def fetch_account_preview(reading: Reading, account_id: str, target_date: date) -> AccountPreview:
    """Read an account's preview up to `target_date`, or up to the first of the tried earlier dates that comes uncut."""
    answer = reading.fetch_preview(account_id, target_date)
    if not _may_be_cut(answer):
        return AccountPreview(answer, target_date)
    begin, end = _first_start(answer, target_date), target_date
    for _ in range(_MAX_TRIES):
        end = begin + (end - begin) // 2
        answer = reading.fetch_preview(account_id, end)
        if not _may_be_cut(answer):
            return AccountPreview(answer, target_date, complete_until=end)
    return AccountPreview({"invoiceItems": []}, target_date, complete_until=date.min)


class SharedPreviews:
    """The previews that the runs of one claim share, one for each invoice owner.

    Make a new one for each claim: a preview is as old as its reading, and only what is read after a claim covers the
    causes that the claim took.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._owners: dict[str, _Owner] = {}

    def fetch(self, reading: Reading, account_id: str, target_date: date, number: str) -> Preview:
        """The coming lines of `number`, whose invoice owner is the account, up to the target date.

        The first run reads, the others wait within their own deadlines; whose subscription was read after that reading
        began reads anew. An older preview may lack the order that made the version just read, and the next look at that
        version would skip the preview. An error is its own run's: the next one reads for itself. Raises what
        `Reading.fetch_preview` raises.
        """
        with self._lock:
            owner = self._owners.setdefault(account_id, _Owner())
        with owner.held(reading):
            preview = owner.preview
            if preview is None or owner.began < reading.subscription_read_at or not preview.covers(target_date):
                began = time.monotonic()
                preview = fetch_account_preview(reading, account_id, target_date)
                owner.preview, owner.began = preview, began
        return preview.of(number, target_date)


class _Owner:
    """An invoice owner's preview, and the lock for reading it."""

    def __init__(self) -> None:
        self.preview: AccountPreview | None = None
        #: When reading it began, on the monotonic clock.
        self.began = 0.0
        self._lock = Lock()

    @contextmanager
    def held(self, reading: Reading) -> Iterator[None]:
        if not self._lock.acquire(timeout=reading.deadline.left()):
            raise ZuoraUnavailable("The billing preview that another run reads did not come in time.")
        try:
            yield
        finally:
            self._lock.release()


def _may_be_cut(answer: Mapping[str, Any]) -> bool:
    lists = (answer.get("invoiceItems"), answer.get("creditMemoItems"))
    return any(isinstance(each, list) and len(each) == _CUT_AT for each in lists)


def _first_start(answer: Mapping[str, Any], target_date: date) -> date:
    """The earliest service start among the lines: where halving the way to the target date begins."""
    starts = []
    for line in answer.get("invoiceItems") or ():
        try:
            starts.append(date.fromisoformat(str(line["serviceStartDate"])[:10]))
        except (KeyError, TypeError, ValueError):
            continue
    return min(starts, default=target_date)
