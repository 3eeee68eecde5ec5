"""A process of the service as tests see it: what it logs as it logs it, and every way to end it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Condition, Thread

from tests.forking import Forked, Forker

#: The longest that anything may take on a busy machine before a test gives up, in seconds.
PATIENCE = 60.0


class GaveUp(AssertionError):
    """Something that had to happen did not."""


def wait_until(holds: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Look again and again until `holds()` is true; fail with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise GaveUp(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.02)


ROOT = Path(__file__).parents[2]
_LOADED = ("sync_service", "zuora_emulator", "gunicorn", "tests")
#: What our own modules are forked from, if it runs: see tests/forking.py.
forker: Forker | None = None


class Child:
    """A running process in a group of its own; its output goes through a pipe, so that no line is lost with it."""

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.lines: list[str] = []
        self._changed = Condition()
        reading, writing = os.pipe()
        self._output = open(reading, encoding="utf-8", errors="replace")  # noqa: SIM115 - closed by who reads it
        self.process: Forked | subprocess.Popen[bytes]
        if forker is not None and _is_ours(command, environ):
            self.process = forker.start(command[2:], environ, folder, writing)
        else:
            self.process = subprocess.Popen(
                command,
                env=dict(environ),
                cwd=folder,  # no .env is read there
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                start_new_session=True,
            )
        os.close(writing)
        self._reader = Thread(target=self._read, daemon=True, name=f"output of {name}")
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process's id, which is its group's as well."""
        return self.process.pid

    def pids(self) -> list[int]:
        """The ids of the process and of those that it started."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def wait_for(self, pattern: str, *, after: int = 0, seconds: float = PATIENCE) -> str:
        """The first line from number `after` on in which `pattern` occurs, waited for."""
        deadline = time.monotonic() + seconds
        with self._changed:
            seen = after
            while True:
                for line in self.lines[seen:]:
                    if re.search(pattern, line):
                        return line
                seen = len(self.lines)
                left = deadline - time.monotonic()
                if left <= 0 or (not self._reader.is_alive() and not self.is_running):
                    raise GaveUp(f"{self.name} never said {pattern!r}; its last words:\n{self.tail()}")
                self._changed.wait(min(left, 0.5))

    def events(self, name: str) -> list[dict[str, object]]:
        """The log events of that name so far."""
        return [event for line in list(self.lines) if (event := _event(line)).get("event") == name]

    def kill(self) -> None:
        """kill -9 to the process and everything it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)

    def terminate(self) -> None:
        """SIGTERM to the process alone."""
        self.process.terminate()

    def wait(self, seconds: float = PATIENCE) -> int:
        """Wait for its end; its status."""
        status = self.process.wait(seconds)
        self._reader.join(PATIENCE)
        return status

    def tail(self, count: int = 25) -> str:
        """Its last lines."""
        return "\n".join(self.lines[-count:])

    def _read(self) -> None:
        with self._output as output:
            for line in output:
                with self._changed:
                    self.lines.append(line.rstrip("\n"))
                    self._changed.notify_all()


def _is_ours(command: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether it is `python -m` with a module that is loaded, and not the one of another release."""
    package = command[2].partition(".")[0]
    return (*command[:2], environ.get("PYTHONPATH")) == (sys.executable, "-m", str(ROOT)) and package in _LOADED


def _event(line: str) -> dict[str, object]:
    try:
        found = json.loads(line) if line.startswith("{") else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
