"""What a search finds customers, numbers and accounts by. Triggers of the database write it; the code only reads it."""

from __future__ import annotations

from sqlalchemy import Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from sync_service.store.tables.kinds import BYTEWISE, COUNTER


class SearchEntryRow(SQLModel, table=True):
    """One thing that can be found, with the text that it is found by.

    Each word begins with WORD_MARK, so that two letters find the words that begin with them. The database indexes all
    groups of three characters of `text`: SQLite by its full-text index, PostgreSQL by an inverted index.
    """

    __tablename__ = "search_entry"
    __table_args__ = (UniqueConstraint("kind", "target"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=COUNTER)
    #: customer, number or reference.
    kind: str = Field(sa_type=Text)
    #: A customer's id, a Zuora subscription number, a subscription's id.
    target: str = Field(sa_type=Text)
    #: Folded as `fold` does.
    text: str = Field(sa_type=BYTEWISE)
