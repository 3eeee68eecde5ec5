"""Every command that a document shows is run, against an emulated tenant and a store with the tenant's subscriptions.

What other tests run, or no test can, is listed with the test or the reason.
"""

from __future__ import annotations

import json
import re
import shlex
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result

from sync_service.cli.contexts import open_ordering
from sync_service.cli.main import main
from sync_service.settings import Settings
from sync_service.store.engine import connect
from sync_service.store.load_lines import load_objects
from sync_service.sync.attempt import SyncContext
from sync_service.sync.worker import Worker
from sync_service.zuora.client import ZuoraClient
from tests.unit.test_docs import PAGES, SHOWN, TOP
from zuora_emulator.limio_objects import limio_objects
from zuora_emulator.server import Options, start
from zuora_emulator.zuora_api import CLIENT_ID, CLIENT_SECRET

NUMBER = "4F7K2M9QH0B1"
#: Where else a command is run, by how it begins.
ELSEWHERE = {
    "web": "goes on until it is stopped: tests/integration/web/test_gunicorn.py",
    "run": "goes on until it is stopped: tests/acceptance/test_stopping.py",
    "worker": "goes on until it is stopped: tests/acceptance/test_stopping.py",
    "scheduler": "goes on until it is stopped: tests/acceptance/test_stopping.py",
    "emulator": "serves until it is stopped: tests/acceptance/tenant.py; its words: tests/integration/test_emulator.py",
    "orders preview order.json": "in the page's order: tests/acceptance/test_placing_orders_page.py",
    "orders submit": "in the page's order: tests/acceptance/test_placing_orders_page.py",
    "sync $number": "in the page's order: tests/acceptance/test_placing_orders_page.py",
    "why $number": "in the page's order: tests/acceptance/test_placing_orders_page.py",
    "partner add": "in the page's order: tests/integration/web/test_partner_tutorial.py",
    "partner user add $ORG": "in the page's order: tests/integration/web/test_partner_tutorial.py",
    "partner assign 4F7K2M9QH0B1 $ORG": "in the page's order: tests/integration/web/test_partner_tutorial.py",
    'client add "North\'s shop"': "in the page's order: tests/integration/web/test_partner_tutorial.py",
    "webhooks test": "needs a receiver: tests/integration/test_webhook_commands.py",
    "webhooks add": "looks its host up: tests/integration/test_webhook_commands.py",
    "webhooks replay MESSAGE": "needs a message: tests/integration/test_webhook_commands.py",
}
#: Named in a sentence without what they are given.
WITH_ARGUMENTS = {"load": "load FILE", "orders show": "orders show ORDER"}
#: Statuses besides 0 with which a command says what it found.
SAYS_SO = {
    "catalog check": {1},  # the emulated tenant lacks some plans
    "check": {1},  # nothing is set up in Zuora
    "failed dismiss KEY": {1},  # nothing was given up
    "held release KEY": {1},  # nothing is held
    "orders retry ORDER": {1},  # it is not held
}


def shown_commands() -> list[str]:
    """Each command once, as it is shown; histories of changes aside."""
    pages = [page for page in PAGES if page.name != "CHANGELOG.md"]
    return sorted({line.strip() for page in pages for line in SHOWN.findall(page.read_text())})


def where_else(command: str) -> str | None:
    """Where it is run, if not here."""
    return next((where for begin, where in ELSEWHERE.items() if re.match(rf"{re.escape(begin)}(\s|$)", command)), None)


@dataclass
class Terminal:
    """A terminal in a folder of its own, and what a reader would put for the words in capitals."""

    environ: dict[str, str]
    folder: Path
    words: dict[str, str]

    def run(self, command: str) -> Result:
        """Run a command as the reader would, in this process."""
        words = [self.words.get(word, word) for word in shlex.split(WITH_ARGUMENTS.get(command, command))]
        if words[:2] == ["db", "backup"] or words[0] == "export":
            words[-1] = str(self.folder / f"new-{words[0]}")
        if words[:2] == ["orders", "preview"]:
            words[-1] = "order.json"
        return CliRunner(env=self.environ).invoke(main, words, input="y\n", catch_exceptions=False)

    def made(self, pattern: str, *words: str) -> str:
        """Of what a command prints, what matches."""
        done = CliRunner(env=self.environ).invoke(main, list(words), catch_exceptions=False)
        found = re.search(pattern, done.output)
        assert found, done.output
        return found[1]


