"""Two PostgreSQL servers, one the other's synchronous standby; the first dies under load and the second takes over."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
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
    """What a failover cost."""

    acknowledged: int
    #: From the end of the promotion to the next acknowledged callout, in seconds.
    away: float


class Pair:
    """A primary that acknowledges nothing before its standby has it, and the standby."""

    def __init__(self) -> None:
        self.primary = Postgres()
        self._server: Any = self.primary._server
        self.standby = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
        if self._server.system_user is not None:
            shutil.chown(self.standby, self._server.system_user)
        self.standby.chmod(0o700)
        self.primary.run("ALTER SYSTEM SET synchronous_standby_names = '*'")
        copy = ["pg_basebackup", "-h", str(self.primary.folder), "-U", "postgres", "-D", str(self.standby)]
        self._call(*copy, "-R", "-X", "stream", "-c", "fast")
        (self.standby / ".s.PGSQL.5432.lock").unlink()  # the primary's, whose socket lies in its own folder
        self._control("start", "-o", f"-k {self.standby} -h ''", "-l", str(self.standby / "log"))
        self.primary.run("SELECT pg_reload_conf()")
        replicated = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
        wait_until(lambda: self.primary.run(replicated) == [(1,)], "the standby follows")

    @property
    def url(self) -> str:
        """Both servers: whichever takes writes is used."""
        hosts = quote(f"{self.primary.folder},{self.standby}", safe="/,")
        return f"postgresql://postgres@/postgres?host={hosts}&target_session_attrs=read-write"

    def kill_primary(self) -> None:
        """End it as though its machine had lost its power."""
        self.primary.stop("immediate")

    def promote(self) -> None:
        """Let the standby take writes; it waits for no other any more."""
        self._control("promote")
        self._run("ALTER SYSTEM SET synchronous_standby_names = ''")
        self._run("SELECT pg_reload_conf()")

    def remove(self) -> None:
        """End both and delete their files."""
        subprocess.run(
            [str(self._server.bin_path / "pg_ctl"), "-D", str(self.standby), "-m", "immediate", "stop"],
            user=self._server.system_user,
            capture_output=True,
            timeout=60,
            check=False,
        )
        shutil.rmtree(self.standby, ignore_errors=True)
        self.primary.remove()

    def _run(self, statement: str) -> None:
        with psycopg.connect(f"postgresql://postgres@/postgres?host={self.standby}", autocommit=True) as connection:
            connection.execute(statement)

    def _control(self, *words: str) -> None:
        self._call("pg_ctl", "-w", "-D", str(self.standby), *words)

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


def fail_over(folder: Path, seed: int) -> Outcome:
    """Kill the primary under load and promote the standby; nothing of ours is restarted."""
    pair = Pair()
    try:
        with service_on(pair.url, folder) as service, under_load(service, seed) as load:
            pair.kill_primary()
            assert refused(service) == [503] * ASKED
            pair.promote()
            promoted = time.monotonic()
            load.wait_for_more(1)
            away = time.monotonic() - promoted
        return Outcome(len(load.senders.sent.acknowledged), away)
    finally:
        pair.remove()
