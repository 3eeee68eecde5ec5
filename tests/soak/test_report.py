"""The page of a soak says what was reached, and what failed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.soak import report
from tests.soak.parts import PARTS


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(report, "LOG", tmp_path)
    monkeypatch.setattr(report, "PAGE", tmp_path / "reliability.md")
    return tmp_path / "reliability.md"


def log(name: str, kind: str, seed: int, *wrong: str, whole: bool = False, **counts: float) -> None:
    part = next(part for part in PARTS if part.name == name)
    line = {
        "seed": seed,
        "size": 500 if whole else 50,
        "wanted": 500,
        "counts": counts,
        "wrong": wrong,
        "began": "2026-11-21 12:00 UTC",
        "ended": "2026-11-21 12:05 UTC",
        "seconds": 300.0,
        "load": 2.0,
        "commit": "abc",
        "machine": "a machine",
    }
    with report.log_of(part, kind).open("a") as file:
        file.write(json.dumps(line) + "\n")


def test_what_was_reached_stands_beside_what_was_wanted(page: Path) -> None:
    log("kills", "sqlite", 1, kills=50, lost=0)
    log("kills", "sqlite", 2, kills=50, lost=0)
    log("kills", "postgresql", 1, kills=50, lost=0)

    report.write_page()

    text = page.read_text()
    assert "| kills | 100 | 50 |" in text
    assert "| kills wanted | 500 | 500 |" in text
    assert "| seeds | 1 to 2 | 1 |" in text
    assert "| minutes | 10 | 5 |" in text


def test_a_piece_that_failed_stays_on_the_page(page: Path) -> None:
    for kind in ("sqlite", "postgresql"):
        log("kills", kind, 1, whole=True, lost=0)
        log("overlap", kind, 1, whole=True, lost=0)
    assert report.write_page() == {"kills", "overlap"}

    log("overlap", "postgresql", 7, "A-S1: version is 2 in Zuora and 1 in the store", stale=1)

    assert report.write_page() == {"kills"}
    assert "**Failed** on postgresql, seed 7" in page.read_text()
    assert "    A-S1: version is 2 in Zuora and 1 in the store" in page.read_text()


@pytest.mark.usefixtures("page")
def test_a_part_that_did_not_reach_what_was_wanted_is_not_well() -> None:
    log("kills", "sqlite", 1, whole=True, kills=500)
    log("kills", "postgresql", 1, kills=50)

    assert report.write_page() == set()


def test_a_part_that_ran_on_one_database_alone_is_not_well(page: Path) -> None:
    log("kills", "sqlite", 1, whole=True, kills=500)

    assert report.write_page() == set()
    assert "Not run yet." in page.read_text()


def test_a_part_that_did_not_run_this_time_keeps_what_the_page_says(page: Path) -> None:
    for kind in ("sqlite", "postgresql"):
        log("kills", kind, 1, kills=50)
    report.write_page()
    for path in page.parent.glob("*.jsonl"):
        path.unlink()
    log("away", "sqlite", 3, rounds=5)

    report.write_page()

    assert "| kills | 50 | 50 |" in page.read_text()
    assert "| rounds | 5 | - |" in page.read_text()
    assert "what stands above took 10 minutes" in page.read_text()
