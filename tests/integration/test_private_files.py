"""What the service writes is readable by its own user alone; what it runs is its own code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sync_service.cli.serve import describe_place
from sync_service.store.engine import connect
from sync_service.store.schema import upgrade
from tests.acceptance.processes import Child, wait_until
from tests.acceptance.tenant import bare_environ
from tests.ports import free_port


@pytest.fixture
def common_umask() -> Iterator[None]:
    """What most machines have: files are made for all to read."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("common_umask")
def test_the_store_and_its_journal_are_readable_by_their_user_only(tmp_path: Path) -> None:
    database = connect(f"sqlite:///{tmp_path / 'var' / 'store.db'}")
    upgrade(database)
    with database.transaction() as session:
        session.connection().exec_driver_sql("CREATE TABLE written (id INTEGER)")
        modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "var").iterdir()}
    database.engine.dispose()

    assert (tmp_path / "var").stat().st_mode & 0o777 == 0o700
    assert modes == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}


@pytest.mark.usefixtures("common_umask")
def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir(mode=0o750)

    connect(f"sqlite:///{tmp_path / 'shared' / 'store.db'}").engine.dispose()

    assert (tmp_path / "shared").stat().st_mode & 0o777 == 0o750


@contextmanager
def running_web(folder: Path, words: list[str], **settings: str) -> Iterator[tuple[Child, int]]:
    """`sync-service` with these words in `folder`, and the port that it was given."""
    port = free_port()
    environ = bare_environ() | {"DATABASE_URL": f"sqlite:///{folder / 'store.db'}", "PORT": str(port), **settings}
    subprocess.run(
        [sys.executable, "-P", "-m", "sync_service.cli.main", "db", "upgrade"], env=environ, cwd=folder, check=True
    )
    child = Child("web", [sys.executable, "-P", "-m", "sync_service.cli.main", *words], environ, folder)
    try:
        yield child, port
    finally:
        child.kill()  # its own children end with it


def listening(port: int) -> set[str]:
    """The addresses at which some process of this machine listens on `port`, as Linux writes them."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            address, _, number = fields[1].rpartition(":")
            if fields[3] == "0A" and int(number, 16) == port:
                found.add(address)
    return found


def test_run_is_for_this_machine_only_and_runs_nothing_of_the_working_folder(tmp_path: Path) -> None:
    for name in ("token", "queue", "secrets", "gunicorn", "uuid", "csv"):
        (tmp_path / f"{name}.py").write_text(f"open('{tmp_path}/hijacked', 'w').write('{name}')\nraise SystemExit(9)\n")

    with running_web(tmp_path, ["run"]) as (child, port):
        child.wait_for(f"Listening on http://127.0.0.1:{port}/")
        wait_until(lambda: listening(port) or not child.is_running, "the web listens")

        assert listening(port) == {"0100007F"}
        assert not (tmp_path / "hijacked").exists()


def test_listening_on_every_interface_has_to_be_asked_for_and_is_told(tmp_path: Path) -> None:
    with running_web(tmp_path, ["web"], HOST="0.0.0.0") as (child, port):
        wait_until(lambda: listening(port) or not child.is_running, "the web listens")

        assert listening(port) == {"00000000"}
    assert describe_place("0.0.0.0", "8000") == "port 8000 of every interface of this machine"
    assert describe_place("::1", "8000") == "http://[::1]:8000/"
