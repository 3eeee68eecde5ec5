"""Calls that change Zuora, and what their answers mean: the rules of its idempotency keys in one place.

Sources, in Zuora's documentation: "Idempotent requests" (a repeated key brings the first result again, a refusal too),
"Error handling" (409 for a key whose first call still runs, or for a lock; 422 for a key that was used for something
else) and "Create an order" (a call that timed out may still be carried out).
"""

from __future__ import annotations

from collections.abc import Mapping

from sync_service.commerce.steps import Answer, Heard
from sync_service.errors import (
    LockedInZuora,
    NotFoundInZuora,
    NotServed,
    PayloadInvalid,
    RequestRefused,
    ServerFailed,
    SubscriptionError,
    SyncServiceError,
    TokenRefused,
    ZuoraUnavailable,
)
from sync_service.zuora.envelopes import (
    category_of,
    find_complaint,
    is_known_code,
    open_envelope,
    read_json,
    read_retry_after,
)
from sync_service.zuora.reading import Reading

#: The category of errors of the payment gateway or the tax engine: to an order their no is a no.
_GATEWAY = 99

_BY_ERROR: Mapping[type[SyncServiceError], Heard] = {
    RequestRefused: Heard.REFUSED,
    NotFoundInZuora: Heard.NOT_FOUND,
    LockedInZuora: Heard.LOCKED,
    ServerFailed: Heard.SILENCE,
    ZuoraUnavailable: Heard.SILENCE,
    NotServed: Heard.SILENCE,
}


def hear(reading: Reading, method: str, path: str, *, body: str | None = None, key: str | None = None) -> Answer:
    """Make the call and say what was heard. `body` is JSON text; `key` is the Idempotency-Key.

    Raises a TenantError where Zuora certainly did nothing and no order is at fault: no token, no permission, too many
    calls. A connection that fails is silence.
    """
    try:
        return reading.call_raw(method, path, body=body, key=key, open_answer=_open_keyed if key else _open_plain)
    except (ZuoraUnavailable, PayloadInvalid) as error:
        return Answer(heard=Heard.SILENCE, message=str(error))


def _open_keyed(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    content = read_json(body)
    code, message = find_complaint(content) or ("", "")
    if status == 409 and not is_known_code(code):
        if isinstance(content, dict) and content.get("success") is True:
            return Answer(heard=Heard.ANSWER, body=content)
        return Answer(heard=Heard.RUNNING, message=message or None, retry_after=read_retry_after(headers))
    if status == 422 and not is_known_code(code):
        return Answer(heard=Heard.KEY_REUSED, message=message or None)
    return _open_plain(status, headers, body)


def _open_plain(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    code, message = find_complaint(read_json(body)) or ("", "")
    try:
        return Answer(heard=Heard.ANSWER, body=open_envelope(status, headers, body))
    except TokenRefused:  # `Reading` asks for a new token first
        raise
    except (SubscriptionError, LockedInZuora, ZuoraUnavailable) as error:
        heard = Heard.REFUSED if category_of(code) == _GATEWAY else _BY_ERROR[type(error)]
        return Answer(
            heard=heard,
            code=code or None,
            message=message or str(error),
            retry_after=read_retry_after(headers),
        )
