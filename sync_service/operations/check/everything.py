"""Is everything as it should be? Each thing that must be right, looked at, with what to do where it is not."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from sync_service.access.captcha import CaptchaVerifier
from sync_service.access.sign_on.attempts import AnswerInvalid, ProviderAway, SetUpWrong
from sync_service.access.sign_on.provider import OpenidClient, OpenidProvider, client_for_admins, client_for_partners
from sync_service.errors import SchemaOutdated, SyncServiceError
from sync_service.operations.check.callouts import check_provisioned
from sync_service.operations.check.tenant import check_zuora, compare_clocks
from sync_service.partner.organisations import list_orgs
from sync_service.queue import jobs
from sync_service.queue.jobs import JobLease
from sync_service.queue.status.findings import Finding, Severity, as_progress
from sync_service.queue.status.health import CHECK, examine
from sync_service.settings import MIN_SECRET_LENGTH, Settings
from sync_service.store.engine import Database, Session, tell_trouble
from sync_service.store.schema import check_schema
from sync_service.sync.attempt import SyncContext
from sync_service.zuora.client import ZuoraClient

#: Without these nothing else can be looked at.
_FIRST = ("database", "migrations")
_CAPTCHA = "captcha"


def check_everything(database: Database, settings: Settings, zuora: ZuoraClient | None) -> Iterator[Finding]:
    """All findings, as they come. Without a usable database nothing else is looked at; writes nothing but a lease."""
    findings = list(check_database(database))
    yield from findings
    if any(finding.verdict is Severity.FAILED and finding.name in _FIRST for finding in findings):
        return
    if zuora is not None:
        yield from _guarded("calls to zuora", check_zuora(database, settings, zuora))
        yield from _guarded("callouts in zuora", check_provisioned(database, settings, zuora))
    yield from check_sign_on(settings)
    yield from check_settings(settings)
    with database.reading() as session:
        yield from check_captcha(session, settings)
        yield from examine(session, settings)


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


def check_sign_on(settings: Settings) -> Iterator[Finding]:
    """One finding for each identity provider that is set. Only a sign-on tries the client's secret."""
    if settings.oidc_issuer:
        yield _check_provider("sign-on", client_for_admins(settings), "OIDC_ISSUER", "docs/signing-in.md")
    if settings.partner_oidc_issuer:
        client = client_for_partners(settings)
        yield _check_provider("partner sign-on", client, "PARTNER_OIDC_ISSUER", "docs/partner-portal.md")


def _check_provider(name: str, client: OpenidClient, setting: str, page: str) -> Finding:
    try:
        OpenidProvider(client).look()
    except ProviderAway:
        remedy = f"See {setting}, and whether this host reaches it."
        return Finding(name, Severity.FAILED, f"{client.issuer} does not answer.", remedy)
    except (SetUpWrong, AnswerInvalid) as error:
        return Finding(name, Severity.FAILED, f"It is not usable: {error.detail}.", f"See {page}.")
    return Finding(name, Severity.OK, f"{client.issuer} answers and publishes its keys.")


def check_captcha(session: Session, settings: Settings) -> Iterator[Finding]:
    """Whether the captcha of partners' shops is verified; nothing where there are no partners."""
    if settings.captcha_secret:
        wrong = CaptchaVerifier(settings).look()
        remedy = "See CAPTCHA_SECRET and CAPTCHA_VERIFY_URL: meanwhile no shop of a partner can open a basket."
        yield (
            Finding(_CAPTCHA, Severity.FAILED, wrong, remedy)
            if wrong
            else Finding(_CAPTCHA, Severity.OK, "The captcha of partners' shops is verified.")
        )
    elif list_orgs(session, limit=1):
        says = "The captcha of partners' shops is not verified: that there is a token is all that is asked."
        yield Finding(_CAPTCHA, Severity.WARNING, says, "Set CAPTCHA_SECRET and CAPTCHA_VERIFY_URL.")


def check_story(context: SyncContext, lease: JobLease) -> Mapping[str, Any]:
    """The story of the periodic job: check, and keep the findings as the job's progress, `findings.from_progress`."""
    return as_progress(check_everything(context.database, context.settings, context.zuora), lease.taken_at)


def keep_findings(database: Database, findings: list[Finding]) -> None:
    """Keep what a person's check found as the last one; where the job itself is at work, its result will do."""
    jobs.ensure_job(database, CHECK)
    with database.transaction() as session:
        jobs.run_soon(session, CHECK)
    lease = jobs.take(database, CHECK)
    if lease is not None:
        progress = as_progress(findings, lease.taken_at)
        jobs.done(database, lease, next_due_in_ms=jobs.EVERY_MS[CHECK], progress=progress)


def _guarded(name: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """What breaks one part is a finding, and the rest is looked at all the same."""
    try:
        yield from findings
    except SyncServiceError as error:
        yield Finding(name, Severity.FAILED, str(error), "Once that is put right, check again for the rest.")
