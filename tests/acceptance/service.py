"""The whole service in real processes: gunicorn, workers, an emulated Zuora, on a database of either kind."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import requests
from psycopg.errors import DeadlockDetected
from sqlalchemy.exc import OperationalError

from sync_service.store.engine import connect
from sync_service.store.schema import upgrade
from tests.acceptance.processes import PATIENCE, Child, GaveUp, wait_until
from tests.acceptance.tenant import PASSWORD, USERNAME, Tenant, bare_environ
from tests.ports import free_port
from zuora_emulator.zuora_api import CLIENT_ID, CLIENT_SECRET


class Service:
    """One installation. Its time can be made to pass: see `expire_leases` and `pass_time`."""

    def __init__(
        self, folder: Path, database_url: str, tenant: Tenant, *, migrated: bool = True, **settings: object
    ) -> None:
        self.folder = folder
        self.tenant = tenant
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environ = bare_environ() | {
            "DATABASE_URL": database_url,
            "ZUORA_BASE_URL": tenant.url,
            "ZUORA_CLIENT_ID": CLIENT_ID,
            "ZUORA_CLIENT_SECRET": CLIENT_SECRET,
            "CALLOUT_USERNAME": USERNAME,
            "CALLOUT_PASSWORD": PASSWORD,
            "SECRET_KEY": "a key of this test, long enough for it",
            "PORT": str(self.port),
            "LOG_FORMAT": "json",
            "SAFETY_SHARE": "1",  # a test cancels more than a business does
            "HOLD_AT": str(folder / "hold"),
            **{name.upper(): str(value) for name, value in settings.items()},
        }
        self.clock_ahead_ms = 0
        #: A module of ours under which everything runs; see `start`.
        self.wrapper: str | None = None
        self.database = connect(database_url)
        if migrated:
            upgrade(self.database)
        self.children: list[Child] = []
        self._taken = folder / "hold.taken"
        #: Processes that were found at a point; their output still says so after their end.
        self._held: set[int] = set()

    # --- processes ---

    def start(self, *words: str, held: bool = False) -> Child:
        """Start `web`, `worker` or any other command; `held` under the wrapper that can stop it at any point."""
        wrapper = "holding" if held else "ahead" if self.clock_ahead_ms else self.wrapper
        if wrapper is None and words == ("web",):  # what the command becomes when it has looked at the settings
            command = [sys.executable, "-m", "sync_service.web"]
        elif wrapper is None:
            command = [sys.executable, "-m", "sync_service.cli.main", *words]
        elif words == ("web",):
            command = [sys.executable, "-m", "gunicorn", "-c", "python:sync_service.web.gunicorn_conf"]
            command.append(f"tests.acceptance.{wrapper}:create_wsgi()")
        else:
            command = [sys.executable, "-m", f"tests.acceptance.{wrapper}", *words]
        child = Child(words[0], command, self.environ, self.folder)
        self.children.append(child)
        return child

    def tell(self, *words: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """Run a command that prints JSON to its end; what it told."""
        child = self.start(*words, "--json")
        status = child.wait(seconds)
        text = "\n".join(child.lines)
        assert status == 0, text
        told: dict[str, Any] = json.loads(text[text.index("{") :])
        return told

    def set_clock_ahead(self, milliseconds: int) -> None:
        """What is started from now on takes it to be so much later."""
        self.clock_ahead_ms = milliseconds
        self.environ["CLOCK_AHEAD_MS"] = str(milliseconds)

    def start_all(self, *, workers: int = 1, held: bool = False) -> None:
        """Start web and workers, and wait until they work."""
        started = [self.start("worker", held=held) for _ in range(workers)]
        self.start("web", held=held)
        self.wait_until_ready()
        for child in started:
            child.wait_for("worker_started")

    def running(self, name: str) -> list[Child]:
        """The children of that name that have not ended."""
        return [child for child in self.children if child.name == name and child.is_running]

    def wait_until_ready(self) -> None:
        """Wait until the web answers that it can work."""

        def ready() -> bool:
            try:
                with requests.Session() as http:
                    http.trust_env = False
                    return http.get(f"{self.url}/readyz", timeout=5).ok
            except requests.RequestException:
                return False

        wait_until(ready, "the web is ready")

    def stop(self) -> None:
        """End everything at once."""
        for child in self.children:
            child.kill()
        self.database.engine.dispose()

    # --- kill points ---

    def hold(self, where: str, pattern: str) -> None:
        """The process that comes to this point next stops there: see holding.py."""
        draft = self.folder / "hold.draft"
        draft.write_text(json.dumps({"where": where, "pattern": pattern}))
        self._taken.unlink(missing_ok=True)
        draft.rename(self.folder / "hold")

    def wait_until_held(self, name: str, seconds: float = PATIENCE) -> tuple[Child, int]:
        """The child that stopped at the point called `name`, and the id of the process in it that did."""
        found: list[tuple[Child, int]] = []

        def held() -> bool:
            if self._taken.exists():
                for child in self.children:
                    pids = [int(match[1]) for line in list(child.lines) if (match := re.search(r"held (\d+)$", line))]
                    if pids and pids[-1] not in self._held:
                        found.append((child, pids[-1]))
                        return True
            return False

        try:
            wait_until(held, f"some process comes to the point: {name}", seconds)
        except GaveUp as gave_up:
            raise GaveUp(f"{gave_up}\n{self.tails()}") from None
        self._taken.unlink()
        self._held.add(found[0][1])
        return found[0]

    def kill(self, child: Child, pid: int | None = None) -> None:
        """kill -9 to one process of a child, or to all of it."""
        if pid is None or pid == child.pid:
            child.kill()
        else:
            os.kill(pid, signal.SIGKILL)

    # --- the database ---

    def rows(self, statement: str, **values: Any) -> list[Any]:
        """What a query finds."""
        with self.database.reading() as session:
            return list(session.run(statement, values))

    def one(self, statement: str, **values: Any) -> Any:
        """The one value that a query finds."""
        return self.rows(statement, **values)[0][0]

    def change(self, *statements: str) -> int:
        """Change rows behind the service's back, in the order of locks that it keeps itself; how many."""
        while True:
            try:
                with self.database.transaction() as session:
                    limit = "SELECT id FROM zuora_limit {for_update}"
                    session.run(limit).all()
                    return sum(int(session.run(statement).rowcount) for statement in statements)
            except OperationalError as error:
                # Many rows at once, in no order: a run that holds one and asks for another number may be in the way.
                if not isinstance(error.orig, DeadlockDetected):
                    raise

    def expire_leases(self) -> int:
        """The 90 s of all leases are over: a worker that lives and still has one is merely slow."""
        return self.change("UPDATE sync_request SET lease_until = {now} WHERE lease_until > {now}")

    def pass_time(self) -> None:
        """Pauses and backoffs are over, and so is the hour in which the safety stop counts cancellations."""
        kept = {
            "sync_run": ("ended_at = ended_at - 3600000", "drastic AND ended_at > {now} - 3600000"),
            "zuora_limit": ("open_until = {now}", "open_until > {now}"),
            "sync_request": ("due_at = {now}", "due_at > {now} AND lease_until IS NULL"),
        }
        # Most looks find nothing to change, and a write would be in the way of those who work.
        there = " UNION ALL ".join(f"SELECT '{table}' FROM {table} WHERE {where}" for table, (_, where) in kept.items())
        if found := {row[0] for row in self.rows(there)}:
            self.change(
                *(f"UPDATE {table} SET {to} WHERE {where}" for table, (to, where) in kept.items() if table in found)
            )

    @property
    def waiting(self) -> int:
        """Requests that are not served yet."""
        return int(self.one("SELECT count(*) FROM sync_request WHERE due_at IS NOT NULL"))

    def settle(self, seconds: float = PATIENCE, *, time_passes: bool = False) -> None:
        """Wait until every request is served; with `time_passes` no backoff or pause is waited for."""

        def settled() -> bool:
            if time_passes:
                self.pass_time()
            return self.waiting == 0

        try:
            wait_until(settled, "every request is served", seconds)
        except GaveUp as gave_up:
            rows = self.rows("SELECT * FROM sync_request WHERE due_at IS NOT NULL LIMIT 5")
            limit = self.rows("SELECT * FROM zuora_limit") + self.rows("SELECT * FROM zuora_lease")
            raise GaveUp(f"{gave_up}\n{rows}\n{limit}\n{self.tails()}") from None

    def failed(self) -> list[Any]:
        """Requests that were given up, and plans that wait for a person."""
        given_up = "SELECT kind, key, last_error FROM sync_request WHERE failed_seq = requested_seq"
        return self.rows(f"{given_up} UNION ALL SELECT kind, key, outcome FROM sync_run WHERE outcome = 'held'")

    def unkept(self, request_ids: Collection[str]) -> set[str]:
        """Those of the requests (Zuora-Request-Id) that the store knows nothing of."""
        known = {row[0] for row in self.rows("SELECT request_id FROM callout")}
        return set(request_ids) - known

    def tails(self) -> str:
        """The last words of every process."""
        return "\n".join(f"--- {child.name} {child.pid}\n{child.tail(12)}" for child in self.children[-6:])


def postgres_backends(service: Service) -> int:
    """End every connection to the service's PostgreSQL database but our own; how many there were."""
    found = service.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    return len(found)
