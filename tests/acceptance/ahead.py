"""Runs the service's own code at another time of the calendar: its only clock, the database's, is read as being ahead.

CLOCK_AHEAD_MS=86400000 python -m tests.acceptance.ahead worker
CLOCK_AHEAD_MS=86400000 gunicorn "tests.acceptance.ahead:create_wsgi()"
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from sync_service.store import engine as db

_for_good = ExitStack()


@contextmanager
def clock_ahead(milliseconds: int) -> Iterator[None]:
    """Databases connected in here say that it is so much later."""
    clocks = dict(db._NOW)
    db._NOW.update({dialect: f"({clock} + {milliseconds})" for dialect, clock in clocks.items()})
    try:
        yield
    finally:
        db._NOW.update(clocks)


def create_wsgi() -> Any:
    """The web application of the service, for gunicorn."""
    from sync_service.app import create_wsgi as create

    _for_good.enter_context(clock_ahead(int(os.environ["CLOCK_AHEAD_MS"])))
    return create()


if __name__ == "__main__":
    from sync_service.cli.main import main

    with clock_ahead(int(os.environ["CLOCK_AHEAD_MS"])):
        main()
