"""In which order a list of subscriptions stands, and how its pages follow each other by key in both directions.

Each page asks for what comes after the last row of the one before, or before the first: the millionth is as fast as
the first, and nothing is shown twice whatever comes in meanwhile. Every order ends with an id: no two rows are equal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, tuple_
from sqlmodel import col

from sync_service.store.cursors import CursorInvalid, make_cursor, open_cursor
from sync_service.store.tables import SubscriptionRow, SyncRequestRow

_LIST = "subscriptions"


@dataclass(frozen=True)
class Sorting:
    """One order: its columns, its default direction, and how a position is written."""

    name: str
    keys: tuple[Any, Any]
    descends: bool
    #: A position's first part from its text.
    parse: Callable[[str], Any] = str


ORDERS = {
    order.name: order
    for order in (
        Sorting("newest", (col(SubscriptionRow.listed_at), col(SubscriptionRow.id)), descends=True),
        Sorting("number", (col(SubscriptionRow.listed_number), col(SubscriptionRow.id)), descends=False),
        Sorting("updated", (col(SubscriptionRow.listed_updated), col(SubscriptionRow.id)), descends=True),
        Sorting("ending", (col(SubscriptionRow.listed_end), col(SubscriptionRow.id)), descends=False),
        Sorting("checked", (col(SyncRequestRow.checked_at), col(SyncRequestRow.key)), descends=True, parse=int),
    )
}


@dataclass(frozen=True)
class SortDirection:
    """An order and the way it goes."""

    order: Sorting
    descends: bool

    @property
    def word(self) -> str:
        """As an address has it: the order's name, with a minus where it is turned round."""
        return self.order.name if self.descends == self.order.descends else f"-{self.order.name}"

    @property
    def reverse(self) -> SortDirection:
        """The same order the other way round."""
        return SortDirection(self.order, not self.descends)


NEWEST = SortDirection(ORDERS["newest"], descends=True)


def read_turn(word: str) -> SortDirection:
    """The order that an address names; the newest first where it names none."""
    order = ORDERS.get(word.removeprefix("-"))
    if order is None:
        return NEWEST
    return SortDirection(order, order.descends is not word.startswith("-"))


def place(
    statement: Any, turn: SortDirection, position: str | None, *, backward: bool, limit: int, few: bool = False
) -> Any:
    """`statement` for the `limit` rows after `position`, or `backward` before it; an invalid one counts as none.

    `few`: it asks for so few rows that they are to be sorted; the index of the order would lead through all.
    """
    falls = turn.descends is not backward
    here = _open(position, turn.order)
    first, last = turn.order.keys
    ordered = (func.coalesce(first, ""), last) if few else (first, last)
    if here is not None:
        keys, spot = tuple_(*ordered), tuple_(*here)
        statement = statement.where(keys < spot if falls else keys > spot)
    order = [key.desc() if falls else key.asc() for key in ordered]
    return statement.order_by(*order).limit(limit)


def close(parts: Sequence[Any]) -> str:
    """A position for an address."""
    return make_cursor(_LIST, json.dumps([str(part) for part in parts]))


def is_position(position: str | None, turn: SortDirection) -> bool:
    """Whether `position` is one of this order's."""
    return _open(position, turn.order) is not None


def _open(position: str | None, order: Sorting) -> tuple[Any, str] | None:
    try:
        first, last = json.loads(open_cursor(_LIST, position or ""))
        if not (isinstance(first, str) and isinstance(last, str) and (first + last).isprintable()):
            return None
        return order.parse(first[:19]) if order.parse is int else first, last
    except (CursorInvalid, ValueError, TypeError, RecursionError):
        return None
