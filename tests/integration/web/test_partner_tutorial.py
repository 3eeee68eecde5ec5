"""The tutorial for partners works as it is written: its commands are run, and print what it shows."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner
from werkzeug.serving import make_server

from sync_service.cli.main import main
from sync_service.store.engine import connect
from sync_service.store.load_lines import load_objects
from tests.integration.web.conftest import build
from tests.integration.web.test_openapi_exact import QuietHandler
from zuora_emulator.limio_objects import limio_objects

PAGE = Path(__file__).parents[3] / "docs" / "partners.md"
#: What a reader copies from an answer into the next command.
COPIED = {
    "ORG": r"(partner_org-[0-9a-f]{32})",
    "CLIENT_ID": r"client_id:\s+(\S+)",
    "CLIENT_SECRET": r"client_secret:\s+(\S+)",
    "TOKEN": r'"access_token":\s*"([^"]+)"',
    "BASKET": r'"checkoutId":\s*"([^"]+)"',
}


def steps() -> list[tuple[str, str]]:
    """Each command of the tutorial, and what the page says it prints."""
    section = PAGE.read_text().partition("## From a partner")[2].partition("\n## ")[0]
    blocks = "\n".join(re.findall(r"```console\n(.*?)```", section, re.DOTALL))
    return [
        (step.splitlines()[0], "\n".join(step.splitlines()[1:]))
        for step in re.split(r"^\$ ", blocks, flags=re.M)
        if step
    ]


@pytest.fixture
def environ(sqlite_url: str) -> Iterator[dict[str, str]]:
    """A served store with the demo's subscriptions."""
    database = connect(sqlite_url)
    with database.reading() as session:
        today = datetime.fromtimestamp(session.now() / 1000, UTC).date()
    load_objects(database, (json.dumps(each) for each in limio_objects(today)))
    server = make_server(
        "127.0.0.1", 0, build(database).client.application, threaded=True, request_handler=QuietHandler
    )
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield {"PATH": os.environ["PATH"], "DATABASE_URL": sqlite_url, "SYNC": f"http://127.0.0.1:{server.server_port}"}
    server.shutdown()
    server.server_close()
    thread.join()
    database.engine.dispose()


def run(command: str, environ: dict[str, str]) -> str:
    """What a command prints: ours in this process, everything else by the shell."""
    before, _, ours = command.rpartition("sync-service ")
    if not ours or ours == command:
        return bash(command, environ)
    typed = bash(before.rstrip(" |"), environ) if "|" in before else None
    words = [re.sub(r"\$(\w+)", lambda name: environ[name[1]], word) for word in shlex.split(ours)]
    done = CliRunner(env={**environ, "COLUMNS": "200"}).invoke(main, words, input=typed, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def bash(command: str, environ: dict[str, str]) -> str:
    done = subprocess.run(["bash", "-c", command], env=environ, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def assert_has(shown: Any, printed: Any) -> None:
    """Whatever fields the page shows are there, however deep; a list that is shown empty is empty."""
    if isinstance(shown, dict):
        assert set(shown) <= set(printed)
        for name, inner in shown.items():
            assert_has(inner, printed[name])
    elif isinstance(shown, list):
        assert bool(shown) == bool(printed)
        for expected, found in zip(shown, printed, strict=False):
            assert_has(expected, found)
    elif isinstance(shown, int | bool) or shown in ("partner", "submitted", "active", "GBP", "4F7K2M9QH0B1"):
        assert printed == shown


def test_the_tutorial_works_as_it_is_written(environ: dict[str, str]) -> None:
    told = steps()

    assert len(told) >= 10
    for command, shown in told:
        printed = run(command, environ)
        for name, form in COPIED.items():
            if found := re.search(form, printed):
                environ[name] = found[1]
        if shown.startswith("{"):
            assert_has(json.loads(shown), json.loads(printed))
        elif shown:
            assert shown.split()[0] == printed.split()[0], command
