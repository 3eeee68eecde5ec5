"""What is put into the outbox: with the caller's transaction or not at all, and only for endpoints that want it."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import pytest
from sqlmodel import col, select

from sync_service.queue.outbox import WebhookType, announce
from sync_service.store.engine import Database
from sync_service.store.tables import WebhookDeliveryRow, WebhookEndpointRow


def add_endpoint(database: Database, endpoint_id: str, *types: WebhookType) -> None:
    with database.transaction() as session:
        session.add(
            WebhookEndpointRow(id=endpoint_id, url="https://limio.example/hook", types=list(types), created_at=0)
        )


def outbox(database: Database) -> list[WebhookDeliveryRow]:
    with database.reading() as session:
        return list(session.exec(select(WebhookDeliveryRow).order_by(col(WebhookDeliveryRow.id))))


def test_an_endpoint_gets_a_row_for_each_type_that_it_wants(database: Database) -> None:
    add_endpoint(database, "ep_all")
    add_endpoint(database, "ep_errors", WebhookType.ERROR)

    with database.transaction() as session:
        announce(session, WebhookType.ORDER_SUBMITTED, "order-1", {"id": "order-1"})
        announce(session, WebhookType.ERROR, "order-1", {"order": {"id": "order-1"}})

    rows = outbox(database)
    assert [(row.endpoint_id, row.type) for row in rows] == [
        ("ep_all", "Order Submitted"),
        ("ep_all", "Error"),
        ("ep_errors", "Error"),
    ]
    assert rows[1].message_id == rows[2].message_id != rows[0].message_id
    assert all(row.state == "pending" and row.attempts == 0 and row.due_at == row.made_at for row in rows)


def test_what_rolls_back_is_never_told(database: Database) -> None:
    add_endpoint(database, "ep_all")

    with pytest.raises(RuntimeError), database.transaction() as session:
        announce(session, WebhookType.ORDER_SUBMITTED, "order-1", {"id": "order-1"})
        raise RuntimeError

    assert outbox(database) == []


def test_without_an_endpoint_nothing_is_written(sqlite_database: Database) -> None:
    with sqlite_database.transaction() as session:
        announce(session, WebhookType.ORDER_SUBMITTED, "order-1", {"id": "order-1"})

    assert outbox(sqlite_database) == []


def test_the_body_keeps_amounts_and_dates_as_text(sqlite_database: Database) -> None:
    add_endpoint(sqlite_database, "ep_all")

    with sqlite_database.transaction() as session:
        body = {"amount": Decimal("10.10"), "due": date(2026, 12, 31), "name": "Zoë"}
        announce(session, WebhookType.SYNC_CHANGED, "sub-1", body)

    assert json.loads(outbox(sqlite_database)[0].body) == {"amount": "10.10", "due": "2026-12-31", "name": "Zoë"}
