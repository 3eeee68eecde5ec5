"""The page of the benchmarks: what a run replaces, and how a figure reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.__main__ import main
from tests.bench.figures import Figure, Figures, Part, Target, as_table
from tests.bench.page import PAGE, summarise, write_section
from tests.bench.parts import PARTS


def a_part(name: str) -> Part:
    return Part(name=name, title=f"The {name}", about="How it is measured.", measure=lambda _: Figures())


def some_figures(value: float) -> Figures:
    return Figures(rows=[Figure(what="calls", unit="/s", values=[value])], notes=["It was raining."])


def test_a_run_replaces_its_own_section_and_leaves_what_people_and_other_parts_say(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Benchmarks\n\nWritten by people.\n")
    write_section(page, a_part("first"), some_figures(1), "on Monday")
    write_section(page, a_part("second"), some_figures(2), "on Monday")
    others = page.read_text().partition("<!-- second")[2]

    write_section(page, a_part("first"), some_figures(3), "on Tuesday")

    text = page.read_text()
    assert text.startswith("# Benchmarks\n\n<!-- summary")
    assert "<!-- end of summary -->\n\nWritten by people.\n" in text
    assert text.count("<!-- summary") == 1
    assert text.count("## The first") == 1
    assert "| calls | **3** /s |" in text
    assert "**1**" not in text
    assert text.partition("<!-- second")[2] == others


def test_a_row_shows_the_median_the_range_and_the_share_of_what_was_measured_beside_it() -> None:
    row = Figure(
        what="callouts",
        unit="/s",
        values=[50.0, 70.0, 60.0],
        beside="bare route",
        reference=[100.0, 100.0, 80.0],
        target=Target(least=0.6, of_reference=True),
    )

    shown = as_table([row]).splitlines()[-1]

    # Medians of three; shares round by round are 0.5, 0.7 and 0.75.
    assert shown == (
        "| callouts | **60** (50–70) /s | **100** (80–100) /s, bare route | **0.70** (0.50–0.75)"
        " | at least 0.6 of it: met |"
    )


def test_a_missed_target_says_so() -> None:
    slow = Figure(what="p99", unit="ms", values=[30.0], target=Target(most=25.0))

    assert not slow.is_met
    assert "below 25: **missed**" in as_table([slow])


def test_a_target_may_be_reached_beside_the_reference_instead() -> None:
    target = Target(most=25.0, or_of_reference=1.5)

    assert Figure(what="p99", unit="ms", values=[30.0], reference=[25.0], target=target).is_met
    assert not Figure(what="p99", unit="ms", values=[30.0], reference=[10.0], target=target).is_met


def test_help_says_what_there_is_and_measures_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])

    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert [part.name for part in PARTS if part.name not in said] == []


def test_every_part_has_its_place_on_the_page_in_the_order_in_which_parts_are_measured() -> None:
    text = PAGE.read_text()

    places = [text.find(f"<!-- {part.name}: written by make bench -->") for part in PARTS]

    assert -1 not in places
    assert places == sorted(places)


def test_the_page_begins_with_the_figures_that_matter_most() -> None:
    table = as_table(
        [
            Figure(what="SQLite: orders accepted", unit="/s", values=[60, 61, 65]),
            Figure(what="PostgreSQL: CPU of a sync, unchanged", unit="ms", values=[1]),
        ]
    )

    summary = summarise(table)

    assert "| Orders accepted | 61 /s | – |" in summary
    assert "| The same of one that changes nothing | – | 1 ms |" in summary
    assert len(summary.splitlines()) == 12
