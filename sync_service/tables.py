"""The tables. Limio's objects, then what the sync itself remembers, then who may come in.

Limio's objects share an envelope. `document` is the whole object as Limio's API shows it and the truth for reads; the
typed columns beside it are derived from it in the same write. Times of ours are milliseconds since 1970 in UTC by the
database's clock; Limio's stay the text that Limio wrote. No Numeric column: SQLite would make money a float.
"""

from __future__ import annotations

from datetime import date
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Index,
    Integer,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

#: JSON that PostgreSQL can look into.
DOCUMENT = JSON().with_variant(JSONB(), "postgresql")
#: Text that is compared byte by byte on both databases, so that a prefix is a range of an index.
BYTEWISE = Text().with_variant(Text(collation="C"), "postgresql")
#: An ever-growing number: SQLite counts only INTEGER PRIMARY KEY up by itself.
COUNTER = BigInteger().with_variant(Integer(), "sqlite")

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "pk": "pk_%(table_name)s",
}


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


class SubscriptionRow(LimioObject, table=True):
    """A Limio subscription."""

    __tablename__ = "limio_subscription"
    record_type_name: ClassVar[str] = "subscription"
    __table_args__ = (
        Index("ix_limio_subscription_reference", "reference"),
        Index("ix_limio_subscription_newest", "listed_at", "id"),
        Index("ix_limio_subscription_status", "status", "listed_at", "id"),
        Index("ix_limio_subscription_ending", "term_end", "id"),
        Index(
            "ix_limio_subscription_external",
            "listed_at",
            "id",
            sqlite_where=text("external"),
            postgresql_where=text("external"),
        ),
    )

    #: The customer object (`cus-…`).
    customer: str | None = Field(default=None, sa_type=Text, index=True)
    term_start: date | None = None
    term_end: date | None = None
    auto_renew: bool | None = None
    #: Made in Zuora and imported: no commerce actions.
    external: bool = False
    #: The order (`order-…`) that made it: the first part of Limio's `ref`.
    order_id: str | None = Field(default=None, sa_type=Text, index=True)
    #: `created`, empty where Limio does not say: the order of lists.
    listed_at: str = Field(default="", sa_type=BYTEWISE)


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


class CustomerRow(LimioObject, table=True):
    """A customer: the name and the email address."""

    __tablename__ = "limio_customer"
    record_type_name: ClassVar[str] = "customer"

    email: str | None = Field(default=None, sa_type=Text, index=True)
    #: Email address and name without case, for finding a person by the beginning of either.
    email_folded: str | None = Field(default=None, sa_type=BYTEWISE, index=True)
    name_folded: str | None = Field(default=None, sa_type=BYTEWISE, index=True)
    #: The latest end of a read from Zuora that this row was compared with, also when nothing differed.
    compared_until: int | None = Field(default=None, sa_type=BigInteger)


class IdentityRow(LimioObject, table=True):
    """The owner of everything (`id-…`)."""

    __tablename__ = "limio_identity"
    record_type_name: ClassVar[str] = "identity"


class EventRow(LimioObject, table=True):
    """Something that happened, as Limio shows it beside a subscription."""

    __tablename__ = "limio_event"
    record_type_name: ClassVar[str] = "event"


class OrderRow(LimioObject, table=True):
    """An order placed in Limio."""

    __tablename__ = "limio_order"
    record_type_name: ClassVar[str] = "order"


class PaymentMethodRow(LimioObject, table=True):
    """A stored way to pay."""

    __tablename__ = "limio_payment_method"
    record_type_name: ClassVar[str] = "payment_method"


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


class ZuoraAccountRow(SQLModel, table=True):
    """A Zuora account and the owner that Limio keeps for it: locked first by whoever may create that owner."""

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
    #: The subscription's first day in Zuora: the newest of a customer's accounts writes name and email.
    started_on: date | None = None
    cancelled: bool = False
    #: What the last good run read, for telling at a glance that nothing changed.
    fingerprint: dict[str, Any] = Field(default_factory=dict, sa_type=DOCUMENT)
    read_began: int = Field(sa_type=BigInteger)
    read_ended: int = Field(sa_type=BigInteger)
    #: The next date on which Zuora's answer changes by itself, in the tenant's calendar.
    look_again_on: date | None = Field(default=None, index=True)


