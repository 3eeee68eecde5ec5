"""How much of the store each statement looks at: what a page asks is written down, and asked again under watch.

PostgreSQL tells with EXPLAIN ANALYZE which tables it scans and how many rows it reads; SQLite counts the steps of its
virtual machine. Neither depends on how busy the machine is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg

from sync_service.store.engine import Database
from tests.listening import listening

#: Steps of SQLite's machine between two looks at the count.
_STEPS = 1000


@dataclass(frozen=True)
class Asked:
    """A statement as it went to the driver."""

    statement: str | bytes
    values: Any

    @property
    def text(self) -> str:
        """The statement as a text."""
        return self.statement if isinstance(self.statement, str) else self.statement.decode()


@dataclass
class Watched:
    """The statements that were sent while it watched."""

    asked: list[Asked] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one statement does."""

    #: Rows that it reads, wanted or not; on SQLite a thousandth of the machine's steps.
    rows: int
    #: Tables that it reads from end to end, with their rows.
    scanned: Mapping[str, int]
    plan: str

    def is_bounded(self, most_rows: int, small: int) -> bool:
        """Whether it reads at most so many rows, and from end to end only tables of fewer than `small`."""
        return self.rows <= most_rows and all(rows < small for rows in self.scanned.values())


def _is_repeatable(text: str) -> bool:
    """A plain INSERT looks at nothing and would meet its own row."""
    return not text.lstrip().upper().startswith("INSERT") or "ON CONFLICT" in text.upper()


@contextmanager
def watching(*, writes: bool = False) -> Iterator[Watched]:
    """Writes down each reading statement once; with `writes` also those that change what they find."""
    watched = Watched()

    def note(_: Any, statement: str | bytes, values: Any) -> None:
        of_many = isinstance(values, tuple) and bool(values) and isinstance(values[0], list)
        asked = Asked(statement, values[0] if of_many else values)
        known = {each.statement for each in watched.asked}
        reads = asked.text.lstrip()[:6].upper() in ("SELECT", "WITH R")
        if (reads or (writes and _is_repeatable(asked.text))) and statement not in known:
            watched.asked.append(asked)

    with listening(before=note):
        yield watched


def work_of(database: Database, asked: Asked, *, prefer_indexes: bool = False) -> Work:
    """Ask again and see, and take back what it changed; `prefer_indexes`: a small table is scanned only where no index
    fits."""
    with database.transaction() as session:
        driver = session.driver
        found = _steps_of(driver, asked) if database.dialect == "sqlite" else _explain(driver, asked, prefer_indexes)
        driver.rollback()
        return found


def _explain(driver: psycopg.Connection[Any], asked: Asked, prefer_indexes: bool) -> Work:
    if prefer_indexes:
        driver.execute("SET LOCAL enable_seqscan = off")
    # Bytes are a session's own, whose values have places; texts are the ORM's, with names.
    kind: Any = psycopg.RawCursor if isinstance(asked.statement, bytes) else psycopg.ClientCursor
    with kind(driver) as cursor:
        explained = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {asked.text}".encode()
        row = cursor.execute(explained, asked.values or None, prepare=False).fetchone()
    assert row
    plan = row[0][0]["Plan"]
    rows, scanned = 0, {}
    for node in _nodes(plan):
        if node["Node Type"] == "BitmapAnd":
            # The second index is read only where that costs less than to look at all that the first one found.
            found = sorted(each["Actual Rows"] * each["Actual Loops"] for each in node["Plans"])
            rows -= round(sum(found[1:]))
        # A scan of a subquery reads nothing that is not counted below it, and a heap what its bitmaps found.
        if ("Relation Name" in node and node["Node Type"] != "Bitmap Heap Scan") or "Index Name" in node:
            passed_over = sum(node.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Index Recheck"))
            read = round((node["Actual Rows"] + passed_over) * node["Actual Loops"])
            rows += read
            if node["Node Type"] == "Seq Scan" and read:
                scanned[node["Relation Name"]] = read
    return Work(rows=rows, scanned=scanned, plan=json.dumps(plan, indent=1))


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


def _steps_of(driver: Any, asked: Asked) -> Work:
    looks = 0

    def count() -> int:
        nonlocal looks
        looks += 1
        return 0

    plan = driver.execute(f"EXPLAIN QUERY PLAN {asked.text}", asked.values or ()).fetchall()
    driver.set_progress_handler(count, _STEPS)
    try:
        driver.execute(asked.text, asked.values or ()).fetchall()
    finally:
        driver.set_progress_handler(None, 0)
    return Work(rows=looks, scanned={}, plan="\n".join(row[3] for row in plan))
