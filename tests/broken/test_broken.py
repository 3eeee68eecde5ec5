"""Each rule that the queue and the store stand on has a test that goes red without it.

A patch in this folder breaks one rule and names, in a line that begins with `Red:`, the test that must notice.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.databases import SERVER, SQLITE, PostgresDatabases, new_sqlite
from tests.forking import Forker

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PATCHES = sorted(HERE.glob("*.patch"))
#: What takes long to load and is no part of us; not pytest's plugins, whose assertions it rewrites as it loads them.
LIBRARIES = (
    *("pytest", "sqlmodel", "alembic.command", "psycopg", "flask", "jinja2", "requests", "marshmallow", "argon2"),
    *("structlog.dev", "prometheus_client", "click", "joserfc.jwt", "cryptography.x509", "defusedxml.ElementTree"),
)


@pytest.fixture(scope="module")
def forker() -> Iterator[Forker]:
    with TemporaryDirectory(prefix="fork") as folder:
        forker = Forker(Path(folder), os.environ, LIBRARIES)
        yield forker
        forker.stop()


@pytest.fixture(scope="module")
def prepared(postgres_databases: PostgresDatabases, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where a run finds databases of ours: no patch changes a table."""
    postgres_databases.give_back(postgres_databases.take())  # it makes what all others are made from
    embedded = tmp_path_factory.mktemp("prepared") / "store.db"
    new_sqlite(embedded)
    return {SERVER: postgres_databases.server, SQLITE: str(embedded)}


@pytest.mark.parametrize("patch", PATCHES, ids=[patch.stem for patch in PATCHES])
def test_a_broken_rule_is_noticed(patch: Path, tmp_path: Path, forker: Forker, prepared: dict[str, str]) -> None:
    for folder in ("sync_service", "tests"):
        left_out = shutil.ignore_patterns("broken", "browser", "acceptance")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=left_out)
    for name in ("setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    directed = re.findall(r"^Red: (\S+)$", patch.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(directed) == 1, "a patch names one test"
    apply(patch, tmp_path)

    words = ["pytest", "-q", "-x", "-p", "no:cacheprovider", directed[0]]
    with (tmp_path / "said").open("w+") as said:
        status = forker.start(words, os.environ | prepared, tmp_path, said.fileno()).wait(100)
        said.seek(0)
        text = said.read()

    # 1: tests ran and failed; an error in the set-up, a missing test or a syntax error would be no proof.
    assert (status, re.findall(r"\d+ (failed|error)", text)) == (1, ["failed"]), text


def apply(patch: Path, folder: Path) -> None:
    """Apply a unified diff, exactly or not at all; `git apply` and `patch` differ in what a machine has."""
    commands = {
        "patch": ["patch", "-p1", "--fuzz=0", "--forward", "--batch", "-i", str(patch)],
        "git": ["git", "apply", "-p1", str(patch)],
    }
    command = next(command for name, command in commands.items() if shutil.which(name))
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{patch.name} no longer fits the code it breaks:\n{done.stdout}{done.stderr}"
