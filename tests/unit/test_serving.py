"""Which processes `run` starts."""

from __future__ import annotations

import os

import pytest

from sync_service.cli.serve import workers_of
from sync_service.settings import Settings


def started(url: str, **settings: int) -> list[tuple[str, str]]:
    """Names and threads of the workers."""
    parts = workers_of(Settings(database_url=url, worker_threads=12, **settings))
    return [(name, words[words.index("--threads") + 1]) for name, words in parts]


@pytest.fixture(autouse=True)
def _three_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)


def test_with_sqlite_one_worker_has_all_threads() -> None:
    assert started("sqlite:///var/store.db") == [("worker", "12")]


def test_with_postgresql_each_processor_has_a_worker_and_they_share_the_threads() -> None:
    assert started("postgresql://db/store") == [("worker", "4"), ("worker-2", "4"), ("worker-3", "4")]


def test_the_number_of_workers_can_be_set() -> None:
    assert started("postgresql://db/store", worker_processes=5) == [
        ("worker", "3"),
        *((f"worker-{place}", "3") for place in range(2, 6)),
    ]
