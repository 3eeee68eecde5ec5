"""What people at the admin pages want of Zuora, which the web side cannot ask itself: workers and schedulers do."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Index,
    Text,
    text,
)
from sqlmodel import Field, SQLModel

from sync_service.store.tables.kinds import COUNTER, DOCUMENT


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
    actor: str = Field(sa_type=Text)
    asked_at: int = Field(sa_type=BigInteger)
