"""Writing a sync plan into the store: new objects, changed ones, cancelled ones, and the event that says so."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from sqlmodel import col, select

from sync_service.errors import ConflictInStore
from sync_service.store.engine import Session
from sync_service.store.object_rows import OBJECT_ROWS, find_subscription, new_row, write_document
from sync_service.store.owners import lock_account
from sync_service.store.tables import (
    AddOnRow,
    AddressRow,
    LimioObject,
    ScheduleRow,
    SubscriptionOfferRow,
    SubscriptionRow,
)
from sync_service.subscription.limio.documents import (
    REFERENCE_BITS,
    Birth,
    as_json,
    complete,
    id_of,
    moment_of,
    reference_of,
    set_value,
    timestamp_of,
)
from sync_service.subscription.limio.events import describe_event
from sync_service.subscription.plan import Cancel, Change, Create, Document, LimioState, SyncPlan, Update
from sync_service.subscription.zuora import ZuoraState

#: Whose owner is the subscription's owner; payment methods and orders stay with whom they were made by.
_FOLLOW_THE_OWNER: tuple[type[LimioObject], ...] = (ScheduleRow, SubscriptionOfferRow, AddOnRow, AddressRow)
#: People first, so that the subscription has an owner; then it, so that the rest has a subscription.
_WRITING_ORDER = {"identity": 0, "customer": 1, "subscription": 2}
_LAST = 3


@dataclass(frozen=True, kw_only=True)
class Applied:
    """Where a plan was applied; ids are None where Limio has no such subscription and the plan made none."""

    subscription_id: str | None
    owner: str | None
    customer: str | None
    #: The customer whom the subscription left for another, where the plan moved it.
    customer_before: str | None = None
    #: Limio objects written, the event not counted.
    objects_written: int = 0
    event_id: str | None = None


@dataclass(kw_only=True)
class _Hand:
    """One plan being written. `at` is the database's clock in ms."""

    session: Session
    number: str
    at: int
    subscription: SubscriptionRow | None
    owner: str | None
    customer: str | None
    #: Those that the subscription had, and then those that the plan made.
    addresses: list[Document]
    written: int = 0

    @property
    def subscription_id(self) -> str | None:
        return self.subscription.id if self.subscription else None

    def create(self, record_type: str, document: Document) -> LimioObject:
        birth = Birth(
            id=id_of(record_type, uuid4().hex),
            reference=self.number if record_type == "subscription" else reference_of(secrets.randbits(REFERENCE_BITS)),
            relationship_id=f"rel-{uuid4().hex}",
            at=timestamp_of(self.at),
            owner=self.owner,
            customer=self.customer,
            subscription_id=self.subscription_id,
        )
        whole = complete(record_type, document, birth)
        belongs_to = None if record_type in _WRITING_ORDER else self.subscription_id
        row = new_row(record_type, whole, subscription_id=belongs_to, synced_at=self.at)
        self.session.add(row)
        return row

    def write(self, row: LimioObject, document: Document) -> None:
        """Write what differs from the row's document; an equal one keeps every timestamp."""
        if document == row.document:
            return
        write_document(row, {**document, "updated": timestamp_of(self.at)}, synced_at=self.at)
        self.written += 1


def apply_plan(session: Session, plan: SyncPlan, current: LimioState, zuora: ZuoraState, *, at: int) -> Applied:
    """Write `plan` in the caller's transaction, which read `current`; `at` is the database's clock in ms.

    An empty plan writes nothing. Any other leaves one Limio event beside the subscription. Identities, customers and
    a new owner of an existing subscription follow from what the plan creates. Raises ConflictInStore where an object
    to be changed is gone.
    """
    subscription = find_subscription(session, plan.number)
    hand = _Hand(
        session=session,
        number=plan.number,
        at=at,
        subscription=subscription,
        owner=subscription.owner if subscription else None,
        customer=subscription.customer if subscription else None,
        addresses=list(current.addresses),
    )
    owner_before, customer_before = hand.owner, hand.customer
    if subscription is None and not plan.is_empty and zuora.subscription.account_id is not None:
        account = lock_account(session, zuora.subscription.account_id)
        hand.owner, hand.customer = account.owner, account.customer
    _take_new_owner(hand, plan)
    for change in sorted(plan.changes, key=_writing_rank):
        _apply_change(hand, change)
    if subscription is not None:
        _settle_owner(hand, subscription, owner_before)
    event = _write_event(hand, plan) if hand.written else None
    return Applied(
        subscription_id=hand.subscription_id,
        owner=hand.owner,
        customer=hand.customer,
        customer_before=customer_before if customer_before != hand.customer else None,
        objects_written=hand.written,
        event_id=event.id if event else None,
    )


