"""The machine runs short under load: of disk, of open files, of memory. All goes on by itself once there is enough."""

from __future__ import annotations

import resource
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.acceptance.database_away import Load, refused, service_on, under_load
from tests.acceptance.postgres import Postgres
from tests.acceptance.processes import Child, wait_until
from tests.acceptance.senders import NO_ANSWER, Sent
from tests.acceptance.service import Service

#: Memory that a worker gets beyond what it has, in bytes: less than the threads of its pool need.
_MEMORY = 8 << 20


class NotPermitted(Exception):
    """What is to be tried needs rights that this user has not."""


def fill_the_disk(kind: str, folder: Path, seed: int) -> Sent:
    """The disk under the database is full for a while. Raises NotPermitted."""
    with small_disk() as disk, ExitStack() as stack:
        server = None
        if kind == "postgresql":
            server = Postgres(disk)
            stack.callback(server.remove)
        url = server.url if server else f"sqlite:///{disk / 'store.db'}"
        service = stack.enter_context(service_on(url, folder))
        load = stack.enter_context(under_load(service, seed))

        filler = _fill(disk)
        wait_until(lambda: refused(service)[-1] == 503, "the disk is really full")
        wait_until(lambda: load.senders.sent.statuses[503] > 0, "the load has met the full disk too")
        filler.unlink()
        if server:
            server.start()  # where it could not even write its log it has ended
        load.wait_for_more()
        sent = load.senders.sent
    assert set(sent.statuses) <= {200, 503}
    return sent


def take_files_away(url: str, folder: Path, seed: int) -> Sent:
    """No process can open another file or take another connection, for a while; nothing is restarted."""
    with service_on(url, folder) as service, under_load(service, seed) as load:
        limits = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in _pids(service.children)}
        for pid, (_, hard) in limits.items():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (_lowest_free_file(pid), hard))
        _wait_until_short(service, load)
        for pid, before in limits.items():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        load.wait_for_more()
        sent = load.senders.sent
    assert set(sent.statuses) <= {200, 503, NO_ANSWER}
    return sent


def take_memory_away(url: str, folder: Path, seed: int) -> tuple[Sent, bool]:
    """A worker gets no more memory, for a while; whether it ended of it, so that another one was started."""
    with service_on(url, folder) as service, under_load(service, seed, lasting=False) as load:
        worker, _ = service.running("worker")
        _, hard = resource.prlimit(worker.pid, resource.RLIMIT_AS)
        resource.prlimit(worker.pid, resource.RLIMIT_AS, (_virtual_bytes(worker.pid) + _MEMORY, hard))
        load.wait_for_more(100)
        ended = not worker.is_running
        if ended:
            service.start("worker")
        else:
            resource.prlimit(worker.pid, resource.RLIMIT_AS, (hard, hard))
        load.wait_for_more()
        sent = load.senders.sent
    assert set(sent.statuses) == {200}
    return sent, ended


@contextmanager
def small_disk() -> Iterator[Path]:
    """A file system of its own, so that it can be filled. Raises NotPermitted."""
    disk = Path(tempfile.mkdtemp(prefix="disk", dir="/tmp"))
    mount = ["mount", "-t", "tmpfs", "-o", "size=192m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        disk.rmdir()
        raise NotPermitted("a disk of its own needs the right to mount one")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
        disk.rmdir()


def _fill(disk: Path) -> Path:
    """A file that takes all the space that is left."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 10):
            with suppress(OSError):
                while file.write(b"-" * size) == size:
                    pass
    return filler


def _wait_until_short(service: Service, load: Load) -> None:
    """New connections come until one of them is not taken or its callout cannot be committed."""

    def is_short() -> bool:
        return any(status != 200 for status in refused(service)) or set(load.senders.sent.statuses) != {200}

    wait_until(is_short, "a process is out of files")


def _pids(children: list[Child]) -> list[int]:
    return [pid for child in children if child.is_running for pid in child.pids()]


def _lowest_free_file(pid: int) -> int:
    taken = {int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir()}
    return next(number for number in range(len(taken) + 1) if number not in taken)


def _virtual_bytes(pid: int) -> int:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmSize")]
    return int(line.split()[1]) * 1024
