"""Rows as tables for people: as wide as the terminal, and not cut where there is none."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

#: A key is at most 255 characters long and hardly ever more than this.
_KEY_WIDTH = 40
#: Where nobody's terminal says how wide it is: a file, a pipe.
_PIPE_WIDTH = 200


def print_table(
    headings: Sequence[str], rows: Iterable[Sequence[object]], *, styles: Sequence[str] = (), whole: int = 1
) -> None:
    """Print `rows` under `headings` (none where those are empty); None is shown as nothing.

    `styles` name a rich style for each row; the first `whole` columns are never broken over lines.
    """
    table = Table(box=None, show_header=any(headings), header_style="bold", padding=(0, 2, 0, 0))
    for index, heading in enumerate(headings):
        table.add_column(heading, overflow="fold", no_wrap=index < whole)
    for index, row in enumerate(rows):
        style = styles[index] if index < len(styles) else None
        cells = [Text("" if each is None else str(each)) for each in row]
        if style:
            cells[0].stylize(style)
        table.add_row(*cells)
    make_console().print(table)


def shorten(key: str) -> str:
    """A key as a table shows it."""
    return key if len(key) <= _KEY_WIDTH else f"{key[: _KEY_WIDTH - 1]}…"


def make_console() -> Console:
    """A console on standard output."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)
