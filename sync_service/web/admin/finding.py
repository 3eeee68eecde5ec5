"""Finding subscriptions: by a key, by any word of a name, by an account or order, by what is the matter with them.

Pages are by key: each asks for what comes after the last row of the one before, so that the millionth is as fast as
the first and nothing is shown twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, text, union
from sqlalchemy import select as sql_select
from sqlalchemy.orm import aliased
from sqlmodel import col, select

from sync_service.queue.runs.history import covers_drift, is_correction
from sync_service.store.engine import Database, Session
from sync_service.store.reads import resolve_key
from sync_service.store.search import find_entries
from sync_service.store.statement import within
from sync_service.store.tables import (
    CalloutRow,
    CustomerRow,
    SubscriptionRow,
    SyncRequestRow,
    SyncRunRow,
    ZuoraLinkRow,
)
from sync_service.subscription.keys import normalise_key
from sync_service.web.admin.sorting import NEWEST, ORDERS, SortDirection, close, is_position, place, read_turn

PAGE = 50
#: Customers and numbers that one search shows; more words or a longer part find the others.
MAX_FOUND = 500
SOON_DAYS = 30
#: Drift that a sweep found longer ago is no news.
LATELY_DAYS = 30
#: The latest corrections by sweeps, which are looked through for it.
MAX_CORRECTIONS = 1_000
STATUSES = ("active", "initial", "suspended", "cancelled", "pending")
MATTERS = {
    "failing": "Failing",
    "held": "Held",
    "drifted": "Drifted lately",
    "external": "External",
    "unsynced": "Never synced",
    "renewing": "Renewing soon",
}


@dataclass(frozen=True, kw_only=True)
class SubscriptionFilter:
    """What is looked for. Nothing given means everything."""

    text: str = ""
    status: str = ""
    matter: str = ""
    today: date
    #: The order that is wished for.
    sort: SortDirection = NEWEST

    @property
    def turn(self) -> SortDirection:
        """The order that an index serves: by the term's end for what renews soon, by the last check only for all."""
        if self.matter == "renewing":
            return SortDirection(ORDERS["ending"], self.sort.descends and self.sort.order.name == "ending")
        if self.sort.order.name == "checked" and (self.status or self.matter or self.text):
            return NEWEST
        return self.sort

    def can_sort(self, name: str) -> bool:
        """Whether this order can be chosen with these filters."""
        return replace(self, sort=read_turn(name)).turn.order.name == name


@dataclass(frozen=True)
class FoundSubscription:
    """One subscription in a list, with its customer and what the sync knows."""

    #: Rows with what a list shows, or with more.
    subscription: Any
    customer: Any
    link: Any
    request: Any

    @property
    def key(self) -> str:
        """What its page is found by."""
        key: str = self.subscription.id
        return key

    @property
    def number(self) -> str | None:
        """Zuora's number, where it is known."""
        number: str | None = self.link.number if self.link else self.subscription.reference
        return number

    @property
    def state(self) -> str:
        """How the sync stands: failed, waiting, in step, or never."""
        request = self.request
        if request and request.failed_seq == request.requested_seq:
            return "failed"
        if request and request.due_at is not None:
            return "waiting"
        return "in step" if self.link else "never"


@dataclass(frozen=True)
class FoundPage:
    """Some of them, and where the next page and the one before begin."""

    rows: tuple[FoundSubscription, ...]
    after: str | None
    #: More customers fit the text than are shown.
    is_cut: bool = False
    before: str | None = None


def find_page(
    session: Session,
    question: SubscriptionFilter,
    after: str | None = None,
    limit: int = PAGE,
    *,
    before: str | None = None,
) -> FoundPage:
    """Up to `limit` subscriptions after the page that gave `after`, or ahead of the one that gave `before`.

    An invalid position is the beginning.
    """
    statement, values, is_cut = _statement(session, question)
    turn = question.turn
    backward = is_position(before, turn)
    few = bool(question.text)
    placed = place(statement, turn, before if backward else after, backward=backward, limit=limit + 1, few=few)
    rows = list(session.exec(placed, params=values))
    more = len(rows) > limit
    found = list(complete(session, rows[:limit][:: -1 if backward else 1]))
    follows, precedes = (bool(found), more) if backward else (more, bool(found) and is_position(after, turn))
    return FoundPage(
        tuple(found),
        close(_position(found[-1], turn)) if follows else None,
        is_cut,
        close(_position(found[0], turn)) if precedes else None,
    )


