"""History: the stream of everything, with a query bar, views that people keep, totals, and an export for finance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from flask import Blueprint, flash, redirect, render_template, request, url_for
from sqlmodel import col, func, select
from werkzeug.wrappers import Response as AnyResponse

from sync_service.store.audit import record_action
from sync_service.store.engine import Session
from sync_service.store.tables import AdminViewRow
from sync_service.subscription.digest import Touch
from sync_service.web.admin.changes_export import COLUMNS, MOST_RUNS, count_runs, read_changes
from sync_service.web.admin.context import PageContext
from sync_service.web.admin.filters import SHOWN, Filter, ShownEntries, read_filter, read_shown
from sync_service.web.admin.guard import who
from sync_service.web.admin.querying import FIELDS, LONGEST, Query, QueryInvalid, find_whose, read_query
from sync_service.web.admin.spreadsheet import send

#: Views that one person keeps, and the length of a name.
MOST_VIEWS, LONGEST_NAME = 30, 60
#: What every person finds there.
VIEWS = (
    ("Payment dates this month", "field:dates from:month"),
    ("Amounts this month", "field:amounts from:month"),
    ("Failed this week", "outcome:failed from:week"),
    ("Found by sweeps", "trigger:sweep outcome:changed from:month"),
    ("Ignored callouts today", "verdict:ignored from:today"),
)


@dataclass(frozen=True, kw_only=True)
class View:
    """A query with a name."""

    name: str
    query: str
    #: As an address has it: it may name a person.
    sealed: str
    is_own: bool


@dataclass(frozen=True)
class QueryBar:
    """The query bar: what was typed, what it means, and what is wrong with it."""

    text: str
    query: Query
    problem: str = ""


def attach(blueprint: Blueprint, context: PageContext) -> None:
    """The addresses under /admin/history that are about everything."""
    pages = _HistoryPages(context)
    blueprint.get("/history")(pages.history)
    blueprint.post("/history")(pages.ask)
    blueprint.post("/history/views")(pages.keep)
    blueprint.post("/history/views/forget")(pages.forget)
    blueprint.post("/history/changes.csv", endpoint="export_changes")(pages.export)


class _HistoryPages:
    def __init__(self, context: PageContext) -> None:
        self._context, self._database = context, context.database

    def history(self) -> str | tuple[str, int]:
        """The stream of all that fits."""
        sealed = request.args.get("q", "")
        text = self._context.cipher.decrypt(sealed) if sealed else ""
        with self._database.reading() as session:
            today = self._context.today(session)
            bar = self._read(text, today)
            shown = self._shown(session, bar, today) if not bar.problem else None
            views = self._views(session)
        page = render_template(
            "admin/history.html",
            bar=bar,
            sealed=sealed,
            shown=shown,
            views=views,
            fields=FIELDS,
            longest=LONGEST,
            longest_name=LONGEST_NAME,
            month=today.replace(day=1).isoformat(),
            today=today.isoformat(),
            kinds={touch: SHOWN[touch.value][0] for touch in (Touch.DATES, Touch.AMOUNTS, Touch.TERM, Touch.ADDRESS)},
        )
        return (page, 422) if bar.problem else page

    def ask(self) -> AnyResponse:
        """The query bar: to an address that tells nothing of what was typed."""
        text = request.form.get("text", "").strip()
        return redirect(url_for("admin.history", q=self._context.cipher.encrypt(text) if text else None), 303)

    def keep(self) -> AnyResponse:
        """Keep a query under a name; one of that name is replaced."""
        name, text = request.form.get("name", "").strip()[:LONGEST_NAME], self._opened()
        if not (name and name.isprintable() and text):
            flash("A view needs a name, and a query that it stands for.")
            return redirect(url_for("admin.history", q=request.form.get("q") or None), 303)
        with self._database.transaction() as session:
            mine = select(func.count()).select_from(AdminViewRow).where(AdminViewRow.email == who().email)
            row = session.get(AdminViewRow, (who().email, name))
            if row is None and session.exec(mine).one() >= MOST_VIEWS:
                flash(f"You keep {MOST_VIEWS} views already: forget one first.")
            else:
                row = row or AdminViewRow(email=who().email, name=name, query=text, made_at=session.now())
                row.query = text
                session.add(row)
                flash(f"The view {name} is kept for you.")
        return redirect(url_for("admin.history", q=request.form.get("q") or None), 303)

    def forget(self) -> AnyResponse:
        """Forget one of the person's own views."""
        name = request.form.get("name", "")
        with self._database.transaction() as session:
            row = session.get(AdminViewRow, (who().email, name)) if name.isprintable() else None
            if row is not None:
                session.delete(row)
                flash(f"The view {name} is forgotten.")
        return redirect(url_for("admin.history"), 303)

    def export(self) -> AnyResponse:
        """What changed between two days, as a CSV file."""
        zone = self._context.settings.tenant_time_zone
        asked = read_filter(request.form, self._context.cipher, zone)
        wanted = asked.wanted(zone)
        back = redirect(url_for("admin.history") + "#export", 303)
        if wanted.since is None or wanted.until is None or wanted.since >= wanted.until:
            flash("Give a first and a last day for the file, the first one not behind the last.")
            return back
        with self._database.transaction() as session:
            if count_runs(session, wanted.since, wanted.until) > MOST_RUNS:
                flash(f"More than {MOST_RUNS:,} syncs changed something in these days: choose fewer days.")
                return back
            record_action(session, who().email, "export", f"changes {asked.since} to {asked.until}")
        touch = Touch(asked.show) if asked.show in tuple(Touch) else None
        rows = read_changes(self._database, wanted.since, wanted.until, touch)
        return send(f"changes-{asked.since[:10]}-{asked.until[:10]}.csv", COLUMNS, rows)

    def _read(self, text: str, today: date) -> QueryBar:
        try:
            return QueryBar(text, read_query(text, today, self._context.settings.tenant_time_zone))
        except QueryInvalid as problem:
            return QueryBar(text, Query(), str(problem))

    def _shown(self, session: Session, bar: QueryBar, today: date) -> ShownEntries:
        """What bar and address ask for together: a chip that was pressed counts more than the words of the bar."""
        mine = read_filter(request.args, self._context.cipher, self._context.settings.tenant_time_zone)
        theirs = bar.query.filter
        asked = Filter(**{name: getattr(mine, name) or getattr(theirs, name) for name in vars(theirs)})
        whose = find_whose(session, bar.query, today)
        return read_shown(self._context, session, whose=whose, asked=asked, order=bar.query.order, counted=True)

    def _views(self, session: Session) -> list[View]:
        row = AdminViewRow
        own = session.exec(select(row).where(row.email == who().email).order_by(col(row.name)).limit(MOST_VIEWS))
        named: Iterable[tuple[str, str, bool]] = (
            *((name, text, False) for name, text in VIEWS),
            *((each.name, each.query, True) for each in own),
        )
        close = self._context.cipher.encrypt
        return [View(name=name, query=text, sealed=close(text), is_own=is_own) for name, text, is_own in named]

    def _opened(self) -> str:
        sealed = request.form.get("q", "")
        return self._context.cipher.decrypt(sealed) if sealed else ""
