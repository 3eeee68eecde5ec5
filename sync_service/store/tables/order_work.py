"""Orders on their way into Zuora, and what may be bought: offers, products, and Zuora's rate plans as last read."""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Date, Index, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from sync_service.store.tables.kinds import DOCUMENT


class OrderWorkRow(SQLModel, table=True):
    """What has become of an order. When its lane is served stands in the lane's row of `sync_request`, of kind order.

    The order's own document is Limio's, in `limio_order`.
    """

    __tablename__ = "order_work"
    __table_args__ = (
        UniqueConstraint("number"),
        UniqueConstraint("lane", "seq"),
        CheckConstraint("state IN ('submitted', 'running', 'waiting', 'held', 'complete', 'failed')", name="state"),
        Index(
            "ix_order_work_open",
            "lane",
            "seq",
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index("ix_order_work_state", "state", "submitted_at"),
        Index("ix_order_work_submitted_at", "submitted_at", "order_id"),
        Index("ix_order_work_subscription", "subscription_number", "submitted_at"),
    )

    #: Limio's id of the order (`order-…`).
    order_id: str = Field(primary_key=True, sa_type=Text)
    #: Limio's reference of the order, which is the number of its order in Zuora.
    number: str = Field(sa_type=Text)
    order_type: str = Field(sa_type=Text)
    #: What was named before anything was sent, as `Names`: asking for these names resolves silence.
    names: dict[str, Any] = Field(sa_type=DOCUMENT)
    #: As it was accepted, without card secrets: JSON with exact numbers.
    payload: str = Field(sa_type=Text)
    external_id: str | None = Field(default=None, sa_type=Text)
    #: Orders of one lane are placed one after another: a subscription's number, else an account's, else the order's id.
    lane: str = Field(sa_type=Text)
    #: The sequence of the lane's request that asks for this order.
    seq: int = Field(sa_type=BigInteger)
    #: Limio's reference of the subscription that the order makes or changes, where there is one.
    subscription_number: str | None = Field(default=None, sa_type=Text)
    #: The API client or the person who submitted it.
    client: str | None = Field(default=None, sa_type=Text)
    #: Whether the client may have money paid back (scope api/order:update_refund).
    may_refund: bool = False
    #: The account in Zuora, by id or number, of the partner that pays for what a new order makes.
    payer_account: str | None = Field(default=None, sa_type=Text)
    #: submitted, running, waiting (between two attempts), held (a person decides), complete, failed.
    state: str = Field(sa_type=Text)
    #: The steps as planned from the latest read of Zuora, each as the text of `Step.as_text`; None before that read.
    steps: list[str] | None = Field(default=None, sa_type=DOCUMENT)
    #: What was only asked of Zuora for it, the latest: each as `ordering.looks.Look`, without the answers.
    looks: list[dict[str, Any]] = Field(
        default_factory=list, sa_type=DOCUMENT, sa_column_kwargs={"server_default": "[]"}
    )
    #: The plan did not fit what Zuora held, and was made anew: that is tried once.
    replanned: bool = False
    #: What a person may choose while it is held: members of `Choice`.
    choices: list[str] = Field(default_factory=list, sa_type=DOCUMENT)
    #: The person who gave it up while it was held: what was done of it is undone.
    given_up_by: str | None = Field(default=None, sa_type=Text)
    #: What the caller and the people should know of it.
    notes: list[str] = Field(default_factory=list, sa_type=DOCUMENT)
    submitted_at: int = Field(sa_type=BigInteger)
    #: None while the order is neither complete nor failed nor held.
    ended_at: int | None = Field(default=None, sa_type=BigInteger)
    #: Why it waits, is held or failed; what Zuora says is in Zuora's words.
    error_code: str | None = Field(default=None, sa_type=Text)
    error: str | None = Field(default=None, sa_type=Text)


class OrderStepRow(SQLModel, table=True):
    """One call of an order that changes something in Zuora: committed `sent` before its bytes go.

    A repetition under the same Idempotency-Key is the same row; under a new key it is a row of its own.
    """

    __tablename__ = "order_step"
    __table_args__ = (
        CheckConstraint("state IN ('sent', 'answered', 'again', 'skipped', 'refused')", name="state"),
        Index(
            "ix_order_step_sent",
            "sent_at",
            sqlite_where=text("state = 'sent'"),
            postgresql_where=text("state = 'sent'"),
        ),
    )

    order_id: str = Field(primary_key=True, sa_type=Text)
    n: int = Field(primary_key=True)
    #: Which step of the plan this is a call of.
    name: str = Field(sa_type=Text)
    method: str = Field(sa_type=Text)
    path: str = Field(sa_type=Text)
    #: The very text that is sent.
    body: str | None = Field(default=None, sa_type=Text)
    #: Zuora keeps the result under it for 24 hours; None for methods that take none.
    idempotency_key: str | None = Field(default=None, sa_type=Text)
    #: sent, answered, again (refused for now), skipped (refused, and the order goes on), refused.
    state: str = Field(sa_type=Text)
    #: When it was first sent, how often, and when its answer was there.
    sent_at: int = Field(sa_type=BigInteger)
    sends: int = 1
    answered_at: int | None = Field(default=None, sa_type=BigInteger)
    #: Zuora's answer as JSON with exact numbers, also where it was looked up.
    answer: str | None = Field(default=None, sa_type=Text)
    #: Why it was refused, in Zuora's words.
    error: str | None = Field(default=None, sa_type=Text)


class OrderRequestRow(SQLModel, table=True):
    """One order as a client asked for it, so that asking twice is one order."""

    __tablename__ = "order_request"

    client: str = Field(primary_key=True, sa_type=Text)
    #: The client's Idempotency-Key; without one a hash of order type, external_id and body.
    key: str = Field(primary_key=True, sa_type=Text)
    body_sha256: str = Field(sa_type=Text)
    order_id: str = Field(sa_type=Text)
    at: int = Field(sa_type=BigInteger, index=True)


class CatalogItemRow(SQLModel, table=True):
    """One version of an offer or add-on. Orders name one, so that old versions are kept."""

    __tablename__ = "limio_catalog_item"

    #: 40 hex digits, the same for all versions.
    id: str = Field(primary_key=True, sa_type=Text)
    #: 40 hex digits; empty where Limio gave none.
    version: str = Field(primary_key=True, sa_type=Text)
    #: `offer` or `add_on`.
    record_type: str = Field(sa_type=Text)
    path: str | None = Field(default=None, sa_type=Text)
    name: str | None = Field(default=None, sa_type=Text)
    #: When Limio changed it, as Limio wrote it; of two versions the later is the newer.
    changed: str = Field(sa_type=Text)
    document: dict[str, Any] = Field(sa_type=DOCUMENT)


class ProductRow(SQLModel, table=True):
    """A product of Limio's, by its path; the newest version only, because offers name no version."""

    __tablename__ = "limio_product"

    path: str = Field(primary_key=True, sa_type=Text)
    #: Zuora's id of it; None: never synced from Zuora.
    zuora_product_id: str | None = Field(default=None, sa_type=Text)
    changed: str = Field(sa_type=Text)
    document: dict[str, Any] = Field(sa_type=DOCUMENT)


class RatePlanRow(SQLModel, table=True):
    """A product rate plan of Zuora's with its charges, as last read."""

    __tablename__ = "zuora_rate_plan"

    id: str = Field(primary_key=True, sa_type=Text)
    product_id: str = Field(sa_type=Text, index=True)
    number: str | None = Field(default=None, sa_type=Text)
    name: str = Field(sa_type=Text)
    product_name: str = Field(default="", sa_type=Text)
    #: From when to before when it is sold.
    since: date | None = Field(default=None, sa_type=Date)
    until: date | None = Field(default=None, sa_type=Date)
    #: A list of charges: id, name, type, model, and the list price as text by currency.
    charges: list[dict[str, Any]] = Field(sa_type=DOCUMENT)
    read_at: int = Field(sa_type=BigInteger)
