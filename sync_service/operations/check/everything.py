"""Is everything as it should be? Each thing that must be right, looked at, with what to do where it is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sync_service.access.sign_on.attempts import AnswerInvalid, ProviderAway, SetUpWrong
from sync_service.access.sign_on.provider import OpenidProvider, client_for_admins
from sync_service.errors import SyncServiceError
from sync_service.operations.check.callouts import check_provisioned
from sync_service.operations.check.store import check_database, check_settings
from sync_service.operations.check.zuora import check_zuora
from sync_service.queue import jobs
from sync_service.queue.findings import Finding, Severity, as_progress
from sync_service.queue.health import CHECK, examine
from sync_service.queue.jobs import JobLease
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.sync.attempt import SyncContext
from sync_service.zuora.client import ZuoraClient

#: How often the job that checks comes round.
EVERY_MS = 3_600_000
#: Without these nothing else can be looked at.
_FIRST = ("database", "migrations")
_SIGN_ON = "sign-on"


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
        yield from examine(session, settings)


def check_sign_on(settings: Settings) -> Iterator[Finding]:
    """One finding if an identity provider is set. Only a sign-on tries the client's secret."""
    if not settings.oidc_issuer:
        return
    try:
        OpenidProvider(client_for_admins(settings)).look()
    except ProviderAway:
        says = f"{settings.oidc_issuer} does not answer."
        yield Finding(_SIGN_ON, Severity.FAILED, says, "See OIDC_ISSUER, and whether this host reaches it.")
    except (SetUpWrong, AnswerInvalid) as error:
        yield Finding(_SIGN_ON, Severity.FAILED, f"It is not usable: {error.detail}.", "See docs/signing-in.md.")
    else:
        yield Finding(_SIGN_ON, Severity.OK, f"{settings.oidc_issuer} answers and publishes its keys.")


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
        jobs.done(database, lease, next_due_in_ms=EVERY_MS, progress=progress)


def _guarded(name: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """What breaks one part is a finding, and the rest is looked at all the same."""
    try:
        yield from findings
    except SyncServiceError as error:
        yield Finding(name, Severity.FAILED, str(error), "Once that is put right, check again for the rest.")
