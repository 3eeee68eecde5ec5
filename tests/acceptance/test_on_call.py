"""A night on call: each alert fired by a fault, and ended by the commands of its page alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.acceptance.comparing import find_stale
from tests.acceptance.on_call import CALLS, CALLS_ON_POSTGRESQL, Call, open_night, read_page
from tests.acceptance.watching import read_rules

WITHOUT_PROMETHEUS = pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is not installed here")


@pytest.mark.long  # its short brother is below: pages with commands; test_shown_commands.py runs each of them
@pytest.mark.timeout(1200)
@WITHOUT_PROMETHEUS
def test_the_page_of_each_alert_leads_to_its_end(sqlite_url: str, tmp_path: Path) -> None:
    play(CALLS, sqlite_url, tmp_path)


@pytest.mark.long  # as above
@pytest.mark.timeout(300)
@WITHOUT_PROMETHEUS
@pytest.mark.skipif(shutil.which("psql") is None, reason="psql is not installed here")
def test_the_pages_of_alerts_that_want_a_database_server_lead_to_their_end(postgres_url: str, tmp_path: Path) -> None:
    play(CALLS_ON_POSTGRESQL, postgres_url, tmp_path)


def play(calls: list[Call], database_url: str, folder: Path) -> None:
    """Let all faults happen one after another, and everything that was told meanwhile is in the store at the end."""
    with open_night(folder, database_url) as night:
        for call in calls:
            call.fault(night)
            night.prometheus.wait_for({call.alert})
            night.answer(call)

        night.wait_until_quiet()
        night.service.tell("sweep", "delta")
        night.service.settle(time_passes=True)
        assert find_stale(night.service, night.tenant.numbers) == []


def test_every_alert_is_played() -> None:
    assert {call.alert for call in [*CALLS, *CALLS_ON_POSTGRESQL]} == {rule["alert"] for rule in read_rules()}


@pytest.mark.parametrize("call", [*CALLS, *CALLS_ON_POSTGRESQL], ids=lambda call: call.alert)
def test_a_page_that_was_played_looks_before_it_changes_anything(call: Call) -> None:
    blocks = read_page(call.alert)

    assert blocks
    assert (len(blocks) > 1) or call.mend is None, "what others mend comes between looking and putting right"
