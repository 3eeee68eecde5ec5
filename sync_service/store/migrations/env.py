"""Alembic runs this for every command; `schema.py` hands the connection in."""

from __future__ import annotations

from alembic import context
from sqlmodel import SQLModel

from sync_service.store import tables  # noqa: F401 - registers the tables
from sync_service.store.schema import is_described

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_server_default=True,
    include_name=is_described,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
