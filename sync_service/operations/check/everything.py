"""Is everything as it should be? Each thing that must be right, looked at, with what to do where it is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sync_service.access.captcha import CaptchaVerifier
from sync_service.access.sign_on.attempts import AnswerInvalid, ProviderAway, SetUpWrong
from sync_service.access.sign_on.provider import OpenidClient, OpenidProvider, client_for_admins, client_for_partners
from sync_service.errors import SyncServiceError
from sync_service.operations.check.callouts import check_provisioned
from sync_service.operations.check.store import check_database, check_settings
from sync_service.operations.check.zuora import check_zuora
from sync_service.partner.organisations import list_orgs
from sync_service.queue import jobs
from sync_service.queue.findings import Finding, Severity, as_progress
from sync_service.queue.health import CHECK, examine
from sync_service.queue.jobs import JobLease
from sync_service.settings import Settings
from sync_service.store.engine import Database, Session
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
