"""Each rule that the queue and the store stand on has a test that goes red without it.

A patch in this folder breaks one rule and names, in a line that begins with `Red:`, the test that must notice.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.databases import SERVER, PostgresDatabases

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PATCHES = sorted(HERE.glob("*.patch"))


@pytest.mark.parametrize("patch", PATCHES, ids=[patch.stem for patch in PATCHES])
def test_a_broken_rule_is_noticed(patch: Path, tmp_path: Path, postgres_databases: PostgresDatabases) -> None:
    for folder in ("sync_service", "tests"):
        left_out = shutil.ignore_patterns("broken", "browser", "acceptance")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=left_out)
    for name in ("setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    directed = re.findall(r"^Red: (\S+)$", patch.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(directed) == 1, "a patch names one test"
    apply(patch, tmp_path)

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", directed[0]],
        cwd=tmp_path,
        env=os.environ
        | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1", SERVER: postgres_databases.server},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    # 1: tests ran and failed; an error in the set-up, a missing test or a syntax error would be no proof.
    assert (run.returncode, re.findall(r"\d+ (failed|error)", run.stdout)) == (1, ["failed"]), run.stdout + run.stderr


def apply(patch: Path, folder: Path) -> None:
    """Apply a unified diff, exactly or not at all; `git apply` and `patch` differ in what a machine has."""
    commands = {
        "patch": ["patch", "-p1", "--fuzz=0", "--forward", "--batch", "-i", str(patch)],
        "git": ["git", "apply", "-p1", str(patch)],
    }
    command = next(command for name, command in commands.items() if shutil.which(name))
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{patch.name} no longer fits the code it breaks:\n{done.stdout}{done.stderr}"
