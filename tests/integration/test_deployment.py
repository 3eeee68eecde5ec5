"""What `deploy/` promises to an operator: few rights, and the settings that it cannot do without."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from configparser import ConfigParser
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from sync_service.cli.main import main
from sync_service.settings import Settings
from tests.ports import free_port

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


def test_the_users_of_the_image_and_of_kubernetes_are_one_by_number() -> None:
    """Whose working directory it is: as another user gunicorn may not enter it, and a name is no proof of not root."""
    image = (DEPLOY / "Dockerfile").read_text()
    users = {
        number
        for path in (DEPLOY / "kubernetes").glob("*.yaml")
        for number in re.findall(r"runAs\w+: (\d+)", path.read_text())
    }

    (user,) = users
    assert f"--uid {user} --gid {user} --create-home --home-dir /var/lib/sync-service" in image
    assert f"\nUSER {user}:{user}\n" in image
    assert "\nWORKDIR /var/lib/sync-service\n" in image


def test_the_image_brings_the_licence_and_all_else_that_a_wheel_is_made_of() -> None:
    copied = set(
        " ".join(re.findall(r"^COPY (?!--)(.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)).split()
    )

    assert {"setup.cfg", "pyproject.toml", "README.md", "LICENSE", "docs", "sync_service", "zuora_emulator"} <= copied
    assert all((ROOT / each).exists() for each in copied)


def test_every_setting_that_stands_in_the_image_or_in_compose_exists(services: dict[str, Any]) -> None:
    known = {setting.name.upper() for setting in fields(Settings)}
    (line,) = re.findall(r"^ENV (.+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    named = {name.partition("=")[0] for name in line.split()} - {"PATH", "PYTHONUNBUFFERED"}
    ours = {name for name, service in services.items() if "build" in service}

    assert ours == {"migrate", "web", "worker", "scheduler"}
    named |= {name for each in ours for name in services[each]["environment"]} - {"PGPASSWORD"}
    assert named <= known


def test_every_command_in_what_starts_the_service_exists(services: dict[str, Any]) -> None:
    shown = [" ".join(service["command"]) for service in services.values() if "command" in service]
    shown += [line for unit in UNITS for line in re.findall(r"^Exec\w+=(.+)$", unit.read_text(), re.MULTILINE)]
    shown += [
        ", ".join(re.findall(r'^CMD \["(.+)"\]$', (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)).replace(
            '", "', " "
        )
    ]
    shown.append((ROOT / "Procfile").read_text())
    commands = [found.split() for text in shown for found in re.findall(r"sync-service ([a-z]+(?: [a-z]+)?)", text)]

    assert len(commands) >= len(shown)
    for words in commands:
        group = main
        for word in words:
            assert isinstance(group, click.Group), words
            found = group.get_command(click.Context(group), word)
            assert found is not None, words
            group = found  # type: ignore[assignment]


def test_a_migration_of_a_unit_is_not_ended_by_systemd() -> None:
    """Its default gives everything before the start 90 seconds, then kills it and begins again."""
    for unit in UNITS:
        lines = unit.read_text().splitlines()
        assert any("db upgrade" in line for line in lines) == ("TimeoutStartSec=infinity" in lines)
        assert "StartLimitIntervalSec=0" in lines


def test_the_proxy_slows_down_every_door_that_people_log_in_by() -> None:
    (pattern,) = re.findall(r"location ~ (\S+) \{", (DEPLOY / "nginx.conf").read_text())
    paths = json.loads((ROOT / "sync_service/web/openapi.json").read_text())["paths"]

    assert all(
        re.search(pattern, door) for door in ("/admin/login", "/admin/sign-on", "/partner/login", "/partner/sign-on")
    )
    assert "/oauth2/token" in paths
    assert re.search(pattern, "/oauth2/token")
    assert [path for path in paths if re.search(pattern, path)] == ["/oauth2/token"], "programs are not slowed down"


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
    port = free_port()
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
        print(urllib.request.urlopen("http://127.0.0.1:{port}/readyz", timeout=5).read().decode())
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
        "PORT": str(port),
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
