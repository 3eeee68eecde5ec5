"""Limio's objects. They share an envelope.

`document` is the whole object as Limio's API shows it and the truth for reads; the typed columns beside it are derived
from it in the same write. Limio's times stay the text that Limio wrote.
"""

from __future__ import annotations

from datetime import date
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    Index,
    Text,
    text,
)
from sqlmodel import Field, SQLModel

from sync_service.store.tables.kinds import BYTEWISE, DOCUMENT
from sync_service.subscription.limio.columns import NEVER_ENDS


class LimioObject(SQLModel):
    """The envelope that all of Limio's objects share (facts of Limio's objects API)."""

    record_type_name: ClassVar[str] = ""

    #: `<prefix>-<32 hex>`; Limio made it or we did at creation; never changes.
    id: str = Field(primary_key=True, sa_type=Text)
    status: str | None = Field(default=None, sa_type=Text)
    reference: str | None = Field(default=None, sa_type=Text)
    name: str | None = Field(default=None, sa_type=Text)
    #: The identity (`id-…`) to whom the object belongs.
    owner: str | None = Field(default=None, sa_type=Text, index=True)
    created: str | None = Field(default=None, sa_type=Text)
    updated: str | None = Field(default=None, sa_type=Text)
    #: The subscription that the object belongs to, where it belongs to one.
    subscription_id: str | None = Field(default=None, sa_type=Text, index=True)
    document: dict[str, Any] = Field(sa_type=DOCUMENT)
    #: When a sync last wrote this object; None means that it is as Limio gave it.
    synced_at: int | None = Field(default=None, sa_type=BigInteger)


class AttributedObject(LimioObject):
    """An object that a partner organisation may see; `sync_service.partner` reads it."""

    #: The organisation, where one sold it. No sync and no load changes it: orders, imports and operators set it.
    partner_org: str | None = Field(default=None, sa_type=Text)


def _of_partner(table: str) -> Index:
    """An index for a partner's list of `table`, in the order of ids."""
    where = text("partner_org IS NOT NULL")
    return Index(f"ix_{table}_partner_org", "partner_org", "id", sqlite_where=where, postgresql_where=where)


def _lists_where(flag: str) -> tuple[Index, ...]:
    """An index for each order of the list of those that have `flag`."""
    where = text(flag)
    return tuple(
        Index(f"ix_limio_subscription_{flag}_{order}", column, "id", sqlite_where=where, postgresql_where=where)
        for order, column in (
            ("newest", "listed_at"),
            ("number", "listed_number"),
            ("updated", "listed_updated"),
            ("ending", "listed_end"),
        )
    )


class SubscriptionRow(AttributedObject, table=True):
    """A Limio subscription."""

    __tablename__ = "limio_subscription"
    record_type_name: ClassVar[str] = "subscription"
    __table_args__ = (
        _of_partner("limio_subscription"),
        Index("ix_limio_subscription_reference", "reference"),
        Index("ix_limio_subscription_newest", "listed_at", "id"),
        Index("ix_limio_subscription_status", "status", "listed_at", "id"),
        Index("ix_limio_subscription_number", "listed_number", "id"),
        Index("ix_limio_subscription_updated", "listed_updated", "id"),
        Index("ix_limio_subscription_ending", "listed_end", "id"),
        Index("ix_limio_subscription_status_number", "status", "listed_number", "id"),
        Index("ix_limio_subscription_status_updated", "status", "listed_updated", "id"),
        Index("ix_limio_subscription_status_ending", "status", "listed_end", "id"),
        Index(
            "ix_limio_subscription_renewing",
            "status",
            "term_end",
            "id",
            sqlite_where=text("auto_renew IS 1"),
            postgresql_where=text("auto_renew IS true"),
        ),
        Index(
            "ix_limio_subscription_external",
            "listed_at",
            "id",
            sqlite_where=text("external IS 1"),
            postgresql_where=text("external IS true"),
        ),
        Index(
            "ix_limio_subscription_never_synced",
            "listed_at",
            "id",
            sqlite_where=text("never_synced IS 1"),
            postgresql_where=text("never_synced IS true"),
        ),
    )

    #: The customer object (`cus-…`).
    customer: str | None = Field(default=None, sa_type=Text, index=True)
    term_start: date | None = None
    term_end: date | None = None
    auto_renew: bool | None = None
    #: Made in Zuora and imported: no commerce actions.
    external: bool = False
    #: No sync has read it from Zuora yet.
    never_synced: bool = True
    #: The order (`order-…`) that made it: the first part of Limio's `ref`.
    order_id: str | None = Field(default=None, sa_type=Text, index=True)
    #: `created`, `reference` and `updated`, empty where Limio does not say: the orders of lists.
    listed_at: str = Field(default="", sa_type=BYTEWISE)
    listed_number: str = Field(default="", sa_type=BYTEWISE)
    listed_updated: str = Field(default="", sa_type=BYTEWISE)
    #: The term's end as YYYY-MM-DD; what ends never comes last.
    listed_end: str = Field(default=NEVER_ENDS, sa_type=BYTEWISE)


