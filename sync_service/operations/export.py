"""What the store holds of one customer, for the customer to be told: objects, orders, history, callouts, webhooks."""

from __future__ import annotations

import json
from typing import Any

from sqlmodel import col, or_, select

from sync_service.operations.belongings import find_belongings, names_of, read_objects, read_runs
from sync_service.queue.order_steps import read_steps
from sync_service.store.engine import Database, Session
from sync_service.store.tables import CalloutRow, OrderWorkRow, ScrubMarkRow, WebhookDeliveryRow

_LINK = ("number", "subscription_id", "account_id", "account_number")
_RUN = ("key", "outcome", "trigger", "began_at", "ended_at", "plan", "error")
_CALLOUT = ("received_at", "key", "verdict", "reason", "order_number")
_ORDER = ("order_id", "number", "order_type", "state", "subscription_number", "submitted_at", "ended_at", "notes")
_STEP = ("name", "method", "path", "state", "sent_at", "answered_at")
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
        return {
            "key": key,
            "at": session.now(),
            "erased": sorted(session.exec(marks)),
            "objects": [row.document for row in rows],
            "zuora": [_pick(link, _LINK) for link in person.links],
            "orders": [_order(session, work) for work in _orders(session, person.numbers, ids)],
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
