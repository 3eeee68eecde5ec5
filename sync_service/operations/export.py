"""All that belongs to one customer, found by any key: for what erases it, and written as JSON for the person."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlmodel import col, or_, select

from sync_service.errors import UnknownKey
from sync_service.queue.orders.steps import read_steps
from sync_service.store.engine import Database, Session
from sync_service.store.object_rows import OBJECT_ROWS, find_subscription
from sync_service.store.reads import resolve_key
from sync_service.store.tables import (
    BasketRow,
    CalloutRow,
    CustomerRow,
    IdentityRow,
    LimioObject,
    OrderWorkRow,
    RelationRow,
    ScrubMarkRow,
    SubscriptionAliasRow,
    SubscriptionRow,
    SyncRunRow,
    WebhookDeliveryRow,
    ZuoraLinkRow,
)


@dataclass
class Belongings:
    """All that belongs to one customer."""

    customers: set[str] = field(default_factory=set)
    owners: set[str] = field(default_factory=set)
    subscriptions: dict[str, SubscriptionRow] = field(default_factory=dict)
    links: list[ZuoraLinkRow] = field(default_factory=list)

    def add(self, row: SubscriptionRow) -> None:
        """Count a subscription in, with its customer and owner."""
        self.subscriptions[row.id] = row
        self.customers |= {row.customer} if row.customer else set()
        self.owners |= {row.owner} if row.owner else set()

    @property
    def numbers(self) -> set[str]:
        """Zuora's numbers of the subscriptions, or Limio's references where nothing was read from Zuora."""
        own = {link.number for link in self.links}
        linked = {link.subscription_id for link in self.links}
        return own | {row.reference for row in self.subscriptions.values() if row.reference and row.id not in linked}


def find_belongings(session: Session, key: str) -> Belongings:
    """What belongs to the customer whom a subscription's key, a customer (`cus-…`) or an identity (`id-…`) leads to.

    Raises UnknownKey where the store has nothing by that name.
    """
    person = Belongings()
    customer, identity = session.get(CustomerRow, key), session.get(IdentityRow, key)
    if customer is not None:
        person.customers.add(customer.id)
    elif identity is not None:
        person.owners.add(identity.id)
    else:
        number = resolve_key(session, key)
        row = find_subscription(session, number) if number else None
        if row is None:
            raise UnknownKey("The store has no subscription, customer or identity of this name.")
        person.add(row)
    belongs = or_(col(SubscriptionRow.customer).in_(person.customers), col(SubscriptionRow.owner).in_(person.owners))
    for row in session.exec(select(SubscriptionRow).where(belongs).order_by(col(SubscriptionRow.id))):
        person.add(row)
    links = select(ZuoraLinkRow).where(col(ZuoraLinkRow.subscription_id).in_(list(person.subscriptions)))
    person.links = list(session.exec(links.order_by(col(ZuoraLinkRow.number))))
    return person


def read_objects(session: Session, person: Belongings, *, locked: bool = False) -> Iterator[LimioObject]:
    """Limio's objects, with those that several of the subscriptions share."""
    shared = select(RelationRow.object_id).where(col(RelationRow.subscription_id).in_(list(person.subscriptions)))
    orders = {row.order_id for row in person.subscriptions.values()} - {None}
    ids = [*person.customers, *person.owners, *person.subscriptions, *orders]
    for row_class in OBJECT_ROWS.values():
        theirs = or_(
            col(row_class.id).in_(ids),
            col(row_class.id).in_(shared),
            col(row_class.subscription_id).in_(list(person.subscriptions)),
            col(row_class.owner).in_(person.owners),
        )
        found = select(row_class).where(theirs).order_by(col(row_class.id))
        found = found.with_for_update() if locked else found
        yield from session.exec(found.execution_options(populate_existing=True))


def read_runs(session: Session, person: Belongings, *, locked: bool = False) -> list[SyncRunRow]:
    """The history of the subscriptions and of the accounts, the oldest first."""
    theirs = or_(
        col(SyncRunRow.key).in_(names_of(session, person)),
        col(SyncRunRow.subscription_id).in_(list(person.subscriptions)),
    )
    found = select(SyncRunRow).where(theirs).order_by(col(SyncRunRow.id))
    return list(session.exec(found.with_for_update() if locked else found))


