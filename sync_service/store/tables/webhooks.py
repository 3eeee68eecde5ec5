"""Outgoing webhooks: where they go, and the outbox, which holds one row for each message and endpoint."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Index,
    Text,
    text,
)
from sqlmodel import Field, SQLModel

from sync_service.store.tables.kinds import COUNTER, DOCUMENT


class WebhookEndpointRow(SQLModel, table=True):
    """An address that webhooks are sent to, and the lease of the process that delivers to it."""

    __tablename__ = "webhook_endpoint"

    #: `ep_` and 24 hex digits.
    id: str = Field(primary_key=True, sa_type=Text)
    url: str = Field(sa_type=Text)
    #: The webhook types that it gets, as in `WebhookType`; empty means all.
    types: list[str] = Field(default_factory=list, sa_type=DOCUMENT)
    #: It comes from the settings, which hold its secrets.
    by_setting: bool = False
    #: The signing secrets, sealed under SECRET_KEY; the previous one signs too until `previous_until`.
    secret: str | None = Field(default=None, sa_type=Text)
    secret_previous: str | None = Field(default=None, sa_type=Text)
    previous_until: int | None = Field(default=None, sa_type=BigInteger)
    created_at: int = Field(sa_type=BigInteger)
    #: Since then nothing is sent to it, and what happens meanwhile is never told to it.
    disabled_at: int | None = Field(default=None, sa_type=BigInteger)
    #: A person wants a test message sent; the process that delivers sends it, once, and notes how that ended.
    test_wanted_at: int | None = Field(default=None, sa_type=BigInteger)
    tested_at: int | None = Field(default=None, sa_type=BigInteger)
    #: The HTTP status that answered the test; None where there was none, and the reason in words.
    test_status: int | None = None
    test_error: str | None = Field(default=None, sa_type=Text)
    #: Grows with each process that takes the endpoint: the fence.
    token: int = Field(default=0, sa_type=BigInteger)
    lease_until: int | None = Field(default=None, sa_type=BigInteger)
    #: Deliveries in a row that failed; many pause the endpoint.
    failures: int = 0
    paused_until: int | None = Field(default=None, sa_type=BigInteger)


class WebhookDeliveryRow(SQLModel, table=True):
    """One message for one endpoint, written in the transaction of what it tells of."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'delivered', 'dead')", name="state"),
        CheckConstraint("(state = 'pending') = (due_at IS NOT NULL)", name="due_while_pending"),
        CheckConstraint("(state = 'pending') = (ended_at IS NULL)", name="ended_or_pending"),
        Index(
            "ix_webhook_delivery_turn",
            "endpoint_id",
            "due_at",
            sqlite_where=text("state = 'pending'"),
            postgresql_where=text("state = 'pending'"),
        ),
        Index(
            "ix_webhook_delivery_order",
            "endpoint_id",
            "object_id",
            "id",
            sqlite_where=text("state = 'pending'"),
            postgresql_where=text("state = 'pending'"),
        ),
        Index("ix_webhook_delivery_ended", "state", "ended_at"),
    )

    #: Also the order in which the messages of one object are delivered.
    id: int | None = Field(default=None, primary_key=True, sa_type=COUNTER)
    #: `msg_` and 32 hex digits: the same at every attempt, and for every endpoint.
    message_id: str = Field(sa_type=Text, index=True)
    endpoint_id: str = Field(sa_type=Text, index=True)
    #: A member of `WebhookType`.
    type: str = Field(sa_type=Text)
    #: The Limio object that the message is about: its messages keep their order.
    object_id: str = Field(sa_type=Text, index=True)
    #: The very text that is sent and signed.
    body: str = Field(sa_type=Text)
    made_at: int = Field(sa_type=BigInteger)
    #: pending, delivered, or dead: given up until a person replays it.
    state: str = Field(default="pending", sa_type=Text)
    due_at: int | None = Field(default=None, sa_type=BigInteger)
    attempts: int = 0
    tried_at: int | None = Field(default=None, sa_type=BigInteger)
    #: The HTTP status of the last answer; None where there was none.
    last_status: int | None = None
    #: Why the last attempt failed, in words.
    last_error: str | None = Field(default=None, sa_type=Text)
    ended_at: int | None = Field(default=None, sa_type=BigInteger)
