"""The commands of docs/placing-orders.md do what the page says, in the order in which it gives them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.processes import Child
from tests.acceptance.tenant import bare_environ
from tests.forking import Forker

PAGE = Path(__file__).parents[2] / "docs/placing-orders.md"


def commands(page: str) -> list[str]:
    """The blocks of the part "Try it", each as a script; the first one starts the emulator."""
    part = page.split("## Try it")[1].split("\n## ")[0]
    blocks = re.findall(r"```console\n(.*?)```", part, re.DOTALL)
    return [re.sub(r"^\$ ", "", block, flags=re.MULTILINE) for block in blocks]


@pytest.fixture
def zuora(tmp_path: Path) -> Iterator[str]:
    child = Child(
        "emulator", [sys.executable, "-m", "zuora_emulator", "serve", "--port", "0"], bare_environ(), tmp_path
    )
    yield child.wait_for(r"http://").split()[-1]
    child.kill()


@pytest.mark.timeout(400)
def test_the_page_leads_from_nothing_to_a_subscription_that_is_switched_and_cancelled(
    zuora: str, forker: Forker, tmp_path: Path
) -> None:
    emulator, *rest = commands(PAGE.read_text(encoding="utf-8"))
    assert emulator == "sync-service emulator --port 8100\n"
    script = "set -e -o pipefail\n" + "".join(rest).replace("http://127.0.0.1:8100", zuora)
    environ = bare_environ()
    environ["PATH"] = f"{forker.put_command(tmp_path)}:{environ['PATH']}"
    folder = tmp_path / "empty"
    folder.mkdir()

    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environ, capture_output=True, text=True, timeout=360, check=False
    )

    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert (
        len(re.findall(r"^\S+ \S+  \S+  (?:new|change_offer|cancel_subscription)  complete$", said, re.MULTILINE)) == 3
    )
    assert re.search(r"^Orders:$", said, re.MULTILINE)
    assert "9.99 GBP" in said
