"""Column types that mean the same on both databases, and how constraints are named.

No Numeric column: SQLite would make money a float.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Integer,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import SQLModel

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