def find_numbers(session: Session, question: SubscriptionFilter, limit: int) -> tuple[list[str], bool]:
    """The numbers of the first `limit` subscriptions, where they are known, and whether more fit."""
    statement, values, is_cut = _statement(session, question)
    placed = place(statement, question.turn, None, backward=False, limit=limit + 1, few=bool(question.text))
    rows = list(session.exec(placed, params=values))
    links = {row.subscription_id: row.number for row in session.run(_LINKS, {"ids": [row.id for row in rows]})}
    numbers = [links.get(row.id) or row.reference for row in rows[:limit]]
    return list(filter(None, numbers)), is_cut or len(rows) > limit


def _position(found: FoundSubscription, turn: SortDirection) -> tuple[Any, Any]:
    if turn.order.name == "checked":
        return (found.request.checked_at or 0, found.request.key) if found.request else (0, "")
    first, last = turn.order.keys
    return getattr(found.subscription, first.key), getattr(found.subscription, last.key)


def find_all(database: Database, question: SubscriptionFilter, limit: int = 800) -> Iterator[FoundSubscription]:
    """All of them, read page by page, so that no export holds a transaction open."""
    after: str | None = None
    while True:
        with database.reading() as session:
            page = find_page(session, question, after, limit)
        yield from page.rows
        if page.after is None:
            return
        after = page.after


def find_exact(session: Session, text: str) -> str | None:
    """The Limio id of the one subscription that `text` names by an id, a reference, a number or an order's number."""
    key = normalise_key(text)
    if not key or not key.isprintable():
        return None
    number = resolve_key(session, key) or _find_ordered(session, key)
    if number is None:
        return None
    link = session.get(ZuoraLinkRow, number)
    if link is not None and link.subscription_id:
        return link.subscription_id
    named = select(SubscriptionRow.id).where(SubscriptionRow.reference == number)
    return session.exec(named.order_by(col(SubscriptionRow.id)).limit(1)).first()


def _find_ordered(session: Session, order_number: str) -> str | None:
    """The number of the subscription that the last callout of this order was for."""
    key = session.run(_LAST_CALLOUT, {"order_number": order_number}).scalar_one_or_none()
    return resolve_key(session, key) if key else None


_LAST_CALLOUT = (
    select(CalloutRow.key)
    .where(CalloutRow.order_number == bindparam("order_number"))
    .order_by(col(CalloutRow.id).desc())
    .limit(1)
)


def _statement(session: Session, question: SubscriptionFilter) -> tuple[Select[Any], dict[str, Any], bool]:
    """What asks for it, the values of its lists, and whether more fits the text than is looked for."""
    statement: Any = sql_select(*_SHOWN)
    values: dict[str, Any] = {}
    if question.turn.order.name == "checked":
        statement = _by_last_check(statement)
    is_cut = False
    exact = find_exact(session, question.text) if question.text else None
    if exact is not None:
        statement = statement.where(SubscriptionRow.id == exact)
    elif question.text:
        found = find_entries(session, question.text, MAX_FOUND + 1)
        is_cut = sum(map(len, found.values())) > MAX_FOUND
        row, link = SubscriptionRow, ZuoraLinkRow
        values = {name: found.get(name, ()) for name in ("customer", "number", "reference")}
        theirs = within(row.customer, "customer")
        numbered = select(link.subscription_id).where(within(link.number, "number"))
        ids = select(row.id).where(within(row.id, "reference"))
        if values["number"] or values["reference"]:
            theirs = col(row.id).in_(union(select(row.id).where(theirs), numbered, ids))
        else:
            values = {"customer": values["customer"]}
        statement = statement.where(theirs)
    matter = _MATTERS.get(question.matter)
    if question.status:
        status = col(SubscriptionRow.status)
        # Where few are about, the databases are not to begin with all of one status: SQLite would.
        hidden = question.matter in _OF_FEW or question.text
        statement = statement.where((func.coalesce(status, "") if hidden else status) == question.status)
    if matter is not None:
        statement = statement.where(matter(question.today))
    return statement, values, is_cut


#: What a list shows of a subscription, and what its pages begin with.
_SHOWN = [
    getattr(SubscriptionRow, name)
    for name in (
        *("id", "status", "reference", "customer", "external", "term_start", "term_end", "auto_renew", "updated"),
        *("listed_at", "listed_number", "listed_updated", "listed_end"),
    )
]


