"""The search box of every page: customers, subscriptions, accounts, orders, runs and invoices, by words or numbers.

The address of a page with findings holds the words sealed: they may be a person's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flask import Blueprint, redirect, render_template, request, url_for
from sqlmodel import col, select
from werkzeug.wrappers import Response as AnyResponse

from sync_service.queue.orders.lanes import find_work
from sync_service.queue.requests import Kind
from sync_service.store.engine import Session
from sync_service.store.object_rows import OBJECT_ROWS
from sync_service.store.search import find_entries
from sync_service.store.tables import CustomerRow, SubscriptionRow, SyncRunRow, ZuoraLinkRow
from sync_service.subscription.keys import normalise_key
from sync_service.subscription.limio.documents import type_of
from sync_service.web.admin.context import PageContext
from sync_service.web.admin.finding import FoundSubscription, complete, find_exact
from sync_service.web.page_parts import see_other, whole

#: Of each kind; more of the words find the others.
MOST = 20
#: The beginning of an invoice's number in a tenant that has not chosen another.
_INVOICE = re.compile(r"INV[-_]?[\w-]*\d[\w-]*", re.IGNORECASE)
_KINDS = (Kind.SUBSCRIPTION, Kind.ALIAS, Kind.ACCOUNT)


@dataclass(frozen=True)
class FoundAccount:
    """A Zuora account by its number or id, and how many of its subscriptions were found."""

    name: str
    subscriptions: int


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that fits the words, MOST of each kind."""

    #: The address of the one thing that the words name exactly.
    exact: str | None = None
    customers: Sequence[CustomerRow] = ()
    subscriptions: Sequence[FoundSubscription] = ()
    accounts: Sequence[FoundAccount] = ()
    runs: Sequence[SyncRunRow] = ()
    is_cut: bool = False

    @property
    def only(self) -> str | None:
        """Where to go at once: what the words name, or all that was found where that is one."""
        found = [url_for("admin.customer", customer_id=row.id) for row in self.customers]
        found += [url_for("admin.subscription", key=row.key) for row in self.subscriptions]
        found += [url_for("admin.entry", kind="run", entry_id=row.id) for row in self.runs]
        return self.exact or (found[0] if len(found) == 1 else None)

    @property
    def is_empty(self) -> bool:
        """Nothing fits."""
        return not (self.customers or self.subscriptions or self.runs)


def attach(blueprint: Blueprint, context: PageContext) -> None:
    """The address that the box sends to, and the page of what was found."""

    @blueprint.post("/search")
    def find() -> AnyResponse:
        text = request.form.get("text", "").strip()
        if not text:
            return see_other("admin.subscriptions")
        with context.database.reading() as session:
            found = search(session, text)
        if found.is_empty and found.exact is None and _INVOICE.fullmatch(text):
            return see_other("admin.invoice", key=text)
        return redirect(found.only or url_for("admin.found", q=context.cipher.encrypt(text)), 303)

    @blueprint.get("/search")
    def found() -> str:
        try:
            text = context.cipher.decrypt(request.args.get("q", ""))
        except ValueError:
            text = ""
        with context.database.reading() as session:
            findings = search(session, text)
        return render_template("admin/found.html", text=text, found=findings, most=MOST, q=request.args.get("q"))


def search(session: Session, text: str) -> Findings:
    """Everything that fits `text`."""
    key = normalise_key(text)
    if not key or not key.isprintable():
        return Findings()
    exact = _find_id(session, key)
    entries = find_entries(session, text, 5 * MOST)
    customers = _read_customers(session, key, entries)
    links = _read_links(session, key, entries)
    subscriptions = _read_subscriptions(session, key, exact, links, entries)
    return Findings(
        exact=_address(exact),
        customers=customers[:MOST],
        subscriptions=subscriptions[:MOST],
        accounts=tuple(_accounts(key, links)),
        runs=_read_runs(session, key),
        is_cut=max(len(customers), len(subscriptions)) > MOST or sum(map(len, entries.values())) >= 5 * MOST,
    )


