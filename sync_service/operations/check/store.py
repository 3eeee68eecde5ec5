"""Whether the database can be used, and what the settings leave open."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from sync_service.errors import SchemaOutdated
from sync_service.queue.findings import Finding, Severity
from sync_service.settings import MIN_SECRET_LENGTH, Settings
from sync_service.store.engine import Database, tell_trouble
from sync_service.store.schema import check_schema

#: Clocks that differ by more are told of, and are a failure, in seconds.
CLOCK_WARNS, CLOCK_FAILS = 5.0, 30.0


def check_database(database: Database) -> Iterator[Finding]:
    """Whether it answers and takes a write lock, is up to date, and agrees with this machine about the time."""
    try:
        with database.transaction(lock_timeout_ms=5_000) as session:
            host, now = time.time(), session.now() / 1000
    except (SQLAlchemyError, TimeoutError) as error:
        reason = tell_trouble(error) or type(getattr(error, "orig", None) or error).__name__
        yield Finding(
            "database", Severity.FAILED, f"It cannot be used: {reason}.", "See DATABASE_URL and whether it is up."
        )
        return
    yield Finding("database", Severity.OK, f"{database.dialect} answers and takes writes.")
    yield check_migrations(database)
    yield compare_clocks("clock", host - now, "this machine", "the database")


def check_migrations(database: Database) -> Finding:
    """Whether the schema is the one that this release needs."""
    try:
        check_schema(database)
    except SchemaOutdated as error:
        return Finding("migrations", Severity.FAILED, str(error), "Run `sync-service db upgrade`.")
    return Finding("migrations", Severity.OK, "The schema is up to date.")


def compare_clocks(name: str, seconds: float, ours: str, theirs: str) -> Finding:
    """`ours` is ahead of `theirs` by `seconds`."""
    apart = abs(seconds)
    verdict = Severity.OK if apart < CLOCK_WARNS else Severity.WARNING if apart < CLOCK_FAILS else Severity.FAILED
    words = f"{ours} is {apart:.0f} s {'ahead of' if seconds > 0 else 'behind'} {theirs}."
    if verdict is Severity.OK:
        return Finding(name, verdict, f"{ours[0].upper()}{ours[1:]} and {theirs} agree.")
    return Finding(name, verdict, f"{words[0].upper()}{words[1:]}", "Let both follow a time server (NTP).")


def check_settings(settings: Settings) -> Iterator[Finding]:
    """What the settings leave open: no key to sign with, old secrets, files that others may read."""
    if not settings.secret_key and settings.sqlite_path is None:
        words = "SECRET_KEY is not set: log-in and access tokens are refused."
        yield Finding(
            "secret key", Severity.FAILED, words, "Set SECRET_KEY to the same long random text on every host."
        )
    previous = (settings.callout_password_previous, settings.callout_secret_previous)
    if any(0 < len(secret) < MIN_SECRET_LENGTH for secret in previous):
        remedy = "Once Zuora sends the new one, remove CALLOUT_PASSWORD_PREVIOUS and CALLOUT_SECRET_PREVIOUS."
        yield Finding(
            "callout secrets", Severity.WARNING, "A short callout secret of before is still accepted.", remedy
        )
    if settings.sqlite_path is not None:
        yield from _check_files(settings.sqlite_path)


def _check_files(path: Path) -> Iterator[Finding]:
    """The store holds personal data: the database, its journal and the key beside it are for their user alone."""
    ours = [each for each in path.parent.glob(f"{path.name}*") if each.is_file()]
    readable = sorted(each.name for each in ours if each.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
    if readable:
        words = f"Other users of this machine may read {', '.join(readable)} in {path.parent}."
        yield Finding("files", Severity.FAILED, words, "`chmod 600` them.")
    elif ours:
        yield Finding("files", Severity.OK, "The store's files are for their user alone.")
