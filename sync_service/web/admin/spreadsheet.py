"""Rows as a CSV file for spreadsheets: marked as UTF-8, times as ISO 8601, and nothing that they take for a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime

from flask import Response

#: Excel takes a file without it for one of the machine's old character set.
_UTF_8 = "\N{ZERO WIDTH NO-BREAK SPACE}"
_CHUNK = 16_384
_BEGIN_FORMULAS = frozenset(
    "=+-@\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
)


class TrustedNumber(str):
    """Digits of our own making, which may begin with a minus."""

    __slots__ = ()


def send(name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """The file `name`, sent while its rows are read."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(_lines(columns, rows), content_type="text/csv; charset=utf-8", headers=headers)


def iso(at: int | None) -> str:
    """A moment (ms since 1970) as ISO 8601 in UTC; empty for None."""
    return "" if at is None else f"{datetime.fromtimestamp(at // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _lines(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    buffer = io.StringIO()
    buffer.write(_UTF_8)
    write = csv.writer(buffer).writerow
    write(columns)
    for row in rows:
        write([_cell(value) for value in row])
        if buffer.tell() > _CHUNK:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _cell(value: object) -> str:
    """What no spreadsheet takes for a formula (OWASP, "CSV Injection"): also behind blanks, and in full width."""
    if isinstance(value, TrustedNumber):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    text = "" if value is None else {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
    first = text.lstrip()[:1]
    is_formula = first in _BEGIN_FORMULAS or text[:1] in ("\t", "\r", "\n")
    return f"'{text}" if first and is_formula else text
