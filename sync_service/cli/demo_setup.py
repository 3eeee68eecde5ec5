"""What the demo plays on: an emulated Zuora and the whole service, in processes and a folder of their own."""

from __future__ import annotations

import json
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import click
import requests

from sync_service.cli.serve import ending_with_us
from sync_service.store.engine import Database, connect
from zuora_emulator.control import control
from zuora_emulator.zuora_api import CLIENT_ID, CLIENT_SECRET

#: How long anything may take to start, in seconds.
START_SECONDS = 60.0
#: Longer than the service takes to stop, in seconds.
_STOP_SECONDS = 45.0
#: Below those that a kernel gives to outgoing connections, one of which could take the port before the service does.
_PORTS = range(16_000, 32_000)
CALLOUT_USERNAME = "zuora"


@dataclass
class DemoSetup:
    """The running processes and where they are."""

    folder: Path
    zuora: str = ""
    service: str = ""
    environ: dict[str, str] = field(default_factory=dict)
    children: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def database(self) -> Database:
        """The service's store."""
        return connect(self.environ["DATABASE_URL"])

    def command(self, *arguments: str, stdin: str | None = None) -> str:
        """Run a command of ours to its end and return what it printed; its failure ends the demo."""
        words = [sys.executable, "-m", "sync_service.cli.main", *arguments]
        done = subprocess.run(  # noqa: S603 - our own words
            words, env=self.environ, input=stdin, capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode:
            raise click.ClickException(f"sync-service {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def add_client(self, name: str, *rights: str) -> dict[str, str]:
        """Make an API client and let it log in; the header of its token."""
        made = json.loads(self.command("client", "add", name, "--json", *rights))
        asked = {"grant_type": "client_credentials", **made}
        token = requests.post(f"{self.service}/oauth2/token", data=asked, timeout=10).json()["access_token"]
        return {"Authorization": f"Bearer {token}"}

    def stop(self) -> None:
        """End every process, the service first."""
        for child in reversed(self.children):
            child.terminate()
        for child in reversed(self.children):
            try:
                child.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
            if child.stdout:
                child.stdout.close()


def set_up_demo(folder: Path, settings: Mapping[str, str]) -> DemoSetup:
    """Start the emulator, load what Limio holds of its customers, and start the service against it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    setup = DemoSetup(folder, environ=_environ(os.environ, folder))
    try:
        emulator = _start(setup, ["emulator", "--port", "0"], subprocess.PIPE)
        announced = emulator.stdout.readline() if emulator.stdout else ""
        setup.zuora = announced.rpartition(" ")[2].strip()
        if not setup.zuora.startswith("http"):
            raise click.ClickException(f"The emulator did not start; see {folder / 'emulator.log'}")
        port = _free_port()
        setup.service = f"http://127.0.0.1:{port}"
        password = secrets.token_urlsafe(24)
        setup.environ |= {
            "ZUORA_BASE_URL": setup.zuora,
            "ZUORA_CLIENT_ID": CLIENT_ID,
            "ZUORA_CLIENT_SECRET": CLIENT_SECRET,
            "CALLOUT_USERNAME": CALLOUT_USERNAME,
            "CALLOUT_PASSWORD": password,
            "PORT": str(port),
            **settings,
        }
        setup.command("db", "upgrade")
        with (folder / "limio-objects.jsonl").open("w") as objects:
            objects.write(setup.command("emulator", "limio-objects"))
        _start(setup, ["run"], subprocess.DEVNULL)
        _wait_until_ready(setup)
        control(
            setup.zuora,
            "callouts",
            url=setup.service,
            username=CALLOUT_USERNAME,
            password=password,
            account_events=True,
        )
    except BaseException:
        setup.stop()
        raise
    return setup


def _environ(given: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Only what a process needs to run: the demo is not to depend on a developer's own settings."""
    kept = {name: given[name] for name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "TMPDIR") if name in given}
    return kept | {"DATABASE_URL": f"sqlite:///{folder.resolve() / 'store.db'}", "PYTHONUNBUFFERED": "1"}


def _start(setup: DemoSetup, arguments: list[str], stdout: int) -> subprocess.Popen[str]:
    log: IO[str] = (setup.folder / f"{arguments[0]}.log").open("a")
    command = [sys.executable, "-m", "sync_service.cli.main", *arguments]
    with log:
        # Their own session: Ctrl-C reaches only us, and we stop them in order. Their own folder: no .env is read.
        child = subprocess.Popen(  # noqa: S603 - our own words
            command,
            env=setup.environ,
            stdout=stdout,
            stderr=log,
            text=True,
            cwd=setup.folder,
            start_new_session=True,
            preexec_fn=ending_with_us(),
        )
    setup.children.append(child)
    return child


def _wait_until_ready(setup: DemoSetup) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if setup.children[-1].poll() is not None:
            break
        try:
            if requests.get(f"{setup.service}/readyz", timeout=2).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.1)
    raise click.ClickException(f"The service did not start; see {setup.folder / 'run.log'}")


def _free_port() -> int:
    while True:
        port = random.choice(_PORTS)  # noqa: S311 - no secret
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
