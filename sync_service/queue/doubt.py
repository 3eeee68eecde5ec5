"""Whose trouble an error of Zuora's is: the tenant's as a whole, or this one number's.

A timeout, a refusal or a server error may be either. Different numbers that fail one after the other, with nothing good
between them, speak against the tenant; a number that fails alone has its own trouble, and delays no other.
"""

from __future__ import annotations

from sync_service.errors import (
    NotServed,
    PermissionRefused,
    ServerFailed,
    SyncServiceError,
    Unserved,
    ZuoraUnavailable,
)
from sync_service.queue.limit import Share, lock_limit
from sync_service.store.engine import Database

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
        row = lock_limit(session, share).row
        if key in row.doubtful:
            return False
        row.doubtful = [*row.doubtful, key][-_MAX_KEPT:]
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
