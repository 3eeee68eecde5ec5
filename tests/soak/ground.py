"""Where a part plays: fresh databases of one kind, fresh folders, and a service on each."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from tests.acceptance.postgres import Postgres
from tests.acceptance.service import Service
from tests.acceptance.tenant import Tenant

KINDS = ("sqlite", "postgresql")


class Ground:
    """One kind of database; `postgres` is the server where that is the kind."""

    def __init__(self, kind: str, postgres: Postgres | None) -> None:
        self.kind = kind
        self.postgres = postgres

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """An empty folder that is gone afterwards."""
        path = Path(tempfile.mkdtemp(prefix="soak", dir="/tmp"))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def service(self, *, subscriptions: int, accounts: int, seed: int, **settings: object) -> Iterator[Service]:
        """A service with nothing started yet, on an empty database, with an emulated tenant of its own."""
        with self.folder() as folder, self.database() as url:
            tenant = Tenant(folder, subscriptions=subscriptions, accounts=accounts, seed=seed)
            service = Service(folder, url, tenant, **settings)
            try:
                yield service
            finally:
                service.stop()
                tenant.stop()

    @contextmanager
    def database(self) -> Iterator[str]:
        """The address of an empty database without tables, which is gone afterwards."""
        if self.postgres is None:
            with self.folder() as folder:
                yield f"sqlite:///{folder / 'store.db'}"
            return
        name = f"s{uuid4().hex}"
        self.postgres.run(f'CREATE DATABASE "{name}"')
        base, _, query = self.postgres.url.partition("?")
        yield base.rsplit("/", 1)[0] + f"/{name}" + (f"?{query}" if query else "")
        self.postgres.run(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def open_ground(kind: str) -> Iterator[Ground]:
    """A server of our own where the kind needs one."""
    if kind == "sqlite":
        yield Ground(kind, None)
        return
    server = Postgres()
    try:
        yield Ground(kind, server)
    finally:
        server.remove()