class ScheduleRow(LimioObject, table=True):
    """One dated payment."""

    __tablename__ = "limio_schedule"
    record_type_name: ClassVar[str] = "schedule"

    due: date | None = None
    type: str | None = Field(default=None, sa_type=Text)
    #: A decimal as text.
    amount: str | None = Field(default=None, sa_type=Text)
    currency: str | None = Field(default=None, sa_type=Text)


class SubscriptionOfferRow(LimioObject, table=True):
    """An offer that a subscription holds."""

    __tablename__ = "limio_subscription_offer"
    record_type_name: ClassVar[str] = "subscription_offer"


class AddOnRow(LimioObject, table=True):
    """An add-on that a subscription holds."""

    __tablename__ = "limio_add_on"
    record_type_name: ClassVar[str] = "add_on"


class AddressRow(LimioObject, table=True):
    """A billing or delivery address; the newest active one is the one in use."""

    __tablename__ = "limio_address"
    record_type_name: ClassVar[str] = "address"

    #: `billing` or `delivery`.
    relationship_type: str | None = Field(default=None, sa_type=Text)
    start: str | None = Field(default=None, sa_type=Text)


class CustomerRow(AttributedObject, table=True):
    """A customer: the name and the email address."""

    __tablename__ = "limio_customer"
    record_type_name: ClassVar[str] = "customer"
    __table_args__ = (_of_partner("limio_customer"),)

    email: str | None = Field(default=None, sa_type=Text, index=True)
    #: Email address and name without case, for finding a person by the beginning of either.
    email_folded: str | None = Field(default=None, sa_type=BYTEWISE, index=True)
    name_folded: str | None = Field(default=None, sa_type=BYTEWISE, index=True)
    #: The latest end of a read that compared this row for a subscription which has left it since; for those that it
    #: has, `sync_request.compared_at` says it.
    compared_until: int | None = Field(default=None, sa_type=BigInteger)


class IdentityRow(AttributedObject, table=True):
    """The owner of everything (`id-…`)."""

    __tablename__ = "limio_identity"
    record_type_name: ClassVar[str] = "identity"
    __table_args__ = (_of_partner("limio_identity"),)


class EventRow(LimioObject, table=True):
    """Something that happened, as Limio shows it beside a subscription."""

    __tablename__ = "limio_event"
    record_type_name: ClassVar[str] = "event"


class OrderRow(AttributedObject, table=True):
    """An order placed in Limio."""

    __tablename__ = "limio_order"
    record_type_name: ClassVar[str] = "order"
    __table_args__ = (_of_partner("limio_order"),)


class PaymentMethodRow(LimioObject, table=True):
    """A stored way to pay."""

    __tablename__ = "limio_payment_method"
    record_type_name: ClassVar[str] = "payment_method"


class GiftCodeRow(LimioObject, table=True):
    """The code of a gift that was bought: free, reserved by an order, redeemed, or void."""

    __tablename__ = "limio_gift_code"
    record_type_name: ClassVar[str] = "gift_code"

    code: str | None = Field(default=None, sa_type=Text, unique=True)


class ProcessRow(LimioObject, table=True):
    """How one order was carried out: its calls with their times, what went wrong."""

    __tablename__ = "limio_process"
    record_type_name: ClassVar[str] = "process"

    #: The order (`order-…`).
    order_id: str | None = Field(default=None, sa_type=Text, index=True)


class RelationRow(SQLModel, table=True):
    """A further subscription of an object that several share; the first one stands in the object's own row.

    One address may serve two subscriptions, or one subscription as billing and as delivery address.
    """

    __tablename__ = "limio_relation"

    subscription_id: str = Field(primary_key=True, sa_type=Text)
    object_id: str = Field(primary_key=True, sa_type=Text, index=True)
    #: Limio's `relationship_type` of this use; empty where it names none.
    relationship_type: str = Field(primary_key=True, sa_type=Text)
    relationship_id: str | None = Field(default=None, sa_type=Text)
    record_type: str = Field(sa_type=Text)
