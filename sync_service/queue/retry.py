"""What follows from an error: whose trouble it is, the tenant's or one number's, and whether the run is tried again.

The kind of the error decides: of the whole tenant, of this subscription, or contention. A timeout, a refusal or a
server error may be either. Different numbers that fail one after the other, with nothing good between them, speak
against the tenant; a number that fails alone has its own trouble, and delays no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sync_service.errors import (
    BusyError,
    GoneFromZuora,
    NotServed,
    PermissionRefused,
    ServerFailed,
    SyncServiceError,
    TenantError,
    UnknownKey,
    Unserved,
    ZuoraUnavailable,
)
from sync_service.queue.limit import Share, lock_limit
from sync_service.store.engine import Database

#: The attempt that ends a request which keeps failing.
MAX_FAILED_ATTEMPTS = 10
#: A subscription error waits at most this long at first, twice as long each time, and never longer than the cap.
BACKOFF_MS, BACKOFF_CAP_MS = 5_000, 30 * 60_000
#: The same for contention, which passes by itself.
BUSY_MS, BUSY_CAP_MS = 1_000, 15_000
#: No answer of Zuora's is any different sooner.
_LEAST_MS = 250
#: A tenant error: claims are paused and probed elsewhere, the row only steps back behind the probe.
_TENANT_MS = 5_000

#: Trying again could only give the same answer.
_FINAL = (UnknownKey, GoneFromZuora)


@dataclass(frozen=True, kw_only=True)
class RetryDecision:
    """What becomes of a claim that failed."""

    kind: Literal["retry", "fail"]
    #: How long to wait from now; 0 where it is final.
    delay_ms: int = 0
    #: False gives the attempt back: the number is not at fault.
    counts: bool = True

    @property
    def final(self) -> bool:
        """Whether only a new request runs the number again."""
        return self.kind == "fail"


def decide_retry(error: SyncServiceError, attempts: int, jitter: float) -> RetryDecision:
    """Decide about `error` in attempt number `attempts` (1 is the first); `jitter` is random, 0 up to 1.

    A tenant error uses up no attempt and is never final. Anything else is final in attempt MAX_FAILED_ATTEMPTS; a key
    in neither system, and a subscription that Zuora no longer has, at once. Waits have full jitter: numbers which
    failed together do not come back together.
    """
    if isinstance(error, TenantError):
        asked_ms = int((error.retry_after or 0) * 1000)
        return RetryDecision(kind="retry", delay_ms=max(asked_ms, _TENANT_MS) + int(_TENANT_MS * jitter), counts=False)
    if isinstance(error, _FINAL) or attempts >= MAX_FAILED_ATTEMPTS:
        return RetryDecision(kind="fail")
    if isinstance(error, BusyError):
        return RetryDecision(kind="retry", delay_ms=back_off(BUSY_MS, BUSY_CAP_MS, attempts, jitter))
    return RetryDecision(kind="retry", delay_ms=back_off(BACKOFF_MS, BACKOFF_CAP_MS, attempts, jitter))


def back_off(base_ms: int, cap_ms: int, attempts: int, jitter: float) -> int:
    """The wait in ms after attempt number `attempts`: full jitter below `base_ms`, doubled each time up to `cap_ms`."""
    most = min(cap_ms, base_ms * 2 ** (max(attempts, 1) - 1))
    return max(_LEAST_MS, int(most * jitter))


#: So many different numbers that Zuora serves badly, with nothing good between them, are trouble of the tenant.
MAX_UNSERVED = 5
#: The same for numbers that Zuora no longer knows: each is a matter of that number, so many are not.
MAX_GONE = 10
#: Kept of the numbers in doubt; more are a tenant's trouble long before.
_MAX_KEPT = 20

_DOUBTFUL = (NotServed, PermissionRefused, ServerFailed)


def count_doubt(database: Database, share: Share, key: str, *, most: int = MAX_GONE) -> bool:
    """`key` got an answer that may be its own fault or the tenant's; whether `most` different ones did so in a row."""
    with database.transaction() as session:
        limit = lock_limit(session, share)
        row = limit.row
        if key in row.doubtful:
            return False
        row.doubtful = [*row.doubtful, key][-_MAX_KEPT:]
        limit.keep(session)
        return len(row.doubtful) >= most


def find_whose(
    database: Database, error: SyncServiceError, share: Share, key: str, *, answered: bool
) -> SyncServiceError:
    """`error` as it counts: a TenantError where the tenant is in trouble, else a SubscriptionError of this number's.

    `answered` says that Zuora gave this run a good answer before. Every other error comes back as it is.
    """
    if isinstance(error, _DOUBTFUL):
        if answered or not count_doubt(database, share, key, most=MAX_UNSERVED):
            return Unserved(str(error))
        return ZuoraUnavailable(f"Several subscriptions in a row got the same answer: {error}")
    if isinstance(error, ZuoraUnavailable) and _paused_before(database, share, key):
        return Unserved(str(error))
    return error


def _paused_before(database: Database, share: Share, key: str) -> bool:
    """Whether `key` made the last pause and others were served since: then it is alone with its trouble."""
    with database.transaction() as session:
        row = lock_limit(session, share).row
        return row.trouble == 0 and row.paused_by == key
