"""A statement of ours on its way to the driver and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.dialects import sqlite

from sync_service.store.statement import Statement


class Cursor:
    """A driver's cursor with one row, which another thread uses the same statement beside."""

    def __init__(self, beside: Callable[[], None] = lambda: None) -> None:
        self._beside = beside
        self._looks = 0

    @property
    def description(self) -> Any:
        self._looks += 1
        if self._looks == 2:  # it is known that there are rows, and not yet how they are made
            self._beside()
        return (("number",),)

    def fetchall(self) -> list[Any]:
        return [("A-S1",)]


def test_a_statement_that_two_threads_use_for_the_first_time_gives_both_of_them_their_rows() -> None:
    statement = Statement("SELECT number FROM zuora_link", sqlite.dialect())
    found: list[list[Any]] = []

    first = statement.read(Cursor(lambda: found.append(statement.read(Cursor()))))

    assert [row.number for row in first] == ["A-S1"]
    assert [[row.number for row in rows] for rows in found] == [["A-S1"]] * len(found)
    assert found
