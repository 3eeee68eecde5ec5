"""What commands print: tables for people, JSON for machines, and errors in the form that was asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

#: A key is at most 255 characters long and hardly ever more than this.
_KEY_WIDTH = 40
#: The width if output goes to a file or a pipe.
_PIPE_WIDTH = 200
#: Where a command that was called with --json notes it, for errors that end the command.
_JSON = "sync_service.json"

_Command = TypeVar("_Command", bound=Callable[..., Any])


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
        click.echo(message, err=True)
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
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(at: int) -> str:
    """Milliseconds since 1970 in UTC, for people."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


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
