"""The service in real processes, for each kind of database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import sync_service
import zuora_emulator
from tests.acceptance import processes
from tests.acceptance.service import Service
from tests.acceptance.tenant import Tenant, bare_environ
from tests.forking import Forker, find_modules

#: What the processes load; not what runs when it is loaded, or is a migration.
_MODULES = (
    *find_modules((sync_service, zuora_emulator), but=("__main__", "main", "migrations")),
    *("alembic.command", "gunicorn.app.wsgiapp", "gunicorn.workers.gthread", "psycopg"),
)
_READ_THE_ENVIRONMENT = ("sync_service.web.gunicorn_conf",)


@pytest.fixture(scope="session", autouse=True)
def forker() -> Iterator[Forker]:
    """What the processes of all tests are forked from."""
    with TemporaryDirectory(prefix="fork") as folder:  # the path of a socket may have 107 bytes
        processes.forker = forker = Forker(Path(folder), bare_environ(), _MODULES, anew=_READ_THE_ENVIRONMENT)
        yield forker
        processes.forker = None
        forker.stop()


@pytest.fixture
def open_service(database_url: str, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Makes a service on an empty database, with a tenant of `subscriptions` on `accounts`; both end with the test."""
    made: list[Service] = []

    def make(*, subscriptions: int = 0, accounts: int = 0, seed: int = 0, **settings: object) -> Service:
        tenant = Tenant(tmp_path, subscriptions=subscriptions, accounts=accounts, seed=seed)
        try:
            made.append(Service(tmp_path, database_url, tenant, **settings))
        except BaseException:
            tenant.stop()
            raise
        return made[-1]

    yield make
    for service in made:
        service.stop()
        service.tenant.stop()
