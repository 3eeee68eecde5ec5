"""Fails where a module has outgrown a reader: 350 lines at the most. Run by `make check`."""

from __future__ import annotations

import sys
from pathlib import Path

MAX_LINES = 350

modules = [
    path
    for package in ("sync_service", "zuora_emulator")
    for path in Path(package).rglob("*.py")
    if "migrations/versions" not in path.as_posix()
]
large = {path: lines for path in modules if (lines := len(path.read_text().splitlines())) > MAX_LINES}
for path, lines in sorted(large.items()):
    print(f"{path}: {lines} lines; split it by what the parts are for (at most {MAX_LINES})")
sys.exit(bool(large))
