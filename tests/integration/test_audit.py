"""`make audit`: fails for a pinned package with a known weakness, and says so where no source could be asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.audit import audit
from tests.ports import free_port

#: As OSV answers (https://ossf.github.io/osv-schema), cut to what is read.
WEAKNESS = {
    "id": "PYSEC-2019-217",
    "modified": "2024-11-21T14:22:53Z",
    "details": "str.format_map allows a sandbox escape.",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "jinja2"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.10.1"}]}],
            "versions": ["2.10"],
        }
    ],
}


class Source(BaseHTTPRequestHandler):
    """A source that knows of one weakness, in jinja2 2.10."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        weak = (asked["package"]["name"], asked["version"]) == ("jinja2", "2.10")
        body = json.dumps({"vulns": [WEAKNESS]} if weak else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def source() -> Iterator[list[str]]:
    """The options that name it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Source)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield named(server.server_port)
    server.shutdown()
    thread.join()
    server.server_close()


def named(port: int) -> list[str]:
    return ["--vulnerability-service", "osv", "--osv-url", f"http://127.0.0.1:{port}/query"]


def pinned(folder: Path, *lines: str) -> Path:
    path = folder / "constraints.txt"
    path.write_text("\n".join(lines))
    return path


def test_a_pinned_package_with_a_known_weakness_fails_the_audit(tmp_path: Path, source: list[str]) -> None:
    status, text = audit(pinned(tmp_path, "jinja2==2.10", "click==8.5.1"), source)

    assert status == 1
    assert text.splitlines() == [
        "jinja2 2.10: PYSEC-2019-217, mended by 2.10.1",
        "2 packages looked up, 1 known weaknesses",
    ]


def test_packages_without_a_known_weakness_pass(tmp_path: Path, source: list[str]) -> None:
    assert audit(pinned(tmp_path, "jinja2==3.1.6"), source) == (0, "1 packages looked up, 0 known weaknesses")


def test_an_audit_that_reaches_no_source_says_in_one_line_that_it_was_skipped(tmp_path: Path) -> None:
    status, text = audit(pinned(tmp_path, "jinja2==2.10"), named(free_port()))

    assert status == 0
    assert text.startswith("Audit skipped: no source can be reached (")
    assert len(text.splitlines()) == 1


def test_what_cannot_be_audited_at_all_is_an_error(tmp_path: Path, source: list[str]) -> None:
    status, text = audit(pinned(tmp_path, "jinja2"), source)

    assert status == 2
    assert "pinned" in text
