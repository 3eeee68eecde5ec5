"""History: the stream of everything, with a query bar, views that people keep, totals, and an export for finance.

The query bar reads words such as `customer:ada field:amounts from:month`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta, tzinfo
from functools import cached_property

from flask import flash, render_template, request
from sqlalchemy import bindparam
from sqlmodel import col, func, select
from werkzeug.wrappers import Response as AnyResponse

from sync_service.queue.runs.history import Outcome
from sync_service.queue.stream.branches import Whose
from sync_service.queue.stream.page import MAX_NUMBERS, whose
from sync_service.store.audit import record_action
from sync_service.store.engine import Session
from sync_service.store.reads import resolve_key
from sync_service.store.tables import AdminViewRow
from sync_service.subscription.digest import Touch
from sync_service.subscription.keys import normalise_key
from sync_service.subscription.trigger import Trigger
from sync_service.web.admin.context import AdminPages
from sync_service.web.admin.filters import SHOWN, VERDICTS, Filter, ShownEntries, read_filter, read_shown
from sync_service.web.admin.finding import SubscriptionFilter, find_numbers
from sync_service.web.admin.guard import who
from sync_service.web.admin.spreadsheet import COLUMNS, MAX_RUNS, count_runs, read_changes, send
from sync_service.web.page_parts import get, post, see_other

LONGEST = 200
_WORD = re.compile(r'(?:([A-Za-z]+):)?("[^"]*"|[^\s"]+)')
#: What may be asked for, with an example.
FIELDS: Mapping[str, str] = {
    "customer": "customer:ada",
    "number": "number:A-S00000271",
    "order": "order:O-00000440",
    "by": "by:ada@example.com",
    "field": "field:amounts",
    "kind": "kind:callouts",
    "outcome": "outcome:failed",
    "verdict": "verdict:ignored",
    "trigger": "trigger:sweep",
    "from": "from:2026-11-01",
    "to": "to:2026-11-30",
}
_KINDS = ("syncs", "callouts", "orders", "people")
_CHANGES = tuple(name for name in SHOWN if name not in _KINDS)
#: Words that stand for a day.
_DAYS = ("today", "yesterday", "week", "month")
_WORDS = {
    "field": _CHANGES,
    "kind": _KINDS,
    "outcome": tuple(each.value for each in Outcome),
    "verdict": VERDICTS,
    "trigger": tuple(each.value for each in Trigger),
}


class QueryInvalid(ValueError):
    """The words cannot be read: the message names the one and what may stand there."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """What the words ask for."""

    #: A customer, a number or whatever else the search finds.
    words: str = ""
    number: str = ""
    order: str = ""
    filter: Filter = field(default_factory=Filter)


def read_query(text: str, today: date, zone: tzinfo) -> Query:
    """Raises QueryInvalid; `today` is the tenant's, whose days and months are meant in `zone`."""
    query, words = Query(), list[str]()
    for name, found in _WORD.findall(text[:LONGEST]):
        value = found.strip('"').strip()
        asked = name.lower()
        if not value:
            continue
        if not asked or asked == "customer":
            words.append(value)
        elif asked not in FIELDS:
            known = ", ".join(FIELDS)
            raise QueryInvalid(f"“{name}:” is not known; known are {known}. Put words with a colon in quotes.")
        elif asked == "number":
            query = replace(query, number=value)
        elif asked == "order":
            query = replace(query, order=value)
        else:
            query = replace(query, filter=_narrow(query.filter, asked, value, today, zone))
    return replace(query, words=" ".join(words))


def find_whose(session: Session, query: Query, today: date) -> Whose | None:
    """The subscriptions that a query is about; None where it is about all."""
    if query.number:
        key = normalise_key(query.number)
        return whose(session, [resolve_key(session, key) or key] if key.isprintable() else [])
    if not query.words:
        return None
    numbers, is_cut = find_numbers(session, SubscriptionFilter(text=query.words, today=today), MAX_NUMBERS)
    mine = whose(session, numbers)
    return replace(mine, is_cut=mine.is_cut or is_cut)


def _narrow(found: Filter, name: str, value: str, today: date, zone: tzinfo) -> Filter:
    if name == "by":
        return replace(found, by=value)
    if name in ("from", "to"):
        day = _day(value, today)
        asked = replace(found, since=day) if name == "from" else replace(found, until=day)
        try:
            asked.wanted(zone)
        except ValueError as error:
            words = ", ".join(_DAYS)
            raise QueryInvalid(f"{name}: {error} These words may stand there, too: {words}.") from None
        return asked
    word = value.lower()
    if word not in _WORDS[name]:
        raise QueryInvalid(f"“{name}:” may be {', '.join(_WORDS[name])}, and not “{value[:40]}”.")
    if name in ("field", "kind"):
        return replace(found, show=word)
    if name == "outcome":
        return replace(found, outcome=word)
    return replace(found, verdict=word) if name == "verdict" else replace(found, trigger=word)


