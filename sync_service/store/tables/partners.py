"""Partners: organisations that sell on, the people who act for them, and what they are about to order."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, Text, text
from sqlmodel import Field, SQLModel

from sync_service.store.tables.kinds import DOCUMENT


class PartnerOrgRow(SQLModel, table=True):
    """A partner organisation (Limio's partner management API)."""

    __tablename__ = "partner_org"

    #: `partner_org-` and 32 hex digits.
    id: str = Field(primary_key=True, sa_type=Text)
    name: str = Field(sa_type=Text)
    #: The partner's own account in Zuora, by id or number; of one organisation only.
    zuora_account_id: str = Field(sa_type=Text, unique=True)
    #: The partner pays for what it orders: its account is the invoice owner. Else the customer's account is.
    is_invoice_owner: bool
    salesforce_account_id: str | None = Field(default=None, sa_type=Text)
    #: The address of its logo.
    logo: str | None = Field(default=None, sa_type=Text)
    created_at: int = Field(sa_type=BigInteger)
    modified_at: int = Field(sa_type=BigInteger)
    #: Since then its users and clients are refused; what is attributed to it stays.
    disabled_at: int | None = Field(default=None, sa_type=BigInteger)


class PartnerUserRow(SQLModel, table=True):
    """A person who acts for one partner organisation."""

    __tablename__ = "partner_user"

    #: `partner_user-` and 32 hex digits.
    id: str = Field(primary_key=True, sa_type=Text)
    partner_org: str = Field(sa_type=Text, index=True)
    email: str = Field(sa_type=Text)
    #: The address without case: it belongs to one organisation at most.
    email_folded: str = Field(sa_type=Text, unique=True)
    name: str | None = Field(default=None, sa_type=Text)
    created_at: int = Field(sa_type=BigInteger)
    modified_at: int = Field(sa_type=BigInteger)
    disabled_at: int | None = Field(default=None, sa_type=BigInteger)


class BasketRow(SQLModel, table=True):
    """What one of a partner's users or clients wants to change or buy; computed anew at every change of it."""

    __tablename__ = "basket"
    __table_args__ = (
        CheckConstraint("state IN ('active', 'completed', 'superseded')", name="state"),
        Index(
            "ix_basket_active",
            "partner_org",
            "subject",
            "updated_at",
            sqlite_where=text("state = 'active'"),
            postgresql_where=text("state = 'active'"),
        ),
        Index(
            "ix_basket_external_id",
            "partner_org",
            "external_id",
            sqlite_where=text("external_id IS NOT NULL"),
            postgresql_where=text("external_id IS NOT NULL"),
        ),
    )

    #: `basket-` and 32 hex digits; an order's `checkoutId`, unless a new basket's `external_id` is.
    id: str = Field(primary_key=True, sa_type=Text)
    partner_org: str = Field(sa_type=Text)
    #: The API client or the user who made it.
    subject: str = Field(sa_type=Text)
    #: Of the subscription that it changes; None: it buys a new one.
    subscription_id: str | None = Field(default=None, sa_type=Text)
    #: active, completed (ordered), superseded (by a later basket).
    state: str = Field(sa_type=Text)
    external_id: str | None = Field(default=None, sa_type=Text)
    #: What is wanted, as sent last.
    wanted: list[dict[str, Any]] = Field(default_factory=list, sa_type=DOCUMENT)
    #: What the user saw of the items: members of `Line`.
    seen: list[dict[str, Any]] = Field(default_factory=list, sa_type=DOCUMENT)
    #: What the last answer showed.
    document: dict[str, Any] = Field(default_factory=dict, sa_type=DOCUMENT)
    #: The order that it became.
    order_id: str | None = Field(default=None, sa_type=Text)
    created_at: int = Field(sa_type=BigInteger)
    updated_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger, index=True)


class PartnerCodeRow(SQLModel, table=True):
    """A one-time code on its way to a partner's user; made for strangers too, so that the two cannot be told apart."""

    __tablename__ = "partner_code"

    #: Hash of what the browser holds that asked for the code: it is good there and nowhere else.
    browser_hash: str = Field(primary_key=True, sa_type=Text)
    #: Of the code and the browser, under SECRET_KEY.
    code_hash: str = Field(sa_type=Text)
    #: None for an address that is no user's: such a code is never right.
    user_id: str | None = Field(default=None, sa_type=Text)
    expires_at: int = Field(sa_type=BigInteger, index=True)
    tries: int = 0


class PartnerSessionRow(SQLModel, table=True):
    """One log-in of a partner's user, until it expires or the person logs out."""

    __tablename__ = "partner_session"

    #: Hash of the cookie: reading this table does not let anyone log in.
    token_hash: str = Field(primary_key=True, sa_type=Text)
    user_id: str = Field(sa_type=Text, index=True)
    began_at: int = Field(sa_type=BigInteger)
    #: The last page that was asked for, give or take a minute.
    seen_at: int = Field(sa_type=BigInteger, index=True)
