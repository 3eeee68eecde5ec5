"""A sync plan as rows to write: new objects, changed ones, cancelled ones, and the event that says so.

`draw_up` computes, `write_rows` writes: one statement for each table and kind of write.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from itertools import groupby
from typing import Any
from uuid import uuid4

from sqlalchemy import Insert, bindparam, insert, update
from sqlalchemy import Update as UpdateRows

from sync_service.errors import ConflictInStore
from sync_service.store.engine import Session
from sync_service.store.object_rows import OBJECT_ROWS, column_values
from sync_service.store.statement import table_of
from sync_service.subscription.limio.documents import (
    REFERENCE_BITS,
    Birth,
    complete,
    describe_event,
    id_of,
    moment_of,
    reference_of,
    set_value,
    timestamp_of,
)
from sync_service.subscription.plan import Cancel, Change, Create, Document, LimioState, SyncPlan, Update, as_json

#: People first, so that the subscription has an owner; then it, so that the rest has a subscription.
_WRITING_ORDER = {"identity": 0, "customer": 1, "subscription": 2}
_LAST = 3
_LOCK_ORDER = {record_type: place for place, record_type in enumerate(OBJECT_ROWS)}


@dataclass(frozen=True, kw_only=True)
class RowChange:
    """One row of one of Limio's objects: made, or given other values."""

    record_type: str
    id: str
    values: Mapping[str, Any]
    is_new: bool


@dataclass(frozen=True, kw_only=True)
class Applied:
    """A plan as it is to be written; ids are None where Limio has no such subscription and the plan makes none."""

    subscription_id: str | None
    owner: str | None
    customer: str | None
    #: Limio objects and their event, in the order in which writers of several rows lock them.
    rows: tuple[RowChange, ...] = ()
    event_id: str | None = None


@dataclass(kw_only=True)
class _Draft:
    """One plan being drawn up. `at` is the database's clock in ms."""

    number: str
    at: int
    subscription_id: str | None
    owner: str | None
    customer: str | None
    #: Those that the subscription has, and then those that the plan makes.
    addresses: list[Document]
    #: What the store holds, and what becomes of it, by record type and id.
    held: dict[tuple[str, str], Document]
    written: dict[tuple[str, str], Document] = field(default_factory=dict)

    def create(self, record_type: str, document: Document) -> Document:
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
        self.written[record_type, birth.id] = whole
        return whole

    def read(self, record_type: str, object_id: str) -> Document:
        key = record_type, object_id
        found = self.written.get(key, self.held.get(key))
        if found is None:
            raise ConflictInStore(f"{object_id} is no longer in the store.")
        return found

    def write(self, record_type: str, object_id: str, document: Document) -> None:
        """Write what differs; an equal object keeps every timestamp."""
        if document != self.read(record_type, object_id):
            self.written[record_type, object_id] = {**document, "updated": timestamp_of(self.at)}

    def as_rows(self) -> Iterable[RowChange]:
        for (record_type, object_id), document in self.written.items():
            values = column_values(record_type, document, synced_at=self.at)
            is_new = (record_type, object_id) not in self.held
            if is_new and record_type not in _WRITING_ORDER:
                values.setdefault("subscription_id", self.subscription_id)
            if record_type == "subscription":
                values["never_synced"] = False
            yield RowChange(record_type=record_type, id=object_id, values=values, is_new=is_new)


def draw_up(
    plan: SyncPlan,
    current: LimioState,
    *,
    owner: str | None,
    customer: str | None,
    belongings: Iterable[tuple[str, Document]],
    at: int,
) -> Applied:
    """The rows that `plan` writes over `current`.

    A new subscription belongs to `owner` and `customer`, those of its account, or else to whom the plan makes.
    `belongings` follow the owner of a subscription; `at` is the database's clock in ms. An empty plan writes nothing.
    Any other leaves one Limio event beside the subscription. Raises ConflictInStore if an object to be changed is gone.
    """
    subscription, follow = current.subscription, list(belongings)
    if subscription is not None:
        owner, customer = subscription.get("owner"), subscription.get("customer")
    subscription_id = str(subscription["id"]) if subscription else None
    if plan.is_empty:
        return Applied(subscription_id=subscription_id, owner=owner, customer=customer)
    known = [("subscription", subscription), ("customer", current.customer)]
    held = [(kind, each) for kind, each in known if each is not None]
    held += [("schedule", each) for each in current.schedule] + [("address", each) for each in current.addresses]
    draft = _Draft(
        number=plan.number,
        at=at,
        subscription_id=subscription_id,
        owner=owner,
        customer=customer,
        addresses=list(current.addresses),
        held={(kind, str(each["id"])): each for kind, each in (*held, *follow)},
    )
    _take_new_owner(draft, plan)
    for change in sorted(plan.changes, key=lambda change: _WRITING_ORDER.get(change.record_type, _LAST)):
        _apply_change(draft, change)
    if subscription is not None:
        _settle_owner(draft, subscription, follow)
    event = None
    if draft.written and draft.subscription_id is not None:
        event = draft.create("event", describe_event(plan, draft.subscription_id))
    return Applied(
        subscription_id=draft.subscription_id,
        owner=draft.owner,
        customer=draft.customer,
        rows=tuple(sorted(draft.as_rows(), key=lambda row: (_LOCK_ORDER[row.record_type], row.id))),
        event_id=event["id"] if event else None,
    )


