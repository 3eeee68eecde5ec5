"""A night on call: ten alerts fired by ten faults and more, each ended by the commands of its page alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.acceptance.on_call import CALLS, Call, open_night, read_page
from tests.acceptance.watching import read_rules


@pytest.mark.long  # its short brother is below: pages with commands; test_shown_commands.py runs each of them
@pytest.mark.timeout(900)
@pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is not installed here")
def test_the_page_of_each_alert_leads_to_its_end(tmp_path: Path) -> None:
    with open_night(tmp_path) as night:
        for call in CALLS:
            call.fault(night)
            night.prometheus.wait_for({call.alert})
            night.answer(call)

        assert len({call.alert for call in CALLS}) >= 10
        assert night.prometheus.firing() == set()


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.alert)
def test_a_page_that_was_played_looks_before_it_changes_anything(call: Call) -> None:
    blocks = read_page(call.alert)

    assert blocks
    assert (len(blocks) > 1) or call.mend is None, "what others mend comes between looking and putting right"
    assert call.alert in {rule["alert"] for rule in read_rules()}
