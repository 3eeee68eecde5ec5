"""Everything that can go wrong in a sync, sorted by who has to do something about it.

SyncServiceError
├── TenantError          Zuora as a whole: no number is at fault, all of them wait
│   ├── NotConfigured, TokenRefused, PermissionRefused, RateLimited, CallBudgetSpent
│   ├── ZuoraUnavailable     no connection, an HTML page
│   │   └── NotServed        a timeout, a 5xx, a broken answer: the tenant's, or one number's (queue/retry.py)
│   └── WrongTenant          the store was filled from another tenant
├── SubscriptionError    this one subscription: tried again, then final
│   ├── NotFoundInZuora, UnknownKey, GoneFromZuora
│   ├── PayloadInvalid       an answer that we cannot read; names the field
│   ├── PreviewIncomplete    the billing preview lacks what must be due
│   ├── Unserved             Zuora serves all numbers but this one
│   └── RequestRefused       Zuora calls our question wrong
└── BusyError            contention; soon again
    ├── LockedInZuora, ConflictInStore
    └── LeaseLost            another worker owns the number now: write nothing
"""

from __future__ import annotations


class SyncServiceError(Exception):
    """Something went wrong."""

    #: Stable word for the history, logs and metrics.
    code = "error"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])


class SettingsInvalid(SyncServiceError):
    """The settings cannot be used."""

    code = "settings invalid"


class SchemaOutdated(SyncServiceError):
    """The database schema is older than this release needs: run `sync-service db upgrade`."""

    code = "schema outdated"


class StoreMissing(SyncServiceError):
    """There is no store yet: run `sync-service db upgrade`."""

    code = "store missing"


class TenantError(SyncServiceError):
    """Zuora cannot be used at all just now."""

    code = "tenant"
    #: Seconds that Zuora asked us to wait, where it did.
    retry_after: float | None = None

    def __init__(self, message: str | None = None, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotConfigured(TenantError):
    """The tenant's address or credentials are not set: see ZUORA_BASE_URL, ZUORA_CLIENT_ID, ZUORA_CLIENT_SECRET."""

    code = "not configured"


class TokenRefused(TenantError):
    """Zuora refused our OAuth client: check ZUORA_CLIENT_ID and ZUORA_CLIENT_SECRET."""

    code = "token refused"


class PermissionRefused(TenantError):
    """Zuora says that our user may not do this: check the permissions of the OAuth client's user."""

    code = "permission refused"


class PreviewNotPermitted(PermissionRefused):
    """Zuora does not permit our user the billing preview: the schedule has to be computed from the charges."""

    code = "preview not permitted"


class RateLimited(TenantError):
    """Zuora is answering 429: we call too often or too much at once."""

    code = "rate limited"


class CallBudgetSpent(TenantError):
    """Today's budget of calls (ZUORA_DAILY_CALLS) is spent but for the part kept for people."""

    code = "call budget spent"


class ZuoraUnavailable(TenantError):
    """Zuora does not answer as Zuora does: no connection, a timeout, a server error or a web page."""

    code = "zuora unavailable"


class NotServed(ZuoraUnavailable):
    """Zuora took too long, broke off or reports an error of its own: its trouble, or that of one question."""


class WrongTenant(TenantError):
    """The store was filled from another Zuora tenant: check ZUORA_BASE_URL and the OAuth client."""

    code = "wrong tenant"


class SubscriptionError(SyncServiceError):
    """This subscription cannot be synced."""

    code = "subscription"


class NotFoundInZuora(SubscriptionError):
    """Zuora does not know this key."""

    code = "not found in Zuora"


class UnknownKey(SubscriptionError):
    """Neither Limio nor Zuora knows this key."""

    code = "unknown key"


class GoneFromZuora(SubscriptionError):
    """Zuora knew this subscription before and no longer does."""

    code = "gone from Zuora"


class PayloadInvalid(SubscriptionError):
    """Zuora's answer lacks something that we need, or holds something that we cannot read."""

    code = "payload invalid"


class PreviewIncomplete(SubscriptionError):
    """Zuora's billing preview has no item for a charge that must be due."""

    code = "preview incomplete"


class ServerFailed(SubscriptionError):
    """Zuora reports an error of its own for this one question; many of them in a row are trouble of the tenant."""

    code = "zuora failed"


class Unserved(SubscriptionError):
    """Zuora does not serve this subscription, while it serves others."""

    code = "not served"


class RequestRefused(SubscriptionError):
    """Zuora refused our request as wrong."""

    code = "request refused"


class BusyError(SyncServiceError):
    """What we need is in use just now."""

    code = "busy"


class LockedInZuora(BusyError):
    """Zuora reports a lock competition."""

    code = "locked in Zuora"


class NotLatestVersion(BusyError):
    """Zuora answered with a version that is not the latest one."""

    code = "not the latest version"


class ConflictInStore(BusyError):
    """Another transaction got there first."""

    code = "conflict in store"


class LeaseLost(BusyError):
    """The lease ran out and another worker has taken over: nothing of this run may be written."""

    code = "lease lost"
