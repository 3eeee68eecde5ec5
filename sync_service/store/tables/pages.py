"""What pages leave to workers, remember and look up: questions, backfills, notifications, figures, search entries.

Figures are counted once a minute is over: the charts read these and no history. Triggers of the database write the
search entries; the code only reads them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Index,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

from sync_service.store.tables.kinds import BYTEWISE, COUNTER, DOCUMENT


class AskRow(SQLModel, table=True):
    """A question to Zuora whose answer one person waits for; queue/questions.py keeps it."""

    __tablename__ = "ask"
    __table_args__ = (
        Index(
            "ix_ask_open",
            "id",
            sqlite_where=text("answered_at IS NULL"),
            postgresql_where=text("answered_at IS NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=COUNTER)
    #: What is asked: `plan`, what a sync would change; `order`, what an order would cost.
    what: str = Field(sa_type=Text)
    #: The subscription's key that it is asked of; empty where `question` says it all.
    key: str = Field(sa_type=Text)
    #: What is asked besides: the order whose preview is wanted.
    question: str | None = Field(default=None, sa_type=Text)
    #: The email address of the person.
    actor: str = Field(sa_type=Text)
    asked_at: int = Field(sa_type=BigInteger, index=True)
    #: Grows with each worker that takes it: the fence.
    token: int = 0
    lease_until: int | None = Field(default=None, sa_type=BigInteger)
    answered_at: int | None = Field(default=None, sa_type=BigInteger)
    answer: dict[str, Any] | None = Field(default=None, sa_type=DOCUMENT)
    #: Why there is no answer, in words, and the error's code.
    error: str | None = Field(default=None, sa_type=Text)
    error_code: str | None = Field(default=None, sa_type=Text)


class BackfillWishRow(SQLModel, table=True):
    """A backfill that a person wants of the scheduler; how it goes is in the job's row of the same name."""

    __tablename__ = "backfill_wish"

    #: The name of the backfill and of its job.
    name: str = Field(primary_key=True, sa_type=Text)
    #: tenant, account, list or since.
    source: str = Field(sa_type=Text)
    #: The account, the keys one a line, or the day as YYYY-MM-DD; empty for the tenant.
    value: str = Field(sa_type=Text)
    #: Only to say what it would change.
    is_dry_run: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    actor: str = Field(sa_type=Text)
    asked_at: int = Field(sa_type=BigInteger)


class FigureRow(SQLModel, table=True):
    """A minute or an hour in which a run ended; one without any has no row."""

    __tablename__ = "figure"
    __table_args__ = (CheckConstraint("span IN ('minute', 'hour')", name="span"),)

    span: str = Field(primary_key=True, sa_type=Text)
    #: Its beginning, in ms since 1970.
    at: int = Field(primary_key=True, sa_type=BigInteger)
    #: Runs by how they ended.
    outcomes: dict[str, int] = Field(sa_type=DOCUMENT)
    #: Of those, runs that put right what no callout told of.
    drift: int = 0
    #: From callout to written: runs by the place of their duration in `queue.status.figures.BOUNDS_MS`.
    took: dict[str, int] = Field(sa_type=DOCUMENT)


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


class SearchEntryRow(SQLModel, table=True):
    """One thing that can be found, with the text that it is found by.

    Each word begins with WORD_MARK, so that two letters find the words that begin with them. The database indexes all
    groups of three characters of `text`: SQLite by its full-text index, PostgreSQL by an inverted index.
    """

    __tablename__ = "search_entry"
    __table_args__ = (UniqueConstraint("kind", "target"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=COUNTER)
    #: customer, number or reference.
    kind: str = Field(sa_type=Text)
    #: A customer's id, a Zuora subscription number, a subscription's id.
    target: str = Field(sa_type=Text)
    #: Folded as `fold` does.
    text: str = Field(sa_type=BYTEWISE)
