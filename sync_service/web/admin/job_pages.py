"""Sweeps and backfills: start one, watch it, pause it and let it go on. A scheduler does the work."""

from __future__ import annotations

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.wrappers import Response as AnyResponse

from sync_service.queue.backfills import MOST_CHARACTERS, From, WishInvalid, leave_wish, needs_consent
from sync_service.queue.jobs import list_jobs, pause, resume, run_soon
from sync_service.store.audit import record_action
from sync_service.store.engine import Database
from sync_service.web.admin.context import PageContext
from sync_service.web.admin.guard import operators_only, who
from sync_service.web.admin.job_views import view_jobs
from sync_service.web.answers import answer

_SAID = {"pause": "is paused", "resume": "goes on", "run": "will run within a few seconds"}


def attach(blueprint: Blueprint, context: PageContext) -> None:
    """The addresses under /admin/jobs."""
    pages = _JobPages(context.database)
    blueprint.get("/jobs")(pages.jobs)
    blueprint.post("/jobs/backfill")(operators_only(pages.backfill))
    # A backfill of a file has the file's path in its name.
    blueprint.post("/jobs/<path:name>/<any(pause,resume,run):what>")(operators_only(pages.change_job))
    blueprint.get("/jobs/<path:name>/progress")(pages.job_progress)


class _JobPages:
    def __init__(self, database: Database) -> None:
        self._database = database

    def jobs(self) -> str:
        """All of them."""
        return self._page()

    def backfill(self) -> AnyResponse | str | tuple[str, int]:
        """Want a backfill, asking first where it would import all that there is."""
        try:
            source = From(request.form.get("source", ""))
        except ValueError:
            raise BadRequest("Choose what to backfill.") from None
        value = request.form.get(source.value, "")
        with self._database.reading() as session:
            asks_first = needs_consent(session) and not request.form.get("consent")
        if asks_first:
            return self._page(asking=(source.value, value))
        try:
            name = leave_wish(self._database, source, value, who().email)
        except WishInvalid as error:
            return self._page(problem=str(error), chosen=(source.value, value)), 422
        with self._database.transaction() as session:
            record_action(session, who().email, "backfill", name)
        flash(f"{name} begins within a few seconds.")
        return redirect(url_for("admin.jobs"), 303)

    def change_job(self, name: str, what: str) -> AnyResponse:
        """Pause it, let it go on, or run it now."""
        with self._database.transaction(lock_timeout_ms=5000) as session:
            steps = {"pause": pause, "resume": resume}
            known = steps[what](session, name) if what in steps else run_soon(session, name)
            if not known:
                raise NotFound("There is no such job.")
            record_action(session, who().email, f"job {what}", name)
        flash(f"{name} {_SAID[what]}.")
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
        return render_template(
            "admin/jobs.html",
            sweeps=[view for view in views if view.kind == "sweep"],
            backfills=[view for view in views if view.kind == "backfill"],
            others=[view for view in views if view.kind == "other"],
            problem=problem,
            chosen=chosen,
            asking=asking,
            most=MOST_CHARACTERS,
        )
