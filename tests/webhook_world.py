"""Endpoints and messages for tests of webhooks, and time that passes when they say so."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

from sqlalchemy import text
from sqlmodel import col, select

from sync_service.queue.outbox import WebhookType, announce
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.store.tables import WebhookDeliveryRow
from sync_service.webhooks.delivery import Deliverer
from sync_service.webhooks.endpoints import Endpoints

#: The receivers of tests are on this machine.
SETTINGS = Settings(
    secret_key="a key of thirty-two characters or more", webhook_allowed_networks=(ip_network("127.0.0.0/8"),)
)


def add_endpoint(database: Database, url: str, *types: WebhookType, **settings: object) -> tuple[str, str]:
    """An endpoint's id and secret."""
    return Endpoints(database, replace(SETTINGS, **settings)).add(url, types)  # type: ignore[arg-type]


def tell(database: Database, object_id: str, webhook_type: WebhookType = WebhookType.SYNC_CHANGED, **body: str) -> None:
    """Something happened to an object."""
    with database.transaction() as session:
        announce(session, webhook_type, object_id, {"about": object_id, **body})


def deliver(database: Database, **settings: object) -> None:
    """Deliver what is due now."""
    Deliverer(database, replace(SETTINGS, **settings)).run_until_idle()  # type: ignore[arg-type]


def deliveries(database: Database) -> list[WebhookDeliveryRow]:
    """All of them, oldest first."""
    with database.reading() as session:
        return list(session.exec(select(WebhookDeliveryRow).order_by(col(WebhookDeliveryRow.id))))


def let_time_pass(database: Database) -> None:
    """Every backoff, pause and lease is over."""
    with database.transaction() as session:
        connection = session.connection()
        connection.execute(text("UPDATE webhook_delivery SET due_at = made_at WHERE state = 'pending'"))
        connection.execute(text("UPDATE webhook_endpoint SET paused_until = NULL, lease_until = NULL"))
