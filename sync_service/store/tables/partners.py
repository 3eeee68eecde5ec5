"""Partners: organisations that sell on, and the people who act for them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Text
from sqlmodel import Field, SQLModel


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