def write_rows(session: Session, rows: Iterable[RowChange]) -> None:
    """Write `rows` in the caller's transaction, in their order."""
    for (record_type, is_new, _), some in groupby(rows, key=_kind_of):
        values = [{"id" if is_new else "row_id": row.id, **row.values} for row in some]
        session.run(_statement(record_type, is_new), values)


def _kind_of(row: RowChange) -> tuple[str, bool, tuple[str, ...]]:
    return row.record_type, row.is_new, tuple(row.values)


@cache
def _statement(record_type: str, is_new: bool) -> Insert | UpdateRows:
    """Of the columns that the values name."""
    table = table_of(OBJECT_ROWS[record_type])
    return insert(table) if is_new else update(table).where(table.c.id == bindparam("row_id"))


def _take_new_owner(draft: _Draft, plan: SyncPlan) -> None:
    """An update may name another owner and customer for the subscription; what the plan creates comes after it."""
    for change in plan.changes:
        if isinstance(change, Update) and change.record_type == "subscription":
            for each in change.fields:
                if each.path == "owner":
                    draft.owner = each.after or draft.owner
                elif each.path == "customer":
                    draft.customer = each.after or draft.customer


def _apply_change(draft: _Draft, change: Change) -> None:
    if isinstance(change, Create):
        _create(draft, change)
        return
    document = draft.read(change.record_type, change.id)
    if isinstance(change, Cancel):
        document = set_value(document, "status", "cancelled")
    else:
        for each in change.fields:
            if change.record_type != "subscription" or each.path not in ("owner", "customer"):
                document = set_value(document, each.path, as_json(each.after))
    draft.write(change.record_type, change.id, document)


def _create(draft: _Draft, change: Create) -> None:
    document = change.document
    if change.record_type == "subscription" and draft.owner is None:
        raise ValueError("a new subscription needs an owner: the plan creates none and the account has none")
    if change.record_type == "address" and not document.get("start"):
        document = {**document, "start": _newest_start(draft, document.get("relationship_type"))}
    made = draft.create(change.record_type, document)
    if change.record_type == "identity":
        draft.owner = made["id"]
    elif change.record_type == "customer":
        draft.customer = made["id"]
    elif change.record_type == "address":
        draft.addresses.append(made)
    elif change.record_type == "subscription":
        draft.subscription_id = made["id"]


def _newest_start(draft: _Draft, relationship_type: str | None) -> str:
    """Limio shows the newest active address, so a new one starts after all others even where clocks disagree."""
    now = moment_of(timestamp_of(draft.at))
    assert now is not None  # noqa: S101 - our own timestamps can be read
    starts = [
        moment
        for address in draft.addresses
        if address.get("relationship_type") == relationship_type and (moment := moment_of(address.get("start")))
    ]
    newest = max([now, *(start + timedelta(milliseconds=1) for start in starts)])
    return newest.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _settle_owner(draft: _Draft, subscription: Document, follow: Iterable[tuple[str, Document]]) -> None:
    """Give the subscription to its people, old or new, and what hangs on it to its owner."""
    people, id_ = {"owner": draft.owner, "customer": draft.customer}, str(subscription["id"])
    if any(subscription.get(name) != whose for name, whose in people.items()):
        draft.write("subscription", id_, {**draft.read("subscription", id_), **people})
    owner_before = subscription.get("owner")
    if draft.owner == owner_before:
        return
    for record_type, document in follow:
        if document.get("owner") == owner_before:
            whole = draft.read(record_type, str(document["id"]))
            draft.write(record_type, str(document["id"]), {**whole, "owner": draft.owner})
