"""Notifications: who wants to be told of what, what was told, and what is still to be sent."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Index, Text, text
from sqlmodel import Field, SQLModel

from sync_service.store.tables.kinds import COUNTER, DOCUMENT


class NotificationChoiceRow(SQLModel, table=True):
    """What one person wants to be told of, and by which ways."""

    __tablename__ = "notification_choice"

    email: str = Field(primary_key=True, sa_type=Text)
    #: Members of `ItemKind`.
    kinds: list[str] = Field(default_factory=list, sa_type=DOCUMENT)
    by_mail: bool = False
    #: The address of a webhook, encrypted under SECRET_KEY: Slack's are secrets.
    webhook: str | None = Field(default=None, sa_type=Text)
    #: slack or plain.
    webhook_form: str = Field(default="slack", sa_type=Text)


class InboxSeenRow(SQLModel, table=True):
    """An item of the inbox as it was seen last, so that each is told of once, and its end too."""

    __tablename__ = "inbox_seen"

    #: As `Item` has them.
    kind: str = Field(primary_key=True, sa_type=Text)
    name: str = Field(primary_key=True, sa_type=Text)
    title: str = Field(sa_type=Text)
    count: int
    since: int = Field(sa_type=BigInteger)
    #: When people were told of it, and of how many; None while it may pass by itself.
    told_at: int | None = Field(default=None, sa_type=BigInteger)
    told_count: int = 0
    #: Since when it is gone from the inbox; None while it is there.
    missing_since: int | None = Field(default=None, sa_type=BigInteger)


class NotificationRow(SQLModel, table=True):
    """One thing to tell one person in one way; what waits goes out in one message."""

    __tablename__ = "notification"
    __table_args__ = (
        CheckConstraint("way IN ('mail', 'webhook')", name="way"),
        CheckConstraint("state IN ('pending', 'sent', 'dead')", name="state"),
        Index("ix_notification_sent", "email", "way", "state", "sent_at"),
        Index(
            "ix_notification_due",
            "due_at",
            sqlite_where=text("state = 'pending'"),
            postgresql_where=text("state = 'pending'"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=COUNTER)
    email: str = Field(sa_type=Text)
    way: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    title: str = Field(sa_type=Text)
    count: int
    #: It is over.
    recovered: bool = False
    at: int = Field(sa_type=BigInteger)
    state: str = Field(default="pending", sa_type=Text)
    due_at: int = Field(sa_type=BigInteger)
    attempts: int = 0
    sent_at: int | None = Field(default=None, sa_type=BigInteger)
    error: str | None = Field(default=None, sa_type=Text)
