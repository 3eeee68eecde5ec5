"""The pages of those who run the service: API clients, people and settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from flask import flash, render_template, request, url_for
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.wrappers import Response as AnyResponse

from sync_service.access.clients import (
    ROTATION_MS,
    SCOPES,
    ClientNameTaken,
    ClientNameUnusable,
    ClientUnknown,
    add_client,
    end_previous_secret,
    list_clients,
    revoke_client,
    rotate_secret,
)
from sync_service.access.users import list_users
from sync_service.queue.limit import read_tenant
from sync_service.queue.status.findings import Finding, Severity
from sync_service.queue.status.health import CHECK, describe_check, read_findings
from sync_service.settings import Settings
from sync_service.store.tables import JobRow
from sync_service.web.admin.context import AdminPages, ask_first
from sync_service.web.admin.guard import who
from sync_service.web.admin.job_views import view_job
from sync_service.web.admin.manual import section_of
from sync_service.web.page_parts import get, post, see_other


@dataclass(frozen=True, kw_only=True)
class SettingsCheck:
    """A finding, how old it is, and where the runbook says more."""

    finding: Finding
    #: When it was found, in ms; None where the database tells it now.
    at: int | None
    section: str | None


def _look(finding: Finding, job: JobRow | None) -> SettingsCheck:
    at = None if finding.is_of_store or job is None else job.progress.get("at") or job.last_ended
    return SettingsCheck(finding=finding, at=at, section=section_of(finding))


def _worst_first(finding: Finding) -> int:
    return (Severity.FAILED, Severity.WARNING, Severity.NOT_CHECKED, Severity.OK).index(finding.verdict)


_HOURS = ROTATION_MS // 3_600_000
#: What is asked before a client is changed: the question, what it comes to, and the button.
_QUESTIONS = {
    "rotate": (
        "A new secret for {}?",
        f"The secret of now works for {_HOURS} hours more, so that the other system can be given the new one.",
        "Make a secret",
    ),
    "end": ("End the old secret of {}?", "Only the new secret works from then on.", "End the old secret"),
    "revoke": (
        "Revoke {}?",
        "It is refused from then on, for good; tokens that it holds end within half a minute.",
        "Revoke",
    ),
}
#: What is said afterwards.
_DONE = {
    "end": "the old secret is refused from now on.",
    "revoke": "revoked; tokens that it holds end within half a minute.",
}


class UpkeepPages(AdminPages):
    """The pages API clients and Settings."""

    @get("/settings")
    def settings(self) -> str:
        """The settings in force, and every finding of the checks, the worst first."""
        settings = self._context.settings
        with self._database.reading() as session:
            people = sum(user.disabled_at is None for user in list_users(session))
            tenant = read_tenant(session)
            job, now = session.get(JobRow, CHECK), session.now()
            findings = sorted([*read_findings(session, settings), describe_check(job, now)], key=_worst_first)
        return render_template(
            "admin/settings.html",
            rows=show_settings(settings),
            people=people,
            clients=sum(row.revoked_at is None for row in list_clients(self._database)),
            tenant=tenant,
            check=view_job(job, now) if job else None,
            looks=[_look(each, job) for each in findings],
            worst=findings[0].verdict,
        )

    @get("/clients")
    def clients(self, problems: Mapping[str, str] | None = None) -> str:
        """The list, with the secret of the client that was just made."""
        return render_template(
            "admin/clients.html",
            rows=list_clients(self._database),
            hours=_HOURS,
            scopes=sorted(SCOPES),
            shown=self._context.handover.take("admin.clients"),
            problems=problems or {},
            typed=request.form,
            ticked=request.form.getlist("scope"),
        )

    @post("/clients")
    def add(self) -> AnyResponse | tuple[str, int]:
        """A new one, with its secret shown this once."""
        name, scopes = request.form.get("name", "").strip(), request.form.getlist("scope")
        if set(scopes) - SCOPES:
            raise BadRequest("Choose scopes from the list.")
        if not scopes:
            return self.clients({"scope": "A client needs at least one scope."}), 422
        try:
            callout = bool(request.form.get("callout"))
            pair = add_client(self._database, name, scopes, callout, actor=who().email)
        except (ClientNameTaken, ClientNameUnusable) as error:
            return self.clients({"name": str(error)}), 422
        return self._context.handover.lead_to("admin.clients", *pair)

    @post("/clients/<client_id>/<any(revoke,rotate,end):what>")
    def change(self, client_id: str, what: str) -> AnyResponse | str:
        """Refuse it from now on, give it a new secret, or end the one before."""
        name = next((row.name for row in list_clients(self._database) if row.client_id == client_id), None)
        if name is None:
            raise NotFound("There is no such OAuth client.")
        question, text, button = _QUESTIONS[what]
        if page := ask_first(question.format(name), text, button, back=url_for("admin.clients")):
            return page
        try:
            if what == "rotate":
                secret = rotate_secret(self._database, client_id, actor=who().email)
                return self._context.handover.lead_to("admin.clients", client_id, secret)
            change = revoke_client if what == "revoke" else end_previous_secret
            change(self._database, client_id, actor=who().email)
        except ClientUnknown as error:
            raise NotFound(str(error)) from None
        flash(f"{name}: {_DONE[what]}")
        return see_other("admin.clients")


def show_settings(settings: Settings) -> list[tuple[str, str]]:
    """Names and values; of a secret only whether it is set."""
    return [(each.name.upper(), _show(getattr(settings, each.name), hidden=not each.repr)) for each in fields(settings)]


def _show(value: Any, *, hidden: bool) -> str:
    if hidden:
        return "set" if value else "not set"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value) if value not in ("", None) else "not set"
