"""PostgreSQL goes back to the moment before a mistake, by the commands of its page, and the sweep catches up."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

import pytest

from tests.acceptance.changes import Changes
from tests.acceptance.comparing import find_stale
from tests.acceptance.database_away import service_on
from tests.acceptance.postgres import Postgres
from tests.acceptance.processes import wait_until
from tests.acceptance.senders import Senders
from tests.acceptance.service import Service
from tests.acceptance.tenant import ROOT

_VERSIONS = "SELECT number, version FROM zuora_link ORDER BY number"


class Operator:
    """Runs the commands of the page as the server's user, on a server that is theirs."""

    def __init__(self) -> None:
        section = (ROOT / "docs/looking-after-the-data.md").read_text().partition("## Restoring a moment")[2]
        blocks = re.findall(r"```sh\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
        self.archive, self.back_up, self.go_back, self.forget = blocks
        self.postgres = Postgres()
        self.folder = Path(tempfile.mkdtemp(prefix="pgarchive", dir="/tmp"))
        server = self.postgres._server
        self._user: str | None = server.system_user
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        # A server of an operator's has its place in its configuration; the tests' is told at every start.
        self.postgres.run(f"ALTER SYSTEM SET unix_socket_directories = '{self.postgres.folder}'")
        self.postgres.run("ALTER SYSTEM SET listen_addresses = ''")
        for name in ("archive", "backups"):
            self.run(f"mkdir {self.folder / name}")

    def run(self, commands: str, **words: str) -> str:
        """Run commands to their end; what they printed."""
        data = self.postgres.folder
        environ = {
            "PATH": f"{self.postgres._server.bin_path}:{os.environ['PATH']}",
            "PGDATA": str(data),
            "PGHOST": str(data),
            "PGUSER": "postgres",
            "ARCHIVE": str(self.folder / "archive"),
            "BACKUPS": str(self.folder / "backups"),
            **words,
        }
        with tempfile.TemporaryFile("w+") as told:  # no pipe: a server that is started keeps what it inherits open
            done = subprocess.run(
                ["sh", "-eu", "-c", commands],
                user=self._user,
                env=environ,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=subprocess.STDOUT,
                timeout=120,
                check=False,
            )
            told.seek(0)
            text = told.read()
        assert done.returncode == 0, text
        return text

    def remove(self) -> None:
        """End the server, whichever it is now, and delete all."""
        with suppress(AssertionError):  # it does not run
            self.run('pg_ctl stop --mode immediate --pgdata "$PGDATA"')
        self.postgres.remove()
        for folder in (self.folder, self.postgres.folder.with_name(f"{self.postgres.folder.name}.spoilt")):
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def operator() -> Iterator[Operator]:
    operator = Operator()
    yield operator
    operator.remove()


@pytest.mark.long  # its short brother is test_restore.py
@pytest.mark.timeout(300)
def test_a_store_that_goes_back_to_the_moment_before_a_mistake_agrees_with_zuora_again(
    operator: Operator, tmp_path: Path
) -> None:
    operator.run(operator.archive)
    with service_on(operator.postgres.url, tmp_path) as service, closing_senders(service) as senders:
        service.start_all()
        changes = Changes(service.tenant, Random(11))
        tell(service, senders, service.tenant.numbers)
        operator.run(operator.back_up)
        tell(service, senders, changes.change_subscriptions(8, callout=False))
        then = service.rows(_VERSIONS)
        moment = str(service.one("SELECT CAST(clock_timestamp() AS text)"))
        tell(service, senders, changes.change_subscriptions(8, callout=False))
        changes.change_subscriptions(4, callout=False)  # these callouts are lost for good
        later = service.rows(_VERSIONS)
        service.change("DELETE FROM limio_schedule")
        for child in service.children:
            child.kill()
        service.database.engine.dispose()

        (base,) = (operator.folder / "backups").iterdir()
        # An operator's socket is elsewhere; the lock of the tests' names a server that may not be quite gone.
        (base / ".s.PGSQL.5432.lock").unlink(missing_ok=True)
        operator.run(operator.go_back, BASE=str(base), MOMENT=moment)
        question = 'psql --tuples-only --no-align --command "SELECT pg_is_in_recovery()"'
        wait_until(lambda: operator.run(question).strip() == "f", "the server takes writes")
        operator.run(operator.forget)

        assert "recovery_target" not in (operator.postgres.folder / "postgresql.auto.conf").read_text()
        assert service.rows(_VERSIONS) == then
        assert then != later
        assert service.one("SELECT count(*) FROM limio_schedule") > 0
        service.tell("db", "upgrade")
        service.expire_leases()
        service.start_all()
        service.tell("sweep", "full")
        senders.send_all(changes.change_subscriptions(3, callout=False))
        service.settle(time_passes=True)

        assert find_stale(service, service.tenant.numbers) == []
        assert service.failed() == []


@contextmanager
def closing_senders(service: Service) -> Iterator[Senders]:
    senders = Senders(service.port, threads=4)
    try:
        yield senders
    finally:
        senders.stop()


def tell(service: Service, senders: Senders, numbers: list[str]) -> None:
    """Zuora tells of these, and all of it is synced."""
    senders.send_all(numbers)
    service.settle()
