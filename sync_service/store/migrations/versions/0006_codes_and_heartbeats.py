"""codes and heartbeats

Reasons and counts that were read from sentences become columns; who runs and who decided is kept.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_COLUMNS = (
    ("callout", sa.Column("reason_code", sa.Text(), nullable=True)),
    ("sync_cause", sa.Column("found_as", sa.Text(), nullable=True)),
    ("sync_request", sa.Column("error_code", sa.Text(), nullable=True)),
    ("sync_run", sa.Column("listed", sa.Integer(), nullable=True)),
    ("sync_run", sa.Column("decided_by", sa.Text(), nullable=True)),
    ("sync_run", sa.Column("decided_at", sa.BigInteger(), nullable=True)),
    ("zuora_limit", sa.Column("answered_at", sa.BigInteger(), nullable=True)),
)
# What the sentences of earlier releases began or ended with; the more special first.
_FOUND_AS = """
UPDATE sync_cause SET found_as = CASE WHEN actor LIKE '%(echo)' THEN 'echo' WHEN actor LIKE '%: not in Limio' THEN
  'import' WHEN actor LIKE '%: update time alone' THEN 'touched' WHEN actor LIKE '%: never read' THEN 'first_read'
  ELSE 'drift' END
WHERE trigger = 'sweep' AND actor LIKE 'sweep %:%'
"""
_GIVEN_UP = """
UPDATE sync_request SET error_code = (
  SELECT run.error_code FROM sync_run AS run WHERE run.kind = sync_request.kind AND run.key = sync_request.key
    AND run.seq_to = sync_request.failed_seq AND run.outcome = 'failed' ORDER BY run.id DESC LIMIT 1)
WHERE failed_seq = requested_seq
"""
_CONVERT = (
    "UPDATE callout SET reason_code = 'echo' WHERE reason LIKE 'echo%'",
    "UPDATE callout SET reason_code = 'impossible key' WHERE reason LIKE 'impossible key%'",
    "UPDATE callout SET reason_code = 'wrong credentials' WHERE reason LIKE 'wrong credentials%'",
    _FOUND_AS,
    _GIVEN_UP,
)


def upgrade() -> None:
    """Bring the schema one step forward."""
    for table, column in _COLUMNS:
        op.add_column(table, column)
    op.create_table(
        "heartbeat",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_heartbeat")),
    )
    for statement in _CONVERT:
        op.execute(statement)
    _count_listed()


def downgrade() -> None:
    """Take the step back."""
    op.drop_table("heartbeat")
    for table, column in reversed(_COLUMNS):
        with op.batch_alter_table(table) as batch:
            batch.drop_column(column.name)


def _count_listed() -> None:
    """The number of subscriptions stood at the beginning of the run's first note."""
    connection = op.get_bind()
    rows = connection.execute(sa.text("SELECT id, plan FROM sync_run WHERE outcome = 'listed'")).all()
    for row_id, plan in rows:
        notes = (json.loads(plan) if isinstance(plan, str) else plan or {}).get("notes") or [""]
        found = re.match(r"\d+", notes[0])
        if found:
            values = {"id": row_id, "listed": int(found[0])}
            connection.execute(sa.text("UPDATE sync_run SET listed = :listed WHERE id = :id"), values)
