"""The local Limio store as a sync sees it: by which names it knows a subscription, what it holds, what was read when.

Writing takes locks in one order, as `load.py` does: request row (by `finish`), Zuora account, customers, subscription,
then what belongs to the subscription.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

from sqlalchemy import bindparam, text
from sqlmodel import col, select

from sync_service.errors import ConflictInStore
from sync_service.store.apply import Applied, apply_plan
from sync_service.store.engine import Session
from sync_service.store.erased import is_scrubbed
from sync_service.store.object_rows import find_subscription, read_addresses
from sync_service.store.owners import (
    AccountOwner,
    claimant_of,
    claimant_of_link,
    find_account_owner,
    find_writer,
    lock_account,
)
from sync_service.store.tables import (
    CustomerRow,
    ScheduleRow,
    SubscriptionRow,
    ZuoraAccountRow,
    ZuoraLinkRow,
)
from sync_service.subscription.hints import ReasonCode
from sync_service.subscription.plan import LimioState
from sync_service.subscription.terms import is_cancel_set
from sync_service.subscription.zuora import ZuoraState

__all__ = [
    "NUMBER_OF_KEY",
    "Applied",
    "apply_plan",
    "find_subscription",
    "has_echo",
    "read_current",
    "read_link",
    "record_alias",
    "record_read",
    "resolve_key",
    "tell_unknown",
]

#: The number that `:key` stands for, as an expression; NULL where the store cannot tell. What comes first ends it.
NUMBER_OF_KEY = """COALESCE(
  (SELECT number FROM zuora_link WHERE number = :key),
  (SELECT COALESCE(link.number, named.reference)
   FROM limio_subscription AS named LEFT JOIN zuora_link AS link ON link.subscription_id = named.id
   WHERE named.id = :key OR named.reference = :key ORDER BY named.id LIMIT 1),
  (SELECT number FROM subscription_alias WHERE alias = :key))"""
_RESOLVE = text(f"SELECT {NUMBER_OF_KEY}")
# Made once, as everywhere on a sync's way.
_LOCKED_CUSTOMER = (
    select(CustomerRow)
    .where(CustomerRow.id == bindparam("id"))
    .with_for_update()
    .execution_options(populate_existing=True)
)
_LOCKED_SUBSCRIPTION = (
    select(SubscriptionRow)
    .where(SubscriptionRow.id == bindparam("id"))
    .with_for_update()
    .execution_options(populate_existing=True)
)
_SCHEDULE = (
    select(col(ScheduleRow.document))
    .where(ScheduleRow.subscription_id == bindparam("subscription_id"))
    .order_by(col(ScheduleRow.due), col(ScheduleRow.id))
)
# Two looks, each by its index: one with OR reads the callouts from end to end.
HAS_ECHO = """
SELECT EXISTS (SELECT 1 FROM callout WHERE key = :number AND reason_code = :echo)
  OR EXISTS (SELECT 1 FROM subscription_alias AS named JOIN callout ON callout.key = named.alias
             WHERE named.number = :number AND callout.reason_code = :echo)
