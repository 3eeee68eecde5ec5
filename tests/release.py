"""Builds wheel and sdist, installs each into an environment of its own and runs it in an empty folder: make release."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.ports import free_port

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
#: How long the service may take to answer, in seconds.
_PATIENCE = 60.0


def main() -> None:
    """Raises CalledProcessError, or SystemExit with what was wrong."""
    for old in [*DIST.glob("*.whl"), *DIST.glob("*.tar.gz")]:
        old.unlink()
    with tempfile.TemporaryDirectory() as folder:
        _make_environment(Path(folder), "--require-hashes", "--requirement", ROOT / "requirements/build.txt")
        _run(Path(folder) / "bin/python", "-m", "build", "--no-isolation", "--outdir", DIST, ROOT)
    for built in [*DIST.glob("*.whl"), *DIST.glob("*.tar.gz")]:
        _try(built)
        print(f"{built.name}: installed, migrated and served from an empty folder")


def _make_environment(folder: Path, *words: str | Path) -> None:
    venv.create(folder, with_pip=True)
    _run(folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *words)


def _try(built: Path) -> None:
    """Install it, and look at what an operator looks at first."""
    with tempfile.TemporaryDirectory() as environment, tempfile.TemporaryDirectory() as empty:
        _make_environment(Path(environment), "--constraint", ROOT / "constraints.txt", f"{built}[postgres]")
        command, port = Path(environment) / "bin/sync-service", free_port()
        environ = {"PATH": os.environ["PATH"], "HOME": empty}
        for words in (("--version",), ("db", "upgrade"), ("settings",), ("status",)):
            _run(command, *words, cwd=empty, env=environ)
        service = subprocess.Popen([command, "run", "--port", str(port)], cwd=empty, env=environ)
        try:
            for address in ("readyz", "docs", "openapi.json", "admin/login"):
                _wait_for(f"http://127.0.0.1:{port}/{address}", service)
        finally:
            service.terminate()
            if service.wait(_PATIENCE) != 0:
                sys.exit(f"{built.name}: `run` ended with {service.returncode}")


def _wait_for(address: str, service: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with urlopen(address, timeout=10):
                return
        except (URLError, OSError) as error:
            if time.monotonic() > deadline or service.poll() is not None:
                sys.exit(f"{address}: {error}")
        time.sleep(0.2)


def _run(*words: str | Path, **where: object) -> None:
    subprocess.run([str(word) for word in words], check=True, **where)  # type: ignore[call-overload]


if __name__ == "__main__":
    main()
