"""While nothing can be committed nothing is acknowledged, and nobody has to restart us afterwards."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.acceptance.database_away import refused, service_on, take_postgres_away, take_writing_away, under_load
from tests.acceptance.postgres import Postgres
from tests.acceptance.processes import wait_until


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.remove()


@pytest.mark.timeout(300)
def test_a_postgresql_that_goes_away_and_comes_back_costs_nothing(postgres: Postgres, tmp_path: Path) -> None:
    assert take_postgres_away(postgres, tmp_path, seed=4) > 0


@pytest.mark.timeout(200)
def test_an_embedded_database_that_cannot_write_costs_nothing(tmp_path: Path) -> None:
    assert take_writing_away(f"sqlite:///{tmp_path / 'store.db'}", tmp_path, seed=5) > 0


@pytest.mark.timeout(200)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_disk_that_is_full_for_a_while_costs_nothing(kind: str, small_disk: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = None
        if kind == "postgresql":
            server = Postgres(small_disk)
            stack.callback(server.remove)
        url = server.url if server else f"sqlite:///{small_disk / 'store.db'}"
        service = stack.enter_context(service_on(url, tmp_path))
        load = stack.enter_context(under_load(service, seed=6))

        filler = fill(small_disk)
        wait_until(lambda: refused(service)[-1] == 503, "the disk is really full")
        filler.unlink()
        if server:
            server.start()  # where it could not even write its log it has ended

        load.wait_for_more()
        assert set(load.senders.sent.statuses) <= {200, 503}


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of its own, so that it can be filled."""
    disk = Path(tempfile.mkdtemp(prefix="disk", dir="/tmp"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=192m", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        disk.rmdir()
        pytest.skip("a disk of its own needs the right to mount one")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)
    disk.rmdir()


def fill(disk: Path) -> Path:
    """A file that takes all the space that is left."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 10):
            with suppress(OSError):
                while file.write(b"-" * size) == size:
                    pass
    return filler
