"""One look at Zuora: everything that is asked of it, in its words, within one deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import uuid4

from sync_service.errors import (
    NotFoundInZuora,
    PayloadInvalid,
    PermissionRefused,
    PreviewNotPermitted,
    RequestRefused,
    SyncServiceError,
    TokenRefused,
)
from sync_service.subscription.zuora import ZuoraAccount, ZuoraSubscription
from sync_service.telemetry.measures import ZUORA, ZUORA_ERRORS
from sync_service.telemetry.traces import Side, span, tell, trace_id
from sync_service.zuora.connection import Connection
from sync_service.zuora.envelopes import open_envelope, open_text
from sync_service.zuora.payloads import read_account, read_subscription
from sync_service.zuora.transport import AnswerCut, Deadline

_T = TypeVar("_T")

#: The most rows of one Object Query page, by its documentation.
_PAGE_SIZE = 99
#: Addresses of one piece more than the others.
_PREVIEWS = (["billing-preview"], ["preview"])
#: No list that we ask for has more pages; the deadline of the reading usually ends it before.
_MAX_PAGES = 500


@dataclass(frozen=True)
class QueryPage:
    """One page of an Object Query, and the cursor of the next one; None after the last."""

    rows: list[Mapping[str, Any]]
    cursor: str | None


class Reading:
    """One look at Zuora: calls made one after another, under one deadline for all of them. For one thread."""

    def __init__(self, connection: Connection, seconds: float) -> None:
        self._connection = connection
        self.deadline = Deadline(seconds)
        #: Requests sent so far, repeated ones too; token requests have a limit of their own and do not count.
        self.calls = 0
        #: Whether Zuora has given a good answer.
        self.answered = False
        #: What Zuora's support finds these calls by (the header Zuora-Track-Id).
        self.track_id = trace_id() or uuid4().hex
        #: When the latest answer to `fetch_subscription` was there, on the monotonic clock.
        self.subscription_read_at = 0.0
        #: Zuora's clock in its latest answer (the header Date), as it printed it.
        self.server_date: str | None = None
        self._end: Callable[[], None] = lambda: None
        self._ended = False

    def when_ended(self, tell: Callable[[], None]) -> None:
        """`tell` is called once there will be no more calls."""
        self._end = tell

    def end(self) -> None:
        """No more calls follow, so the call slot is free; from now on a call is a RuntimeError."""
        self._ended = True
        self._end()

    def fetch_subscription(self, key: str) -> ZuoraSubscription:
        """The subscription by number or id, with all segments of its charges ("Retrieve a subscription by key").

        An id names one version: where that is not the latest, the number is read. `is_latest` stays False only where
        Zuora says so of a number. Raises NotFoundInZuora, PayloadInvalid and every TenantError.
        """
        found = self._fetch_version(key)
        if found.is_latest or found.number == key:
            return found
        return self._fetch_version(found.number)

    def _fetch_version(self, key: str) -> ZuoraSubscription:
        answer = self.call("GET", f"/v1/subscriptions/{_quote_key(key)}?charge-detail=all-segments")
        self.subscription_read_at = time.monotonic()
        return read_subscription(answer)

    def fetch_account(self, key: str) -> ZuoraAccount:
        """The account by number or id, with its own contacts ("Retrieve an account")."""
        return read_account(self.call("GET", f"/v1/accounts/{_quote_key(key)}"))

    def fetch_account_numbers(self, account_key: str, *, invoiced: bool = True) -> list[str]:
        """The numbers of all subscriptions, of any status, that an account owns or (`invoiced`) pays for, sorted.

        Zuora's own list by account does not say whether it covers those that are only paid for, and carries every
        charge. So Object Query is asked, which filters on either account and gives the names alone; where the tenant
        lacks it, that list has to do. Raises NotFoundInZuora for an account that does not exist.
        """
        is_id = len(account_key) == 32 and account_key.isalnum()
        account_id = account_key if is_id else self.fetch_account(account_key).id
        if account_id is None:
            raise PayloadInvalid("basicInfo is missing in Zuora's account")
        numbers: set[str] = set()
        try:
            for role in ("accountid", "invoiceownerid") if invoiced else ("accountid",):
                filters = [f"{role}.EQ:{account_id}", "islatestversion.EQ:true"]
                rows = self.query("subscriptions", filters=filters, fields=["name"], sort="name.ASC")
                numbers.update(_name_of(row, "name") for row in rows)
        except (PermissionRefused, NotFoundInZuora, RequestRefused):
            numbers.update(self._list_account_numbers(account_id))
        if is_id and not numbers:
            self.fetch_account(account_key)
        return sorted(numbers)

    def _list_account_numbers(self, account_id: str) -> Iterator[str]:
        path = f"/v1/subscriptions/accounts/{_quote_key(account_id)}"
        for page in range(1, _MAX_PAGES + 1):
            # Few a page, because each may carry hundreds of charges.
            answer = self.call("GET", path, params={"page": page, "pageSize": 20})
            for row in _rows_of(answer, "subscriptions"):
                yield _name_of(row, "subscriptionNumber")
            if not answer.get("nextPage"):
                return
        raise PayloadInvalid("Zuora's list of an account's subscriptions does not end.")

    def fetch_preview(self, account_id: str, target_date: date) -> Mapping[str, Any]:
        """The answer of "Generate a billing preview": the coming lines of all that an account is invoiced for.

        Renewals are not assumed: what comes after the term depends on decisions that are not taken yet. Raises
        PreviewNotPermitted where our user, or the tenant's edition, may not ask; PayloadInvalid for another account's.
        """
        question = {
            "accountId": account_id,
            "targetDate": target_date.isoformat(),
            "assumeRenewal": "None",
            "includingEvergreenSubscription": True,
        }
        try:
            answer = self.call("POST", "/v1/operations/billing-preview", body=question, repeatable=True)
        except PermissionRefused as refusal:
            raise PreviewNotPermitted(str(refusal)) from None
        if answer.get("accountId") not in (None, account_id):
            raise PayloadInvalid("accountId is another account's in Zuora's billing preview")
        return answer

    def query(
        self, kind: str, *, filters: Sequence[str], fields: Sequence[str], sort: str
    ) -> Iterator[Mapping[str, Any]]:
        """All rows of an Object Query ("Object Queries" in Zuora's API reference), page by page as they are used."""
        cursor: str | None = None
        for _ in range(_MAX_PAGES):
            page = self.query_page(kind, filters=filters, fields=fields, sort=sort, cursor=cursor)
            yield from page.rows
            if page.cursor is None or page.cursor == cursor:
                return
            cursor = page.cursor
        raise PayloadInvalid(f"Zuora's list of {kind} does not end.")

    def query_page(
        self,
        kind: str,
        *,
        filters: Sequence[str],
        fields: Sequence[str],
        sort: str,
        cursor: str | None = None,
        size: int = _PAGE_SIZE,
    ) -> QueryPage:
        """One page of an Object Query of `kind` (`subscriptions`, `accounts`, `contacts`, …).

        Filters are `field.EQ:value` and all must hold; fields are in lower case. Nulls are left out by Zuora.
        """
        params: dict[str, Any] = {
            "pageSize": min(size, _PAGE_SIZE),
            "filter[]": filters,
            "fields[]": ",".join(fields),
            "sort[]": sort,
        }
        if cursor is not None:
            params["cursor"] = cursor
        answer = self.call("GET", f"/object-query/{kind}", params=params)
        following = answer.get("nextPage")
        return QueryPage(_rows_of(answer, "data"), following if isinstance(following, str) and following else None)

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        repeatable: bool = False,
    ) -> dict[str, Any]:
        """One call with a JSON answer. Raises the errors of `envelopes.open_envelope` and `transport.Transport.send`.

        Repeated at most once: with a new token where Zuora refused the old one, or, where it is a GET or `repeatable`,
        over a new connection where the old one had been closed. Every other repetition is the queue's.
        """
        return self._call(open_envelope, method, path, params=params, body=body, repeatable=repeatable)

    def fetch_text(self, path: str) -> str:
        """What stands at an address whose answer is no JSON, such as "Describe an object". Raises as `call` does."""
        return self._call(open_text, "GET", path, params=None, body=None, repeatable=True)

    def fetch_bytes(self, path: str, open_answer: Callable[[int, Mapping[str, str], bytes], bytes]) -> bytes:
        """What stands at an address whose answer is a file; `open_answer` gets status, headers and body."""
        return self._call(open_answer, "GET", path, params=None, body=None, repeatable=True)

    def call_raw(
        self, method: str, path: str, *, body: str | None, key: str | None, open_answer: Callable[..., _T]
    ) -> _T:
        """One call that may change Zuora, with `body` as JSON text and an Idempotency-Key where `key` is given.

        `open_answer` gets status, headers and body. Repeated as `call` repeats what is repeatable: a key makes a POST
        that, and PUT and DELETE are so by themselves.
        """
        headers = {"Idempotency-Key": key} if key else {}
        return self._call(open_answer, method, path, params=None, body=body, repeatable=True, headers=headers)

    def _call(
        self,
        open_answer: Callable[[int, Mapping[str, str], bytes], _T],
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None,
        body: Mapping[str, Any] | str | None,
        repeatable: bool,
        headers: Mapping[str, str] | None = None,
    ) -> _T:
        if self._ended:
            raise RuntimeError("a call to Zuora after the last one")
        call = _name_call(method, path)
        again = True
        while True:
            token = self._connection.get_token(self.deadline)
            self.calls += 1
            begun = time.monotonic()
            try:
                with span(call, Side.CLIENT, {"zuora.track_id": self.track_id}):
                    sent = {"Zuora-Track-Id": self.track_id, **(headers or {})}
                    answer = self._connection.send(
                        method, path, token, self.deadline, params=params, body=body, headers=sent
                    )
                    tell({"http.response.status_code": answer.status})
                    self.server_date = answer.headers.get("Date")
                    self._connection.note_limits(answer.headers)
                    ZUORA.labels(call).observe(time.monotonic() - begun)
                    opened = open_answer(answer.status, answer.headers, answer.body)
                    self.answered = True
                    return opened
            except SyncServiceError as error:
                ZUORA_ERRORS.labels(call, error.code).inc()
                if isinstance(error, TokenRefused):
                    self._connection.drop_token(token)
                    may_repeat = True
                else:
                    may_repeat = isinstance(error, AnswerCut) and (repeatable or method == "GET")
                if not (again and may_repeat):
                    raise
            again = False


def _name_call(method: str, path: str) -> str:
    """The call without what it is about, such as `GET /v1/subscriptions`: one of few."""
    pieces = path.partition("?")[0].split("/")
    return f"{method} {'/'.join(pieces[: 4 if pieces[3:4] in _PREVIEWS else 3])}"


def _quote_key(key: str) -> str:
    """A key as one piece of a path. Raises NotFoundInZuora for those that a path cannot hold."""
    if key in ("", ".", ".."):
        raise NotFoundInZuora
    return quote(key, safe="")


def _rows_of(answer: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    rows = answer.get(key)
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise PayloadInvalid(f"{key} is no list of objects in Zuora's answer")
    return rows


def _name_of(row: Mapping[str, Any], key: str) -> str:
    name = row.get(key)
    if not isinstance(name, str) or not name.strip():
        raise PayloadInvalid(f"{key} is missing in Zuora's list of subscriptions")
    return name.strip()
