"""Looks for known weaknesses in the pinned packages: make audit. Says in one line if no source could be asked."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PINNED = Path(__file__).parents[1] / "constraints.txt"
#: Errors with which a source is not reached; the last line of what pip-audit says names one.
_AWAY = re.compile(r"(Connection|Proxy|SSL|Timeout|HTTP)Error|ConnectTimeout|ReadTimeout|Could not connect")


def audit(requirements: Path, source: Sequence[str] = ()) -> tuple[int, str]:
    """The exit status and what to print: 1 where a package has a known weakness, 0 too where no source was reached.

    `source` are pip-audit's options that name another source than PyPI.
    """
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off", "--timeout", "30"]
    command += ["--requirement", str(requirements), "--no-deps", "--disable-pip", *source]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if not done.stdout.strip():
        last = (done.stderr.strip().splitlines() or [""])[-1]
        return (0, f"Audit skipped: no source can be reached ({last})") if _AWAY.search(last) else (2, done.stderr)
    return _judge(json.loads(done.stdout)["dependencies"])


def _judge(packages: list[dict[str, Any]]) -> tuple[int, str]:
    """What the answer comes to."""
    weak = [f"{each['name']} {each['version']}: {_say(found)}" for each in packages for found in each.get("vulns", ())]
    unknown = sorted(each["name"] for each in packages if "skip_reason" in each)
    if len(unknown) == len(packages):
        return 0, f"Audit skipped: the source knows none of the {len(packages)} packages"
    lines = [*weak, f"{len(packages) - len(unknown)} packages looked up, {len(weak)} known weaknesses"]
    lines += [f"Not known to the source: {', '.join(unknown)}"] if unknown else []
    return (1 if weak else 0), "\n".join(lines)


def _say(found: dict[str, Any]) -> str:
    fixed = ", ".join(found["fix_versions"]) or "no version"
    return f"{found['id']}, mended by {fixed}"


if __name__ == "__main__":
    status, text = audit(PINNED)
    print(text)
    sys.exit(status)
