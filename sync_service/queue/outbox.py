"""The outbox: webhooks to be delivered, written in the transaction of what they tell of.

What rolls back is never told, and what commits is told at least once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import uuid4

from sqlalchemy import select

from sync_service.store.engine import Session
from sync_service.store.statement import table_of
from sync_service.store.tables import WebhookDeliveryRow, WebhookEndpointRow
from sync_service.subscription.plan import as_json

_ENDPOINTS = """
SELECT count(*) AS endpoints, count(CASE WHEN paused_until > {now} THEN 1 END) AS paused FROM webhook_endpoint
"""
#: So many deliveries are counted and no more, so that no look reads a whole table.
MAX_COUNTED = 2_000
_PENDING = """
SELECT count(*) AS pending, {now} - min(made_at) AS oldest
FROM (
  SELECT made_at FROM webhook_delivery
  WHERE state = 'pending' AND endpoint_id IN (SELECT id FROM webhook_endpoint WHERE disabled_at IS NULL)
  ORDER BY endpoint_id, due_at LIMIT :most) AS pending
"""
_DEAD = "SELECT count(*) FROM (SELECT 1 FROM webhook_delivery WHERE state = 'dead' LIMIT :most) AS dead"


class WebhookType(StrEnum):
    """What a webhook tells of. The body of Limio's is the object itself (Limio's page "Webhooks and notifications")."""

    CUSTOMER_CREATED = "Customer Created"
    CUSTOMER_UPDATED = "Customer Updated"
    SUBSCRIPTION_CREATED = "Subscription Created"
    ORDER_SUBMITTED = "Order Submitted"
    ADDRESS_CHANGE = "Address Change"
    PAYMENT_METHOD_CHANGE = "Payment Method Change"
    SUBSCRIPTION_OFFER_CHANGE = "Subscription Offer Change"
    SUBSCRIPTION_OFFER_ADDITION = "Subscription Offer Addition"
    SUBSCRIPTION_CANCELLATION = "Subscription Cancellation"
    UPDATE_CUSTOMER_DETAILS = "Update Customer Details"
    UPDATE_SUBSCRIPTION = "Update Subscription"
    ENTITLEMENTS_UPDATED = "Entitlements Updated"
    CHECKOUT_INITIATED = "Checkout Initiated"
    CANCEL_ATTEMPTED = "Cancel Attempted"
    PAYMENT_METHOD_ADDED = "Payment Method Added"
    ADDRESS_ADDED = "Address Added"
    ERROR = "Error"
    #: Ours, in the form of Standard Webhooks: a sync changed a subscription, or imported one that Limio never saw.
    SYNC_CHANGED = "subscription.changed"
    SYNC_IMPORTED = "subscription.imported"


_ENDPOINT = table_of(WebhookEndpointRow).c
#: Asked for every object that is written.
_ENABLED = select(_ENDPOINT.id, _ENDPOINT.types).where(_ENDPOINT.disabled_at.is_(None)).order_by(_ENDPOINT.id)


class DeliveryState(StrEnum):
    """What becomes of one message for one endpoint; in the column `state`."""

    PENDING = "pending"
    DELIVERED = "delivered"
    #: Given up until a person replays it.
    DEAD = "dead"


@dataclass(frozen=True, kw_only=True)
class OutboxState:
    """How the deliveries do; of each state at most MAX_COUNTED are counted."""

    endpoints: int
    #: Endpoints that failed so often in a row that they are left alone for a while.
    paused: int
    pending: int
    #: How long the oldest of them has waited.
    oldest_ms: int | None
    dead: int


def announce(session: Session, webhook_type: WebhookType, object_id: str, body: Mapping[str, Any]) -> None:
    """Have every enabled endpoint of `webhook_type` told, once the caller's transaction commits; else nothing happens.

    `object_id` is the Limio object that it is about: each endpoint hears of one object in the order of these calls, so
    call it with that object's row, or its request, locked. Dates and decimals in `body` become text.
    """
    wanted = [id_ for id_, types in session.run(_ENABLED) if not types or webhook_type in types]
    if not wanted:
        return
    now, message_id = session.now(), f"msg_{uuid4().hex}"
    text = json.dumps(as_json(body), separators=(",", ":"))
    session.add_all(
        WebhookDeliveryRow(
            message_id=message_id,
            endpoint_id=endpoint_id,
            type=webhook_type,
            object_id=object_id,
            body=text,
            made_at=now,
            due_at=now,
        )
        for endpoint_id in wanted
    )
    session.flush()


def read_outbox(session: Session) -> OutboxState:
    """How the deliveries do now."""
    endpoints = session.run(_ENDPOINTS).one()
    pending = session.run(_PENDING, {"most": MAX_COUNTED}).one()
    return OutboxState(
        endpoints=endpoints.endpoints,
        paused=endpoints.paused,
        pending=pending.pending,
        oldest_ms=pending.oldest,
        dead=session.run(_DEAD, {"most": MAX_COUNTED}).scalar_one(),
    )