"""
_ADD_ALIAS = text(
    "INSERT INTO subscription_alias (alias, number) VALUES (:alias, :number) ON CONFLICT (alias) DO UPDATE"
    " SET number = excluded.number WHERE subscription_alias.number <> excluded.number"
)


def resolve_key(session: Session, key: str) -> str | None:
    """The Zuora number that `key` stands for: a Limio id, a reference, a number or a Zuora id that was read before.

    None where the store cannot tell.
    """
    number: str | None = session.connection().execute(_RESOLVE, {"key": key}).scalar_one()
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


def read_current(
    session: Session,
    number: str,
    zuora: ZuoraState | None,
    *,
    read_began: int,
    siblings: Collection[str] = (),
    lock: bool = True,
) -> LimioState:
    """What the store holds of `number`, seen from what Zuora says of it (None: as of the last good run).

    `siblings` are the numbers that Zuora lists under the same account: before an import, the owner of one that the
    store holds is the owner. With `lock`, in a transaction, everything that several syncs may write is held until
    that ends; without it nothing is written, for a dry run.

    Raises ConflictInStore where the subscription got another customer while we waited.
    """
    link = read_link(session, number)
    linked_account_id = link.account_id if link else None
    account_id = zuora.subscription.account_id if zuora else linked_account_id
    holder = _find_holder(session, account_id, number=number, siblings=siblings, lock=lock)
    subscription = find_subscription(session, number)
    moves = linked_account_id is not None and account_id not in (None, linked_account_id)
    customer_id = subscription.customer if subscription is not None and not moves else holder.customer
    customer = _read_customer(session, customer_id, lock=lock)
    locks_everything = session.database.dialect == "sqlite"
    if lock and subscription is not None and not locks_everything:
        customer_before = subscription.customer
        session.exec(_LOCKED_SUBSCRIPTION, params={"id": subscription.id}).one()
        if subscription.customer != customer_before:
            raise ConflictInStore
    if lock:
        _hold(session, link, subscription, customer)
    owner = subscription.owner if subscription is not None and not moves else holder.owner
    subscription_id = subscription.id if subscription is not None else None
    scrubbed = is_scrubbed(session, owner=owner, customer=customer_id, subscription_id=subscription_id)
    return LimioState(
        subscription=subscription.document if subscription else None,
        schedule=_read_schedule(session, subscription),
        addresses=read_addresses(session, subscription.id) if subscription else (),
        customer=customer.document if customer else None,
        writes_customer=not scrubbed and _writes_customer(session, customer, zuora),
        customer_is_newer=customer is not None and (customer.compared_until or 0) >= read_began,
        is_scrubbed=scrubbed,
        linked_account_id=linked_account_id,
        account_owner=holder.owner,
        account_customer=holder.customer,
    )


def record_read(
    session: Session,
    current: LimioState,
    zuora: ZuoraState,
    applied: Applied,
    *,
    fingerprint: Mapping[str, Any],
    read_began: int,
    read_ended: int,
    look_again_on: date | None,
) -> tuple[str, ...]:
    """Remember what was read and when; touches no Limio object's document or `updated`. Times are the database's.

    `current` is what this transaction read before it applied the plan.
    Returns the numbers whose account writes a customer from now on because of what was read, for instance because
    the newest subscription was cancelled: they need a full sync.
    """
    read, ours = zuora.subscription, claimant_of(zuora.subscription)
    link = read_link(session, read.number)
    ours_before = claimant_of_link(link) if link else None
    # Then the present writer of the customer stays its writer.
    stays = link is not None and link.subscription_id == applied.subscription_id and applied.customer_before is None
    stays = stays and ours == ours_before
    shared = set() if stays else {applied.customer, applied.customer_before}
    writers_before = {each: find_writer(session, each, ours_before) for each in shared if each}
    if link is None or link.zuora_id != read.id:
        record_alias(session, read.id, read.number)
    if link is None:
        link = ZuoraLinkRow(
            number=read.number, zuora_id=read.id, version=read.version, read_began=read_began, read_ended=read_ended
        )
        session.add(link)
    if applied.subscription_id and link.subscription_id != applied.subscription_id:
        _note_first_sync(session, applied.subscription_id)
    link.subscription_id = applied.subscription_id
    link.zuora_id, link.version = read.id, read.version
    link.account_id, link.account_number, link.payer_id = read.account_id, read.account_number, read.payer_id
    link.started_on, link.cancelled, link.cancel_set = ours.started_on, ours.cancelled, is_cancel_set(read)
    # Hashes of an erased customer's contacts are not kept either: the next run reads everything.
    link.fingerprint, link.look_again_on = {} if current.is_scrubbed else dict(fingerprint), look_again_on
    link.schedule_left_alone = zuora.no_preview
    link.read_began, link.read_ended = read_began, read_ended
    _remember_owner(session, read.account_id, applied)
    followers: set[str] = set()
    writes_customer = current.writes_customer
    for customer_id, before in writers_before.items():
        writer = find_writer(session, customer_id)  # the session writes what is above before it asks
        if writer and before and writer.account_id not in (before.account_id, read.account_id):
            followers.add(writer.number)
        if customer_id == applied.customer:
            writes_customer = writer is not None and writer.account_id == read.account_id
    if applied.customer and writes_customer and zuora.account:
        _record_comparison(session, applied.customer, read_ended)
    return tuple(sorted(followers))


def record_alias(session: Session, alias: str, number: str) -> None:
    """From now on `alias`, an id of one version in Zuora, stands for `number`. Doing it again changes nothing."""
    session.connection().execute(_ADD_ALIAS, {"alias": alias, "number": number})


def has_echo(session: Session, number: str) -> bool:
    """Whether a callout that an order of our own made named `number` or another name of it."""
    return bool(session.run(HAS_ECHO, {"number": number, "echo": ReasonCode.ECHO}).scalar_one())


def _find_holder(
    session: Session,
    account_id: str | None,
    *,
    number: str,
    siblings: Collection[str],
    lock: bool,
) -> AccountOwner:
    if account_id is None:
        return AccountOwner()
    account = lock_account(session, account_id) if lock else None
    holder = find_account_owner(session, account_id, number=number, siblings=siblings)
    _hold(session, account)
    if account is not None and holder.owner is not None:
        account.owner, account.customer = holder.owner, holder.customer
    return holder


def _hold(session: Session, *rows: object) -> None:
    """Keep locked rows in the session: it forgets unreferenced rows, and would read them again to write them."""
    session.info.setdefault("held", []).extend(rows)


def _read_customer(session: Session, customer_id: str | None, *, lock: bool) -> CustomerRow | None:
    if customer_id is None:
        return None
    if not lock:
        return session.get(CustomerRow, customer_id)
    return session.exec(_LOCKED_CUSTOMER, params={"id": customer_id}).one_or_none()


def _read_schedule(session: Session, subscription: SubscriptionRow | None) -> tuple[dict[str, Any], ...]:
    if subscription is None:
        return ()
    return tuple(session.exec(_SCHEDULE, params={"subscription_id": subscription.id}))


def _writes_customer(session: Session, customer: CustomerRow | None, zuora: ZuoraState | None) -> bool:
    if customer is None or zuora is None:
        return True
    writer = find_writer(session, customer.id, claimant_of(zuora.subscription))
    return writer is None or writer.account_id == zuora.subscription.account_id


def _note_first_sync(session: Session, subscription_id: str) -> None:
    subscription = session.get(SubscriptionRow, subscription_id)
    if subscription is not None:
        subscription.never_synced = False


def _remember_owner(session: Session, account_id: str | None, applied: Applied) -> None:
    account = session.get(ZuoraAccountRow, account_id) if account_id else None
    if account is not None and account.owner is None:
        account.owner, account.customer = applied.owner, applied.customer


def _record_comparison(session: Session, customer_id: str, read_ended: int) -> None:
    customer = session.get(CustomerRow, customer_id)
    if customer is not None:
        customer.compared_until = max(customer.compared_until or 0, read_ended)
