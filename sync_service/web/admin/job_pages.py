"""Sweeps and backfills: start one, watch it, pause it and let it go on. A scheduler does the work."""

from __future__ import annotations

from flask import Response, flash, render_template, request, url_for
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.wrappers import Response as AnyResponse

from sync_service.queue.backfills import MAX_CHARACTERS, From, WishInvalid, leave_wish, needs_consent
from sync_service.queue.jobs import list_jobs, pause, resume, run_soon
from sync_service.store.audit import record_action
from sync_service.subscription.limio.documents import timestamp_of as as_moment
from sync_service.subscription.trigger import Trigger
from sync_service.web.admin.context import AdminPages, ask_first
from sync_service.web.admin.filters import Filter
from sync_service.web.admin.guard import who
from sync_service.web.admin.job_views import JobView, view_jobs
from sync_service.web.answers import answer
from sync_service.web.page_parts import get, post, see_other

#: Backfills and dry runs that have ended and are shown.
MAX_ENDED = 10
_SAID = {"pause": "is paused", "resume": "goes on", "run": "will run within a few seconds"}


class JobPages(AdminPages):
    """The addresses under /admin/jobs. A backfill of a file has the file's path in its name."""

    @post("/jobs/backfill")
    def backfill(self) -> AnyResponse | str | tuple[str, int]:
        """Want a backfill or a look at what it would change, asking first where it would import or sync everything."""
        try:
            source = From(request.form.get("source", ""))
        except ValueError:
            raise BadRequest("Choose what to backfill.") from None
        value = request.form.get(source.value, "")
        is_dry_run = bool(request.form.get("dry"))
        with self._database.reading() as session:
            asks_first = not is_dry_run and needs_consent(session) and not request.form.get("consent")
        if asks_first:
            return self.jobs(asking=(source.value, value))
        if source is From.TENANT and not (is_dry_run or request.form.get("consent")):
            text = (
                "Each of its subscriptions is read from Zuora and written as Zuora has it, behind callouts and people."
            )
            if page := ask_first("Sync the whole tenant?", text, "Sync everything", back=url_for("admin.jobs")):
                return page
        try:
            name = leave_wish(self._database, source, value, who().email, is_dry_run=is_dry_run)
        except WishInvalid as error:
            return self.jobs(problem=str(error), chosen=(source.value, value)), 422
        self.record("dry run" if is_dry_run else "backfill", name)
        flash(f"{name[:1].upper()}{name[1:]} begins within a few seconds.")
        return see_other("admin.jobs")

    @post("/jobs/<path:name>/<any(pause,resume,run):what>")
    def change_job(self, name: str, what: str) -> AnyResponse:
        """Pause it, let it go on, or run it now."""
        with self._database.transaction(lock_timeout_ms=5000) as session:
            steps = {"pause": pause, "resume": resume}
            known = steps[what](session, name) if what in steps else run_soon(session, name)
            if not known:
                raise NotFound("There is no such job.")
            record_action(session, who().email, f"job {what}", name)
        flash(f"{name[:1].upper()}{name[1:]} {_SAID[what]}.")
        return see_other("admin.settings" if name == "check" else "admin.jobs")

    @get("/jobs/<path:name>/progress")
    def job_progress(self, name: str) -> Response:
        """For the page's script."""
        with self._database.reading() as session:
            rows, now = list_jobs(session), session.now()
        view = next((each for each in view_jobs(rows, now) if each.name == name), None)
        if view is None:
            raise NotFound("There is no such job.")
        told = {"done": not view.is_underway, "text": view.text or view.state}
        return answer(200, told | ({"value": view.value, "max": view.most} if view.most else {}))

    def _link_to_history(self, view: JobView) -> str | None:
        """The syncs that a job caused and that changed something; None before it began."""
        if view.kind == "backfill" and view.actor:
            asked = Filter(show="syncs", by=view.actor)
        elif view.kind == "sweep" and view.began is not None:
            asked = Filter(show="syncs", trigger=Trigger.SWEEP.value, since=as_moment(view.began))
        else:
            return None
        return url_for("admin.history", **asked.kept(self._context.cipher))  # type: ignore[arg-type]

    @get("/jobs")
    def jobs(
        self,
        *,
        problem: str = "",
        chosen: tuple[str, str] = ("account", ""),
        asking: tuple[str, str] | None = None,
    ) -> str:
        """All of them."""
        with self._database.reading() as session:
            rows, now = list_jobs(session), session.now()
        views = view_jobs(rows, now)
        wished = [view for view in views if view.is_wished]
        return render_template(
            "admin/jobs.html",
            here="admin.jobs",
            queue=[view for view in wished if view.is_underway or view.is_paused],
            ended=[view for view in wished if not (view.is_underway or view.is_paused)][:MAX_ENDED],
            sweeps=[view for view in views if view.kind == "sweep"],
            history=self._link_to_history,
            others=[view for view in views if view.kind == "other"],
            problem=problem,
            chosen=chosen,
            asking=asking,
            most=MAX_CHARACTERS,
        )
