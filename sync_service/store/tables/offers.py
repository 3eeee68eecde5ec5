"""What may be bought: Limio's offers, add-ons and products as loaded, and Zuora's product rate plans as last read."""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import BigInteger, Date, Text
from sqlmodel import Field, SQLModel

from sync_service.store.tables.kinds import DOCUMENT


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
