"""A backfill of a whole tenant, killed again and again: how long it takes, what it needs, and what is there at the end.

`python -m tests.acceptance.backfilling [COUNT] [DATABASE_URL]` runs a large one alone.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.acceptance.processes import Child, wait_until
from tests.acceptance.service import Service
from tests.acceptance.tenant import Tenant

#: What one subscription may take on a busy machine, in seconds.
_PATIENCE = 0.5


@dataclass
class BackfillReport:
    """What was done, and what was seen of it."""

    subscriptions: int
    kills: int = 0
    seconds: float = 0.0
    #: What the last command told.
    told: dict[str, Any] = field(default_factory=dict)
    #: How many subscriptions the store has, with how many references; the same for customers and runs that imported.
    stored: tuple[int, int] = (0, 0)
    customers: int = 0
    imported: tuple[int, int] = (0, 0)
    #: The most that was resident in the command and in the worker, in MB.
    memory: float = 0.0
    worker_memory: float = 0.0


def run_killed_backfill(service: Service, *, kills: int = 3) -> BackfillReport:
    """Backfill the tenant with one worker; kill -9 the command after even parts of it, and begin it again each time."""
    count = len(service.tenant.numbers)
    report = BackfillReport(count)
    worker = service.start("worker")
    worker.wait_for("worker_started")
    began = time.monotonic()
    patience = 60 + count * _PATIENCE
    for part in range(1, kills + 1):
        wanted = max(1, count * part // (kills + 1))
        child = service.start("backfill", "--yes")
        wait_until(partial(_has_synced, service, wanted), f"{wanted} synced", patience)
        _note_memory(report, child)
        child.kill()
        report.kills += 1
        service.change("UPDATE job SET lease_until = {now} - 1 WHERE name = 'backfill'")  # time passes
    last = service.start("backfill", "--yes", "--json")
    wait_until(lambda: not last.is_running or _note_memory(report, last), "the backfill ends", patience)
    report.told = json.loads("\n".join(last.lines[last.lines.index("{") :]))
    assert last.wait() == 0
    report.seconds = time.monotonic() - began
    report.worker_memory = _peak_memory(worker)
    ((*stored,),) = service.rows("SELECT count(*), count(DISTINCT reference) FROM limio_subscription")
    report.stored = (stored[0], stored[1])
    report.customers = service.one("SELECT count(*) FROM limio_customer")
    ((*imported,),) = service.rows("SELECT count(*), count(DISTINCT key) FROM sync_run WHERE outcome = 'imported'")
    report.imported = (imported[0], imported[1])
    return report


def _note_memory(report: BackfillReport, child: Child) -> None:
    with suppress(FileNotFoundError, StopIteration):  # it has just ended
        report.memory = max(report.memory, _peak_memory(child))


def _peak_memory(child: Child) -> float:
    """The most of a running process that was resident so far, in MB."""
    status = Path(f"/proc/{child.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def _has_synced(service: Service, count: int) -> bool:
    return int(service.one("SELECT count(*) FROM zuora_link")) >= count


def main() -> None:
    """One large backfill; its figures as JSON."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    folder = Path(tempfile.mkdtemp(prefix="backfill"))
    url = sys.argv[2] if len(sys.argv) > 2 else f"sqlite:///{folder / 'store.db'}"
    service = Service(folder, url, Tenant(folder, subscriptions=count))
    try:
        print(json.dumps(asdict(run_killed_backfill(service)), indent=2))
    finally:
        service.stop()
        service.tenant.stop()


if __name__ == "__main__":
    main()
