"""What happened: runs, callouts, and what people did here."""

from __future__ import annotations

from flask import Blueprint, render_template
from sqlmodel import col, select
from werkzeug.exceptions import NotFound

from sync_service.store.audit import list_actions
from sync_service.store.tables import CalloutRow, SyncCauseRow, SyncRunRow
from sync_service.web.admin.desk import PAGE, Desk, before_id, chosen, one_page

OUTCOMES = ("changed", "imported", "unchanged", "failed", "retried", "held", "left out", "not in zuora", "dropped")
VERDICTS = ("accepted", "ignored", "rejected")
#: A run that covers more causes than this names the first of them.
_MOST_CAUSES = 50


def attach(blueprint: Blueprint, desk: Desk) -> None:
    """The lists, newest first, and one run."""

    @blueprint.get("/runs")
    def runs() -> str:
        outcome, before = chosen("outcome", OUTCOMES), before_id()
        statement = select(SyncRunRow).order_by(col(SyncRunRow.id).desc()).limit(PAGE + 1)
        if outcome:
            statement = statement.where(SyncRunRow.outcome == outcome)
        if before is not None:
            statement = statement.where(col(SyncRunRow.id) < before)
        with desk.database.reading() as session:
            rows, more = one_page(session.exec(statement).all())
        return render_template("admin/runs.html", rows=rows, more=more, outcome=outcome, outcomes=OUTCOMES)

    @blueprint.get("/runs/<int(max=9223372036854775807):run_id>")
    def run(run_id: int) -> str:
        cause = SyncCauseRow
        with desk.database.reading() as session:
            row = session.get(SyncRunRow, run_id)
            if row is None:
                raise NotFound("There is no such run; old ones are pruned.")
            covered = select(cause).where(
                cause.kind == row.kind, cause.key == row.key, cause.seq > row.seq_from, cause.seq <= row.seq_to
            )
            causes = session.exec(covered.order_by(col(cause.seq), col(cause.id)).limit(_MOST_CAUSES)).all()
        return render_template("admin/run.html", run=row, causes=causes)

    @blueprint.get("/callouts")
    def callouts() -> str:
        verdict, before = chosen("verdict", VERDICTS), before_id()
        statement = select(CalloutRow).order_by(col(CalloutRow.id).desc()).limit(PAGE + 1)
        if verdict:
            statement = statement.where(CalloutRow.verdict == verdict)
        if before is not None:
            statement = statement.where(col(CalloutRow.id) < before)
        with desk.database.reading() as session:
            rows, more = one_page(session.exec(statement).all())
        return render_template("admin/callouts.html", rows=rows, more=more, verdict=verdict, verdicts=VERDICTS)

    @blueprint.get("/activity")
    def activity() -> str:
        with desk.database.reading() as session:
            rows, more = one_page(list_actions(session, limit=PAGE + 1, before=before_id()))
        return render_template("admin/activity.html", rows=rows, more=more)
