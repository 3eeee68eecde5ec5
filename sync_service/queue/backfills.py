"""Backfills that people want of the schedulers: the wish is kept here, how it goes is in the job's row of its name.

Requesting one needs no access to Zuora; jobs/backfill runs it.
"""

from __future__ import annotations

import hashlib
from datetime import date
from enum import StrEnum

from sqlmodel import col, select

from sync_service.errors import SyncServiceError
from sync_service.queue import jobs
from sync_service.queue.status.health import has_loaded
from sync_service.store.engine import Database, Session
from sync_service.store.tables import BackfillWishRow, JobRow
from sync_service.subscription.keys import normalise_key, why_impossible

#: What the names of jobs begin with: of a backfill, and of one that only looks.
BACKFILL, DRY_RUN = "backfill", "dry run"
#: What a form holds; longer lists are for the command line.
MAX_CHARACTERS = 40_000
_KEEP = """
INSERT INTO backfill_wish (name, source, value, is_dry_run, actor, asked_at)
VALUES (:name, :source, :value, :is_dry_run, :actor, {now})
ON CONFLICT (name) DO UPDATE SET value = excluded.value, actor = excluded.actor, asked_at = excluded.asked_at
"""


class WishInvalid(SyncServiceError):
    """There is nothing to backfill."""

    code = "wish invalid"


class From(StrEnum):
    """Where a backfill's keys come from."""

    TENANT = "tenant"
    ACCOUNT = "account"
    LIST = "list"
    SINCE = "since"


def leave_wish(database: Database, source: From, value: str, actor: str, *, is_dry_run: bool = False) -> str:
    """Want a backfill run, or only a look at what it would change, durable when this returns; the name of its job.

    Raises WishInvalid.

    The same wish again is the same backfill: what was interrupted goes on, what had ended begins anew.
    """
    kept = _check(source, value)
    name = name_of(source, kept)
    if is_dry_run:
        name = f"{DRY_RUN}{name.removeprefix(BACKFILL)}"
    jobs.ensure_job(database, name)
    with database.transaction(lock_timeout_ms=5000) as session:
        jobs.resume(session, name)
        jobs.run_soon(session, name)
        values = {"name": name, "source": source.value, "value": kept, "is_dry_run": is_dry_run, "actor": actor}
        session.run(_KEEP, values)
    return name


def name_of(source: From, value: str) -> str:
    """The job's name: that of the same backfill from the command line, but for a list."""
    match source:
        case From.TENANT:
            return BACKFILL
        case From.LIST:
            return f"{BACKFILL} list {hashlib.sha256(value.encode()).hexdigest()[:8]}"
        case _:
            return f"{BACKFILL} {source} {value}"


def read_wishes(session: Session) -> list[BackfillWishRow]:
    """All that wait or run, oldest first."""
    return list(
        session.exec(select(BackfillWishRow).order_by(col(BackfillWishRow.asked_at), col(BackfillWishRow.name)))
    )


def forget_wish(session: Session, wish: BackfillWishRow) -> None:
    """It is done, unless the same was requested again meanwhile."""
    row = session.get(BackfillWishRow, wish.name)
    if row is not None and row.asked_at == wish.asked_at:
        session.delete(row)


def needs_consent(session: Session) -> bool:
    """Whether a person should be asked before a backfill imports: nothing that Limio itself made was ever loaded.

    What syncs import is marked as external and counts for nothing here. A backfill that was begun had its consent.
    """
    begun = select(JobRow.name).where(col(JobRow.name).startswith(BACKFILL)).limit(1)
    return not has_loaded(session) and session.exec(begun).first() is None


def _check(source: From, value: str) -> str:
    """`value` in the form that is kept."""
    match source:
        case From.TENANT:
            return ""
        case From.ACCOUNT:
            key = normalise_key(value)
            problem = why_impossible(key)
            if problem or not key.isprintable():
                raise WishInvalid(f"Account: {problem or 'it holds characters that no number has.'}")
            return key
        case From.SINCE:
            try:
                return date.fromisoformat(value.strip()).isoformat()
            except ValueError:
                raise WishInvalid("Updated since: give a day as YYYY-MM-DD.") from None
        case From.LIST:
            return _check_list(value)


def _check_list(value: str) -> str:
    if len(value) > MAX_CHARACTERS:
        raise WishInvalid(f"List: it is longer than {MAX_CHARACTERS:,} characters; use “sync-service backfill --file”.")
    keys = [key for line in value.splitlines() if (key := normalise_key(line))]
    if not keys:
        raise WishInvalid("List: give keys, one a line.")
    for place, key in enumerate(keys, 1):
        problem = why_impossible(key)
        if problem:
            raise WishInvalid(f"List, key {place}: {problem}")
    return "\n".join(dict.fromkeys(keys))
