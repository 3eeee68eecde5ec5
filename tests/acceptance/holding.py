"""Runs the service's own code in this process and stops it for good at a point that the harness names.

The package has no test hook. This wrapper listens to what every program can listen to: the statements that SQLAlchemy
sends, its commits, and the lines of the log. The harness writes a point into the file `$HOLD_AT`; whichever thread of
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
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine

from sync_service.store.engine import Database

_SAID = "statements of this transaction"


class Holder:
    """Looks for the file; `where` is `before` or `after` a statement, at a `commit` of one, or at a `log` line."""

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


class _ToldDriver:
    """The driver's own connection, whose statements SQLAlchemy does not see."""

    def __init__(self, driver: Any, connection: Connection, holder: Holder) -> None:
        self._driver, self._connection, self._holder = driver, connection, holder

    def execute(self, statement: str, parameters: Any = ()) -> Any:
        text = f"{statement} {parameters}"
        self._holder.come_by("before", text)
        done = self._driver.execute(statement, parameters)
        self._connection.info.setdefault(_SAID, []).append(text)
        self._holder.come_by("after", text)
        return done

    def __getattr__(self, name: str) -> Any:
        return getattr(self._driver, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            super().__setattr__(name, value)
        else:
            setattr(self._driver, name, value)


def _tell_of_drivers(holder: Holder) -> None:
    plain = Database.driver

    @contextmanager
    def told(database: Database, connection: Connection) -> Iterator[Any]:
        with plain(database, connection) as driver:
            yield _ToldDriver(driver, connection, holder)

    Database.driver = told  # type: ignore[method-assign, assignment]


def listen(holder: Holder) -> None:
    """Tell `holder` of everything that happens in this process."""
    _tell_of_drivers(holder)

    @event.listens_for(Engine, "begin")
    def begin(connection: Connection) -> None:
        connection.info[_SAID] = []

    @event.listens_for(Engine, "before_cursor_execute")
    def before(_: Connection, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        holder.come_by("before", f"{statement} {parameters}")

    @event.listens_for(Engine, "after_cursor_execute")
    def after(connection: Connection, _: Any, statement: str, parameters: Any, *__: Any) -> None:
        connection.info.setdefault(_SAID, []).append(f"{statement} {parameters}")
        holder.come_by("after", f"{statement} {parameters}")

    @event.listens_for(Engine, "commit")
    def commit(connection: Connection) -> None:
        holder.come_by("commit", "\n".join(connection.info.get(_SAID, ())))

    sys.stderr = _ToldLog(sys.stderr, holder)


def create_wsgi() -> Any:
    """The web application of the service, for gunicorn."""
    from sync_service.app import create_wsgi as create

    listen(Holder(os.environ["HOLD_AT"]))
    return create()


if __name__ == "__main__":
    from sync_service.cli.main import main

    listen(Holder(os.environ["HOLD_AT"]))
    main()