def _writing_rank(change: Change) -> int:
    return _WRITING_ORDER.get(change.record_type, _LAST)


def _take_new_owner(hand: _Hand, plan: SyncPlan) -> None:
    """An update may name another owner and customer for the subscription; what the plan creates comes after it."""
    for change in plan.changes:
        if isinstance(change, Update) and change.record_type == "subscription":
            for field in change.fields:
                if field.path == "owner":
                    hand.owner = field.after or hand.owner
                elif field.path == "customer":
                    hand.customer = field.after or hand.customer


def _apply_change(hand: _Hand, change: Change) -> None:
    if isinstance(change, Create):
        _create(hand, change)
        return
    row = hand.session.get(OBJECT_ROWS[change.record_type], change.id)
    if row is None:
        raise ConflictInStore(f"{change.id} is no longer in the store.")
    document = row.document
    if isinstance(change, Cancel):
        document = set_value(document, "status", "cancelled")
    else:
        for field in change.fields:
            if change.record_type != "subscription" or field.path not in ("owner", "customer"):
                document = set_value(document, field.path, as_json(field.after))
    hand.write(row, document)


def _create(hand: _Hand, change: Create) -> None:
    document = change.document
    if change.record_type == "subscription" and hand.owner is None:
        raise ValueError("a new subscription needs an owner: the plan creates none and the account has none")
    if change.record_type == "address" and not document.get("start"):
        document = {**document, "start": _newest_start(hand, document.get("relationship_type"))}
    row = hand.create(change.record_type, document)
    hand.written += 1
    if change.record_type == "identity":
        hand.owner = row.id
    elif change.record_type == "customer":
        hand.customer = row.id
    elif change.record_type == "address":
        hand.addresses.append(row.document)
    elif isinstance(row, SubscriptionRow):
        hand.subscription = row


def _newest_start(hand: _Hand, relationship_type: str | None) -> str:
    """Limio shows the newest active address, so a new one starts after all others even where clocks disagree."""
    now = moment_of(timestamp_of(hand.at))
    assert now is not None  # noqa: S101 - our own timestamps can be read
    starts = [
        moment
        for address in hand.addresses
        if address.get("relationship_type") == relationship_type and (moment := moment_of(address.get("start")))
    ]
    newest = max([now, *(start + timedelta(milliseconds=1) for start in starts)])
    return newest.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _settle_owner(hand: _Hand, subscription: SubscriptionRow, owner_before: str | None) -> None:
    """Give the subscription to the people that this plan made for it, and what hangs on it to its owner."""
    document = {**subscription.document, "owner": hand.owner, "customer": hand.customer}
    if (hand.owner, hand.customer) != (subscription.owner, subscription.customer):
        hand.write(subscription, document)
    if hand.owner == owner_before:
        return
    for row_class in _FOLLOW_THE_OWNER:
        for row in hand.session.exec(
            select(row_class).where(row_class.subscription_id == subscription.id).order_by(col(row_class.id))
        ):
            if row.owner == owner_before:
                hand.write(row, {**row.document, "owner": hand.owner})


def _write_event(hand: _Hand, plan: SyncPlan) -> LimioObject | None:
    if hand.subscription_id is None:
        return None
    return hand.create("event", describe_event(plan, hand.subscription_id))
