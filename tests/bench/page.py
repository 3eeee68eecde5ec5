"""docs/benchmarks.md: prose that people write, and a section for each part between marks, which a run replaces."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

import psycopg

from tests.bench.figures import Bench, Figures, Part, as_table
from tests.bench.processes import Ground

_ROOT = Path(__file__).parents[2]
PAGE = _ROOT / "docs" / "benchmarks.md"
#: Where a quick run writes instead: its figures are too few to be kept.
QUICK_PAGE = _ROOT / "build" / "benchmarks.md"
_LIBRARIES = ("flask", "gunicorn", "sqlalchemy", "psycopg", "requests")
_HEAD = """# Benchmarks
"""
#: What a decision maker reads first: in words, and the row of each database that says it.
_SUMMARY = (
    ("Callouts acknowledged", "{}, alone: acknowledged"),
    ("The same while Zuora is down", "{}, Zuora is down: acknowledged"),
    ("One acknowledgement in a hundred takes longer, at 200/s", "{}, alone: p99 at 200/s"),
    ("The same while a worker syncs as fast as it can", "{}, a worker drains from a fast Zuora: p99 at 200/s"),
    ("Subscriptions brought in step, where Zuora takes 50 ms a call", "{}, 50 ms a call: rows"),
    ("Processor time of a sync of a new version", "{}: CPU of a sync, changed"),
    ("The same of one that changes nothing", "{}: CPU of a sync, unchanged"),
    ("The same of one that imports a subscription", "{}: CPU of a sync, new"),
    ("Orders accepted", "{}: orders accepted"),
    ("Memory of a worker", "{}: memory of worker"),
)
_DATABASES = ("SQLite", "PostgreSQL")


def start_page(bench: Bench) -> Path:
    """The page that this run writes to, with whatever it says so far."""
    if not bench.quick:
        return PAGE
    QUICK_PAGE.parent.mkdir(exist_ok=True)
    QUICK_PAGE.write_text(_HEAD)
    return QUICK_PAGE


def write_section(page: Path, part: Part, figures: Figures, conditions: str) -> str:
    """Put what a part measured into its place on the page, and return it. Other parts keep what they say."""
    section = "\n\n".join(
        [f"## {part.title}", part.about.strip(), as_table(figures.rows), *figures.notes, f"*{conditions}*"]
    )
    begin, end = f"<!-- {part.name}: written by make bench -->", f"<!-- end of {part.name} -->"
    text = _replace(page.read_text(), begin, section, end, or_after="")
    begin, end = "<!-- summary: written by make bench -->", "<!-- end of summary -->"
    page.write_text(_replace(text, begin, summarise(text), end, or_after=_HEAD))
    return section


def _replace(text: str, begin: str, section: str, end: str, *, or_after: str) -> str:
    """`text` with the section between its marks; where it has no such marks, behind its first words or at the end."""
    marked = f"{begin}\n{section}\n{end}"
    place = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if place.search(text):
        return place.sub(lambda _: marked, text)
    if or_after:
        return text.replace(or_after, f"{or_after}\n{marked}\n", 1)
    return f"{text.rstrip()}\n\n{marked}\n"


def summarise(text: str) -> str:
    """The figures of the sections below that matter most, as they say them; a dash where none was measured."""
    rows = [" | ".join([words, *(_measured(text, row.format(name)) for name in _DATABASES)]) for words, row in _SUMMARY]
    return "\n".join([f"| | {' | '.join(_DATABASES)} |", "|---|--:|--:|", *(f"| {row} |" for row in rows)])


def _measured(text: str, what: str) -> str:
    found = re.search(rf"^\| {re.escape(what)} \| \*\*(.+?)\*\*(?: \(.*?\))? (\S+) \|", text, re.MULTILINE)
    return f"{found[1]} {found[2]}" if found else "–"


def describe_conditions(bench: Bench) -> Callable[[Part, float], str]:
    """What the figures hold for; asked once at the start, it says what was so for a part that took so many seconds."""
    commit = _git("rev-parse", "--short=10", "HEAD")
    if _git("status", "--porcelain", "--untracked-files=no", "--", ".", f":!{PAGE.relative_to(_ROOT)}"):
        commit += ", with changes that are not committed"
    load = os.getloadavg()[0]
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    with psycopg.connect(bench.ground.postgres) as connection:
        server = connection.info.server_version // 10000, connection.info.server_version % 10000
    machine = (
        f"{os.cpu_count()} cores of {_cpu_name()}, {_memory()} GB; {platform.system()} {platform.release()};"
        f" Python {platform.python_version()}, {libraries}; SQLite {sqlite3.sqlite_version},"
        f" PostgreSQL {server[0]}.{server[1]} on the same machine;"
        f" a write made durable in {_sync_ms(bench.ground):.2f} ms; load {load:.1f} before the run"
    )

    def say(part: Part, seconds: float) -> str:
        rounds = "one round" if bench.rounds == 1 else f"medians of {bench.rounds} rounds with their range"
        day = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        again = f"`make bench ONLY={part.name}`"
        return f"{day}, commit {commit}, {rounds}, {seconds:.0f} s, {again}. {machine}."

    return say


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=_ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _cpu_name() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def _memory() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def _sync_ms(ground: Ground) -> float:
    """How long the disk takes to make 4 kB durable, which every commit waits for."""
    took = []
    with (ground.folder / "durable").open("wb", buffering=0) as file:
        for _ in range(200):
            file.write(bytes(4096))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return median(took) * 1000
