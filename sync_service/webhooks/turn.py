"""Whose turn it is to deliver to an endpoint, and what is delivered next.

One process at a time delivers to an endpoint, one message after another, for as long as it renews its lease. Of the
messages about one object the oldest goes first, and while it waits to be tried again the later ones wait behind it;
those about other objects do not. A process that dies is followed by another when the lease ends, which sends again
what was not noted as delivered: the same message with the same id.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from sync_service.errors import LeaseLost
from sync_service.queue.outbox import DeliveryState
from sync_service.queue.retry import back_off
from sync_service.store.engine import Database, Session
from sync_service.store.tables import WebhookDeliveryRow, WebhookEndpointRow
from sync_service.webhooks.caller import CallResult

#: Longer than one attempt, whose deadline is 15 s, with a name server that does not answer.
LEASE_MS = 120_000
#: The attempt that ends a delivery which keeps failing: with the waits between them about a day after the first.
MAX_ATTEMPTS = 16
#: The first wait is at most so long, each further one twice as long, and none longer than the cap.
BACKOFF_MS, BACKOFF_CAP_MS = 10_000, 8 * 3_600_000
#: So many failures in a row, of whatever messages, and the endpoint is left alone for a while; then one message tries.
MAX_FAILURES = 5
PAUSE_MS, PAUSE_CAP_MS = 5_000, 5 * 60_000

# Due, and the oldest of its object.
_NEXT = """
FROM webhook_delivery AS delivery
WHERE delivery.endpoint_id = {endpoint} AND delivery.state = 'pending' AND delivery.due_at <= :now
  AND NOT EXISTS (
    SELECT 1 FROM webhook_delivery AS earlier
    WHERE earlier.endpoint_id = delivery.endpoint_id AND earlier.object_id = delivery.object_id
      AND earlier.state = 'pending' AND earlier.id < delivery.id)
"""
_ENDPOINTS = f"""
SELECT endpoint.id FROM webhook_endpoint AS endpoint
WHERE (endpoint.lease_until IS NULL OR endpoint.lease_until <= :now)
  AND (endpoint.test_wanted_at IS NOT NULL
    OR endpoint.disabled_at IS NULL
    AND (endpoint.paused_until IS NULL OR endpoint.paused_until <= :now)
    AND EXISTS (SELECT 1 {_NEXT.replace("{endpoint}", "endpoint.id")}))
ORDER BY endpoint.id
"""  # noqa: S608 - constant SQL, no user input
_DELIVERY = f"""
SELECT delivery.id {_NEXT.replace("{endpoint}", ":endpoint")} ORDER BY delivery.due_at, delivery.id LIMIT 1
"""


@dataclass(frozen=True)
class DeliveryTurn:
    """The right to deliver to one endpoint."""

    endpoint_id: str
    token: int
    #: A person wants a test message sent first.
    is_test_wanted: bool = False


def list_due_endpoints(database: Database) -> list[str]:
    """The endpoints that something is to be delivered to now and that no process has."""
    with database.reading() as session:
        # As a value: with the clock in the statement PostgreSQL uses no index.
        values = {"now": session.now()}
        return list(session.run(_ENDPOINTS, values).scalars())


def take(database: Database, endpoint_id: str, *, lease_ms: int = LEASE_MS) -> DeliveryTurn | None:
    """Take the endpoint's turn for `lease_ms`; None where another has it, or it is paused, disabled or gone."""
    with database.transaction() as session:
        row, now = _lock(session, endpoint_id), session.now()
        if row is None or (row.lease_until or 0) > now or not (row.test_wanted_at or _is_open(row, now)):
            return None
        row.token += 1
        row.lease_until = now + lease_ms
        return DeliveryTurn(row.id, row.token, row.test_wanted_at is not None)


def next_delivery(database: Database, turn: DeliveryTurn) -> WebhookDeliveryRow | None:
    """What to deliver now, the longest due first; None where nothing is due, or the endpoint is paused or disabled."""
    with database.reading() as session:
        endpoint, now = session.get(WebhookEndpointRow, turn.endpoint_id), session.now()
        if endpoint is None or not _is_open(endpoint, now):
            return None
        values = {"endpoint": turn.endpoint_id, "now": now}
        found = session.run(_DELIVERY, values).scalar_one_or_none()
        return session.get(WebhookDeliveryRow, found) if found is not None else None


def settle(
    database: Database, turn: DeliveryTurn, delivery_id: int, attempt: CallResult, *, lease_ms: int = LEASE_MS
) -> str | None:
    """Note how an attempt ended and renew the lease; returns the delivery's state, None where it is gone.

    Raises LeaseLost where another process has the endpoint now: it delivers again.
    """
    with database.transaction() as session:
        endpoint, now = _lock_owned(session, turn), session.now()
        endpoint.lease_until = now + lease_ms
        endpoint.failures = 0 if attempt.delivered else endpoint.failures + 1
        over = endpoint.failures - MAX_FAILURES
        wait = back_off(PAUSE_MS, PAUSE_CAP_MS, over + 1, _jitter()) if over >= 0 else None
        endpoint.paused_until = None if wait is None else now + wait
        row = session.get(WebhookDeliveryRow, delivery_id, with_for_update=True)
        if row is None or row.state != DeliveryState.PENDING:
            return None
        row.attempts, row.tried_at = row.attempts + 1, now
        row.last_status, row.last_error = attempt.status, attempt.error
        if attempt.delivered or row.attempts >= MAX_ATTEMPTS:
            row.state = DeliveryState.DELIVERED if attempt.delivered else DeliveryState.DEAD
            row.due_at, row.ended_at = None, now
        else:
            row.due_at = now + back_off(BACKOFF_MS, BACKOFF_CAP_MS, row.attempts, _jitter())
        return row.state


def note_test(database: Database, turn: DeliveryTurn, result: CallResult) -> None:
    """Note how a test message ended; one that was taken lets deliveries go on. Raises LeaseLost."""
    with database.transaction() as session:
        endpoint = _lock_owned(session, turn)
        endpoint.test_wanted_at, endpoint.tested_at = None, session.now()
        endpoint.test_status, endpoint.test_error = result.status, result.error
        if result.delivered:
            endpoint.failures, endpoint.paused_until = 0, None


def give_back(database: Database, turn: DeliveryTurn) -> None:
    """Let another process have the endpoint at once. Raises LeaseLost where one has it already."""
    with database.transaction() as session:
        _lock_owned(session, turn).lease_until = None


def _is_open(row: WebhookEndpointRow, now: int) -> bool:
    return row.disabled_at is None and (row.paused_until or 0) <= now


def _lock(session: Session, endpoint_id: str) -> WebhookEndpointRow | None:
    return session.get(WebhookEndpointRow, endpoint_id, with_for_update=True, populate_existing=True)


def _lock_owned(session: Session, turn: DeliveryTurn) -> WebhookEndpointRow:
    row = _lock(session, turn.endpoint_id)
    if row is None or row.token != turn.token or row.lease_until is None:
        raise LeaseLost
    return row


def _jitter() -> float:
    return random.random()  # noqa: S311 - spreads the attempts