def _day(value: str, today: date) -> str:
    match value.lower():
        case "today":
            return today.isoformat()
        case "yesterday":
            return (today - timedelta(days=1)).isoformat()
        case "week":
            return (today - timedelta(days=today.weekday())).isoformat()
        case "month":
            return today.replace(day=1).isoformat()
    return value


#: Views that one person keeps, and the length of a name.
MAX_VIEWS, LONGEST_NAME = 30, 60
#: What every person finds there.
VIEWS = (
    ("Payment dates this month", "field:dates from:month"),
    ("Amounts this month", "field:amounts from:month"),
    ("Failed this week", "outcome:failed from:week"),
    ("Found by sweeps", "trigger:sweep outcome:changed from:month"),
    ("Ignored callouts today", "verdict:ignored from:today"),
)

_OWN_VIEWS = (
    select(AdminViewRow.name, AdminViewRow.query)
    .where(AdminViewRow.email == bindparam("email"))
    .order_by(col(AdminViewRow.name))
    .limit(MAX_VIEWS)
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


class HistoryPages(AdminPages):
    """The addresses under /admin/history that are about everything."""

    @get("/history")
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

    @post("/history", for_all=True)
    def ask(self) -> AnyResponse:
        """The query bar: to an address that tells nothing of what was typed."""
        text = request.form.get("text", "").strip()
        return see_other("admin.history", q=self._context.cipher.encrypt(text) if text else None)

    @post("/history/views", for_all=True)
    def keep(self) -> AnyResponse:
        """Keep a query under a name; one of that name is replaced."""
        name, text = request.form.get("name", "").strip()[:LONGEST_NAME], self._opened()
        if not (name and name.isprintable() and text):
            flash("A view needs a name, and a query that it stands for.")
            return see_other("admin.history", q=request.form.get("q") or None)
        with self._database.transaction() as session:
            mine = select(func.count()).select_from(AdminViewRow).where(AdminViewRow.email == who().email)
            row = session.get(AdminViewRow, (who().email, name))
            if row is None and session.exec(mine).one() >= MAX_VIEWS:
                flash(f"You keep {MAX_VIEWS} views already: forget one first.")
            else:
                row = row or AdminViewRow(email=who().email, name=name, query=text, made_at=session.now())
                row.query = text
                session.add(row)
                flash(f"The view {name} is kept for you.")
        return see_other("admin.history", q=request.form.get("q") or None)

    @post("/history/views/forget", for_all=True)
    def forget(self) -> AnyResponse:
        """Forget one of the person's own views."""
        name = request.form.get("name", "")
        with self._database.transaction() as session:
            row = session.get(AdminViewRow, (who().email, name)) if name.isprintable() else None
            if row is not None:
                session.delete(row)
                flash(f"The view {name} is forgotten.")
        return see_other("admin.history")

    @post("/history/changes.csv", for_all=True)
    def export_changes(self) -> AnyResponse:
        """What changed between two days, as a CSV file."""
        zone = self._context.settings.tenant_time_zone
        asked = read_filter(request.form, self._context.cipher, zone)
        wanted = asked.wanted(zone)
        back = see_other("admin.history", _anchor="export")
        if wanted.since is None or wanted.until is None or wanted.since >= wanted.until:
            flash("Give a first and a last day for the file, the first one not behind the last.")
            return back
        with self._database.transaction() as session:
            if count_runs(session, wanted.since, wanted.until) > MAX_RUNS:
                flash(f"More than {MAX_RUNS:,} syncs changed something in these days: choose fewer days.")
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
        own = [self._view(each.name, each.query) for each in session.run(_OWN_VIEWS, {"email": who().email})]
        return [*self._given_views, *own]

    @cached_property
    def _given_views(self) -> list[View]:
        """Sealed once: they name no person."""
        return [self._view(name, text, is_own=False) for name, text in VIEWS]

    def _view(self, name: str, text: str, *, is_own: bool = True) -> View:
        return View(name=name, query=text, sealed=self._context.cipher.encrypt(text), is_own=is_own)

    def _opened(self) -> str:
        sealed = request.form.get("q", "")
        return self._context.cipher.decrypt(sealed) if sealed else ""
