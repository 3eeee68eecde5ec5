"""The service does what its description says and refuses what it says it refuses: by schemathesis, with all checks.

A bounded run with one seed; `make test-long` looks for longer. tests/openapi/schemathesis.toml says what is taken back.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from sync_service.access.clients import SCOPES
from sync_service.store.engine import Database
from tests.integration.web.conftest import ZUORA, build
from tests.partner_world import open_partner_world

CONFIG = Path(__file__).parents[2] / "openapi" / "schemathesis.toml"
COMMAND = shutil.which("st", path=str(Path(sys.executable).parent))
#: For how long one kind of caller is tried, in seconds, and how many examples of each address.
EFFORTS = [pytest.param("6", "3", id="briefly"), pytest.param("150", "40", id="for long", marks=pytest.mark.long)]

pytestmark = pytest.mark.skipif(COMMAND is None, reason="schemathesis is not installed here")


@pytest.fixture
def served(sqlite_database: Database) -> Iterator[tuple[str, dict[str, dict[str, str]]]]:
    """The address of a running service, and the header of each kind of caller."""
    web = build(sqlite_database, wait_limit_seconds=0)
    server = make_server("127.0.0.1", 0, web.client.application, threaded=True, request_handler=QuietHandler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    partner = open_partner_world(sqlite_database, web.client).headers["N"]
    callers = {"a stranger": {}, "a callout": ZUORA, "a client": web.token(*SCOPES), "a partner": partner}
    yield f"http://127.0.0.1:{server.server_port}", callers
    server.shutdown()
    server.server_close()
    thread.join()


class QuietHandler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        """Nothing."""


@pytest.mark.timeout(700)
@pytest.mark.parametrize(("seconds", "examples"), EFFORTS)
@pytest.mark.parametrize("caller", ["a stranger", "a callout", "a client", "a partner"])
def test_the_service_is_as_it_is_described(
    served: Any, caller: str, seconds: str, examples: str, tmp_path: Path
) -> None:
    url, callers = served
    words = [str(COMMAND), "--config-file", str(CONFIG), "run", f"{url}/openapi.json", "--checks", "all", "--seed", "7"]
    words += ["-n", examples, "--max-time", seconds, "--suppress-health-check", "all", "--request-timeout", "60"]
    if caller == "a partner":  # who is let in nowhere else
        words += ["--include-path-regex", "^/api/partner/"]
    for name, value in callers[caller].items():
        words += ["-H", f"{name}: {value}"]

    told = subprocess.run([*words, "--continue-on-failure", "--no-color"], capture_output=True, text=True, cwd=tmp_path)

    assert told.returncode == 0, told.stdout[-6000:] + told.stderr[-2000:]
    assert "passed" in told.stdout