def _by_last_check(statement: Any) -> Any:
    """Joined with the queue's rows, which know when a run last ended well; what was never checked is left out."""
    link, request = ZuoraLinkRow, SyncRequestRow
    return (
        statement.join(link, col(link.subscription_id) == col(SubscriptionRow.id))
        .join(request, col(request.key) == col(link.number))
        .where(text("sync_request.kind = 'subscription'"), col(request.checked_at).is_not(None))
    )


def _is_failing(_: date) -> ColumnElement[bool]:
    failed = SyncRequestRow.failed_seq == SyncRequestRow.requested_seq
    return _of_keys(select(SyncRequestRow.key).where(SyncRequestRow.kind == "subscription", failed))


def _is_held(_: date) -> ColumnElement[bool]:
    return _of_keys(select(SyncRunRow.key).where(SyncRunRow.outcome == "held"))


def _of_keys(keys: Any) -> ColumnElement[bool]:
    """One list of ids, so that the databases begin with the few keys and not with all subscriptions."""
    linked = select(ZuoraLinkRow.subscription_id).where(col(ZuoraLinkRow.number).in_(keys))
    named = select(SubscriptionRow.id).where(col(SubscriptionRow.reference).in_(keys))
    return col(SubscriptionRow.id).in_(union(linked, named))


def _is_external(_: date) -> ColumnElement[bool]:
    return col(SubscriptionRow.external).is_(True)


def _is_unsynced(_: date) -> ColumnElement[bool]:
    return col(SubscriptionRow.never_synced).is_(True)


def _is_renewing(today: date) -> ColumnElement[bool]:
    ends, last = col(SubscriptionRow.listed_end), today + timedelta(days=SOON_DAYS)
    return and_(ends >= today.isoformat(), ends <= last.isoformat(), col(SubscriptionRow.auto_renew).is_(True))


def _has_drifted(today: date) -> ColumnElement[bool]:
    """The last run put drift right, lately; of the latest corrections, however many there are."""
    run, other = SyncRunRow, aliased(SyncRunRow)
    midnight = datetime.combine(today - timedelta(days=LATELY_DAYS), time(), UTC)
    latest = (
        select(run.id)
        .where(is_correction(), col(run.ended_at) >= int(midnight.timestamp() * 1000))
        .order_by(col(run.ended_at).desc())
        .limit(MAX_CORRECTIONS)
    )
    last = select(func.max(other.id)).where(other.kind == run.kind, other.key == run.key).correlate(run)
    found = select(run.key).where(
        col(run.id).in_(select(latest.cte("latest").c.id)), covers_drift(), col(run.id) == last.scalar_subquery()
    )
    drifted = select(found.cte("drifted").c.key)
    return _of_keys(drifted)


_MATTERS = {
    "failing": _is_failing,
    "held": _is_held,
    "drifted": _has_drifted,
    "external": _is_external,
    "unsynced": _is_unsynced,
    "renewing": _is_renewing,
}


#: Matters that are few beside all subscriptions of a status.
_OF_FEW = frozenset({"failing", "held", "drifted"})


_CUSTOMERS = sql_select(*map(col, (CustomerRow.id, CustomerRow.name, CustomerRow.email))).where(
    within(CustomerRow.id, "ids")
)
_LINK = ZuoraLinkRow
_LINKS = sql_select(
    *map(col, (_LINK.number, _LINK.subscription_id, _LINK.zuora_id, _LINK.account_id, _LINK.account_number))
).where(within(_LINK.subscription_id, "ids"))
_REQUEST = SyncRequestRow
_REQUESTS = sql_select(
    *map(col, (_REQUEST.key, _REQUEST.failed_seq, _REQUEST.requested_seq, _REQUEST.due_at, _REQUEST.checked_at))
).where(col(_REQUEST.kind) == "subscription", within(_REQUEST.key, "numbers"))


def complete(session: Session, rows: Sequence[Any]) -> Iterator[FoundSubscription]:
    """Each of `rows` with its customer and what the sync knows, read together."""
    if not rows:
        return
    wanted = {row.customer for row in rows if row.customer}
    customers = {row.id: row for row in session.run(_CUSTOMERS, {"ids": wanted})}
    links = {row.subscription_id: row for row in session.run(_LINKS, {"ids": [row.id for row in rows]})}
    numbers = {links[row.id].number if row.id in links else row.reference for row in rows} - {None}
    requests = {row.key: row for row in session.run(_REQUESTS, {"numbers": numbers})}
    for row in rows:
        link = links.get(row.id)
        number = link.number if link else row.reference
        yield FoundSubscription(row, customers.get(row.customer or ""), link, requests.get(number or ""))
