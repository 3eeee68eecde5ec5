"""Alerts, dashboard and pages speak of numbers that /metrics has, and every alert has a section in the runbook."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from sync_service.queue.limit import Share
from sync_service.store.engine import Database
from sync_service.subscription.hints import ReasonCode
from sync_service.telemetry.measures import as_families, take_samples
from sync_service.web.health import Numbers

TOP = Path(__file__).parents[2]
ALERTS = yaml.safe_load((TOP / "deploy/prometheus/alerts.yaml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((TOP / "deploy/grafana/dashboard.json").read_text())
RUNBOOK = (TOP / "docs/runbook.md").read_text()


@pytest.fixture
def names(sqlite_database: Database) -> set[str]:
    """Every name that /metrics may have."""
    families = list(Numbers(sqlite_database, Share(8)).collect()) + list(as_families([]))
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    return {family.name + ending for family in families for ending in endings.get(family.type, ("",))}


def test_what_alerts_ask_of_callouts_is_counted_from_nothing_on() -> None:
    counted = {(name, labels) for name, labels, _ in take_samples() if name == "sync_service_callouts_total"}

    for verdict, code in (("ignored", ReasonCode.IMPOSSIBLE_KEY), ("rejected", ReasonCode.WRONG_CREDENTIALS)):
        assert ("sync_service_callouts_total", (("reason", code.value), ("verdict", verdict))) in counted
        assert any(f'="{code.value}"' in rule["expr"] or f'="{verdict}"' in rule["expr"] for rule in ALERTS)


def used(text: str) -> set[str]:
    return set(re.findall(r"sync_service_[a-z_]+", text))


def test_alerts_and_dashboard_ask_for_numbers_that_there_are(names: set[str]) -> None:
    queries = [rule["expr"] for rule in ALERTS]
    queries += [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]

    assert used(" ".join(queries)) <= names


def test_the_page_of_the_metrics_names_each(names: set[str]) -> None:
    page = (TOP / "docs/metrics.md").read_text()
    whole = {name.removesuffix("_bucket") for name in names if not name.endswith(("_sum", "_count"))}

    assert used(page) == whole


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_leads_to_its_section_of_the_runbook(rule: dict[str, dict[str, str]]) -> None:
    assert re.search(rf"^### {rule['alert']}$", RUNBOOK, re.MULTILINE)
    assert rule["annotations"]["runbook"] == f"docs/runbook.md#{str(rule['alert']).lower()}"
    assert rule["labels"]["severity"] in ("page", "ticket")


def test_no_section_is_of_an_alert_that_there_is_not() -> None:
    assert set(re.findall(r"^### (SyncService\w+)$", RUNBOOK, re.MULTILINE)) == {rule["alert"] for rule in ALERTS}


def test_panels_of_the_dashboard_neither_overlap_nor_share_an_id() -> None:
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]

    assert len(set(places)) == len(set(ids)) == len(DASHBOARD["panels"])
