"""Log lines: one event, one line."""

from __future__ import annotations

import json

import pytest

from sync_service.telemetry.log import logger, set_up


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
        raise ZeroDivisionError
    except ZeroDivisionError:
        logger().exception("sync_crashed", key="A-1")

    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("key=A-1")
    assert any("raise ZeroDivisionError" in line for line in lines)
    assert lines[-1] == "builtins.ZeroDivisionError"


def test_what_an_exception_says_stays_out_because_it_may_quote_a_persons_values(
    capsys: pytest.CaptureFixture[str],
) -> None:
    email = "ada@example.com"
    set_up("json")
    try:
        try:
            int(email)
        except ValueError as error:
            raise KeyError(email) from error
    except KeyError:
        logger().exception("sync_crashed", key="A-1")

    line = capsys.readouterr().err
    assert email not in line
    assert json.loads(line)["exception"].splitlines()[-1] == "builtins.KeyError"
    assert "builtins.ValueError\nwhich led to\n" in json.loads(line)["exception"]


def test_machines_get_json(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("json")
    logger().info("sync_claimed", key="A-1")

    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"], line["key"]) == ("sync_claimed", "info", "A-1")
