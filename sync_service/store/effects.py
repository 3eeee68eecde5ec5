"""Writing what an order does to Limio's objects: what `commerce.order_objects` decided, in the caller's transaction."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sync_service.commerce.order_objects import Effect, NewObject, ObjectChange
from sync_service.errors import ConflictInStore
from sync_service.store.engine import Session
from sync_service.store.object_rows import OBJECT_ROWS, new_row, write_document
from sync_service.store.tables import LimioObject
from sync_service.subscription.limio.documents import (
    REFERENCE_BITS,
    Birth,
    as_json,
    complete,
    id_of,
    reference_of,
    set_value,
    timestamp_of,
)


@dataclass(frozen=True, kw_only=True)
class Written:
    """One object that was written, and how."""

    record_type: str
    id: str
    created: bool
    #: As it stands now.
    document: dict[str, Any]


def new_id(record_type: str) -> str:
    """An id that no Limio object has yet."""
    return id_of(record_type, uuid4().hex)


def new_reference() -> str:
    """A reference that no Limio object has yet: twelve digits at random."""
    return reference_of(secrets.randbits(REFERENCE_BITS))


def apply_effects(
    session: Session, effects: Iterable[Effect], *, at: int, owner: str | None, customer: str | None
) -> list[Written]:
    """Write `effects` one after another; `at` is the database's clock in ms, `owner` and `customer` are the order's.

    A change that changes nothing writes nothing. Raises ConflictInStore where an object to be changed is gone.
    """
    written: list[Written] = []
    for effect in effects:
        if isinstance(effect, NewObject):
            if effect.unless_there and session.get(OBJECT_ROWS[effect.record_type], effect.id) is not None:
                continue
            row = _create(effect, at=at, owner=owner, customer=customer)
            session.add(row)
        else:
            changed = _change(session, effect, at=at)
            if changed is None:
                continue
            row = changed
        written.append(
            Written(
                record_type=row.record_type_name,
                id=row.id,
                created=isinstance(effect, NewObject),
                document=dict(row.document),
            )
        )
    session.flush()
    return written


def _create(effect: NewObject, *, at: int, owner: str | None, customer: str | None) -> LimioObject:
    birth = Birth(
        id=effect.id or new_id(effect.record_type),
        reference=new_reference(),
        relationship_id=f"rel-{uuid4().hex}",
        at=timestamp_of(at),
        owner=owner,
        customer=customer,
        subscription_id=effect.subscription_id,
    )
    document = complete(effect.record_type, effect.document, birth)
    return new_row(effect.record_type, document, subscription_id=effect.subscription_id, synced_at=at)


def _change(session: Session, effect: ObjectChange, *, at: int) -> LimioObject | None:
    row = session.get(OBJECT_ROWS[effect.record_type], effect.id, with_for_update=True, populate_existing=True)
    if row is None:
        raise ConflictInStore(f"{effect.id} is no longer in the store.")
    document = row.document
    for path, value in effect.values.items():
        document = set_value(document, path, as_json(value))
    if document == row.document:
        return None
    write_document(row, {**document, "updated": timestamp_of(at)}, synced_at=at)
    return row