class SubscriptionAliasRow(SQLModel, table=True):
    """Another name of a number: an id of one version in Zuora."""

    __tablename__ = "subscription_alias"

    alias: str = Field(primary_key=True, sa_type=Text)
    number: str = Field(sa_type=Text, index=True)


class SyncRequestRow(SQLModel, table=True):
    """The durable wish that a number be synced; the queue. `queue.py` holds the only statements that touch it."""

    __tablename__ = "sync_request"
    __table_args__ = (
        CheckConstraint("done_seq <= requested_seq", name="done_within_requested"),
        CheckConstraint("failed_seq <= requested_seq", name="failed_within_requested"),
        CheckConstraint("claimed_seq <= requested_seq", name="claimed_within_requested"),
        CheckConstraint(
            "(due_at IS NULL) = (requested_seq = done_seq OR requested_seq = failed_seq)", name="due_while_open"
        ),
        CheckConstraint("(due_at IS NULL) = (waiting_since IS NULL)", name="waiting_while_due"),
        CheckConstraint("kind IN ('subscription', 'alias', 'account')", name="kind"),
        CheckConstraint("priority BETWEEN 0 AND 2", name="priority"),
        Index(
            "ix_sync_request_turn",
            "priority",
            "due_at",
            sqlite_where=text("due_at IS NOT NULL"),
            postgresql_where=text("due_at IS NOT NULL"),
        ),
        Index(
            "ix_sync_request_age",
            "waiting_since",
            sqlite_where=text("due_at IS NOT NULL"),
            postgresql_where=text("due_at IS NOT NULL"),
        ),
        Index(
            "ix_sync_request_live",
            "lease_until",
            sqlite_where=text("lease_until IS NOT NULL"),
            postgresql_where=text("lease_until IS NOT NULL"),
        ),
        Index(
            "ix_sync_request_failed",
            "kind",
            "key",
            sqlite_where=text("failed_seq = requested_seq"),
            postgresql_where=text("failed_seq = requested_seq"),
        ),
    )

    kind: str = Field(primary_key=True, sa_type=Text)
    key: str = Field(primary_key=True, sa_type=Text)
    #: How many requests have come in, and how far they have been served.
    requested_seq: int = Field(sa_type=BigInteger)
    done_seq: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    failed_seq: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    #: requested_seq as the latest claim saw it.
    claimed_seq: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    #: 0 person, 1 callout and API, 2 sweep, backfill and calendar.
    priority: int = Field(sa_type=SmallInteger)
    #: Not before this moment; None means that nothing is to be done.
    due_at: int | None = Field(default=None, sa_type=BigInteger)
    waiting_since: int | None = Field(default=None, sa_type=BigInteger)
    requested_at: int = Field(sa_type=BigInteger)
    attempts: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    #: Grows with each claim: the fence.
    token: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    lease_until: int | None = Field(default=None, sa_type=BigInteger)
    #: Read everything, take no short way; 0 or 1.
    full: int = Field(default=0, sa_type=SmallInteger, sa_column_kwargs={"server_default": "0"})
    #: An alias row's number, and the sequence under which that number was queued.
    resolved_key: str | None = Field(default=None, sa_type=Text)
    resolved_seq: int | None = Field(default=None, sa_type=BigInteger)
    last_error: str | None = Field(default=None, sa_type=Text)
    #: When a run last ended well, changed something or not.
    checked_at: int | None = Field(default=None, sa_type=BigInteger)


