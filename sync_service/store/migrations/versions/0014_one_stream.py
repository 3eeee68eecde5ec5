"""one stream of what happened: what a run touched, indexes by time, and views that people keep

Revision ID: 0014
Revises: 0013
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_FILLED = sa.text("callout_id IS NOT NULL")
#: Table, index, columns now, columns before; none where there was no such index.
_INDEXES = (
    ("sync_run", "ix_sync_run_outcome", ["outcome", "ended_at", "id"], ["outcome", "id"]),
    ("sync_run", "ix_sync_run_key", ["kind", "key", "ended_at", "id"], None),
    ("callout", "ix_callout_verdict", ["verdict", "received_at", "id"], ["verdict", "id"]),
    ("callout", "ix_callout_key", ["key", "received_at", "id"], ["key", "id"]),
    ("order_work", "ix_order_work_submitted_at", ["submitted_at", "order_id"], None),
    ("admin_action", "ix_admin_action_at", ["at", "id"], None),
    ("admin_action", "ix_admin_action_target", ["target", "at", "id"], None),
)


def upgrade() -> None:
    """Bring the schema one step forward."""
    op.add_column("sync_run", sa.Column("touched", sa.Text(), nullable=True))
    for table, name, columns, before in _INDEXES:
        if before is not None:
            op.drop_index(name, table)
        op.create_index(name, table, columns)
    op.create_index(
        "ix_sync_cause_callout", "sync_cause", ["callout_id"], sqlite_where=_FILLED, postgresql_where=_FILLED
    )
    op.create_table(
        "admin_view",
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("email", "name", name=op.f("pk_admin_view")),
    )


def downgrade() -> None:
    """Take the step back."""
    op.drop_table("admin_view")
    op.drop_index("ix_sync_cause_callout", "sync_cause")
    for table, name, _, before in _INDEXES:
        op.drop_index(name, table)
        if before is not None:
            op.create_index(name, table, before)
    with op.batch_alter_table("sync_run", schema=None) as batch_op:
        batch_op.drop_column("touched")
