"""Several of our commands as children of one process: signals are passed on, a child that is killed is started again.

Children end with this process, even if it is killed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from types import FrameType

from sync_service.telemetry.log import logger

#: How long stopped children may take before they are killed, in seconds: more than any of them grants what it runs,
#: less than the time after which we are killed ourselves (deploy/).
GRACE_SECONDS = 35.0
#: Pause before a child that died is started again, in seconds.
RESTART_SECONDS = 1.0
#: Linux's prctl: which signal a process gets when its parent dies.
_PR_SET_PDEATHSIG = 1


def supervise(parts: Sequence[tuple[str, Sequence[str]]], environ: Mapping[str, str]) -> int:
    """Run `sync-service <arguments>` for each part until SIGTERM or SIGINT; return 0 after a stop that was asked for.

    A child that leaves with a status of its own, such as 2 for wrong settings, is not started again: everything stops
    with its status.
    """
    stopping = threading.Event()

    def stop(_: int, __: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    children = {name: _start(name, arguments, environ) for name, arguments in parts}
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
            children[name] = _start(name, words[name], environ)
    _end(children.values())
    return status


def ending_with_us() -> Callable[[], None] | None:
    """A `preexec_fn` by which a child gets SIGTERM when we die, whatever we die of; None where only Linux knows how."""
    if sys.platform != "linux":
        return None
    prctl, us = ctypes.CDLL(None).prctl, os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != us:  # died before we could ask
            os._exit(1)

    return ask


def _end(children: Collection[subprocess.Popen[bytes]]) -> None:
    """Ask all to stop; who has not within GRACE_SECONDS is killed with everything it started."""
    for child in children:
        child.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for child in children:
        try:
            child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


def _start(name: str, arguments: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "sync_service.cli.main", *arguments]
    child = subprocess.Popen(  # noqa: S603 - our own words
        command, env=dict(environ), start_new_session=True, preexec_fn=ending_with_us()
    )
    logger().info("process_started", part=name, pid=child.pid)
    return child
