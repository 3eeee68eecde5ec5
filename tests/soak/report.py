"""docs/reliability.md: what the pieces logged, summed up. Written anew after each piece from all that was logged."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.soak.ground import KINDS
from tests.soak.parts import PARTS, Part

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
LOG = ROOT / "var" / "soak"

_HEAD = """# Reliability, measured

Nothing that was answered with success may be lost, and nothing may stay stale, whatever dies. `make soak` tries it at
length, with real processes (gunicorn, workers, an emulated Zuora tenant) on both databases side by side, and writes
this page. After each piece the store is compared with Zuora twice: field by field with Zuora's raw answers, by code
that shares nothing with the product, and by the product's own `plan`. *Lost* are callouts that were answered 200 and
that the store does not know; *stale* is what the comparisons find; *given up* are requests that ended as failed. All
three must be 0. Backoffs, pauses and leases are made to pass, so that nothing is waited for that only time would do.

"""
_AGAIN = """## Run it again

    make soak                        # everything, about {hours} on this machine
    make soak ONLY=kills,overlap     # some parts ({names}); the others keep what they say here
    make soak SEED=7 KILLS=100       # other seeds (the first piece has SEED, each further one the next), other sizes

Each part's size is its name in capitals. Each piece is logged as a line in `var/soak/`, and this page is written
after each. A piece that fails stays here and makes the command fail; `SEED=<its seed> ONLY=<its part> <PART>=<its
size>` plays it alone.
"""


def log_of(part: Part, kind: str) -> Path:
    """Where the pieces of a part are logged, a line each."""
    return LOG / f"{part.name}.{kind}.jsonl"


def describe_conditions() -> dict[str, str]:
    """What the machine and the code are."""
    commit = _git("rev-parse", "--short=10", "HEAD") or "unknown"
    if _git("status", "--porcelain", "--", "sync_service", "tests"):
        commit += ", with changes that are not committed"
    words = Path("/proc/cpuinfo").read_text().split("\n") if Path("/proc/cpuinfo").exists() else []
    cpu = next((line.partition(":")[2].strip() for line in words if line.startswith("model name")), platform.machine())
    return {
        "commit": commit,
        "machine": f"{os.cpu_count()} cores of {cpu}, {platform.system()} {platform.release()},"
        f" Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}",
    }


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def write_page() -> bool:
    """Write the page from the logs; whether all that ran was well and no part is missing."""
    sections, well, seconds = [], True, 0.0
    for part in PARTS:
        logged = {kind: _read(part, kind) for kind in KINDS}
        section, is_well = _section(part, logged)
        sections.append(section)
        well = well and is_well
        seconds += max((sum(piece["seconds"] for piece in pieces) for pieces in logged.values()), default=0.0)
    hours = f"{seconds / 60:.0f} minutes"
    again = _AGAIN.format(hours=hours, names=", ".join(part.name for part in PARTS))
    PAGE.write_text(_HEAD + "\n".join([*sections, again]), encoding="utf-8")
    return well


def _section(part: Part, logged: dict[str, list[dict[str, Any]]]) -> tuple[str, bool]:
    lines = [f"## {part.title}", "", part.about, ""]
    wrong = [(kind, piece) for kind, pieces in logged.items() for piece in pieces if piece["wrong"]]
    names = list(dict.fromkeys(name for pieces in logged.values() for piece in pieces for name in piece["counts"]))
    if names:
        head = ["", *logged]
        lines += ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        lines += [_row(name, [_sum(pieces, name) for pieces in logged.values()]) for name in names]
        lines += [
            _row(f"{part.unit} wanted", [str(pieces[0]["wanted"]) if pieces else "-" for pieces in logged.values()]),
            _row("seeds", [_span([piece["seed"] for piece in pieces]) for pieces in logged.values()]),
            _row("minutes", [f"{sum(piece['seconds'] for piece in pieces) / 60:.0f}" for pieces in logged.values()]),
            "",
        ]
    else:
        lines += ["Not run yet.", ""]
    for kind, piece in wrong:
        told = "\n".join(f"    {line[:160]}" for text in piece["wrong"][:10] for line in str(text).splitlines()[:20])
        lines += [f"**Failed** on {kind}, seed {piece['seed']}, {piece['size']} {part.unit}:", "", told, ""]
    lines += [f"*{text}*" for text in _conditions(logged)] + [""]
    return "\n".join(lines), bool(names) and not wrong


def _conditions(logged: dict[str, list[dict[str, Any]]]) -> list[str]:
    """What each run of the part ran on; mostly one."""
    found: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for pieces in logged.values():
        for piece in pieces:
            found[piece["commit"], piece["machine"]].append(piece)
    return [
        f"{min(piece['began'] for piece in pieces)} to {max(piece['ended'] for piece in pieces)}, commit {commit},"
        f" {machine}; load {min(piece['load'] for piece in pieces):.1f} to {max(piece['load'] for piece in pieces):.1f}"
        for (commit, machine), pieces in found.items()
    ]


def _row(name: str, values: list[str]) -> str:
    return f"| {name} | " + " | ".join(values) + " |"


def _sum(pieces: list[dict[str, Any]], name: str) -> str:
    values = [piece["counts"][name] for piece in pieces if name in piece["counts"]]
    if not values:
        return "-"
    value = max(values) if name.startswith("most") else sum(values)
    return f"{value:,}"


def _span(seeds: list[int]) -> str:
    if not seeds:
        return "-"
    return str(seeds[0]) if len(seeds) == 1 else f"{min(seeds)} to {max(seeds)}"


def _read(part: Part, kind: str) -> list[dict[str, Any]]:
    path = log_of(part, kind)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
