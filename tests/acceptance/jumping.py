"""Runs the service's own code with clocks that jump: CLOCK_FILE says by how many seconds they are off, at any moment.

CLOCK_FILE=clock python -m tests.acceptance.jumping worker
CLOCK_FILE=clock gunicorn "tests.acceptance.jumping:create_wsgi()"

The process's clock is off, and the embedded database's, which is the same. A PostgreSQL server's own is made to jump by
`clocks`.
"""

from __future__ import annotations

import os
import sqlite3
import time
from typing import Any

from sync_service.store import engine as db

_real_time = time.time


def _off() -> float:
    with open(os.environ["CLOCK_FILE"]) as file:
        return float(file.read())


def set_up() -> None:
    """From now on clocks are what the file says."""
    time.time = lambda: _real_time() + _off()
    db._NOW.update(dict.fromkeys(db._NOW, "jumping_now()"))
    prepare = db._prepare_sqlite

    def prepare_with_clock(connection: sqlite3.Connection, entry: Any) -> None:
        connection.create_function("jumping_now", 0, lambda: int(time.time() * 1000))
        prepare(connection, entry)

    db._prepare_sqlite = prepare_with_clock  # type: ignore[assignment]  # the name of a parameter


def create_wsgi() -> Any:
    """The web application of the service, for gunicorn."""
    from sync_service.app import create_wsgi as create

    set_up()
    return create()


if __name__ == "__main__":
    from sync_service.cli.main import main

    set_up()
    main()
