"""What needs a person: failed requests, to be retried, and held plans, to be released or dropped."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, flash, redirect, render_template, request, url_for
from sqlmodel import col, select
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response as AnyResponse

from sync_service.access.audit import record_action
from sync_service.queue.backlog import list_failed
from sync_service.queue.held import drop, list_held, read_held, release
from sync_service.queue.requests import Cause, Kind, Priority, enqueue, enqueue_many
from sync_service.store.engine import Session
from sync_service.store.tables import SyncRequestRow, SyncRunRow
from sync_service.subscription.zuora import Trigger
from sync_service.web.admin.desk import PAGE, Desk, before_id, one_page
from sync_service.web.admin.door import operators_only, who

#: Failed rows that one press of a button retries.
MOST_AT_ONCE = 10_000
_UNKNOWN_CODE = "unknown"
_GROUPS = """
SELECT coalesce(error_code, 'unknown') AS code, count(*) AS requests, min(requested_at) AS since FROM (
  SELECT request.requested_at AS requested_at, (
    SELECT run.error_code FROM sync_run run WHERE run.kind = request.kind AND run.key = request.key
      AND run.seq_to = request.failed_seq AND run.outcome = 'failed' ORDER BY run.id DESC LIMIT 1) AS error_code
  FROM sync_request request WHERE request.failed_seq = request.requested_seq) failed
GROUP BY 1 ORDER BY 2 DESC, 1
"""
_KEYS = """
SELECT kind, key FROM (
  SELECT request.kind AS kind, request.key AS key, coalesce((
    SELECT run.error_code FROM sync_run run WHERE run.kind = request.kind AND run.key = request.key
      AND run.seq_to = request.failed_seq AND run.outcome = 'failed' ORDER BY run.id DESC LIMIT 1), 'unknown') AS code
  FROM sync_request request WHERE request.failed_seq = request.requested_seq) failed
WHERE :code = '' OR code = :code ORDER BY kind, key LIMIT :most
"""


def attach(blueprint: Blueprint, desk: Desk) -> None:
    """The pages Failed and Held."""
    pages = _Pages(desk)
    blueprint.get("/failed")(pages.failed)
    blueprint.post("/failed/retry")(operators_only(pages.retry))
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
            groups = session.run(_GROUPS).all()
            rows, more = one_page(list_failed(session, limit=PAGE + 1, after=after))
            codes = _last_codes(session, rows)
        return render_template("admin/failed.html", groups=groups, rows=rows, more=more, codes=codes)

    def retry(self) -> AnyResponse:
        """Try one again, as a person's wish."""
        kind, key = _kind(), request.form.get("key", "")
        with self._database.transaction(lock_timeout_ms=5000) as session:
            if not key.isprintable() or session.get(SyncRequestRow, (kind.value, key)) is None:
                raise BadRequest("There is no such request.")
            cause = Cause(Trigger.ADMIN, actor=who().email)
            enqueue(session, kind, key, cause, priority=Priority.PERSON, full=True)
            record_action(session, who().email, "retry", key)
        flash(f"{key} will be tried again now.")
        return redirect(url_for("admin.failed"), 303)

    def retry_all(self) -> AnyResponse:
        """Try all of one cause again. Not as a person's single Sync: the safety stop watches over many."""
        code = request.form.get("code", "")
        with self._database.reading() as session:
            values = {"code": code, "most": MOST_AT_ONCE}
            found = session.run(_KEYS, values).all()
        cause = Cause(Trigger.BACKFILL, actor=who().email)
        for kind in Kind:
            keys = [row.key for row in found if row.kind == kind]
            enqueue_many(self._database, kind, keys, cause, priority=Priority.JOB, full=True)
        with self._database.transaction() as session:
            record_action(session, who().email, "retry all", f"{len(found)} of {code or 'any cause'}")
        flash(f"{len(found)} requests will be tried again.")
        return redirect(url_for("admin.failed"), 303)

    def held(self) -> str:
        """Plans that the safety stop keeps, oldest first."""
        with self._database.reading() as session:
            rows, more = one_page(list_held(session, limit=PAGE + 1, after=before_id() or 0))
        return render_template("admin/held.html", rows=rows, more=more)

    def decide(self, decision: str) -> AnyResponse:
        """Release or drop what is held of one number."""
        number = request.form.get("key", "")
        with self._database.transaction(lock_timeout_ms=5000) as session:
            run = read_held(session, number) if number.isprintable() else None
            if run is None:
                flash("Nothing is held there any more: somebody else decided.")
                return redirect(url_for("admin.held"), 303)
            if decision == "release":
                release(session, run, who().email)
            else:
                drop(run)
            record_action(session, who().email, f"{decision} held", number)
        done = "will be synced now and passes the stop" if decision == "release" else "keeps what Limio has"
        flash(f"{number} {done}.")
        return redirect(url_for("admin.held"), 303)


def _kind() -> Kind:
    try:
        return Kind(request.form.get("kind", ""))
    except ValueError:
        raise BadRequest("There is no such kind of request.") from None


def _last_codes(session: Session, rows: Sequence[SyncRequestRow]) -> dict[tuple[str, str], str]:
    """What each of them failed with in the end, by kind and key."""
    run, request = SyncRunRow, SyncRequestRow
    last = select(run.error_code).where(
        run.kind == request.kind, run.key == request.key, run.seq_to == request.failed_seq, run.outcome == "failed"
    )
    code = last.order_by(col(run.id).desc()).limit(1).scalar_subquery()
    kinds, keys = {row.kind for row in rows}, [row.key for row in rows]
    found = session.exec(
        select(request.kind, request.key, code).where(col(request.kind).in_(kinds), col(request.key).in_(keys))
    )
    return {(kind, key): word or _UNKNOWN_CODE for kind, key, word in found}
