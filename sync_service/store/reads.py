"""By which names the store knows a subscription, what the last good run read of it, and what a run leaves behind.

Writing takes locks in one order, as `load` does: request row (by `finish`), Zuora account, customers, subscription,
then what belongs to the subscription.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

from sqlalchemy import bindparam, insert, update
from sqlmodel import col, select

from sync_service.store.engine import Session
from sync_service.store.statement import table_of
from sync_service.store.tables import ScrubMarkRow, SubscriptionRow, ZuoraLinkRow

#: The number that `:key` stands for, as an expression; NULL where the store cannot tell. What comes first ends it. Each
#: part asks one index: PostgreSQL reads a table that it has no statistics of from end to end for an OR, or for a LIMIT.
NUMBER_OF_KEY = """COALESCE(
  (SELECT number FROM zuora_link WHERE number = :key),
  (SELECT COALESCE(link.number, named.reference)
   FROM limio_subscription AS named LEFT JOIN zuora_link AS link ON link.subscription_id = named.id
   WHERE named.id = :key),
  (SELECT MIN(COALESCE((SELECT number FROM zuora_link WHERE subscription_id = named.id), named.reference))
   FROM limio_subscription AS named WHERE named.reference = :key),
  (SELECT number FROM subscription_alias WHERE alias = :key))"""
_RESOLVE = f"SELECT {NUMBER_OF_KEY}"
_ADD_ALIAS = (
    "INSERT INTO subscription_alias (alias, number) VALUES (:alias, :number) ON CONFLICT (alias) DO UPDATE"
    " SET number = excluded.number WHERE subscription_alias.number <> excluded.number"
)
# The update changes nothing: it waits for others who hold the row, and holds it until the transaction ends.
_LOCK_ACCOUNT = (
    "INSERT INTO zuora_account (account_id) VALUES (:account_id)"
    " ON CONFLICT (account_id) DO UPDATE SET account_id = excluded.account_id"
)
_KEEP_OWNER = (
    "INSERT INTO zuora_account (account_id, owner, customer) VALUES (:account_id, :owner, :customer)"
    " ON CONFLICT (account_id) DO UPDATE SET owner = excluded.owner, customer = excluded.customer"
)
_NOTE_COMPARISON = "UPDATE limio_customer SET compared_until = :at WHERE id = :id AND COALESCE(compared_until, 0) < :at"
_INSERT_LINK = insert(table_of(ZuoraLinkRow))
_UPDATE_LINK = update(table_of(ZuoraLinkRow)).where(col(ZuoraLinkRow.number) == bindparam("of_number"))


def resolve_key(session: Session, key: str) -> str | None:
    """The Zuora number that `key` stands for: a Limio id, a reference, a number or a Zuora id that was read before.

    None where the store cannot tell.
    """
    number: str | None = session.run(_RESOLVE, {"key": key}).scalar_one()
    return number


def tell_unknown(session: Session, key: str) -> str | None:
    """Why a key that Limio has stands for no number, for people; None where Limio does not have it."""
    subscription = session.get(SubscriptionRow, key)
    if subscription is None or subscription.reference is not None:
        return None
    return f"Limio has {key}, but without a reference: load it again with its Zuora number as the reference."


def read_link(session: Session, number: str) -> ZuoraLinkRow | None:
    """What the last good run of `number` read; None where none has."""
    return session.get(ZuoraLinkRow, number)


def cancellation_day(link: ZuoraLinkRow | None, subscription: SubscriptionRow) -> date | None:
    """The first day without the subscription, where the last good run read that a cancellation is set."""
    return subscription.term_end if link is not None and link.cancel_set else None


def record_link(session: Session, number: str, values: Mapping[str, Any], *, is_new: bool) -> None:
    """Remember what a run read of `number`: the columns of its link. A trigger keeps the version's id as an alias."""
    if is_new:
        session.run(_INSERT_LINK, {"number": number, **values})
    else:
        session.run(_UPDATE_LINK, {"of_number": number, **values})


def record_alias(session: Session, alias: str, number: str) -> None:
    """From now on `alias`, an id of one version in Zuora, stands for `number`. Doing it again changes nothing."""
    session.run(_ADD_ALIAS, {"alias": alias, "number": number})


def lock_account(session: Session, account_id: str) -> None:
    """Hold the account's row, made where it is missing, until the transaction ends.

    Two runs that import two numbers of one account meet here: the second one sees the owner that the first one made.
    """
    session.run(_LOCK_ACCOUNT, {"account_id": account_id})


def keep_owner(session: Session, account_id: str, *, owner: str | None, customer: str | None) -> None:
    """Remember whose the account is: for a number of it that is imported when no other subscription can tell."""
    session.run(_KEEP_OWNER, {"account_id": account_id, "owner": owner, "customer": customer})


def note_comparison(session: Session, customer_id: str, at: int) -> None:
    """Note on the customer itself that a read which ended at `at` was compared with it: its subscription leaves it."""
    session.run(_NOTE_COMPARISON, {"id": customer_id, "at": at})


_ANY_MARK = (
    select(ScrubMarkRow.object_id)
    .where(col(ScrubMarkRow.object_id).in_((bindparam("owner"), bindparam("customer"), bindparam("subscription_id"))))
    .limit(1)
)


def mark_scrubbed(session: Session, object_ids: Collection[str], *, at: int, actor: str) -> None:
    """Mark customers, identities or subscriptions by their Limio ids. Repeatable: the first mark stays."""
    for object_id in sorted(object_ids):
        if session.get(ScrubMarkRow, object_id) is None:
            session.add(ScrubMarkRow(object_id=object_id, at=at, actor=actor))
    session.flush()


def is_scrubbed(session: Session, *, owner: str | None, customer: str | None, subscription_id: str | None) -> bool:
    """Whether any of these objects belongs to a customer who was erased. Ask after the locks are taken."""
    ids = {"owner": owner, "customer": customer, "subscription_id": subscription_id}
    return session.exec(_ANY_MARK, params=ids).first() is not None
