"""The service under the system calls that its systemd units permit."""

from __future__ import annotations

import ctypes.util
import re
import shutil
import sys
from collections.abc import Callable

import pytest
import requests

from tests.acceptance.confined import permitted_calls
from tests.acceptance.processes import ROOT, Child
from tests.acceptance.service import Service
from tests.acceptance.tenant import PASSWORD, USERNAME

UNITS = {name: ROOT / f"deploy/sync-service-{name}.service" for name in ("web", "worker", "scheduler")}
pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None or ctypes.util.find_library("seccomp") is None,
    reason="systemd or libseccomp is not installed here",
)


def start_as_unit(service: Service, name: str) -> Child:
    """What the unit's ExecStart says, confined as the unit says."""
    started = re.search(r"^ExecStart=\S+/sync-service (.+)$", UNITS[name].read_text(), re.MULTILINE)
    assert started
    confined = [sys.executable, str(ROOT / "tests/acceptance/confined.py"), str(UNITS[name])]
    command = [*confined, sys.executable, "-m", "sync_service.cli.main", *started[1].split()]
    service.children.append(Child(name, command, service.environ, service.folder))
    return service.children[-1]


@pytest.mark.either_database
def test_a_callout_is_synced_by_processes_that_may_make_only_the_calls_of_their_units(
    open_service: Callable[..., Service],
) -> None:
    service = open_service(subscriptions=2, accounts=1)
    children = {name: start_as_unit(service, name) for name in UNITS}
    service.wait_until_ready()
    for name in ("worker", "scheduler"):
        children[name].wait_for(f"{name}_started")
    assert all("Seccomp:\t2" in (ROOT / f"/proc/{child.pid}/status").read_text() for child in children.values())

    url = f"{service.url}/api/plugins/zuora/sync/subscription/{service.tenant.numbers[0]}"
    assert requests.post(url, auth=(USERNAME, PASSWORD), timeout=30).status_code == 200
    service.settle()

    assert service.one("SELECT count(*) FROM limio_subscription") == 1
    for child in children.values():
        child.terminate()
    assert [child.wait() for child in children.values()] == [0, 0, 0]


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_permits_no_call_that_changes_the_machine(name: str) -> None:
    assert {"mount", "reboot", "setpriority", "setuid", "chown", "ptrace"} & permitted_calls(UNITS[name]) == set()
