"""Processes that begin at once: forked from one that has loaded what they load, which takes each of them seconds.

`python -m MODULE WORDS` runs in the fork as it does in a new interpreter: with an environment, a folder, a session and
open files of its own, and to the interpreter's own end. Run as a script, this is a command that any shell can call:

    python forking.py start SOCKET MODULE WORDS
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from threading import Lock
from types import ModuleType

#: The longest that the modules may take to load on a busy machine, in seconds.
_LOADED_SECONDS = 60.0
_MAX_BYTES = 1 << 17


class Forker:
    """The process that is forked: it has loaded `modules`, but for those to be loaded `anew`. It ends with this one."""

    def __init__(
        self, folder: Path, environ: Mapping[str, str], modules: Iterable[str], *, anew: Iterable[str] = ()
    ) -> None:
        self.path = str(folder / "forker")
        words = [self.path, json.dumps([*modules]), json.dumps([*anew])]
        self._process = subprocess.Popen([sys.executable, __file__, "load", *words], env=environ, stdin=subprocess.PIPE)
        deadline = time.monotonic() + _LOADED_SECONDS
        while not os.path.exists(self.path):
            assert self._process.poll() is None, "the modules cannot be loaded"
            assert time.monotonic() < deadline, "the modules take too long to load"
            time.sleep(0.05)

    def start(self, words: Sequence[str], environ: Mapping[str, str], folder: Path, output: int) -> Forked:
        """A module and its words, without input; its output and its errors go to `output`, an open file."""
        with open(os.devnull, "rb") as nothing:
            return Forked(self.path, [*words], environ, str(folder), [nothing.fileno(), output, output])

    def put_command(self, folder: Path) -> Path:
        """A folder in `folder` that holds `sync-service`, for a shell that calls it many times to its end."""
        command = folder / "bin/sync-service"
        command.parent.mkdir()
        words = [sys.executable, "-S", __file__, "start", self.path, "sync_service.cli.main"]
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


def find_modules(packages: Iterable[ModuleType], *, but: Collection[str] = ()) -> list[str]:
    """All modules of these packages; without those whose name has a part `but`."""
    walks = [walk_packages(package.__path__, f"{package.__name__}.") for package in packages]
    return [found.name for walk in walks for found in walk if not {*found.name.split(".")} & {*but}]


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
                text, files, _, _ = socket.recv_fds(line, _MAX_BYTES, 3)
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


def _load(modules: list[str], anew: list[str]) -> None:
    """What is loaded may start no thread and open no file, which a fork would share."""
    for module in modules:
        import_module(module)
    for module in anew:
        del sys.modules[module]
    gc.freeze()


if __name__ == "__main__":
    del sys.path[0]  # the folder of this file
    if sys.argv[1] == "start":
        sys.exit(_ask_and_wait(sys.argv[2], sys.argv[3:]))
    sys.path.insert(0, "")
    _load(*map(json.loads, sys.argv[3:]))
    _serve(sys.argv[2])
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
