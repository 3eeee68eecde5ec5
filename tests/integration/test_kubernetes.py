"""The Kubernetes manifests: valid by Kubernetes' own schemas, and none of them asks for more than it needs."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from sync_service import __version__
from sync_service.cli.main import COMMANDS
from sync_service.settings import Settings

BASE = Path(__file__).parents[2] / "deploy/kubernetes"
KUSTOMIZATION = yaml.safe_load((BASE / "kustomization.yaml").read_text())
OBJECTS: list[dict[str, Any]] = [
    each for name in KUSTOMIZATION["resources"] for each in yaml.safe_load_all((BASE / name).read_text())
]
PODS = {each["metadata"]["name"]: each["spec"]["template"] for each in OBJECTS if each["kind"] in ("Deployment", "Job")}
SETTINGS = {setting.name.upper() for setting in fields(Settings)}
SECRET = ("DATABASE_URL", "PASSWORD", "SECRET", "TOKEN", "KEY", "CLIENT_ID")


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each["spec"] for each in OBJECTS if each["kind"] == kind}


@pytest.mark.parametrize("version", ["1.29", "1.33"])
@pytest.mark.parametrize("manifest", OBJECTS, ids=lambda each: f"{each['kind']} {each['metadata']['name']}")
def test_every_manifest_is_valid_and_has_no_field_that_is_unknown(manifest: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


def test_the_base_lists_every_file() -> None:
    files = {path.name for path in BASE.glob("*.yaml")} - {"kustomization.yaml"}

    assert set(KUSTOMIZATION["resources"]) == files


@pytest.mark.parametrize("name", PODS)
def test_a_pod_may_do_little(name: str) -> None:
    spec = PODS[name]["spec"]
    (box,) = spec["containers"]

    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert box["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(box["resources"]["requests"]) == {"cpu", "memory"}
    assert "memory" in box["resources"]["limits"]
    assert [mount["mountPath"] for mount in box["volumeMounts"]] == ["/tmp"]


def test_all_pods_are_of_this_release() -> None:
    assert {box["image"] for pod in PODS.values() for box in pod["spec"]["containers"]} == {
        f"sync-service:{__version__}"
    }


@pytest.mark.parametrize("name", PODS)
def test_a_pod_runs_a_command_that_there_is(name: str) -> None:
    (box,) = PODS[name]["spec"]["containers"]

    assert box["args"][0] == "sync-service"
    assert box["args"][1] in COMMANDS


def test_a_process_that_ends_gets_more_than_the_time_that_it_may_take() -> None:
    longest = 40  # the runbook's "Stopping and starting"
    deploy = BASE.parent
    compose = re.search(r"stop_grace_period: (\d+)s", (deploy / "compose.yaml").read_text())
    units = [re.search(r"TimeoutStopSec=(\d+)", unit.read_text()) for unit in deploy.glob("*.service")]

    given = [int(found.group(1)) for found in (compose, *units) if found]
    assert len(given) == 4
    assert all(seconds > longest for seconds in given)
    assert all(pod["spec"]["terminationGracePeriodSeconds"] > longest for pod in deployed())


def deployed() -> list[dict[str, Any]]:
    return [PODS[name] for name in of_kind("Deployment")]


def test_selectors_find_their_pods_and_no_others() -> None:
    labels = {name: pod["metadata"]["labels"] for name, pod in PODS.items()}

    for name, spec in of_kind("Deployment").items():
        assert spec["selector"]["matchLabels"] == labels[name]
        assert of_kind("PodDisruptionBudget")[name]["selector"]["matchLabels"] == labels[name]
        assert spec["replicas"] > of_kind("PodDisruptionBudget")[name]["minAvailable"]
        assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert of_kind("Service")["web"]["selector"] == labels["web"]


def test_the_web_is_asked_whether_it_is_ready_and_restarted_for_nothing_that_lies_elsewhere() -> None:
    (box,) = PODS["web"]["spec"]["containers"]

    assert box["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert box["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}


def test_settings_that_stand_here_exist_and_are_no_secrets() -> None:
    (values,) = [each["data"] for each in OBJECTS if each["kind"] == "ConfigMap"]

    assert set(values) <= SETTINGS
    assert not [name for name in values if any(word in name for word in SECRET)]


def test_nothing_is_reached_that_no_policy_names() -> None:
    policies = of_kind("NetworkPolicy")

    assert policies["nothing"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    ports = {port["port"] for rule in policies["outward"]["egress"] for port in rule["ports"]}
    assert ports == {53, 443, 5432}
    assert [port["port"] for rule in policies["to-web"]["ingress"] for port in rule["ports"]] == [8000]
