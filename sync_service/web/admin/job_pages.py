"""Sweeps and backfills: start one, watch it, pause it and let it go on. A scheduler does the work."""

from __future__ import annotations

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.wrappers import Response as AnyResponse

from sync_service.queue.backfills import MOST_CHARACTERS, From, WishInvalid, leave_wish, needs_consent
from sync_service.queue.jobs import list_jobs, pause, resume, run_soon
from sync_service.store.audit import record_action
from sync_service.subscription.limio.documents import timestamp_of as as_moment
from sync_service.subscription.trigger import Trigger
from sync_service.web.admin.context import PageContext, ask_first
from sync_service.web.admin.filters import Filter
from sync_service.web.admin.guard import operators_only, who
from sync_service.web.admin.job_views import JobView, view_jobs
from sync_service.web.answers import answer

#: Backfills and dry runs that have ended and are shown.
MOST_ENDED = 10
_SAID = {"pause": "is paused", "resume": "goes on", "run": "will run within a few seconds"}


def attach(blueprint: Blueprint, context: PageContext) -> None:
    """The addresses under /admin/jobs."""
    pages = _JobPages(context)
    blueprint.get("/jobs")(pages.jobs)
    blueprint.post("/jobs/backfill")(operators_only(pages.backfill))
    # A backfill of a file has the file's path in its name.
    blueprint.post("/jobs/<path:name>/<any(pause,resume,run):what>")(operators_only(pages.change_job))
    blueprint.get("/jobs/<path:name>/progress")(pages.job_progress)


class _JobPages:
    def __init__(self, context: PageContext) -> None:
        self._database, self._cipher = context.database, context.cipher

    def jobs(self) -> str:
        """All of them."""
        return self._page()

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
            return self._page(asking=(source.value, value))
        if source is From.TENANT and not (is_dry_run or request.form.get("consent")):
            text = (
                "Each of its subscriptions is read from Zuora and written as Zuora has it, behind callouts and people."
            )
            if page := ask_first("Sync the whole tenant?", text, "Sync everything", back=url_for("admin.jobs")):
                return page
        try:
            name = leave_wish(self._database, source, value, who().email, is_dry_run=is_dry_run)
        except WishInvalid as error:
            return self._page(problem=str(error), chosen=(source.value, value)), 422
        with self._database.transaction() as session:
            record_action(session, who().email, "dry run" if is_dry_run else "backfill", name)
        flash(f"{name[:1].upper()}{name[1:]} begins within a few seconds.")
        return redirect(url_for("admin.jobs"), 303)

    def change_job(self, name: str, what: str) -> AnyResponse:
        """Pause it, let it go on, or run it now."""
        with self._database.transaction(lock_timeout_ms=5000) as session:
            steps = {"pause": pause, "resume": resume}
            known = steps[what](session, name) if what in steps else run_soon(session, name)
            if not known:
                raise NotFound("There is no such job.")
            record_action(session, who().email, f"job {what}", name)
        flash(f"{name[:1].upper()}{name[1:]} {_SAID[what]}.")
        back = "admin.settings" if name == "check" else "admin.jobs"
        return redirect(url_for(back), 303)

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
        return url_for("admin.history", **asked.kept(self._cipher))  # type: ignore[arg-type]

    def _page(
        self,
        *,
        problem: str = "",
        chosen: tuple[str, str] = ("account", ""),
        asking: tuple[str, str] | None = None,
    ) -> str:
        with self._database.reading() as session:
            rows, now = list_jobs(session), session.now()
        views = view_jobs(rows, now)
        wished = [view for view in views if view.is_wished]
        return render_template(
            "admin/jobs.html",
            here="admin.jobs",
            queue=[view for view in wished if view.is_underway or view.is_paused],
            ended=[view for view in wished if not (view.is_underway or view.is_paused)][:MOST_ENDED],
            sweeps=[view for view in views if view.kind == "sweep"],
            history=self._link_to_history,
            others=[view for view in views if view.kind == "other"],
            problem=problem,
            chosen=chosen,
            asking=asking,
            most=MOST_CHARACTERS,
        )
