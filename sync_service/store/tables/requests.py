"""The queue and the history: requests, causes, runs, callouts, and how much of the tenant we may use."""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Index,
    SmallInteger,
    Text,
    false,
    text,
)
from sqlmodel import Field, SQLModel

from sync_service.store.tables.kinds import COUNTER, DOCUMENT


class SyncRequestRow(SQLModel, table=True):
    """The durable wish that a number be synced; the queue."""

    __tablename__ = "sync_request"
    __table_args__ = (
        CheckConstraint("done_seq <= requested_seq", name="done_within_requested"),
        CheckConstraint("failed_seq <= requested_seq", name="failed_within_requested"),
        CheckConstraint("claimed_seq <= requested_seq", name="claimed_within_requested"),
        CheckConstraint(
            "(due_at IS NULL) = (requested_seq = done_seq OR requested_seq = failed_seq)", name="due_while_open"
        ),
        CheckConstraint("(due_at IS NULL) = (waiting_since IS NULL)", name="waiting_while_due"),
        CheckConstraint("kind IN ('subscription', 'alias', 'account', 'order')", name="kind"),
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
        Index(
            "ix_sync_request_checked",
            "kind",  # with the condition's columns in it SQLite prefers the index to those of one of them
            "checked_at",
            "key",
            sqlite_where=text("kind = 'subscription' AND checked_at IS NOT NULL"),
            postgresql_where=text("kind = 'subscription' AND checked_at IS NOT NULL"),
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
    #: The token while the lease is used for a call that creates an order, which Zuora counts apart.
    ordering_token: int | None = Field(default=None, sa_type=BigInteger)
    #: The token while the run has one of the places of its process, whose row counts and not this lease.
    placed_token: int | None = Field(default=None, sa_type=BigInteger)
    #: When the run of the latest claim had read all that it needs; noted only for a person who watches.
    read_at: int | None = Field(default=None, sa_type=BigInteger)
    #: Read everything, take no short way; 0 or 1.
    full: int = Field(default=0, sa_type=SmallInteger, sa_column_kwargs={"server_default": "0"})
    #: An alias row's number, and the sequence under which that number was queued.
    resolved_key: str | None = Field(default=None, sa_type=Text)
    resolved_seq: int | None = Field(default=None, sa_type=BigInteger)
    last_error: str | None = Field(default=None, sa_type=Text)
    #: The code of the error with which the request was given up.
    error_code: str | None = Field(default=None, sa_type=Text)
    #: When a run last ended well, changed something or not.
    checked_at: int | None = Field(default=None, sa_type=BigInteger)
    #: When the reading of the last run began that found the store equal to Zuora. The link says it of one that changed
    #: something.
    equal_from: int | None = Field(default=None, sa_type=BigInteger)
    #: The end of the last run that compared the customer with Zuora, also if nothing differed: an older read of another
    #: of the customer's subscriptions is not written over it.
    compared_at: int | None = Field(default=None, sa_type=BigInteger)


class SyncCauseRow(SQLModel, table=True):
    """One accepted request: who asked for a sync, and when."""

    __tablename__ = "sync_cause"
    __table_args__ = (
        Index("ix_sync_cause_request", "kind", "key", "seq"),
        Index(
            "ix_sync_cause_callout",
            "callout_id",
            sqlite_where=text("callout_id IS NOT NULL"),
            postgresql_where=text("callout_id IS NOT NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=COUNTER)
    kind: str = Field(sa_type=Text)
    key: str = Field(sa_type=Text)
    seq: int = Field(sa_type=BigInteger)
    trigger: str = Field(sa_type=Text)
    #: The person, API client or job that asked, where we know.
    actor: str | None = Field(default=None, sa_type=Text)
    callout_id: int | None = Field(default=None, sa_type=BigInteger)
    #: How the sweep that asks counts it: drift, echo, …; None where no sweep found a difference.
    found_as: str | None = Field(default=None, sa_type=Text)
    #: The span that asked, as a `traceparent` of W3C Trace Context; None where traces are off.
    trace: str | None = Field(default=None, sa_type=Text)
    at: int = Field(sa_type=BigInteger)


class SyncRunRow(SQLModel, table=True):
    """One attempt worth keeping, with its plan or its error: the history."""

    __tablename__ = "sync_run"
    __table_args__ = (
        Index("ix_sync_run_request", "kind", "key", "seq_to"),
        Index("ix_sync_run_key", "kind", "key", "ended_at", "id"),
        Index("ix_sync_run_outcome", "outcome", "ended_at", "id"),
        Index("ix_sync_run_day", "ended_at", "outcome"),
        Index(
            "ix_sync_run_drift",
            "trigger",
            "outcome",
            "ended_at",
            sqlite_where=text("trigger = 'sweep' AND outcome = 'changed'"),
            postgresql_where=text("trigger = 'sweep' AND outcome = 'changed'"),
        ),
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
    ended_at: int = Field(sa_type=BigInteger)
    #: Calls made to Zuora.
    calls: int = 0
    #: How many subscriptions the run of an account queued.
    listed: int | None = None
    #: The person who released or dropped the plan, and when.
    decided_by: str | None = Field(default=None, sa_type=Text)
    decided_at: int | None = Field(default=None, sa_type=BigInteger)
    #: The sync plan as JSON: changes with before and after, notes.
    plan: dict[str, Any] | None = Field(default=None, sa_type=DOCUMENT)
    change_count: int = 0
    #: What the plan changes, as words of `Touch` between blanks; None where an earlier release kept the run.
    touched: str | None = Field(default=None, sa_type=Text)
    #: Cancels the subscription or empties its coming schedule: counted by the safety stop.
    drastic: bool = False
    #: What the plan would change, hashed: tells a dropped plan when it comes again. Only where a plan was held.
    plan_hash: str | None = Field(default=None, sa_type=Text)
    error_code: str | None = Field(default=None, sa_type=Text)
    error: str | None = Field(default=None, sa_type=Text)


class CalloutRow(SQLModel, table=True):
    """One notification as it came in: hints and a hash, never the body."""

    __tablename__ = "callout"
    __table_args__ = (
        Index("ix_callout_verdict", "verdict", "received_at", "id"),
        Index("ix_callout_key", "key", "received_at", "id"),
        Index(
            "ix_callout_order",
            "order_number",
            sqlite_where=text("order_number IS NOT NULL"),
            postgresql_where=text("order_number IS NOT NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=COUNTER)
    received_at: int = Field(sa_type=BigInteger, index=True)
    key: str = Field(sa_type=Text)
    #: accepted, ignored or rejected.
    verdict: str = Field(sa_type=Text)
    #: Why it was ignored or rejected: a code to decide by, and the words for people.
    reason_code: str | None = Field(default=None, sa_type=Text)
    reason: str | None = Field(default=None, sa_type=Text)
    #: Same on every retry of one notification.
    notification_id: str | None = Field(default=None, sa_type=Text, index=True)
    #: New on every attempt.
    request_id: str | None = Field(default=None, sa_type=Text)
    source: str | None = Field(default=None, sa_type=Text)
    order_number: str | None = Field(default=None, sa_type=Text)
    created_by: str | None = Field(default=None, sa_type=Text)
    body_sha256: str | None = Field(default=None, sa_type=Text)
    #: The address that a rejected one came from, as far as trusted proxies say.
    sender: str | None = Field(default=None, sa_type=Text)


class ZuoraLimitRow(SQLModel, table=True):
    """How much of the tenant we may use, over all hosts: one row, locked by every claim."""

    __tablename__ = "zuora_limit"

    id: int = Field(default=1, primary_key=True)
    #: Runs at the same time; halves on a 429, recovers with quiet success.
    permitted: int
    #: Calls at the same time that Zuora permits the whole tenant, as its answers say; None before the first.
    reported: int | None = None
    #: No claim before this moment.
    open_until: int | None = Field(default=None, sa_type=BigInteger)
    #: Tenant errors in a row; while above zero one run probes.
    trouble: int = 0
    #: The last tenant error in words, for people.
    trouble_text: str | None = Field(default=None, sa_type=Text)
    trouble_code: str | None = Field(default=None, sa_type=Text)
    #: Different numbers in a row whose answers speak against each of them, but all together against the tenant. None of
    #: them probes.
    doubtful: list[str] = Field(default_factory=list, sa_type=DOCUMENT, sa_column_kwargs={"server_default": "[]"})
    #: The number whose error made the last pause; None where no number did.
    paused_by: str | None = Field(default=None, sa_type=Text)
    #: Runs that ended well since the last change of `permitted`.
    quiet: int = 0
    #: When Zuora last answered well; kept to within a minute.
    answered_at: int | None = Field(default=None, sa_type=BigInteger)
    #: The UTC day that calls_today counts.
    day: date | None = None
    calls_today: int = 0
    #: Until then the next free place is left to the story or process that waits for one.
    wished_until: int | None = Field(default=None, sa_type=BigInteger)
    #: Counts claims, so that one in eight takes the longest waiting row.
    claims: int = Field(default=0, sa_type=BigInteger)


class ZuoraLeaseRow(SQLModel, table=True):
    """Calls to Zuora that are counted with the live leases: of a story outside a sync, or of a worker's runs."""

    __tablename__ = "zuora_lease"

    id: int | None = Field(default=None, primary_key=True, sa_type=COUNTER)
    story: str = Field(sa_type=Text)
    lease_until: int = Field(sa_type=BigInteger)
    #: How many there may be at the same time.
    calls: int = Field(default=1, sa_column_kwargs={"server_default": "1"})
    #: Whether it previews an order, which Zuora counts apart.
    ordering: bool = Field(default=False, sa_column_kwargs={"server_default": false()})


class HeartbeatRow(SQLModel, table=True):
    """A process that runs, or ran lately, and what it has counted: how the pages know that there is one."""

    __tablename__ = "heartbeat"

    #: Host, process id and a random part.
    id: str = Field(primary_key=True, sa_type=Text)
    #: web, worker or scheduler; gone is the sum of those that are.
    role: str = Field(sa_type=Text)
    started_at: int = Field(sa_type=BigInteger)
    seen_at: int = Field(sa_type=BigInteger)
    #: Its counters and histograms: name, labels and value of each series. None once the row `gone` has them.
    measured: list[Any] | None = Field(default=None, sa_type=DOCUMENT)


class JobRow(SQLModel, table=True):
    """Periodic work: the holder of the lease runs it, from the cursor on."""

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
