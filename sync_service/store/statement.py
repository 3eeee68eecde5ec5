"""A statement that is made once, from a text or from the tables, and then handed to the driver as it is.

Half of what a short statement costs would otherwise go into putting it together anew each time.
"""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Dialect, Executable, Insert, Integer, Select, Table, Update, bindparam, select, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import UserDefinedType
from sqlmodel import SQLModel

Values = Mapping[str, object]
_Each = TypeVar("_Each")

#: Keys that one statement takes, and rows that one transaction writes.
BATCH = 500
_Process = Callable[[Any], Any]

#: How each driver takes values without a look into the statement.
_PARAMETER_STYLES = {"sqlite": "qmark", "postgresql": "numeric_dollar"}


def in_batches(values: Sequence[_Each]) -> Iterator[Sequence[_Each]]:
    """`values` in turn, at most BATCH at a time."""
    return (values[begin : begin + BATCH] for begin in range(0, len(values), BATCH))


@cache
def by_key(row_class: type[SQLModel]) -> Select[Any]:
    """Asks for the row of a primary key, each of whose columns is a value of its name."""
    table = table_of(row_class)
    return select(table).where(*(column == bindparam(column.name) for column in table.primary_key))


class _List(UserDefinedType[Any]):
    """Several values as one JSON text: PostgreSQL's driver would look at each of a list's elements."""

    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> _Process:
        return lambda values: json.dumps(list(values))


_LISTED = {
    "sqlite": "IN (SELECT value FROM json_each({values}))",
    "postgresql": "= ANY (ARRAY(SELECT CAST(value AS {kind}) FROM jsonb_array_elements_text(CAST({values} AS JSONB))))",
}


class _Within(FunctionElement[Any]):
    inherit_cache = True


def within(column: Any, name: str) -> Any:
    """Whether the column's value is in the list that the statement is given as `name`; one statement for any number."""
    return _Within(column, bindparam(name, type_=_List()))


@compiles(_Within)
def _spell_within(element: _Within, compiler: SQLCompiler, **more: Any) -> str:
    column, values = element.clauses
    kind = "BIGINT" if isinstance(column.type, Integer) else "TEXT"
    listed = _LISTED[compiler.dialect.name].format(values=compiler.process(values, **more), kind=kind)
    return f"{compiler.process(column, **more)} {listed}"


#: The rows of a list of lists, and for each of them the first rows of a table. SQLite has no LATERAL.
_ROWS = {
    "sqlite": "(SELECT {columns} FROM json_each(:{name})) AS {name}",
    "postgresql": "(SELECT {columns} FROM jsonb_array_elements(CAST(:{name} AS JSONB)) AS given(value)) AS {name}",
}
_CELL = {
    "sqlite": "json_extract(value, '$[{place}]') AS {column}",
    "postgresql": "CAST(value ->> {place} AS {kind}) AS {column}",
}
_OF_EACH = {
    "sqlite": "SELECT {columns} FROM {rows} JOIN {table} ON {table}.{id} IN (SELECT {id} FROM {source} LIMIT {limit})",
    "postgresql": (
        "SELECT found.* FROM {rows} CROSS JOIN LATERAL (SELECT {columns} FROM {source} LIMIT {limit}) AS found"
    ),
}


def given_rows(dialect: str, name: str, columns: Mapping[str, str]) -> str:
    """A table `name` for a text: the value `name`, a JSON list of lists, with its columns and their kinds."""
    cells = (
        _CELL[dialect].format(place=place, column=column, kind=kind)
        for place, (column, kind) in enumerate(columns.items())
    )
    return _ROWS[dialect].format(columns=", ".join(cells), name=name)


def first_of_each(rows: str, dialect: str, *, table: str, id: str, columns: str, source: str, limit: int) -> str:
    """A text that asks for the first `limit` rows of `source`, a part of `table`, for each of the given `rows`."""
    return _OF_EACH[dialect].format(rows=rows, table=table, id=id, columns=columns, source=source, limit=limit)


def table_of(row_class: type[SQLModel]) -> Table:
    """The table itself, for statements that no session of the ORM runs."""
    return SQLModel.metadata.tables[str(row_class.__tablename__)]


