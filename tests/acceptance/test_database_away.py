"""While nothing can be committed nothing is acknowledged, and no one has to restart us afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.database_away import take_postgres_away, take_writing_away
from tests.acceptance.postgres import Postgres
from tests.acceptance.scarcity import NotPermitted, fill_the_disk


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.remove()


@pytest.mark.timeout(300)
def test_a_postgresql_that_goes_away_and_comes_back_costs_nothing(postgres: Postgres, tmp_path: Path) -> None:
    assert take_postgres_away(postgres, tmp_path, seed=4) > 0


@pytest.mark.timeout(200)
def test_an_embedded_database_that_cannot_write_costs_nothing(tmp_path: Path) -> None:
    assert take_writing_away(f"sqlite:///{tmp_path / 'store.db'}", tmp_path, seed=5) > 0


@pytest.mark.timeout(200)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_disk_that_is_full_for_a_while_costs_nothing(kind: str, tmp_path: Path) -> None:
    try:
        sent = fill_the_disk(kind, tmp_path, seed=6)
    except NotPermitted as error:
        pytest.skip(str(error))

    assert sent.statuses[503] > 0
