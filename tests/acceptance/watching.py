"""A real Prometheus with the rules of deploy/, which scrapes a running service."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.acceptance.processes import Child, GaveUp, wait_until
from tests.acceptance.service import Service
from tests.acceptance.tenant import ROOT
from tests.ports import free_port

RULES = ROOT / "deploy/prometheus/alerts.yaml"
TOKEN = "only Prometheus may read this"


class Prometheus:
    """One on this machine, which looks every second and waits for no alert; `window` takes the place of their spans."""

    def __init__(self, folder: Path, service: Service, window: str | None = None) -> None:
        folder.mkdir()
        (folder / "token").write_text(TOKEN)
        rules = re.sub(r"(?m)^( +for: ).*$", r"\g<1>0s", RULES.read_text())
        (folder / "alerts.yaml").write_text(re.sub(r"\[\w+\]", f"[{window}]", rules) if window else rules)
        scrape = {
            "job_name": "sync-service",
            "authorization": {"credentials_file": str(folder / "token")},
            "static_configs": [{"targets": [f"127.0.0.1:{service.port}"]}],
        }
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(folder / "alerts.yaml")],
            "scrape_configs": [scrape],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self._url = f"http://127.0.0.1:{(port := free_port())}"
        command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        self.child = Child("prometheus", [*command, f"--web.listen-address=127.0.0.1:{port}"], {}, folder)

    def firing(self) -> set[str]:
        """The alerts that fire now."""
        alerts = self._ask("alerts").get("alerts", [])
        return {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"}

    def wait_for(self, alerts: set[str]) -> None:
        """Wait until all of these fire at the same time."""
        try:
            wait_until(lambda: alerts <= self.firing(), "every alert fires")
        except GaveUp as gave_up:
            raise GaveUp(f"{gave_up}: {alerts - self.firing()} do not") from None

    def value(self, query: str) -> float:
        """What a query gives now; 0 where nothing."""
        found = self._ask("query", query=query).get("result")
        return float(found[0]["value"][1]) if found else 0.0

    def _ask(self, what: str, **params: str) -> dict[str, Any]:
        """What it answers; nothing while it is not up."""
        try:
            answer = requests.get(f"{self._url}/api/v1/{what}", params=params, timeout=5)
        except requests.ConnectionError:
            return {}
        return dict(answer.json().get("data") or {}) if answer.ok else {}


def read_rules() -> list[dict[str, str]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return list(group["rules"])
