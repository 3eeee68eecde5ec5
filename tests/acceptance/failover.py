"""Two PostgreSQL servers, one the other's synchronous standby; the first dies under load and the second takes over."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from tests.acceptance.database_away import ASKED, refused, service_on, under_load
from tests.acceptance.postgres import Postgres
from tests.acceptance.processes import wait_until


@dataclass(frozen=True)
class Outcome:
    """What failovers cost."""

    acknowledged: int
    #: The longest from the end of a promotion to the next acknowledged callout, in seconds.
    away: float


class Pair:
    """A primary that acknowledges nothing before its standby has it, and the standby. They take turns."""

    def __init__(self) -> None:
        self._first = Postgres()
        self._server: Any = self._first._server
        second = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
        if self._server.system_user is not None:
            shutil.chown(second, self._server.system_user)
        second.chmod(0o700)
        self.primary, self.standby = self._first.folder, second
        self.make_standby()

    @property
    def url(self) -> str:
        """Both servers: whichever takes writes is used."""
        hosts = quote(",".join(sorted(map(str, (self.primary, self.standby)))), safe="/,")
        return f"postgresql://postgres@/postgres?host={hosts}&target_session_attrs=read-write"

    def make_standby(self) -> None:
        """Make the one that does not run the other's standby, from a new copy; everything waits for it from now on."""
        for each in self.standby.iterdir():
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        copy = ["pg_basebackup", "-h", str(self.primary), "-U", "postgres", "-D", str(self.standby)]
        self._call(*copy, "-R", "-X", "stream", "-c", "fast")
        # The primary's, whose socket lies in its own folder.
        (self.standby / ".s.PGSQL.5432.lock").unlink(missing_ok=True)
        self._control(self.standby, "start", "-o", f"-k {self.standby} -h ''", "-l", str(self.standby / "log"))
        self._wait_for_others("*")
        replicated = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
        wait_until(lambda: self._run(replicated) == [(1,)], "the standby follows")

    def kill_primary(self) -> None:
        """End it as though its machine had lost its power."""
        self._control(self.primary, "stop", "-m", "immediate")

    def promote(self) -> None:
        """Let the standby take writes; it waits for no other any more."""
        self.primary, self.standby = self.standby, self.primary
        self._control(self.primary, "promote")
        self._wait_for_others("")

    def remove(self) -> None:
        """End both and delete their files."""
        for folder in (self.standby, self.primary):
            with suppress(subprocess.CalledProcessError):  # it does not run
                self._control(folder, "stop", "-m", "immediate")
        self._first.remove()
        for folder in (self.standby, self.primary):
            shutil.rmtree(folder, ignore_errors=True)

    def _wait_for_others(self, names: str) -> None:
        self._run(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        self._run("SELECT pg_reload_conf()")

    def _run(self, statement: str) -> list[Any]:
        with psycopg.connect(f"postgresql://postgres@/postgres?host={self.primary}", autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def _control(self, folder: Path, *words: str) -> None:
        self._call("pg_ctl", "-w", "-D", str(folder), *words)

    def _call(self, program: str, *words: str) -> None:
        command = [str(self._server.bin_path / program), *words]
        subprocess.run(
            command,
            user=self._server.system_user,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            timeout=120,
            check=True,
        )


def fail_over(folder: Path, seed: int, times: int = 1) -> Outcome:
    """Kill the primary under load and promote the standby, again and again; nothing of ours is restarted."""
    pair = Pair()
    away = 0.0
    try:
        with service_on(pair.url, folder) as service, under_load(service, seed) as load:
            for place in range(times):
                if place:
                    pair.make_standby()
                    load.wait_for_more()
                pair.kill_primary()
                assert refused(service) == [503] * ASKED
                pair.promote()
                promoted = time.monotonic()
                load.wait_for_more(1)
                away = max(away, time.monotonic() - promoted)
        return Outcome(len(load.senders.sent.acknowledged), away)
    finally:
        pair.remove()
