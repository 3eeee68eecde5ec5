"""Several of our commands as children of one process: signals are passed on, a child that dies is started again."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from types import FrameType

from sync_service.log import logger

#: How long a stopped child may take before it is killed, in seconds.
GRACE_SECONDS = 35.0
#: Pause before a child that died is started again, in seconds.
RESTART_SECONDS = 1.0


def supervise(parts: Sequence[tuple[str, Sequence[str]]], environ: Mapping[str, str]) -> int:
    """Run `sync-service <arguments>` for each part until SIGTERM or SIGINT; return 0 after a stop that was asked for.

    A child that leaves with status 2 (settings) or within its first second is not started again: everything stops with
    its status.
    """
    stopping = threading.Event()

    def stop(_: int, __: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    children = {name: _start(arguments, environ) for name, arguments in parts}
    words = dict(parts)
    status = 0
    while not stopping.wait(RESTART_SECONDS):
        for name, child in children.items():
            left = child.poll()
            if left is None:
                continue
            logger().error("process_died", part=name, status=left)
            if left > 0:
                status = left
                stopping.set()
                break
            children[name] = _start(words[name], environ)
    for child in children.values():
        child.terminate()
    for child in children.values():
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
    return status


def _start(arguments: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "sync_service.cli.main", *arguments]
    return subprocess.Popen(command, env=dict(environ), start_new_session=True)  # noqa: S603 - our own words
