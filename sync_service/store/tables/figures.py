"""What happened in each minute and hour, counted once it is over: the charts read these and no history."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Text
from sqlmodel import Field, SQLModel

from sync_service.store.tables.kinds import DOCUMENT


class FigureRow(SQLModel, table=True):
    """A minute or an hour in which a run ended; one without any has no row."""

    __tablename__ = "figure"
    __table_args__ = (CheckConstraint("span IN ('minute', 'hour')", name="span"),)

    span: str = Field(primary_key=True, sa_type=Text)
    #: Its beginning, in ms since 1970.
    at: int = Field(primary_key=True, sa_type=BigInteger)
    #: Runs by how they ended.
    outcomes: dict[str, int] = Field(sa_type=DOCUMENT)
    #: Of those, runs that put right what no callout told of.
    drift: int = 0
    #: From callout to written: runs by the place of their duration in `queue.figures.BOUNDS_MS`.
    took: dict[str, int] = Field(sa_type=DOCUMENT)
