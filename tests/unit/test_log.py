"""Log lines: one event, one line."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog

from sync_service.log import logger, set_up


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_an_event_is_one_line_whatever_a_stranger_put_into_it(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("text")
    logger().warning("callout_received", key="A-1\n2026-01-01 [info] all_is_well", verdict="rejected", reason=None)

    (line,) = capsys.readouterr().err.splitlines()
    stamp, rest = line.split(" ", 1)
    assert stamp.endswith("Z")
    assert rest == (
        "[warning  ] callout_received              "
        " key='A-1\\n2026-01-01 [info] all_is_well' verdict=rejected reason=None"
    )


def test_a_traceback_follows_its_event(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("text")
    try:
        raise ZeroDivisionError("by nothing")
    except ZeroDivisionError:
        logger().exception("sync_crashed", key="A-1")

    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("key=A-1")
    assert lines[-1] == "ZeroDivisionError: by nothing"


def test_machines_get_json(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("json")
    logger().info("sync_claimed", key="A-1")

    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"], line["key"]) == ("sync_claimed", "info", "A-1")
