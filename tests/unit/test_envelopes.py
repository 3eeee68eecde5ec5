"""What each of Zuora's answers means. Bodies are those of its documentation and of recorded answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from sync_service.zuora.envelopes import open_envelope, read_retry_after


def opened(status: int, content: Any, headers: dict[str, str] | None = None) -> dict[str, Any]:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return open_envelope(status, headers or {}, body)


def v1(code: int | str, message: str = "No.") -> dict[str, Any]:
    return {"success": False, "processId": "CBCFED6580B4E076", "reasons": [{"code": code, "message": message}]}


def test_a_good_answer_is_its_json_with_exact_numbers() -> None:
    assert opened(200, b'{"success": true, "price": 16.990}') == {"success": True, "price": Decimal("16.990")}


@pytest.mark.parametrize(
    ("printed", "value"),
    [
        (b"0.10", Decimal("0.10")),
        (b"1E-7", Decimal("1E-7")),
        (b"12345678901234567.89", Decimal("12345678901234567.89")),
        (b"123456789012345678901234567890", 123456789012345678901234567890),
        (b'"\\ud800"', "\ud800"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_numbers_and_texts_are_read_as_they_are_printed(printed: bytes, value: object, encoding: str) -> None:
    (read,) = opened(200, b'{"it": %s}'.replace(b"%s", printed).decode().encode(encoding)).values()

    assert (read, type(read), str(read)) == (value, type(value), str(value))


def test_an_object_query_has_no_success_and_is_good_all_the_same() -> None:
    assert opened(200, {"data": [], "nextPage": None}) == {"data": [], "nextPage": None}


def test_an_answer_without_content_is_good_where_the_status_says_so() -> None:
    assert opened(204, b"") == {}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (50000010, PermissionRefused),
        (90000011, TokenRefused),
        (53100020, RequestRefused),
        ("53100021", RequestRefused),
        (53100022, RequestRefused),
        (53100023, RequestRefused),
        (53100027, RequestRefused),
        (58490030, RequestRefused),
        (53100090, RequestRefused),
        (50000040, NotFoundInZuora),
        (50000045, RequestRefused),
        (40000050, LockedInZuora),
        (40000060, ServerFailed),
        (50000061, ServerFailed),
        (50000070, RateLimited),
        (50000099, ServerFailed),
        (70, RateLimited),
        ("40", NotFoundInZuora),
    ],
)
@pytest.mark.parametrize("status", [200, 400, 500])
def test_the_codes_category_decides_before_the_status(
    code: int | str, kind: type[SyncServiceError], status: int
) -> None:
    """Before version 2024-05-20 every coded error was a 200."""
    with pytest.raises(SyncServiceError) as raised:
        opened(status, v1(code))

    assert type(raised.value) is kind
    assert str(raised.value) == f"Zuora answered HTTP {status}, code {code}: No."


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, ZuoraUnavailable),
        (400, RequestRefused),
        (401, TokenRefused),
        (403, PermissionRefused),
        (404, NotFoundInZuora),
        (405, RequestRefused),
        (408, NotServed),
        (409, LockedInZuora),
        (415, RequestRefused),
        (422, RequestRefused),
        (429, RateLimited),
        (500, NotServed),
        (502, NotServed),
        (503, NotServed),
        (504, NotServed),
    ],
)
@pytest.mark.parametrize(
    "content", [{}, {"success": False}, v1("UNHEARD_OF"), v1(123), {"success": False, "reasons": None}]
)
def test_without_a_known_code_the_status_decides(
    status: int, kind: type[SyncServiceError], content: dict[str, Any]
) -> None:
    with pytest.raises(SyncServiceError) as raised:
        opened(status, content)

    assert type(raised.value) is kind


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        # Object Query, also as an HTTP 200 in tenants of an older version.
        ({"reasons": [{"code": 50000040, "message": "Cannot find entity"}], "requestId": "1"}, NotFoundInZuora),
        # Actions and CRUD, alone and as a list.
        ({"Success": False, "Errors": [{"Code": "INVALID_VALUE", "Message": "bad"}]}, RequestRefused),
        ([{"Success": False, "Errors": [{"Code": "LOCK_COMPETITION", "Message": "busy"}]}], LockedInZuora),
        ({"Success": False, "Errors": [{"Code": "REQUEST_EXCEEDED_LIMIT", "Message": "slow"}]}, RateLimited),
        # ZOQL.
        ({"FaultCode": "INVALID_FIELD", "FaultMessage": "invalid field for query"}, RequestRefused),
        ({"FaultCode": "INVALID_SESSION", "FaultMessage": "invalid session"}, TokenRefused),
        # Neither of them.
        ({"code": "ClientError", "message": "Invalid action 'query1'"}, RequestRefused),
        ({"message": "Error - unrecognised fields"}, RequestRefused),
        ({"success": False}, RequestRefused),
        ({"success": False, "reasons": []}, RequestRefused),
        ({"success": False, "reasons": ["text", {"code": 50000040}]}, NotFoundInZuora),
    ],
)
def test_each_envelope_is_opened_even_in_an_http_200(content: Any, kind: type[SyncServiceError]) -> None:
    with pytest.raises(SyncServiceError) as raised:
        opened(200, content)

    assert type(raised.value) is kind


@pytest.mark.parametrize(
    "content", [b"", b"null", b"[]", b"3", b'"ok"', b"<html>", b"\xff", b'{"a": NaN}', b"[" * 100_000]
)
def test_a_200_that_is_no_json_object_means_that_zuora_is_not_there(content: bytes) -> None:
    with pytest.raises(ZuoraUnavailable):
        opened(200, content)


@pytest.mark.parametrize("status", [302, 400, 403, 404, 409, 500, 502, 503])
def test_a_web_page_means_that_zuora_is_not_there_whatever_its_status(status: int) -> None:
    """A 404 of a wrong address must never look like a subscription that is gone."""
    with pytest.raises(ZuoraUnavailable, match=f"HTTP {status} with something that is no JSON"):
        opened(status, b"<html><body>Scheduled maintenance</body></html>")


def test_a_web_page_may_still_ask_for_a_new_token_or_for_patience() -> None:
    with pytest.raises(TokenRefused):
        opened(401, b"<html>")
    with pytest.raises(RateLimited) as raised:
        opened(429, b"slow down", {"Retry-After": "120"})

    assert raised.value.retry_after == 120


def test_the_documented_rate_limit_has_no_success_and_a_code_of_two_digits() -> None:
    """As in "Rate limits" of Zuora's API reference."""
    content = {"reasons": [{"code": 70, "message": "API Rate limit exceeded for the minute, retry after 600 seconds"}]}

    with pytest.raises(RateLimited) as raised:
        opened(429, content, {"RateLimit-Remaining": "0", "RateLimit-Reset": "600"})

    assert raised.value.retry_after == 600


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "120"}, 120.0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "120", "RateLimit-Reset": "600"}, 120.0),
        ({"Retry-After": "soon", "RateLimit-Reset": "600"}, 600.0),
        ({"Retry-After": "Fri, 20 Nov 2026 10:01:00 GMT"}, 60.0),
        ({"Retry-After": "Fri, 20 Nov 2026 09:00:00 GMT"}, 0.0),
        ({"Retry-After": "999999"}, 3600.0),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": ""}, None),
        ({}, None),
    ],
)
def test_the_wait_that_zuora_asks_for_is_in_seconds_and_at_most_an_hour(
    headers: dict[str, str], expected: float | None
) -> None:
    assert read_retry_after(headers, datetime(2026, 11, 20, 10, 0, tzinfo=UTC)) == expected


def test_a_message_is_short_and_names_no_address() -> None:
    with pytest.raises(RequestRefused) as raised:
        opened(400, v1(53100020, "Bad\r\n\x1b[31mvalue ada@example.com " + "x" * 500))

    text = str(raised.value)
    assert text.startswith("Zuora answered HTTP 400, code 53100020: Bad [31mvalue …@… xxx")
    assert len(text) < 250


@given(
    status=st.integers(100, 599),
    body=st.binary(max_size=40)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["success", "reasons", "code", "Errors", "FaultCode", "message"]), inner)
        ),
        max_leaves=6,
    ).map(lambda content: json.dumps(content).encode()),
)
def test_any_answer_at_all_is_json_or_one_of_our_errors(status: int, body: bytes) -> None:
    try:
        assert isinstance(open_envelope(status, {}, body), dict)
    except SyncServiceError:
        return
    assert 200 <= status < 300
