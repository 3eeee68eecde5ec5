"""How fast long work goes, told from its last minutes, and in words."""

from __future__ import annotations

import pytest

from sync_service.subscription.pace import Pace, duration_in_words


def test_the_rate_is_what_grew_over_the_time_it_took() -> None:
    pace = Pace()
    pace.note(10.0, 100)
    pace.note(20.0, 150)

    assert pace.per_second == 5.0
    assert pace.seconds_for(30) == 6.0


def test_what_lies_further_back_than_the_window_is_forgotten() -> None:
    pace = Pace(window_seconds=60)
    pace.note(0.0, 0)
    pace.note(100.0, 1000)
    pace.note(150.0, 1050)
    pace.note(200.0, 1100)

    assert pace.per_second == 1.0


@pytest.mark.parametrize("notes", [[], [(1.0, 5)], [(1.0, 5), (9.0, 5)], [(1.0, 5), (1.0, 7)]])
def test_no_duration_is_estimated_if_nothing_moved(notes: list[tuple[float, int]]) -> None:
    pace = Pace()
    for at, count in notes:
        pace.note(at, count)

    assert pace.seconds_for(1) is None
    assert pace.seconds_for(0) == 0.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "?"),
        (0, "0 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3_599, "59 min 59 s"),
        (3_600, "1 h"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds: float | None, words: str) -> None:
    assert duration_in_words(seconds) == words
