"""Fails where two classes or three files share a name: it says what a thing is in its place. Run by `make check`."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from pathlib import Path

MAX_FILES = 2

classes: defaultdict[str, list[Path]] = defaultdict(list)
files: defaultdict[str, list[Path]] = defaultdict(list)
for path in sorted(Path("sync_service").rglob("*.py")):
    if "migrations" in path.parts or path.name == "__init__.py":
        continue
    files[path.name].append(path)
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            classes[node.name].append(path)
wrong = {name: places for name, places in classes.items() if len(places) > 1}
wrong |= {name: places for name, places in files.items() if len(places) > MAX_FILES}
for name, places in sorted(wrong.items()):
    print(f"{name} is the name of {len(places)}: {', '.join(map(str, places))}")
sys.exit(bool(wrong))
