"""A PostgreSQL primary dies under load and its standby takes over: nothing answered is lost, nothing is restarted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.failover import fail_over


@pytest.mark.timeout(400)
def test_a_primary_that_dies_costs_nothing_that_was_answered(tmp_path: Path) -> None:
    outcome = fail_over(tmp_path, seed=11)

    assert outcome.acknowledged > 0
