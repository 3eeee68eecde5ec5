"""All that belongs to one customer, found by any key: for what erases it and for what gives it out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlmodel import col, or_, select

from sync_service.errors import UnknownKey
from sync_service.store.engine import Session
from sync_service.store.object_rows import OBJECT_ROWS, find_subscription
from sync_service.store.reads import resolve_key
from sync_service.store.tables import (
    CustomerRow,
    IdentityRow,
    LimioObject,
    RelationRow,
    SubscriptionAliasRow,
    SubscriptionRow,
    SyncRunRow,
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
