"""Processes that begin at once: forked from one that has loaded the packages, which takes each of them over a second.

`python -m MODULE WORDS` runs in the fork as it does in a new interpreter: with an environment, a folder, a session and
open files of its own, and to the interpreter's own end. Run as a script, this is a command that any shell can call:

    python forking.py SOCKET MODULE WORDS
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock

#: The longest that the packages may take to load on a busy machine, in seconds.
_LOADED_SECONDS = 60.0
_MOST_BYTES = 1 << 17
_OURS = ("sync_service", "zuora_emulator", "gunicorn", "tests")
#: Loading one of these runs it, or a release's migrations.
_LEFT_OUT = ("__main__", "main", "migrations")
#: Reads the environment as it is loaded.
_READS_ENVIRONMENT = "sync_service.web.gunicorn_conf"


class Forker:
    """The process that is forked; it ends with this one."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.path = str(folder / "forker")
        self._code = environ["PYTHONPATH"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.acceptance.forking", self.path], env=environ, stdin=subprocess.PIPE
        )
        deadline = time.monotonic() + _LOADED_SECONDS
        while not os.path.exists(self.path):
            assert self._process.poll() is None, "the packages cannot be loaded"
            assert time.monotonic() < deadline, "the packages take too long to load"
            time.sleep(0.05)

    def finds(self, command: Sequence[str], environ: Mapping[str, str]) -> list[str]:
        """The module of a command `python -m MODULE WORDS`, and the words; nothing if other code than ours runs."""
        python, option, module, *words = [*command, "", "", ""][: max(3, len(command))]
        ours = environ.get("PYTHONPATH") == self._code and module.split(".")[0] in _OURS
        return [module, *words] if ours and (python, option) == (sys.executable, "-m") else []

    def start(self, words: list[str], environ: Mapping[str, str], folder: Path, output: int) -> Forked:
        """A module and its words, without input; its output and its errors go to `output`, an open file."""
        with open(os.devnull, "rb") as nothing:
            return Forked(self.path, words, environ, str(folder), [nothing.fileno(), output, output])

    def put_command(self, folder: Path) -> Path:
        """A folder in `folder` that holds `sync-service`, for a shell that calls it many times to its end."""
        command = folder / "bin/sync-service"
        command.parent.mkdir()
        words = [sys.executable, "-S", __file__, self.path, "sync_service.cli.main"]
        command.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        command.chmod(0o755)
        return command.parent

    def stop(self) -> None:
        """End it; what was forked from it goes on."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(_LOADED_SECONDS)


class Forked:
    """A process that was forked: what `subprocess.Popen` has of this."""

    def __init__(self, path: str, words: list[str], environ: Mapping[str, str], folder: str, files: list[int]) -> None:
        self.returncode: int | None = None
        self._lock = Lock()
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.connect(path)
        asked = {"words": words, "environ": dict(environ), "folder": folder}
        socket.send_fds(self._line, [json.dumps(asked).encode()], files)
        self.pid = int(self._line.recv(32))

    def poll(self) -> int | None:
        """Its status if it has ended: below 0 the signal that ended it."""
        return self._status(0)

    def wait(self, timeout: float | None = None) -> int:
        """Its status, waited for. Raises TimeoutExpired."""
        status = self._status(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        """A signal to it alone, if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _status(self, timeout: float | None) -> int | None:
        with self._lock:
            if self.returncode is None:
                self._line.settimeout(timeout)
                try:
                    self.returncode = int(self._line.recv(32))
                except (BlockingIOError, TimeoutError):
                    return None
                self._line.close()
            return self.returncode


def _load() -> None:
    """Everything that the commands use. None of it starts a thread or opens a file that a fork must not share."""
    from importlib import import_module
    from pkgutil import walk_packages

    import alembic.command  # noqa: F401
    import gunicorn.app.wsgiapp
    import gunicorn.workers.gthread  # noqa: F401
    import psycopg  # noqa: F401

    import sync_service
    import zuora_emulator

    def wanted(name: str) -> bool:
        return not set(name.split(".")) & set(_LEFT_OUT)

    for package in (sync_service, zuora_emulator):
        for found in walk_packages(package.__path__, f"{package.__name__}."):
            if wanted(found.name):
                import_module(found.name)
    del sys.modules[_READS_ENVIRONMENT]


def _serve(path: str) -> None:
    """Fork for each who asks; return in each fork, as the process that was asked for."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(f"{path}.draft")
    listener.listen(64)
    os.rename(f"{path}.draft", path)
    with selectors.DefaultSelector() as waiting:
        waiting.register(listener, selectors.EVENT_READ)
        waiting.register(0, selectors.EVENT_READ)  # our starter's: closed when it ends, whatever it ends of
        while True:
            for key, _ in waiting.select():
                if key.fileobj == 0:
                    os._exit(0)
                if key.data:
                    waiting.unregister(key.fd)
                    _tell_end(key.fd, *key.data)
                    continue
                line, _ = listener.accept()
                text, files, _, _ = socket.recv_fds(line, _MOST_BYTES, 3)
                if pid := os.fork():
                    waiting.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, line))
                    for file in files:
                        os.close(file)
                    continue
                for other in [each for each in waiting.get_map().values() if each.data]:
                    os.close(other.fd)
                    other.data[1].close()
                listener.close()
                _become(line, files, **json.loads(text))
                return


def _tell_end(watch: int, pid: int, line: socket.socket) -> None:
    os.close(watch)
    _, status = os.waitpid(pid, 0)
    with line, suppress(OSError):  # nothing may wait for it any more
        line.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(line: socket.socket, files: list[int], words: list[str], environ: dict[str, str], folder: str) -> None:
    os.setsid()
    with line:
        line.send(str(os.getpid()).encode())
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    sys.argv, sys.path[0] = words, folder


def _ask_and_wait(path: str, words: list[str]) -> int:
    child = Forked(path, words, os.environ, os.getcwd(), [0, 1, 2])
    return child.wait()


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(_ask_and_wait(sys.argv[1], sys.argv[2:]))
    _load()
    gc.freeze()
    _serve(sys.argv[1])
    import runpy

    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
