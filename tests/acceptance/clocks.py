"""Clocks jump by an hour, there and back, under load: that of the database, or those of our processes."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.database_away import service_on, under_load
from tests.acceptance.processes import wait_until
from tests.acceptance.senders import Sent
from tests.acceptance.service import Service

_HOUR = 3600
JUMPS = (_HOUR, 0, -_HOUR, 0)
#: Longer than any backoff.
_LATE = "SELECT 1 FROM sync_request WHERE due_at > {now} + :off + 1900000 AND lease_until IS NULL"
#: The database's clock for `jumping.py`; replaced at every jump.
_SERVER = """
CREATE OR REPLACE FUNCTION jumping_now() RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT CAST((extract(epoch FROM clock_timestamp()) + ({off})) * 1000 AS bigint) $$
"""


def jump(url: str, folder: Path, seed: int) -> Sent:
    """The database finds itself an hour later, earlier and back, and so do our processes; the answers to callouts."""
    clock = folder / "clock"
    with service_on(url, folder) as service:
        service.wrapper = "jumping"
        service.environ["CLOCK_FILE"] = str(clock)
        _move(service, clock, 0)
        service.start("scheduler").wait_for("scheduler_started")
        with under_load(service, seed) as load:
            # Each minute's job shows by when it began that the clock jumped back.
            wait_until(lambda: service.rows("SELECT 1 FROM job WHERE last_began IS NOT NULL"), "a job began")
            for off in JUMPS:
                _move(service, clock, off)
                load.wait_for_more(40)
                wait_until(
                    lambda ahead=off * 1000: not service.rows(_LATE, off=ahead), "nothing waits for the old time"
                )
            sent = load.senders.sent
    assert set(sent.statuses) <= {200}
    return sent


def _is_nothing_late(service: Service, off: int) -> bool:
    return not service.rows(_LATE, off=off * 1000)


def _move(service: Service, clock: Path, off: int) -> None:
    if service.database.dialect == "postgresql":
        with service.database.transaction() as session:
            session.run(_SERVER.format(off=off))
    draft = clock.with_suffix(".draft")
    draft.write_text(str(off))
    draft.rename(clock)
