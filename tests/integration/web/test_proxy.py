"""Through a real nginx with the sample of deploy/: what reaches the service, and what does not."""

from __future__ import annotations

import getpass
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from sqlmodel import select

from sync_service.settings import SettingsInvalid, load_settings
from sync_service.store.engine import Database, connect
from sync_service.store.tables import CalloutRow
from tests.acceptance.processes import ROOT, wait_until
from tests.acceptance.service import free_port
from tests.databases import new_sqlite
from tests.integration.test_transport import make_certificate
from tests.integration.web.conftest import SYNC, basic
from tests.integration.web.test_gunicorn import start

PASSWORD = "correct horse battery"
ZUORA = basic("zuora", PASSWORD)
SAMPLE = (ROOT / "deploy/nginx.conf").read_text()


@dataclass
class Proxied:
    """The service behind nginx."""

    url: str
    database: Database
    http: requests.Session

    def senders(self, key: str) -> list[str | None]:
        """From where the callouts for a key came, as far as the service knows."""
        with self.database.reading() as session:
            return list(session.exec(select(CalloutRow.sender).where(CalloutRow.key == key)))


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Proxied]:
    url = new_sqlite(tmp_path / "store.db")
    environ = {"CALLOUT_USERNAME": "zuora", "CALLOUT_PASSWORD": PASSWORD, "DATABASE_URL": url}
    environ |= {"TRUSTED_PROXIES": "1", "PUBLIC_URL": "https://sync.example.com", "LOG_FORMAT": "json"}
    web, web_port, _ = start(tmp_path, environ)
    port, certificate, database = free_port(), make_certificate(tmp_path), connect(url)
    site = SAMPLE.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl").replace(":8000", f":{web_port}")
    site = re.sub(r"/etc/ssl/\S+\.pem", str(certificate), site)
    places = "".join(
        f"{name}_temp_path {tmp_path}/{name};" for name in ("proxy", "client_body", "fastcgi", "uwsgi", "scgi")
    )
    process = f"daemon off; user {getpass.getuser()}; pid {tmp_path}/pid; error_log stderr; events {{}}"
    (tmp_path / "nginx.conf").write_text(f"{process} http {{ access_log off; {places}\n{site}\n}}")
    words = ["nginx", "-e", "stderr", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    with (tmp_path / "nginx.log").open("wb") as log, requests.Session() as http:
        http.trust_env, http.verify = False, str(certificate)
        nginx = subprocess.Popen(words, stdout=log, stderr=log)
        running = Proxied(f"https://127.0.0.1:{port}", database, http)

        def is_ready() -> bool:
            try:
                return http.get(f"{running.url}/readyz", timeout=5).ok
            except requests.RequestException:
                return False

        try:
            wait_until(is_ready, "the service answers through nginx")
            yield running
        finally:
            for child in (nginx, web):
                child.terminate()
                child.wait(30)
            database.engine.dispose()


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed here")
def test_the_sample_of_a_proxy_passes_on_what_comes_as_it_came_and_nothing_that_is_forged(proxied: Proxied) -> None:
    def post(path: str, **more: object) -> int:
        return proxied.http.post(f"{proxied.url}{path}", timeout=30, **more).status_code  # type: ignore[arg-type]

    assert post(f"{SYNC}Abo%20%C3%A4", headers=ZUORA) == 200
    assert len(proxied.senders("Abo ä")) == 1
    assert post("/" + SYNC + "A-S1", headers=ZUORA) == 200
    assert post(f"{SYNC}A-S1", headers=ZUORA, data=b"x" * 100_000) == 413
    assert post(f"{SYNC}A-S1", headers=ZUORA, data=b"x" * 2_000_000) == 413

    forged = {"X-Forwarded-For": "203.0.113.9", **basic("zuora", "wrong")}
    assert post(f"{SYNC}A-S9", headers=forged) == 403
    assert proxied.senders("A-S9") == ["127.0.0.1"]

    doors = Counter(proxied.http.get(f"{proxied.url}/partner/login", timeout=30).status_code for _ in range(40))
    assert doors[429] > 0, doors
    assert {post(f"{SYNC}A-S{place}", headers=ZUORA) for place in range(40)} == {200}


def test_the_proxy_waits_as_long_as_a_caller_may_want_to() -> None:
    (seconds,) = re.findall(r"proxy_read_timeout (\d+)s;", SAMPLE)

    with pytest.raises(SettingsInvalid):
        load_settings({"WAIT_LIMIT_SECONDS": seconds})
