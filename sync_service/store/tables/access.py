"""Who has access, and what they did."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Index,
    Text,
    UniqueConstraint,
)
from sqlmodel import Field, SQLModel

from sync_service.store.tables.kinds import COUNTER


class OauthClientRow(SQLModel, table=True):
    """A client of our token endpoint."""

    __tablename__ = "oauth_client"
    __table_args__ = (UniqueConstraint("name"),)

    client_id: str = Field(primary_key=True, sa_type=Text)
    name: str = Field(sa_type=Text)
    #: argon2 hash; the secret itself is shown once and kept nowhere.
    secret_hash: str = Field(sa_type=Text)
    #: The hash of the secret before, which is right too until `previous_until`.
    secret_previous_hash: str | None = Field(default=None, sa_type=Text)
    previous_until: int | None = Field(default=None, sa_type=BigInteger)
    #: Space-delimited.
    scope: str = Field(sa_type=Text)
    #: Zuora itself uses this client: answers are those for callouts.
    callout: bool = False
    #: The partner organisation that it acts for; such a client sees that organisation's objects and nothing else.
    partner_org: str | None = Field(default=None, sa_type=Text)
    created_at: int = Field(sa_type=BigInteger)
    revoked_at: int | None = Field(default=None, sa_type=BigInteger)
    #: When it last showed its secret or a token, give or take five minutes.
    used_at: int | None = Field(default=None, sa_type=BigInteger)


class ThrottleRow(SQLModel, table=True):
    """Failed log-ins in one window of time, over all hosts."""

    __tablename__ = "throttle"

    name: str = Field(primary_key=True, sa_type=Text)
    window_began: int = Field(sa_type=BigInteger)
    failures: int = 0


class AdminUserRow(SQLModel, table=True):
    """A person who may log in to the admin pages."""

    __tablename__ = "admin_user"

    #: In lower case.
    email: str = Field(primary_key=True, sa_type=Text)
    #: argon2 hash; None for a user of single sign-on alone.
    password_hash: str | None = Field(default=None, sa_type=Text)
    #: Until then a temporary password works, and only to choose another; None for a password of the person's own.
    password_until: int | None = Field(default=None, sa_type=BigInteger)
    #: The account at the identity provider that came in first with this address; no other may.
    issuer: str | None = Field(default=None, sa_type=Text)
    subject: str | None = Field(default=None, sa_type=Text)
    #: viewer or operator.
    role: str = Field(sa_type=Text)
    created_at: int = Field(sa_type=BigInteger)
    #: Since then the person may no longer log in.
    disabled_at: int | None = Field(default=None, sa_type=BigInteger)


class AdminSessionRow(SQLModel, table=True):
    """One log-in, until it expires or the person logs out."""

    __tablename__ = "admin_session"

    #: Hash of the cookie: reading this table does not let anyone log in.
    token_hash: str = Field(primary_key=True, sa_type=Text)
    email: str = Field(sa_type=Text, index=True)
    #: By the identity provider, not by a password.
    signed_on: bool = False
    began_at: int = Field(sa_type=BigInteger)
    #: The last page that was asked for, give or take a minute.
    seen_at: int = Field(sa_type=BigInteger, index=True)


class AdminDraftRow(SQLModel, table=True):
    """A form that arrived after its session had ended, until the person sends it again or an hour has passed."""

    __tablename__ = "admin_draft"

    #: Hash of what the browser holds.
    token_hash: str = Field(primary_key=True, sa_type=Text)
    email: str = Field(sa_type=Text)
    #: Address and fields, encrypted under SECRET_KEY.
    form: str = Field(sa_type=Text)
    kept_at: int = Field(sa_type=BigInteger, index=True)


class AdminActionRow(SQLModel, table=True):
    """Who did what in the admin pages or to their users. Only ever added to."""

    __tablename__ = "admin_action"
    __table_args__ = (Index("ix_admin_action_at", "at", "id"), Index("ix_admin_action_target", "target", "at", "id"))

    id: int | None = Field(default=None, primary_key=True, sa_type=COUNTER)
    at: int = Field(sa_type=BigInteger)
    actor: str = Field(sa_type=Text)
    #: A word or two, such as `sync`, `release held`, `client revoked`.
    action: str = Field(sa_type=Text)
    #: What it was done to.
    target: str | None = Field(default=None, sa_type=Text)
    #: The address that the request came from; None on the command line and where a proxy hides it.
    sender: str | None = Field(default=None, sa_type=Text)


class AdminViewRow(SQLModel, table=True):
    """A query of the history that a person keeps under a name."""

    __tablename__ = "admin_view"

    email: str = Field(primary_key=True, sa_type=Text)
    name: str = Field(primary_key=True, sa_type=Text)
    #: As it is typed into the query bar.
    query: str = Field(sa_type=Text)
    made_at: int = Field(sa_type=BigInteger)