class SyncCauseRow(SQLModel, table=True):
    """One accepted request: who asked for a sync, and when."""

    __tablename__ = "sync_cause"
    __table_args__ = (Index("ix_sync_cause_request", "kind", "key", "seq"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=COUNTER)
    kind: str = Field(sa_type=Text)
    key: str = Field(sa_type=Text)
    seq: int = Field(sa_type=BigInteger)
    trigger: str = Field(sa_type=Text)
    #: The person, API client or job that asked, where we know.
    actor: str | None = Field(default=None, sa_type=Text)
    callout_id: int | None = Field(default=None, sa_type=BigInteger)
    at: int = Field(sa_type=BigInteger)


class SyncRunRow(SQLModel, table=True):
    """One attempt worth keeping, with its plan or its error: the history."""

    __tablename__ = "sync_run"
    __table_args__ = (
        Index("ix_sync_run_request", "kind", "key", "seq_to"),
        Index("ix_sync_run_outcome", "outcome", "id"),
        Index(
            "uq_sync_run_open_held",
            "kind",
            "key",
            unique=True,
            sqlite_where=text("outcome = 'held'"),
            postgresql_where=text("outcome = 'held'"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=COUNTER)
    kind: str = Field(sa_type=Text)
    key: str = Field(sa_type=Text)
    #: The causes that this run covers: after seq_from, up to and with seq_to.
    seq_from: int = Field(sa_type=BigInteger)
    seq_to: int = Field(sa_type=BigInteger)
    subscription_id: str | None = Field(default=None, sa_type=Text, index=True)
    owner: str | None = Field(default=None, sa_type=Text)
    #: changed, unchanged, imported, not in zuora, left out, retried, failed, resolved, listed, scrubbed; held while a
    #: person has to decide, then released, dropped or superseded.
    outcome: str = Field(sa_type=Text)
    #: The strongest cause: a person before an API caller before a callout before a job.
    trigger: str | None = Field(default=None, sa_type=Text)
    actor: str | None = Field(default=None, sa_type=Text)
    began_at: int = Field(sa_type=BigInteger)
    ended_at: int = Field(sa_type=BigInteger, index=True)
    #: Calls made to Zuora.
    calls: int = 0
    #: The sync plan as JSON: changes with before and after, notes.
    plan: dict[str, Any] | None = Field(default=None, sa_type=DOCUMENT)
    change_count: int = 0
    #: Cancels the subscription or empties its coming schedule: counted by the safety stop.
    drastic: bool = False
    #: What the plan would change, hashed: tells a dropped plan when it comes again. Only where a plan was held.
    plan_hash: str | None = Field(default=None, sa_type=Text)
    error_code: str | None = Field(default=None, sa_type=Text)
    error: str | None = Field(default=None, sa_type=Text)


class CalloutRow(SQLModel, table=True):
    """One notification as it came in: hints and a hash, never the body."""

    __tablename__ = "callout"
    __table_args__ = (Index("ix_callout_verdict", "verdict", "id"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=COUNTER)
    received_at: int = Field(sa_type=BigInteger, index=True)
    key: str = Field(sa_type=Text, index=True)
    #: accepted, ignored or rejected.
    verdict: str = Field(sa_type=Text)
    reason: str | None = Field(default=None, sa_type=Text)
    #: Same on every retry of one notification.
    notification_id: str | None = Field(default=None, sa_type=Text, index=True)
    #: New on every attempt.
    request_id: str | None = Field(default=None, sa_type=Text)
    source: str | None = Field(default=None, sa_type=Text)
    order_number: str | None = Field(default=None, sa_type=Text)
    created_by: str | None = Field(default=None, sa_type=Text)
    body_sha256: str | None = Field(default=None, sa_type=Text)


class ZuoraLimitRow(SQLModel, table=True):
    """How much of the tenant we may use, over all hosts: one row, locked by every claim."""

    __tablename__ = "zuora_limit"

    id: int = Field(default=1, primary_key=True)
    #: Runs at the same time; halves on a 429, recovers with quiet success.
    permitted: int
    #: No claim before this moment.
    open_until: int | None = Field(default=None, sa_type=BigInteger)
    #: Tenant errors in a row; while above zero one run probes.
    trouble: int = 0
    #: The last tenant error in words, for people.
    trouble_text: str | None = Field(default=None, sa_type=Text)
    trouble_code: str | None = Field(default=None, sa_type=Text)
    #: Answers in a row that speak against one number each, but all together against the tenant.
    doubts: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    #: Runs that ended well since the last change of `permitted`.
    quiet: int = 0
    #: The UTC day that calls_today counts.
    day: date | None = None
    calls_today: int = 0
    #: Counts claims, so that one in eight takes the longest waiting row.
    claims: int = Field(default=0, sa_type=BigInteger)


class ZuoraLeaseRow(SQLModel, table=True):
    """A story outside a sync that calls Zuora: counted with the live leases."""

    __tablename__ = "zuora_lease"

    id: int | None = Field(default=None, primary_key=True, sa_type=COUNTER)
    story: str = Field(sa_type=Text)
    lease_until: int = Field(sa_type=BigInteger)


class JobRow(SQLModel, table=True):
    """Periodic work: whoever holds the lease runs it, from the cursor on."""

    __tablename__ = "job"

    name: str = Field(primary_key=True, sa_type=Text)
    due_at: int = Field(sa_type=BigInteger)
    lease_until: int | None = Field(default=None, sa_type=BigInteger)
    token: int = Field(default=0, sa_type=BigInteger)
    paused: bool = False
    cursor: dict[str, Any] = Field(default_factory=dict, sa_type=DOCUMENT)
    progress: dict[str, Any] = Field(default_factory=dict, sa_type=DOCUMENT)
    last_began: int | None = Field(default=None, sa_type=BigInteger)
    last_ended: int | None = Field(default=None, sa_type=BigInteger)
    last_error: str | None = Field(default=None, sa_type=Text)


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


class OauthClientRow(SQLModel, table=True):
    """A client of our token endpoint."""

    __tablename__ = "oauth_client"
    __table_args__ = (UniqueConstraint("name"),)

    client_id: str = Field(primary_key=True, sa_type=Text)
    name: str = Field(sa_type=Text)
    #: argon2 hash; the secret itself is shown once and kept nowhere.
    secret_hash: str = Field(sa_type=Text)
    #: Space-delimited.
    scope: str = Field(sa_type=Text)
    #: Zuora itself uses this client: answers are those for callouts.
    callout: bool = False
    created_at: int = Field(sa_type=BigInteger)
    revoked_at: int | None = Field(default=None, sa_type=BigInteger)


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
    #: argon2 hash.
    password_hash: str = Field(sa_type=Text)
    #: viewer or operator.
    role: str = Field(sa_type=Text)
    created_at: int = Field(sa_type=BigInteger)
    #: Since then the person may no longer log in.
    disabled_at: int | None = Field(default=None, sa_type=BigInteger)


class AdminSessionRow(SQLModel, table=True):
    """One log-in, until it expires or the person logs out."""

    __tablename__ = "admin_session"

    #: Hash of the cookie: who reads this table can log in as nobody.
    token_hash: str = Field(primary_key=True, sa_type=Text)
    email: str = Field(sa_type=Text, index=True)
    began_at: int = Field(sa_type=BigInteger)
    #: The last page that was asked for, give or take a minute.
    seen_at: int = Field(sa_type=BigInteger, index=True)


class AdminActionRow(SQLModel, table=True):
    """Who did what in the admin pages or to their users. Only ever added to."""

    __tablename__ = "admin_action"

    id: int | None = Field(default=None, primary_key=True, sa_type=COUNTER)
    at: int = Field(sa_type=BigInteger)
    actor: str = Field(sa_type=Text)
    #: A word or two, such as `sync`, `release held`, `client revoked`.
    action: str = Field(sa_type=Text)
    #: What it was done to.
    target: str | None = Field(default=None, sa_type=Text)
