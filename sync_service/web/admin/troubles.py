"""What needs a person: failed requests, to be retried, and held plans, to be released or dropped."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response as AnyResponse

from sync_service.errors import UnknownKey
from sync_service.queue.backlog import count_failed_by_code, list_failed
from sync_service.queue.decisions import (
    DecisionRefused,
    dismiss_failed,
    drop_held,
    list_released,
    release_held,
    retry_all,
    retry_one,
)
from sync_service.queue.held import list_held
from sync_service.queue.requests import Cause, Kind
from sync_service.subscription.trigger import Trigger
from sync_service.web.admin.desk import PAGE, Desk, one_page
from sync_service.web.admin.door import operators_only, who

_DONE = {
    "release": "is released: it waits for its sync, which passes the safety stop",
    "drop": "is dropped: Limio keeps what it has until Zuora's answer changes",
}


def attach(blueprint: Blueprint, desk: Desk) -> None:
    """The pages Failed and Held."""
    pages = _Pages(desk)
    blueprint.get("/failed")(pages.failed)
    blueprint.post("/failed/retry")(operators_only(pages.retry))
    blueprint.post("/failed/dismiss")(operators_only(pages.dismiss))
    blueprint.post("/failed/retry-all")(operators_only(pages.retry_all))
    blueprint.get("/held")(pages.held)
    blueprint.post("/held/<any(release,drop):decision>")(operators_only(pages.decide))


class _Pages:
    def __init__(self, desk: Desk) -> None:
        self._database = desk.database

    def failed(self) -> str:
        """Given up and not asked for since, with the causes counted."""
        after = (request.args.get("kind", ""), request.args.get("after", ""))
        if not "".join(after).isprintable():
            after = ("", "")
        with self._database.reading() as session:
            groups = count_failed_by_code(session)
            rows, more = one_page(list_failed(session, limit=PAGE + 1, after=after))
        return render_template("admin/failed.html", groups=groups, rows=rows, more=more)

    def retry(self) -> AnyResponse:
        """Try one again, as a person's wish."""
        kind, key = _kind(), request.form.get("key", "")
        try:
            key = retry_one(self._database, key if key.isprintable() else "", _person(), kind=kind)
        except UnknownKey:
            raise BadRequest("That request was not given up.") from None
        flash(f"{key} is queued for another try.")
        return redirect(url_for("admin.failed"), 303)

    def dismiss(self) -> AnyResponse:
        """Forget one that was never synced."""
        kind, key = _kind(), request.form.get("key", "")
        try:
            key = dismiss_failed(self._database, key if key.isprintable() else "", _person(), kind=kind)
        except (UnknownKey, DecisionRefused) as error:
            raise BadRequest(str(error)) from None
        flash(f"{key} is dismissed.")
        return redirect(url_for("admin.failed"), 303)

    def retry_all(self) -> AnyResponse:
        """Try all of one cause again."""
        count = retry_all(self._database, _person(), code=request.form.get("code") or None)
        flash(f"{count} requests are queued for another try.")
        return redirect(url_for("admin.failed"), 303)

    def held(self) -> str:
        """Plans that the safety stop keeps, oldest first."""
        with self._database.reading() as session:
            rows, more = one_page(list_held(session, limit=PAGE + 1))
            released = list_released(session, limit=PAGE)
        return render_template("admin/held.html", rows=rows, more=more, released=released)

    def decide(self, decision: str) -> AnyResponse:
        """Release or drop what is held of one number."""
        key = request.form.get("key", "")
        decide = release_held if decision == "release" else drop_held
        try:
            number = decide(self._database, key if key.isprintable() else "", _person())
        except DecisionRefused as refused:
            flash(str(refused), "warn")
        else:
            done = (
                "is released: it will be synced and passes the safety stop" if decision == "release" else "is dropped"
            )
            flash(f"{number} {done}.")
        return redirect(url_for("admin.held"), 303)


def _kind() -> Kind:
    try:
        return Kind(request.form.get("kind", ""))
    except ValueError:
        raise BadRequest("There is no such kind of request.") from None


def _person() -> Cause:
    return Cause(Trigger.ADMIN, actor=who().email)
