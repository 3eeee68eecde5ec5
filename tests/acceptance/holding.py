"""Runs the service's own code in this process and stops it for good at a point that the harness names.

The package has no test hook. This wrapper listens from outside: to the statements, the commits, and the lines of the
log. The harness writes a point into the file `$HOLD_AT`; whichever thread of
whichever process comes there first takes the file away, says `held` with its process id, and never goes on. What
follows is a real kill -9 by the harness, at exactly this point.

    python -m tests.acceptance.holding worker
    gunicorn "tests.acceptance.holding:create_wsgi()"
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from contextlib import ExitStack
from typing import Any, TextIO

from tests.listening import listening

_FOR_EVER = ExitStack()
_SAID = "statements of this transaction"


class Holder:
    """Looks for the file.

    `where` is `before` or `after` a statement, at a `commit` of one or when it is `committed`, or at a `log` line.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def come_by(self, where: str, text: str) -> None:
        """Stop here for good if this is the point."""
        try:
            with open(self._path, encoding="utf-8") as file:
                point = json.load(file)
        except (FileNotFoundError, ValueError):
            return
        if point["where"] != where or not re.search(point["pattern"], text):
            return
        try:
            os.rename(self._path, f"{self._path}.taken")
        except FileNotFoundError:  # another thread was faster
            return
        os.write(2, f"held {os.getpid()}\n".encode())
        threading.Event().wait()


class _ToldLog:
    """Standard error that tells the holder each line once it is out."""

    def __init__(self, stream: TextIO, holder: Holder) -> None:
        self._stream = stream
        self._holder = holder

    def write(self, text: str) -> int:
        written = self._stream.write(text)
        self._stream.flush()
        self._holder.come_by("log", text)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def listen(holder: Holder) -> None:
    """Tell `holder` of everything that happens in this process, from now on."""

    def begin(notes: dict[Any, Any]) -> None:
        notes[_SAID] = []

    def before(_: Any, statement: str | bytes, values: Any) -> None:
        holder.come_by("before", _line(statement, values))

    def after(notes: dict[Any, Any], statement: str | bytes, values: Any) -> None:
        notes.setdefault(_SAID, []).append(_line(statement, values))
        holder.come_by("after", _line(statement, values))

    def commit(notes: dict[Any, Any]) -> None:
        holder.come_by("commit", "\n".join(notes.get(_SAID, ())))

    def committed(notes: dict[Any, Any]) -> None:
        holder.come_by("committed", "\n".join(notes.get(_SAID, ())))

    _FOR_EVER.enter_context(listening(before=before, after=after, begin=begin, commit=commit, committed=committed))
    sys.stderr = _ToldLog(sys.stderr, holder)


def _line(statement: str | bytes, values: Any) -> str:
    return f"{statement if isinstance(statement, str) else statement.decode()} {values}"


def create_wsgi() -> Any:
    """The web application of the service, for gunicorn."""
    from sync_service.app import create_wsgi as create

    listen(Holder(os.environ["HOLD_AT"]))
    return create()


if __name__ == "__main__":
    from sync_service.cli.main import main

    listen(Holder(os.environ["HOLD_AT"]))
    main()
