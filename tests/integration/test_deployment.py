"""What `deploy/` promises to an operator: few rights, and the settings that it cannot do without."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))
#: The most that `systemd-analyze security` may find exposed, in tenths.
MAX_EXPOSURE = 20


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    return loaded


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed here")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_exposes_little(unit: Path) -> None:
    words = ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={MAX_EXPOSURE}", str(unit)]
    told = subprocess.run(words, capture_output=True, text=True)

    assert told.returncode == 0, told.stdout[-300:] + told.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_keeps_what_it_writes_to_its_user(unit: Path) -> None:
    lines = unit.read_text().splitlines()

    assert {"UMask=0077", "StateDirectoryMode=0700", "ProtectSystem=strict"} <= set(lines)


@pytest.mark.parametrize("place", [*UNITS, DEPLOY / "compose.yaml"], ids=lambda place: place.name)
def test_that_a_secret_key_is_needed_is_said_where_one_would_look(place: Path) -> None:
    assert "SECRET_KEY" in place.read_text()


def test_compose_asks_for_what_it_cannot_do_without_by_name(services: dict[str, Any]) -> None:
    environment = services["web"]["environment"]

    assert environment["SECRET_KEY"].startswith("${SECRET_KEY:?")
    assert environment["PGPASSWORD"].startswith("${POSTGRES_PASSWORD:?")


def test_a_password_with_characters_of_addresses_does_no_harm_in_compose(services: dict[str, Any]) -> None:
    for service in services.values():
        assert "PASSWORD" not in service["environment"].get("DATABASE_URL", "") if "environment" in service else True


def test_a_port_of_the_settings_does_not_move_the_web_of_compose_away_from_its_proxy(services: dict[str, Any]) -> None:
    passed_to = set(re.findall(r"proxy_pass (\S+);", (DEPLOY / "nginx.conf").read_text()))

    environment = services["web"]["environment"]
    assert passed_to == {f"http://{environment['HOST']}:{environment['PORT']}"}
    assert services["web"]["ports"] == ["443:443"]
    assert services["proxy"]["network_mode"] == "service:web"


def test_no_service_of_compose_may_write_or_do_more_than_it_needs(services: dict[str, Any]) -> None:
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "cap_add" not in service
        assert service["security_opt"] == ["no-new-privileges:true"]


def may_mount() -> bool:
    """Whether a process may have mounts of its own here: as root, and not where / is a mere folder, as in a chroot."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True, timeout=30).returncode == 0


@pytest.mark.skipif(not may_mount(), reason="needs root and mounts of its own, to make a machine read-only")
def test_the_service_runs_as_its_unit_lets_it() -> None:
    """A user of its own without capabilities, and one folder to write to on a machine that is read-only otherwise."""
    folder = Path("/var/lib") / f"sync-service-test-{os.getpid()}"
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)
    python = Path(sys.executable).resolve().relative_to(sys.base_prefix)  # it may lie where only root comes
    command = f"""
set -e
mount --make-rprivate /
mount --bind {folder} {folder}
mount --bind {ROOT} /mnt
mount --bind {sysconfig.get_path("purelib")} /srv
mount --bind {sys.base_prefix} /opt
mount -o remount,ro,bind /
mount -t tmpfs tmpfs /tmp 2>/dev/null || true
cd {folder}
umask 077
exec setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all --no-new-privs \\
  /opt/{python} -P - <<'SCRIPT'
import os, signal, subprocess, sys, time, urllib.request
try:
    open("/var/lib/elsewhere", "w")
except OSError:
    pass
else:
    sys.exit("the machine is not read-only")
us = [sys.executable, "-P", "-m", "sync_service.cli.main"]
subprocess.run([*us, "db", "upgrade"], check=True)
web = subprocess.Popen([*us, "web"])
for _ in range(600):
    try:
        print(urllib.request.urlopen("http://127.0.0.1:18767/readyz", timeout=5).read().decode())
        break
    except OSError:
        time.sleep(0.1)
else:
    sys.exit("never ready")
web.terminate()
sys.exit(web.wait())
SCRIPT
"""
    environ = {
        "PATH": os.environ["PATH"],
        "PORT": "18767",
        "PYTHONPATH": "/mnt:/srv",
        "LD_LIBRARY_PATH": "/opt/lib",
        "HOME": "/nonexistent",
    }
    try:
        told = subprocess.run(
            ["unshare", "--mount", "sh", "-c", command], capture_output=True, text=True, env=environ, timeout=100
        )
        modes = {path.relative_to(folder).as_posix(): path.stat().st_mode & 0o777 for path in folder.rglob("*")}
    finally:
        shutil.rmtree(folder)

    assert told.returncode == 0, told.stdout + told.stderr
    assert '"ready"' in told.stdout
    assert modes["var"] == 0o700
    assert {mode for name, mode in modes.items() if name != "var"} == {0o600}


#: What each set of requirements/ must hold: these extras of setup.cfg beside what is always needed.
SETS = {"run": {"postgres", "traces"}, "test": {"postgres", "traces", "test"}, "dev": {"dev"}}


@pytest.mark.parametrize("name", SETS)
def test_a_set_has_all_that_it_is_for_in_the_chosen_versions_with_hashes(name: str) -> None:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    needed = config["options"]["install_requires"]
    needed += "".join(config["options.extras_require"][extra] for extra in SETS[name])
    text = (ROOT / f"requirements/{name}.txt").read_text()
    locked = dict(re.findall(r"^([\w.-]+)==([^\s;]+)[^\n]* \\\n +--hash=sha256:", text, re.MULTILINE))
    chosen = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)

    assert len(locked) == len(re.findall(r"^\S+==", text, re.MULTILINE))
    assert {_normal(each): version for each, version in locked.items()}.items() <= {
        _normal(each): version for each, version in chosen
    }.items()
    assert {_normal(each) for each in re.findall(r"^([\w.-]+)", needed, re.MULTILINE)} <= {*map(_normal, locked)}


def test_the_image_installs_the_set_with_hashes_that_make_run_installs() -> None:
    for path in ("deploy/Dockerfile", "Makefile"):
        assert "--requirement requirements/run.txt" in (ROOT / path).read_text()
        assert "--require-hashes" in (ROOT / path).read_text()


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