class Statement:
    """A statement in the words of one database. Its rows are named tuples of what the tables' types make of them."""

    __slots__ = ("_binders", "_fixed", "_names", "_readers", "_row", "text")

    def __init__(self, statement: str | Executable, dialect: Dialect, names: Sequence[str] = ()) -> None:
        """`names` are the columns that an INSERT or UPDATE of a table gives values to."""
        executable: Any = text(statement) if isinstance(statement, str) else statement
        dialect_class: Any = type(dialect)
        spoken: Dialect = dialect_class(paramstyle=_PARAMETER_STYLES[dialect.name])
        keys = list(names) if isinstance(executable, Insert | Update) else None
        made = executable.compile(dialect=spoken, column_keys=keys)
        #: As the driver takes it: PostgreSQL's wants bytes, and would make them anew each time.
        self.text: str | bytes = str(made) if dialect.name == "sqlite" else str(made).encode()
        #: Which value stands in which place.
        self._names: list[str] = made.positiontup or []
        #: What stands in the statement itself, such as a constant.
        self._fixed = {name: made.params[name] for bind, name in made.bind_names.items() if not bind.required}
        for column in getattr(made, "insert_prefetch", ()):
            default = column.default
            self._fixed[column.key] = default.arg(None) if default.is_callable else default.arg
        self._binders = {
            name: process for bind, name in made.bind_names.items() if (process := _binder(bind.type, spoken))
        }
        columns = () if isinstance(statement, str) else getattr(executable, "exported_columns", ())
        readers = [(place, _reader(column.type, spoken)) for place, column in enumerate(columns)]
        self._readers = [(place, process) for place, process in readers if process]
        #: Makes a row; None before the first answer, and where there are none.
        self._row: Callable[[Any], Any] | None = None

    def arrange(self, values: Values) -> list[object]:
        """The values in their places."""
        if self._fixed or self._binders:
            given = {**self._fixed, **values}
            for name, process in self._binders.items():
                given[name] = process(given[name])
            values = given
        return [values[name] for name in self._names]

    def read(self, cursor: Any) -> list[Any]:
        """All rows that it gave."""
        row = self._row
        if row is None:
            if cursor.description is None:
                return []
            # Threads share a statement: what another one may see is whole.
            self._row = row = _row_maker([column[0] for column in cursor.description])
        rows = cursor.fetchall()
        if self._readers:
            rows = [self._process(row) for row in rows]
        return list(map(row, rows))

    def _process(self, row: Sequence[Any]) -> list[Any]:
        values = list(row)
        for place, process in self._readers:
            values[place] = process(values[place])
        return values


class Found:
    """What a statement gave: its rows, and how many it touched."""

    __slots__ = ("_rows", "rowcount")

    def __init__(self, rows: list[Any], rowcount: int) -> None:
        self._rows = rows
        self.rowcount = rowcount

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def all(self) -> list[Any]:
        """Every row."""
        return self._rows

    def first(self) -> Any:
        """The first row, None where there is none."""
        return self._rows[0] if self._rows else None

    def one(self) -> Any:
        """The only row."""
        (row,) = self._rows
        return row

    def one_or_none(self) -> Any:
        """The only row, None where there is none."""
        return self.one() if self._rows else None

    def scalars(self) -> list[Any]:
        """The first value of every row."""
        return [row[0] for row in self._rows]

    def scalar_one(self) -> Any:
        """The first value of the only row."""
        return self.one()[0]

    def scalar_one_or_none(self) -> Any:
        """The first value of the only row, None where there is none."""
        return self.one()[0] if self._rows else None


def _row_maker(names: Sequence[str]) -> _Process:
    made: Any = namedtuple
    return made("Row", names, rename=True)._make  # type: ignore[no-any-return]


def _binder(kind: Any, dialect: Dialect) -> _Process | None:
    return kind.dialect_impl(dialect).bind_processor(dialect)  # type: ignore[no-any-return]


def _reader(kind: Any, dialect: Dialect) -> _Process | None:
    return kind.dialect_impl(dialect).result_processor(dialect, None)  # type: ignore[no-any-return]
