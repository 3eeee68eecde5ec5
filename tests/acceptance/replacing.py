"""Processes of the service that are forked from one that has its code in memory: a dead one is replaced at once.

python -m tests.acceptance.replacing 3 worker     # three workers
gunicorn -c python:tests.acceptance.replacing "sync_service.app:create_wsgi()"

Each makes its own connections, and everything else that the code makes when it starts, after the fork.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn

import psycopg  # noqa: F401 - in memory before the fork, as all of these

import sync_service.app
import sync_service.cli.contexts
import sync_service.sync.worker  # noqa: F401
from sync_service.cli.main import main
from sync_service.web.gunicorn_conf import *  # noqa: F403 - gunicorn's settings, where this is its configuration


def keep_running(count: int, words: list[str]) -> NoReturn:
    """Keep `count` processes of `sync-service <words>` running; one that ends by itself ends all."""
    gc.freeze()
    running: set[int] = set()
    while True:
        while len(running) < count:
            child = os.fork()
            if child == 0:
                main(words)
                os._exit(0)
            running.add(child)
        ended, status = os.wait()
        running.discard(ended)
        if os.WIFEXITED(status):
            sys.exit(f"a process ended by itself with {os.WEXITSTATUS(status)}")


if __name__ == "__main__":
    keep_running(int(sys.argv[1]), sys.argv[2:])