def aliases_of(session: Session, person: Belongings) -> set[str]:
    """Other names of the subscriptions, such as Zuora's ids of their versions."""
    aliases = select(SubscriptionAliasRow.alias).where(col(SubscriptionAliasRow.number).in_(list(person.numbers)))
    return set(session.exec(aliases))


def names_of(session: Session, person: Belongings) -> set[str]:
    """Every key by which the person's subscriptions and accounts may have been asked for."""
    accounts = {name for link in person.links for name in (link.account_id, link.account_number) if name}
    return person.numbers | person.subscriptions.keys() | aliases_of(session, person) | accounts


_LINK = ("number", "subscription_id", "account_id", "account_number")
_RUN = ("key", "outcome", "trigger", "began_at", "ended_at", "plan", "error")
_CALLOUT = ("received_at", "key", "verdict", "reason", "order_number")
_ORDER = ("order_id", "number", "order_type", "state", "subscription_number", "submitted_at", "ended_at", "notes")
_STEP = ("name", "method", "path", "state", "sent_at", "answered_at")
_BASKET = ("id", "state", "external_id", "wanted", "document", "created_at", "expires_at")
_WEBHOOK = ("message_id", "type", "object_id", "state", "made_at")


def export_customer(database: Database, key: str) -> dict[str, Any]:
    """All of the customer whom `key` leads to, as JSON; times are milliseconds since 1970 in UTC.

    What staff and clients are named in the history is theirs and left out. Raises UnknownKey.
    """
    with database.reading() as session:
        person = find_belongings(session, key)
        rows = list(read_objects(session, person))
        names, ids = sorted(names_of(session, person)), [row.id for row in rows]
        marks = select(ScrubMarkRow.object_id).where(col(ScrubMarkRow.object_id).in_([*ids, *person.owners]))
        callouts = select(CalloutRow).where(col(CalloutRow.key).in_(names)).order_by(col(CalloutRow.id))
        webhooks = select(WebhookDeliveryRow).where(col(WebhookDeliveryRow.object_id).in_(ids))
        baskets = select(BasketRow).where(col(BasketRow.subscription_id).in_(list(person.subscriptions)))
        return {
            "key": key,
            "at": session.now(),
            "erased": sorted(session.exec(marks)),
            "objects": [row.document for row in rows],
            "zuora": [_pick(link, _LINK) for link in person.links],
            "orders": [_order(session, work) for work in _orders(session, person.numbers, ids)],
            "baskets": [_pick(row, _BASKET) for row in session.exec(baskets.order_by(col(BasketRow.id)))],
            "history": [_pick(run, _RUN) for run in read_runs(session, person)],
            "callouts": [_pick(row, _CALLOUT) for row in session.exec(callouts)],
            "webhooks": [
                {**_pick(row, _WEBHOOK), "body": json.loads(row.body)}
                for row in session.exec(webhooks.order_by(col(WebhookDeliveryRow.id)))
            ],
        }


def _orders(session: Session, numbers: set[str], ids: list[str]) -> list[OrderWorkRow]:
    theirs = or_(col(OrderWorkRow.subscription_number).in_(sorted(numbers)), col(OrderWorkRow.order_id).in_(ids))
    return list(session.exec(select(OrderWorkRow).where(theirs).order_by(col(OrderWorkRow.submitted_at))))


def _order(session: Session, work: OrderWorkRow) -> dict[str, Any]:
    calls = [
        {**_pick(step, _STEP), "body": _parsed(step.body), "answer": _parsed(step.answer)}
        for step in read_steps(session, work.order_id)
    ]
    return {**_pick(work, _ORDER), "payload": _parsed(work.payload), "calls": calls}


def _parsed(text: str | None) -> Any:
    """JSON with amounts as they were written."""
    return json.loads(text, parse_float=str) if text else None


def _pick(row: object, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}