def _find_id(session: Session, key: str) -> tuple[str, str] | None:
    """The one customer, order, subscription or run that `key` names, as its kind and its id."""
    text = key.removeprefix("run ").removeprefix("#")
    if text != key and (number := whole(text)) is not None:
        return ("run", text) if session.get(SyncRunRow, number) is not None else None
    if session.get(CustomerRow, key) is not None:
        return "customer", key
    order = find_work(session, key)
    if order is not None:
        return "order", order.order_id
    found = find_exact(session, key)
    if found is not None:
        return "subscription", found
    table = OBJECT_ROWS.get(type_of(key) or "")
    row = session.get(table, key) if table is not None else None
    return ("subscription", row.subscription_id) if row is not None and row.subscription_id else None


def _address(exact: tuple[str, str] | None) -> str | None:
    if exact is None:
        return None
    match exact:
        case "customer", key:
            return url_for("admin.customer", customer_id=key)
        case "order", key:
            return url_for("admin.order", key=key)
        case "run", key:
            return url_for("admin.entry", kind="run", entry_id=key)
        case _:
            return url_for("admin.subscription", key=exact[1])


def _read_customers(session: Session, key: str, entries: Mapping[str, Sequence[str]]) -> Sequence[CustomerRow]:
    row = CustomerRow
    named = select(row).where(col(row.id).in_(entries.get("customer", ()))).order_by(col(row.name_folded), col(row.id))
    found = list(session.exec(named))
    owned = select(row).where(row.owner == key).order_by(col(row.id)).limit(MOST)
    return [*found, *(each for each in session.exec(owned) if each not in found)]


def _read_links(session: Session, key: str, entries: Mapping[str, Sequence[str]]) -> Sequence[ZuoraLinkRow]:
    link = ZuoraLinkRow
    named = select(link).where(col(link.number).in_(entries.get("number", ()))).order_by(col(link.number))
    of_account = select(link).where(link.account_id == key).order_by(col(link.number)).limit(MOST)
    of_payer = select(link).where(link.payer_id == key).order_by(col(link.number)).limit(MOST)
    found = [*session.exec(named), *session.exec(of_account), *session.exec(of_payer)]
    return list({each.number: each for each in found}.values())


def _read_subscriptions(
    session: Session,
    key: str,
    exact: tuple[str, str] | None,
    links: Sequence[ZuoraLinkRow],
    entries: Mapping[str, Sequence[str]],
) -> Sequence[FoundSubscription]:
    ids = {*entries.get("reference", ()), *(link.subscription_id for link in links if link.subscription_id)}
    if exact is not None and exact[0] == "subscription":
        ids.add(exact[1])
    row = SubscriptionRow
    ids.update(session.exec(select(row.id).where(row.owner == key).order_by(col(row.id)).limit(MOST)))
    wanted = select(row).where(col(row.id).in_(ids)).order_by(col(row.listed_number), col(row.id)).limit(MOST + 1)
    return list(complete(session, list(session.exec(wanted))))


def _accounts(key: str, links: Sequence[ZuoraLinkRow]) -> Iterator[FoundAccount]:
    """The accounts whose number or id has the words in it."""
    folded = key.lower()
    counts: dict[str, int] = {}
    for link in links:
        named = folded in (link.account_number or "").lower() or link.account_id == key
        name = link.account_number or link.account_id
        if named and name:
            counts[name] = counts.get(name, 0) + 1
    return (FoundAccount(name, count) for name, count in sorted(counts.items())[:MOST])


def _read_runs(session: Session, key: str) -> Sequence[SyncRunRow]:
    """The latest runs of the very key: what was asked for and is in no store is found by them alone."""
    run = SyncRunRow
    of_key = (select(run).where(run.kind == kind, run.key == key) for kind in _KINDS)
    latest = (each.order_by(col(run.seq_to).desc(), col(run.id).desc()).limit(3) for each in of_key)
    return [row for statement in latest for row in session.exec(statement)]
