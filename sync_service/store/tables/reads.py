"""What the sync remembers of its reads: which number is which subscription, whose an account is, what was seen."""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import BigInteger, Text, false
from sqlmodel import Field, SQLModel

from sync_service.store.tables.kinds import DOCUMENT


class ZuoraAccountRow(SQLModel, table=True):
    """A Zuora account and the owner that Limio keeps for it: locked before that owner is created."""

    __tablename__ = "zuora_account"

    account_id: str = Field(primary_key=True, sa_type=Text)
    #: The identity (`id-…`) and the customer (`cus-…`); None until a sync knows them.
    owner: str | None = Field(default=None, sa_type=Text)
    customer: str | None = Field(default=None, sa_type=Text)


class ZuoraLinkRow(SQLModel, table=True):
    """What only the sync needs to know of a subscription: one row per Zuora number that a sync has read."""

    __tablename__ = "zuora_link"

    number: str = Field(primary_key=True, sa_type=Text)
    subscription_id: str | None = Field(default=None, sa_type=Text, unique=True)
    #: The Zuora id of the version that was read last.
    zuora_id: str = Field(sa_type=Text, index=True)
    version: int
    account_id: str | None = Field(default=None, sa_type=Text, index=True)
    account_number: str | None = Field(default=None, sa_type=Text)
    #: The account that pays, where it is another one.
    payer_id: str | None = Field(default=None, sa_type=Text, index=True)
    #: The subscription's first day in Zuora: the newest of a customer's accounts writes name and email.
    started_on: date | None = None
    cancelled: bool = False
    #: A cancellation is set: it counts from the subscription's term end on.
    cancel_set: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    #: What the last good run read, for telling at a glance that nothing changed.
    fingerprint: dict[str, Any] = Field(default_factory=dict, sa_type=DOCUMENT)
    read_began: int = Field(sa_type=BigInteger)
    read_ended: int = Field(sa_type=BigInteger)
    #: The next date on which Zuora's answer changes by itself, in the tenant's calendar.
    look_again_on: date | None = Field(default=None, index=True)
    #: Why the schedule is not kept in step, for people; None where it is.
    schedule_left_alone: str | None = Field(default=None, sa_type=Text)


class SubscriptionAliasRow(SQLModel, table=True):
    """Another name of a number: an id of one version in Zuora."""

    __tablename__ = "subscription_alias"

    alias: str = Field(primary_key=True, sa_type=Text)
    number: str = Field(sa_type=Text, index=True)


class SweepSeenRow(SQLModel, table=True):
    """What a sweep saw of a thing in Zuora when it last acted on it, so that the same sight is acted on once."""

    __tablename__ = "sweep_seen"

    #: subscription, account, contact or callout.
    kind: str = Field(primary_key=True, sa_type=Text)
    #: The subscription's number, the Zuora id of an account or contact, the hash of a failed callout.
    key: str = Field(primary_key=True, sa_type=Text)
    #: What was seen, as a hash: it may be personal.
    facts: str = Field(sa_type=Text)
    at: int = Field(sa_type=BigInteger, index=True)


class ScrubMarkRow(SQLModel, table=True):
    """A customer whose personal values were erased: no sync writes name, email or addresses again."""

    __tablename__ = "scrub_mark"

    #: The Limio id of a customer or an identity; of a subscription where it has neither.
    object_id: str = Field(primary_key=True, sa_type=Text)
    at: int = Field(sa_type=BigInteger)
    #: The person who erased it.
    actor: str = Field(sa_type=Text)


class StoreTenantRow(SQLModel, table=True):
    """The Zuora tenant that this store was filled from."""

    __tablename__ = "store_tenant"

    id: int = Field(default=1, primary_key=True)
    tenant: str = Field(sa_type=Text)
    since: int = Field(sa_type=BigInteger)