@pytest.fixture
def terminal(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """A worker runs all the while."""
    monkeypatch.chdir(tmp_path)
    zuora, database = start(Options()), connect(sqlite_url)
    objects = [json.dumps(each) for each in limio_objects(datetime.now(UTC).date())]
    load_objects(database, objects)
    (tmp_path / "objects.jsonl").write_text("\n".join(objects))
    (tmp_path / "numbers.txt").write_text(f"{NUMBER}\n")
    (tmp_path / "scrub.log").write_text("")
    page = (TOP / "docs/placing-orders.md").read_text()
    (tmp_path / "order.json").write_text(page.partition("order.json <<'END'\n")[2].partition("END\n")[0])
    settings = Settings(tenant_time_zone=ZoneInfo("Europe/London"))
    client = ZuoraClient(zuora.url, CLIENT_ID, CLIENT_SECRET)
    context = SyncContext(database=database, zuora=client, settings=settings)
    worker = Worker(context, 2, open_ordering(context))
    thread = threading.Thread(target=worker.run)
    thread.start()
    environ = {
        "DATABASE_URL": sqlite_url,
        "ZUORA_BASE_URL": zuora.url,
        "ZUORA_CLIENT_ID": CLIENT_ID,
        "ZUORA_CLIENT_SECRET": CLIENT_SECRET,
        "SECRET_KEY": "k" * 40,
        "PUBLIC_URL": "https://sync.example.com",
        "CALLOUT_USERNAME": "zuora",
        "CALLOUT_PASSWORD": "a password of this test",
        "TENANT_TIME_ZONE": "Europe/London",
        "COLUMNS": "200",
    }
    terminal = Terminal(environ, tmp_path, {"KEY": NUMBER, "A-S00000271": NUMBER, "LOG": "scrub.log"})
    client_id = terminal.made(r"client_id:\s+(\S+)", "client", "add", "reader", "--scope", "api/objects:read")
    org = terminal.made(r"(partner_org-[0-9a-f]{32})", "partner", "add", "Reader", "--account", "A00000102", "--pays")
    terminal.made("(temporary|password)", "user", "add", "reader@example.com", "--role", "viewer")
    terminal.words |= {"CLIENT_ID": client_id, "ORGANISATION": org, "EMAIL": "reader@example.com"}
    terminal.made(r"(\S+)", "catalog", "refresh")
    order = terminal.made(r"(order-\w+)", "orders", "submit", "order.json")
    terminal.words |= {"FILE": "objects.jsonl", "ORDER": order}
    yield terminal
    worker.stop()
    thread.join()
    client.close()
    zuora.stop()
    database.engine.dispose()


@pytest.mark.timeout(200)
def test_every_command_that_a_document_shows_does_its_work(terminal: Terminal) -> None:
    here = [command for command in shown_commands() if where_else(command) is None]
    # What ends a thing comes last, and what it ends is there before.
    ends = ("scrub", "client revoke", "user disable", "partner disable", "callouts remove")
    here.sort(key=lambda command: (command.startswith(ends), not command.startswith("sync "), command))
    wrong = []
    for command in here:
        done = terminal.run(command)
        if done.exit_code not in {0, *SAYS_SO.get(command, ())}:
            wrong.append(f"{command}: {done.exit_code}: {done.output[-600:]}")

    assert not wrong, "\n".join(wrong)
    assert len(here) > 40


def test_what_is_said_to_be_run_elsewhere_is_shown_and_the_tests_exist() -> None:
    shown = shown_commands()
    for begin, where in ELSEWHERE.items():
        assert any(where_else(command) == where for command in shown), begin
        named = re.findall(r"tests/[\w/]+\.py", where)
        assert all((TOP / path).exists() for path in named), where
