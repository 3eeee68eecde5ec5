"""The Procfile as a process manager runs it: the three processes on a new store, and a stop that ends all of them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from sync_service.queue.status.heartbeats import ProcessRole, read_last_seen
from sync_service.store.engine import connect
from tests.acceptance.processes import Child, wait_until
from tests.acceptance.service import Service
from tests.acceptance.tenant import ROOT, Tenant

#: A worker's own limit, as systemd gives it.
LIMIT = 40.0


@pytest.mark.timeout(240)
def test_a_process_manager_starts_all_three_on_an_empty_folder_and_stops_them(tmp_path: Path) -> None:
    tenant = Tenant(tmp_path, subscriptions=5, accounts=2)
    service = Service(tmp_path, f"sqlite:///{tmp_path / 'unused.db'}", tenant)
    url = f"sqlite:///{tmp_path / 'store.db'}"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = [
        sys.executable,
        "-m",
        "honcho",
        "--app-root",
        str(tmp_path),
        "--procfile",
        str(ROOT / "Procfile"),
        "start",
    ]
    manager = Child("honcho", command, service.environ | {"DATABASE_URL": url, "PATH": path}, tmp_path)
    database = connect(url)
    try:
        service.wait_until_ready()

        def all_seen() -> bool:
            with database.reading() as session:
                return all(
                    read_last_seen(session, role)
                    for role in (ProcessRole.WEB, ProcessRole.WORKER, ProcessRole.SCHEDULER)
                )

        wait_until(all_seen, "web, worker and scheduler run")
        started = manager.pids()
        manager.terminate()

        manager.wait(LIMIT)
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started), "no process is left")
    finally:
        manager.kill()
        database.engine.dispose()
        service.stop()
        tenant.stop()
