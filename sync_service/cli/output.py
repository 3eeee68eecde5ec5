"""What commands print: tables for people, JSON for machines, and errors in the form that was asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, TextIO, TypeVar

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sync_service.subscription.limio.documents import moment_at, timestamp_of

#: A key is at most 255 characters long and hardly ever more than this.
_KEY_WIDTH = 40
#: The width if output goes to a file or a pipe.
_PIPE_WIDTH = 200
#: Where a command that was called with --json notes it, for errors that end the command.
_JSON = "sync_service.json"

Row = TypeVar("Row")
_Command = TypeVar("_Command", bound=Callable[..., Any])


#: What a terminal would obey instead of showing it: control characters but line feed and tab, and turns of direction.
_OBEYED = (*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_HARMLESS = dict.fromkeys(_OBEYED, "\N{REPLACEMENT CHARACTER}")


class PlainStream:
    """Standard output as commands see it. Names come from customers, and no terminal is to obey them."""

    def __init__(self, stream: TextIO) -> None:
        #: For our own tables and colours.
        self.raw = stream

    def write(self, text: str) -> int:
        """Print `text` with everything replaced that a terminal would obey."""
        return self.raw.write(text.translate(_HARMLESS))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


@contextmanager
def plain_output() -> Iterator[None]:
    """Whatever is printed meanwhile is text and nothing else."""
    before = sys.stdout
    sys.stdout = PlainStream(before)
    try:
        yield
    finally:
        sys.stdout = before


def with_json(command: _Command) -> _Command:
    """Give a command `--json`, passed as `as_json`. Its errors are then JSON on standard output too."""

    def note(context: click.Context, _: click.Parameter, value: bool) -> bool:
        context.meta[_JSON] = context.meta.get(_JSON) or value
        return value

    option = click.option(
        "--json", "as_json", is_flag=True, is_eager=True, callback=note, help="Print JSON (docs/command-line.md)."
    )
    return option(command)


def print_json(value: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print `value` as JSON."""
    click.echo(json.dumps(value, indent=2))


def say(text: str, shape: Mapping[str, Any] | Sequence[Any], *, as_json: bool) -> None:
    """Print what a command did: `shape` if JSON was asked for, else `text`."""
    if as_json:
        print_json(shape)
    else:
        click.echo(text)


def fail(message: str, status: int = 1, *, code: str = "failed") -> NoReturn:
    """Leave with `status` after `message`: on standard error, or as JSON on standard output if that was asked for."""
    context = click.get_current_context(silent=True)
    if context is not None and context.meta.get(_JSON):
        print_json({"error": {"code": code, "message": message}})
    else:
        click.echo(message.translate(_HARMLESS), err=True)
    sys.exit(status)


def wants_json(context: click.Context) -> bool:
    """Whether the command that runs in `context`, or one of its subcommands, was called with --json."""
    return bool(context.meta.get(_JSON))


def project(value: object, names: Iterable[str], *, times: Iterable[str] = ()) -> dict[str, Any]:
    """The named attributes of `value` in this order; `times` hold milliseconds and become ISO 8601 text in UTC."""
    held = set(times)
    return {name: iso(getattr(value, name)) if name in held else getattr(value, name) for name in names}


def iso(at: int | None) -> str | None:
    """Milliseconds since 1970 as ISO 8601 in UTC, such as 2026-11-26T18:03:25.120Z."""
    if at is None:
        return None
    return timestamp_of(at)


def moment(at: int) -> str:
    """Milliseconds since 1970 in UTC, for people."""
    return moment_at(at).strftime("%Y-%m-%d %H:%M:%SZ")


def print_table(
    headings: Sequence[str], rows: Iterable[Sequence[object]], *, styles: Sequence[str] = (), whole: int = 1
) -> None:
    """Print `rows` under `headings` (none if those are empty); None is shown as nothing.

    `styles` name a rich style for each row; the first `whole` columns are never broken over lines.
    """
    table = Table(box=None, show_header=any(headings), header_style="bold", padding=(0, 2, 0, 0))
    for index, heading in enumerate(headings):
        table.add_column(heading, overflow="fold", no_wrap=index < whole)
    for index, row in enumerate(rows):
        style = styles[index] if index < len(styles) else None
        cells = [Text("" if each is None else str(each).translate(_HARMLESS)) for each in row]
        if style:
            cells[0].stylize(style)
        table.add_row(*cells)
    make_console().print(table)


def print_rows(
    rows: Sequence[Row],
    *,
    as_json: bool,
    shape: Callable[[Row], Any],
    none: str,
    headings: Sequence[str],
    cells: Callable[[Row], Sequence[object]],
    whole: int = 1,
) -> None:
    """Print a list: as JSON each row's `shape`; else a table of `cells` under `headings`, `none` if it is empty."""
    if as_json:
        print_json([shape(row) for row in rows])
    elif not rows:
        click.echo(none)
    else:
        print_table(headings, map(cells, rows), whole=whole)


def shorten(key: str) -> str:
    """A key as a table shows it."""
    return key if len(key) <= _KEY_WIDTH else f"{key[: _KEY_WIDTH - 1]}…"


def make_console() -> Console:
    """A console on standard output, for tables and colours of our own; texts of others must be plain already."""
    stream = sys.stdout.raw if isinstance(sys.stdout, PlainStream) else sys.stdout
    return Console(file=stream, width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)
