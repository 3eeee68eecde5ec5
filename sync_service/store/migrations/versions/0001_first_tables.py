"""first tables

Revision ID: 0001
Revises:
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Text
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Bring the schema one step forward."""
    op.create_table(
        "admin_action",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_admin_action")),
    )
    op.create_table(
        "admin_session",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("signed_on", sa.Boolean(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_admin_session")),
    )
    with op.batch_alter_table("admin_session", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_admin_session_email"), ["email"], unique=False)
        batch_op.create_index(batch_op.f("ix_admin_session_seen_at"), ["seen_at"], unique=False)

    op.create_table(
        "admin_user",
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("password_until", sa.BigInteger(), nullable=True),
        sa.Column("issuer", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("disabled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("email", name=op.f("pk_admin_user")),
    )
    op.create_table(
        "ask",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.Column("answer", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ask")),
    )
    with op.batch_alter_table("ask", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_ask_asked_at"), ["asked_at"], unique=False)
        batch_op.create_index(
            "ix_ask_open",
            ["id"],
            unique=False,
            sqlite_where=sa.text("answered_at IS NULL"),
            postgresql_where=sa.text("answered_at IS NULL"),
        )

    op.create_table(
        "backfill_wish",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_backfill_wish")),
    )
    op.create_table(
        "callout",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("notification_id", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("order_number", sa.Text(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("body_sha256", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_callout")),
    )
    with op.batch_alter_table("callout", schema=None) as batch_op:
        batch_op.create_index("ix_callout_key", ["key", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_callout_notification_id"), ["notification_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_callout_received_at"), ["received_at"], unique=False)
        batch_op.create_index("ix_callout_verdict", ["verdict", "id"], unique=False)

    op.create_table(
        "job",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("cursor", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=False),
        sa.Column(
            "progress", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=False
        ),
        sa.Column("last_began", sa.BigInteger(), nullable=True),
        sa.Column("last_ended", sa.BigInteger(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_job")),
    )
    op.create_table(
        "limio_add_on",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("created", sa.Text(), nullable=True),
        sa.Column("updated", sa.Text(), nullable=True),
        sa.Column("subscription_id", sa.Text(), nullable=True),
        sa.Column(
            "document", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=False
        ),
        sa.Column("synced_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_limio_add_on")),
    )
    with op.batch_alter_table("limio_add_on", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_limio_add_on_owner"), ["owner"], unique=False)
        batch_op.create_index(batch_op.f("ix_limio_add_on_subscription_id"), ["subscription_id"], unique=False)

    op.create_table(
        "limio_address",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("created", sa.Text(), nullable=True),
        sa.Column("updated", sa.Text(), nullable=True),
        sa.Column("subscription_id", sa.Text(), nullable=True),
        sa.Column(
            "document", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=False
        ),
        sa.Column("synced_at", sa.BigInteger(), nullable=True),
        sa.Column("relationship_type", sa.Text(), nullable=True),
        sa.Column("start", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_limio_address")),
    )
    with op.batch_alter_table("limio_address", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_limio_address_owner"), ["owner"], unique=False)
        batch_op.create_index(batch_op.f("ix_limio_address_subscription_id"), ["subscription_id"], unique=False)

    op.create_table(
        "limio_customer",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("created", sa.Text(), nullable=True),
        sa.Column("updated", sa.Text(), nullable=True),
        sa.Column("subscription_id", sa.Text(), nullable=True),
        sa.Column(
            "document", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=False
        ),
        sa.Column("synced_at", sa.BigInteger(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("email_folded", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=True),
        sa.Column("name_folded", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=True),
        sa.Column("compared_until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_limio_customer")),
    )
    with op.batch_alter_table("limio_customer", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_limio_customer_email"), ["email"], unique=False)
        batch_op.create_index(batch_op.f("ix_limio_customer_email_folded"), ["email_folded"], unique=False)
        batch_op.create_index(batch_op.f("ix_limio_customer_name_folded"), ["name_folded"], unique=False)
        batch_op.create_index(batch_op.f("ix_limio_customer_owner"), ["owner"], unique=False)
        batch_op.create_index(batch_op.f("ix_limio_customer_subscription_id"), ["subscription_id"], unique=False)

    op.create_table(
        "limio_event",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("created", sa.Text(), nullable=True),
        sa.Column("updated", sa.Text(), nullable=True),
        sa.Column("subscription_id", sa.Text(), nullable=True),
        sa.Column(
            "document", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=False
        ),
        sa.Column("synced_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_limio_event")),
    )
    with op.batch_alter_table("limio_event", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_limio_event_owner"), ["owner"], unique=False)
        batch_op.create_index(batch_op.f("ix_limio_event_subscription_id"), ["subscription_id"], unique=False)

    op.create_table(
        "limio_identity",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("created", sa.Text(), nullable=True),
        sa.Column("updated", sa.Text(), nullable=True),
        sa.Column("subscription_id", sa.Text(), nullable=True),
        sa.Column(
            "document", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=False
        ),
        sa.Column("synced_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_limio_identity")),
    )
    with op.batch_alter_table("limio_identity", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_limio_identity_owner"), ["owner"], unique=False)
        batch_op.create_index(batch_op.f("ix_limio_identity_subscription_id"), ["subscription_id"], unique=False)

    op.create_table(
        "limio_order",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("created", sa.Text(), nullable=True),
        sa.Column("updated", sa.Text(), nullable=True),
        sa.Column("subscription_id", sa.Text(), nullable=True),
        sa.Column(
            "document", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=False
        ),
        sa.Column("synced_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_limio_order")),
    )
    with op.batch_alter_table("limio_order", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_limio_order_owner"), ["owner"], unique=False)
        batch_op.create_index(batch_op.f("ix_limio_order_subscription_id"), ["subscription_id"], unique=False)

    op.create_table(
        "limio_payment_method",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("created", sa.Text(), nullable=True),
        sa.Column("updated", sa.Text(), nullable=True),
        sa.Column("subscription_id", sa.Text(), nullable=True),
        sa.Column(
            "document", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=False
        ),
        sa.Column("synced_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_limio_payment_method")),
    )
    with op.batch_alter_table("limio_payment_method", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_limio_payment_method_owner"), ["owner"], unique=False)
        batch_op.create_index(batch_op.f("ix_limio_payment_method_subscription_id"), ["subscription_id"], unique=False)

    op.create_table(
        "limio_relation",
        sa.Column("subscription_id", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("relationship_type", sa.Text(), nullable=False),
        sa.Column("relationship_id", sa.Text(), nullable=True),
        sa.Column("record_type", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("subscription_id", "object_id", "relationship_type", name=op.f("pk_limio_relation")),
    )
    with op.batch_alter_table("limio_relation", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_limio_relation_object_id"), ["object_id"], unique=False)

    op.create_table(
        "limio_schedule",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("created", sa.Text(), nullable=True),
        sa.Column("updated", sa.Text(), nullable=True),
        sa.Column("subscription_id", sa.Text(), nullable=True),
        sa.Column(
            "document", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=False
        ),
        sa.Column("synced_at", sa.BigInteger(), nullable=True),
        sa.Column("due", sa.Date(), nullable=True),
        sa.Column("type", sa.Text(), nullable=True),
        sa.Column("amount", sa.Text(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_limio_schedule")),
    )
    with op.batch_alter_table("limio_schedule", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_limio_schedule_owner"), ["owner"], unique=False)
        batch_op.create_index(batch_op.f("ix_limio_schedule_subscription_id"), ["subscription_id"], unique=False)

    op.create_table(
        "limio_subscription",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("created", sa.Text(), nullable=True),
        sa.Column("updated", sa.Text(), nullable=True),
        sa.Column("subscription_id", sa.Text(), nullable=True),
        sa.Column(
            "document", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=False
        ),
        sa.Column("synced_at", sa.BigInteger(), nullable=True),
        sa.Column("customer", sa.Text(), nullable=True),
        sa.Column("term_start", sa.Date(), nullable=True),
        sa.Column("term_end", sa.Date(), nullable=True),
        sa.Column("auto_renew", sa.Boolean(), nullable=True),
        sa.Column("external", sa.Boolean(), nullable=False),
        sa.Column("never_synced", sa.Boolean(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("listed_at", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("listed_number", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("listed_updated", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("listed_end", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_limio_subscription")),
    )
    with op.batch_alter_table("limio_subscription", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_limio_subscription_customer"), ["customer"], unique=False)
        batch_op.create_index("ix_limio_subscription_ending", ["listed_end", "id"], unique=False)
        batch_op.create_index(
            "ix_limio_subscription_external",
            ["listed_at", "id"],
            unique=False,
            sqlite_where=sa.text("external IS 1"),
            postgresql_where=sa.text("external IS true"),
        )
        batch_op.create_index(
            "ix_limio_subscription_never_synced",
            ["listed_at", "id"],
            unique=False,
            sqlite_where=sa.text("never_synced IS 1"),
            postgresql_where=sa.text("never_synced IS true"),
        )
        batch_op.create_index("ix_limio_subscription_newest", ["listed_at", "id"], unique=False)
        batch_op.create_index("ix_limio_subscription_number", ["listed_number", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_limio_subscription_order_id"), ["order_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_limio_subscription_owner"), ["owner"], unique=False)
        batch_op.create_index("ix_limio_subscription_reference", ["reference"], unique=False)
        batch_op.create_index(
            "ix_limio_subscription_renewing",
            ["status", "term_end", "id"],
            unique=False,
            sqlite_where=sa.text("auto_renew IS 1"),
            postgresql_where=sa.text("auto_renew IS true"),
        )
        batch_op.create_index("ix_limio_subscription_status", ["status", "listed_at", "id"], unique=False)
        batch_op.create_index("ix_limio_subscription_status_ending", ["status", "listed_end", "id"], unique=False)
        batch_op.create_index("ix_limio_subscription_status_number", ["status", "listed_number", "id"], unique=False)
        batch_op.create_index("ix_limio_subscription_status_updated", ["status", "listed_updated", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_limio_subscription_subscription_id"), ["subscription_id"], unique=False)
        batch_op.create_index("ix_limio_subscription_updated", ["listed_updated", "id"], unique=False)

    op.create_table(
        "limio_subscription_offer",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("created", sa.Text(), nullable=True),
        sa.Column("updated", sa.Text(), nullable=True),
        sa.Column("subscription_id", sa.Text(), nullable=True),
        sa.Column(
            "document", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=False
        ),
        sa.Column("synced_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_limio_subscription_offer")),
    )
    with op.batch_alter_table("limio_subscription_offer", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_limio_subscription_offer_owner"), ["owner"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_limio_subscription_offer_subscription_id"), ["subscription_id"], unique=False
        )

    op.create_table(
        "oauth_client",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("callout", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_oauth_client")),
        sa.UniqueConstraint("name", name=op.f("uq_oauth_client_name")),
    )
    op.create_table(
        "scrub_mark",
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("object_id", name=op.f("pk_scrub_mark")),
    )
    op.create_table(
        "store_tenant",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_store_tenant")),
    )
    op.create_table(
        "subscription_alias",
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("alias", name=op.f("pk_subscription_alias")),
    )
    with op.batch_alter_table("subscription_alias", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_subscription_alias_number"), ["number"], unique=False)

    op.create_table(
        "sweep_seen",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "key", name=op.f("pk_sweep_seen")),
    )
    with op.batch_alter_table("sweep_seen", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sweep_seen_at"), ["at"], unique=False)

    op.create_table(
        "sync_cause",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("callout_id", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_cause")),
    )
    with op.batch_alter_table("sync_cause", schema=None) as batch_op:
        batch_op.create_index("ix_sync_cause_request", ["kind", "key", "seq"], unique=False)

    op.create_table(
        "sync_request",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("requested_seq", sa.BigInteger(), nullable=False),
        sa.Column("done_seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("failed_seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("claimed_seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("waiting_since", sa.BigInteger(), nullable=True),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("token", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("read_at", sa.BigInteger(), nullable=True),
        sa.Column("full", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("resolved_key", sa.Text(), nullable=True),
        sa.Column("resolved_seq", sa.BigInteger(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("checked_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("kind IN ('subscription', 'alias', 'account')", name=op.f("ck_sync_request_kind")),
        sa.CheckConstraint(
            "(due_at IS NULL) = (requested_seq = done_seq OR requested_seq = failed_seq)",
            name=op.f("ck_sync_request_due_while_open"),
        ),
        sa.CheckConstraint(
            "(due_at IS NULL) = (waiting_since IS NULL)", name=op.f("ck_sync_request_waiting_while_due")
        ),
        sa.CheckConstraint("claimed_seq <= requested_seq", name=op.f("ck_sync_request_claimed_within_requested")),
        sa.CheckConstraint("done_seq <= requested_seq", name=op.f("ck_sync_request_done_within_requested")),
        sa.CheckConstraint("failed_seq <= requested_seq", name=op.f("ck_sync_request_failed_within_requested")),
        sa.CheckConstraint("priority BETWEEN 0 AND 2", name=op.f("ck_sync_request_priority")),
        sa.PrimaryKeyConstraint("kind", "key", name=op.f("pk_sync_request")),
    )
    with op.batch_alter_table("sync_request", schema=None) as batch_op:
        batch_op.create_index(
            "ix_sync_request_age",
            ["waiting_since"],
            unique=False,
            sqlite_where=sa.text("due_at IS NOT NULL"),
            postgresql_where=sa.text("due_at IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_sync_request_checked",
            ["kind", "checked_at", "key"],
            unique=False,
            sqlite_where=sa.text("kind = 'subscription' AND checked_at IS NOT NULL"),
            postgresql_where=sa.text("kind = 'subscription' AND checked_at IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_sync_request_failed",
            ["kind", "key"],
            unique=False,
            sqlite_where=sa.text("failed_seq = requested_seq"),
            postgresql_where=sa.text("failed_seq = requested_seq"),
        )
        batch_op.create_index(
            "ix_sync_request_live",
            ["lease_until"],
            unique=False,
            sqlite_where=sa.text("lease_until IS NOT NULL"),
            postgresql_where=sa.text("lease_until IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_sync_request_turn",
            ["priority", "due_at"],
            unique=False,
            sqlite_where=sa.text("due_at IS NOT NULL"),
            postgresql_where=sa.text("due_at IS NOT NULL"),
        )

    op.create_table(
        "sync_run",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("seq_from", sa.BigInteger(), nullable=False),
        sa.Column("seq_to", sa.BigInteger(), nullable=False),
        sa.Column("subscription_id", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("plan", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=True),
        sa.Column("change_count", sa.Integer(), nullable=False),
        sa.Column("drastic", sa.Boolean(), nullable=False),
        sa.Column("plan_hash", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_run")),
    )
    with op.batch_alter_table("sync_run", schema=None) as batch_op:
        batch_op.create_index("ix_sync_run_day", ["ended_at", "outcome"], unique=False)
        batch_op.create_index(
            "ix_sync_run_drift",
            ["trigger", "outcome", "ended_at"],
            unique=False,
            sqlite_where=sa.text("trigger = 'sweep' AND outcome = 'changed'"),
            postgresql_where=sa.text("trigger = 'sweep' AND outcome = 'changed'"),
        )
        batch_op.create_index("ix_sync_run_outcome", ["outcome", "id"], unique=False)
        batch_op.create_index("ix_sync_run_request", ["kind", "key", "seq_to"], unique=False)
        batch_op.create_index(batch_op.f("ix_sync_run_subscription_id"), ["subscription_id"], unique=False)
        batch_op.create_index(
            "uq_sync_run_open_held",
            ["kind", "key"],
            unique=True,
            sqlite_where=sa.text("outcome = 'held'"),
            postgresql_where=sa.text("outcome = 'held'"),
        )

    op.create_table(
        "throttle",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("window_began", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_throttle")),
    )
    op.create_table(
        "zuora_account",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("customer", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_zuora_account")),
    )
    op.create_table(
        "zuora_lease",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("story", sa.Text(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_zuora_lease")),
    )
    op.create_table(
        "zuora_limit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("permitted", sa.Integer(), nullable=False),
        sa.Column("open_until", sa.BigInteger(), nullable=True),
        sa.Column("trouble", sa.Integer(), nullable=False),
        sa.Column("trouble_text", sa.Text(), nullable=True),
        sa.Column("trouble_code", sa.Text(), nullable=True),
        sa.Column("doubts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("quiet", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=True),
        sa.Column("calls_today", sa.Integer(), nullable=False),
        sa.Column("claims", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_zuora_limit")),
    )
    op.create_table(
        "zuora_link",
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("subscription_id", sa.Text(), nullable=True),
        sa.Column("zuora_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("account_number", sa.Text(), nullable=True),
        sa.Column("started_on", sa.Date(), nullable=True),
        sa.Column("cancelled", sa.Boolean(), nullable=False),
        sa.Column(
            "fingerprint", sa.JSON().with_variant(postgresql.JSONB(astext_type=Text()), "postgresql"), nullable=False
        ),
        sa.Column("read_began", sa.BigInteger(), nullable=False),
        sa.Column("read_ended", sa.BigInteger(), nullable=False),
        sa.Column("look_again_on", sa.Date(), nullable=True),
        sa.Column("schedule_left_alone", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_zuora_link")),
        sa.UniqueConstraint("subscription_id", name=op.f("uq_zuora_link_subscription_id")),
    )
    with op.batch_alter_table("zuora_link", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_zuora_link_account_id"), ["account_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_zuora_link_look_again_on"), ["look_again_on"], unique=False)
        batch_op.create_index(batch_op.f("ix_zuora_link_zuora_id"), ["zuora_id"], unique=False)


def downgrade() -> None:
    """Take the step back."""
    with op.batch_alter_table("zuora_link", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_zuora_link_zuora_id"))
        batch_op.drop_index(batch_op.f("ix_zuora_link_look_again_on"))
        batch_op.drop_index(batch_op.f("ix_zuora_link_account_id"))

    op.drop_table("zuora_link")
    op.drop_table("zuora_limit")
    op.drop_table("zuora_lease")
    op.drop_table("zuora_account")
    op.drop_table("throttle")
    with op.batch_alter_table("sync_run", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_sync_run_open_held",
            sqlite_where=sa.text("outcome = 'held'"),
            postgresql_where=sa.text("outcome = 'held'"),
        )
        batch_op.drop_index(batch_op.f("ix_sync_run_subscription_id"))
        batch_op.drop_index("ix_sync_run_request")
        batch_op.drop_index("ix_sync_run_outcome")
        batch_op.drop_index(
            "ix_sync_run_drift",
            sqlite_where=sa.text("trigger = 'sweep' AND outcome = 'changed'"),
            postgresql_where=sa.text("trigger = 'sweep' AND outcome = 'changed'"),
        )
        batch_op.drop_index("ix_sync_run_day")

    op.drop_table("sync_run")
    with op.batch_alter_table("sync_request", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_sync_request_turn",
            sqlite_where=sa.text("due_at IS NOT NULL"),
            postgresql_where=sa.text("due_at IS NOT NULL"),
        )
        batch_op.drop_index(
            "ix_sync_request_live",
            sqlite_where=sa.text("lease_until IS NOT NULL"),
            postgresql_where=sa.text("lease_until IS NOT NULL"),
        )
        batch_op.drop_index(
            "ix_sync_request_failed",
            sqlite_where=sa.text("failed_seq = requested_seq"),
            postgresql_where=sa.text("failed_seq = requested_seq"),
        )
        batch_op.drop_index(
            "ix_sync_request_checked",
            sqlite_where=sa.text("kind = 'subscription' AND checked_at IS NOT NULL"),
            postgresql_where=sa.text("kind = 'subscription' AND checked_at IS NOT NULL"),
        )
        batch_op.drop_index(
            "ix_sync_request_age",
            sqlite_where=sa.text("due_at IS NOT NULL"),
            postgresql_where=sa.text("due_at IS NOT NULL"),
        )

    op.drop_table("sync_request")
    with op.batch_alter_table("sync_cause", schema=None) as batch_op:
        batch_op.drop_index("ix_sync_cause_request")

    op.drop_table("sync_cause")
    with op.batch_alter_table("sweep_seen", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sweep_seen_at"))

    op.drop_table("sweep_seen")
    with op.batch_alter_table("subscription_alias", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_subscription_alias_number"))

    op.drop_table("subscription_alias")
    op.drop_table("store_tenant")
    op.drop_table("scrub_mark")
    op.drop_table("oauth_client")
    with op.batch_alter_table("limio_subscription_offer", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_limio_subscription_offer_subscription_id"))
        batch_op.drop_index(batch_op.f("ix_limio_subscription_offer_owner"))

    op.drop_table("limio_subscription_offer")
    with op.batch_alter_table("limio_subscription", schema=None) as batch_op:
        batch_op.drop_index("ix_limio_subscription_updated")
        batch_op.drop_index(batch_op.f("ix_limio_subscription_subscription_id"))
        batch_op.drop_index("ix_limio_subscription_status_updated")
        batch_op.drop_index("ix_limio_subscription_status_number")
        batch_op.drop_index("ix_limio_subscription_status_ending")
        batch_op.drop_index("ix_limio_subscription_status")
        batch_op.drop_index(
            "ix_limio_subscription_renewing",
            sqlite_where=sa.text("auto_renew IS 1"),
            postgresql_where=sa.text("auto_renew IS true"),
        )
        batch_op.drop_index("ix_limio_subscription_reference")
        batch_op.drop_index(batch_op.f("ix_limio_subscription_owner"))
        batch_op.drop_index(batch_op.f("ix_limio_subscription_order_id"))
        batch_op.drop_index("ix_limio_subscription_number")
        batch_op.drop_index("ix_limio_subscription_newest")
        batch_op.drop_index(
            "ix_limio_subscription_never_synced",
            sqlite_where=sa.text("never_synced IS 1"),
            postgresql_where=sa.text("never_synced IS true"),
        )
        batch_op.drop_index(
            "ix_limio_subscription_external",
            sqlite_where=sa.text("external IS 1"),
            postgresql_where=sa.text("external IS true"),
        )
        batch_op.drop_index("ix_limio_subscription_ending")
        batch_op.drop_index(batch_op.f("ix_limio_subscription_customer"))

    op.drop_table("limio_subscription")
    with op.batch_alter_table("limio_schedule", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_limio_schedule_subscription_id"))
        batch_op.drop_index(batch_op.f("ix_limio_schedule_owner"))

    op.drop_table("limio_schedule")
    with op.batch_alter_table("limio_relation", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_limio_relation_object_id"))

    op.drop_table("limio_relation")
    with op.batch_alter_table("limio_payment_method", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_limio_payment_method_subscription_id"))
        batch_op.drop_index(batch_op.f("ix_limio_payment_method_owner"))

    op.drop_table("limio_payment_method")
    with op.batch_alter_table("limio_order", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_limio_order_subscription_id"))
        batch_op.drop_index(batch_op.f("ix_limio_order_owner"))

    op.drop_table("limio_order")
    with op.batch_alter_table("limio_identity", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_limio_identity_subscription_id"))
        batch_op.drop_index(batch_op.f("ix_limio_identity_owner"))

    op.drop_table("limio_identity")
    with op.batch_alter_table("limio_event", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_limio_event_subscription_id"))
        batch_op.drop_index(batch_op.f("ix_limio_event_owner"))

    op.drop_table("limio_event")
    with op.batch_alter_table("limio_customer", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_limio_customer_subscription_id"))
        batch_op.drop_index(batch_op.f("ix_limio_customer_owner"))
        batch_op.drop_index(batch_op.f("ix_limio_customer_name_folded"))
        batch_op.drop_index(batch_op.f("ix_limio_customer_email_folded"))
        batch_op.drop_index(batch_op.f("ix_limio_customer_email"))

    op.drop_table("limio_customer")
    with op.batch_alter_table("limio_address", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_limio_address_subscription_id"))
        batch_op.drop_index(batch_op.f("ix_limio_address_owner"))

    op.drop_table("limio_address")
    with op.batch_alter_table("limio_add_on", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_limio_add_on_subscription_id"))
        batch_op.drop_index(batch_op.f("ix_limio_add_on_owner"))

    op.drop_table("limio_add_on")
    op.drop_table("job")
    with op.batch_alter_table("callout", schema=None) as batch_op:
        batch_op.drop_index("ix_callout_verdict")
        batch_op.drop_index(batch_op.f("ix_callout_received_at"))
        batch_op.drop_index(batch_op.f("ix_callout_notification_id"))
        batch_op.drop_index("ix_callout_key")

    op.drop_table("callout")
    op.drop_table("backfill_wish")
    with op.batch_alter_table("ask", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_ask_open", sqlite_where=sa.text("answered_at IS NULL"), postgresql_where=sa.text("answered_at IS NULL")
        )
        batch_op.drop_index(batch_op.f("ix_ask_asked_at"))

    op.drop_table("ask")
    op.drop_table("admin_user")
    with op.batch_alter_table("admin_session", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_admin_session_seen_at"))
        batch_op.drop_index(batch_op.f("ix_admin_session_email"))

    op.drop_table("admin_session")
    op.drop_table("admin_action")
