"""docs/reliability.md: what the pieces logged, summed up. Written anew after each piece from all that was logged."""

from __future__ import annotations

import json
import os
import platform
import re
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

    make soak                        # everything; what stands above took {minutes} minutes
    make soak ONLY=kills,overlap     # some parts ({names}); the others keep what they say here
    make soak SEED=7 KILLS=100       # other seeds (the first piece has SEED, each further one the next), other sizes
    make soak ONLY=sudden MINUTES=20 # no piece begins after so many minutes; the page says what was reached

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


def write_page() -> set[str]:
    """Write the page from the logs, and return the names of the parts that ran to their ends and were well.

    A part without a log keeps what the page says of it.
    """
    said = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    sections, well, minutes = [], set(), 0
    for part in PARTS:
        logged = {kind: _read(part, kind) for kind in KINDS}
        if any(logged.values()):
            section = _section(part, logged)
        else:
            kept = re.search(_marked(part.name, "(.*?)"), said, re.DOTALL)
            section = kept[1] if kept else f"## {part.title}\n\n{part.about}\n\nNot run yet.\n"
        sections.append(_marked(part.name, section))
        if all(map(_is_well, logged.values())):
            well.add(part.name)
        minutes += _minutes(sections[-1])
    again = _AGAIN.format(minutes=minutes, names=", ".join(part.name for part in PARTS))
    draft = PAGE.with_suffix(".draft")  # another run may read what it keeps of the page
    draft.write_text(_HEAD + "\n".join([*sections, again]), encoding="utf-8")
    draft.replace(PAGE)
    return well


def _is_well(pieces: list[dict[str, Any]]) -> bool:
    reached = sum(piece["size"] for piece in pieces)
    return bool(pieces) and reached >= pieces[0]["wanted"] and not any(piece["wrong"] for piece in pieces)


def _minutes(section: str) -> int:
    """How long the slower database took, as the section says; the databases play side by side."""
    row = re.search(r"^\| minutes \|(.*)\|$", section, re.MULTILINE)
    return max((int(value) for value in row[1].split("|") if value.strip().isdigit()), default=0) if row else 0


def _marked(name: str, section: str) -> str:
    return f"<!-- {name}: written by make soak -->\n{section}<!-- end of {name} -->\n"


def _section(part: Part, logged: dict[str, list[dict[str, Any]]]) -> str:
    names = dict.fromkeys(name for pieces in logged.values() for piece in pieces for name in piece["counts"])
    rows = {name: [_sum(pieces, name) for pieces in logged.values()] for name in names}
    rows |= {
        f"{part.unit} wanted": [f"{pieces[0]['wanted']:,}" if pieces else "-" for pieces in logged.values()],
        "seeds": [_span([piece["seed"] for piece in pieces]) for pieces in logged.values()],
        "minutes": [f"{sum(piece['seconds'] for piece in pieces) / 60:.0f}" for pieces in logged.values()],
    }
    table = ["| | " + " | ".join(logged) + " |", "|---" * (len(logged) + 1) + "|"]
    table += [f"| {name} | " + " | ".join(values) + " |" for name, values in rows.items()]
    lines = [f"## {part.title}", "", part.about, "", *table, ""]
    for kind, pieces in logged.items():
        for piece in pieces:
            lines += _failure(part, kind, piece) if piece["wrong"] else []
    return "\n".join([*lines, *(f"*{text}*\n" for text in _conditions(logged))])


def _failure(part: Part, kind: str, piece: dict[str, Any]) -> list[str]:
    told = [line for text in piece["wrong"][:10] for line in str(text).splitlines()[:20]]
    head = f"**Failed** on {kind}, seed {piece['seed']}, {piece['size']:,} {part.unit}:"
    return [head, "", *(f"    {line[:160]}" for line in told), ""]


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
