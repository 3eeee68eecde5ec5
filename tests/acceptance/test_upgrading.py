"""A release and the one before it side by side on one schema, under load, and back again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.upgrading import NoHistory, find_release_before, judge, upgrade_and_go_back


@pytest.mark.long  # its short brother is test_schema.py: what a release uses, the next one's migration leaves alone
@pytest.mark.timeout(600)
def test_no_callout_is_refused_while_a_release_replaces_the_one_before_and_is_taken_back(
    empty_database_url: str, tmp_path: Path
) -> None:
    try:
        upgraded = upgrade_and_go_back(empty_database_url, tmp_path, 1, find_release_before())
    except NoHistory as error:
        pytest.skip(f"needs the repository's history: {error}")

    assert judge(upgraded) == []
