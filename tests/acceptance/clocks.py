"""Clocks jump by an hour, there and back, under load: that of the database, or those of our processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.database_away import service_on, under_load
from tests.acceptance.senders import Sent
from tests.acceptance.service import Service

_HOUR = 3600
JUMPS = (_HOUR, 0, -_HOUR, 0)
#: The database's clock for `jumping.py`; replaced at every jump.
_SERVER = """
CREATE OR REPLACE FUNCTION jumping_now() RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT CAST((extract(epoch FROM clock_timestamp()) + ({off})) * 1000 AS bigint) $$
"""


@dataclass(frozen=True)
class Jumped:
    """What it came to."""

    sent: Sent
    #: Requests that would have waited for the clock to come to where it was when they were made.
    late: int


def jump(url: str, folder: Path, seed: int) -> Jumped:
    """The database finds itself an hour later, earlier and back, and so do our processes."""
    clock = folder / "clock"
    with service_on(url, folder) as service:
        service.wrapper = "jumping"
        service.environ["CLOCK_FILE"] = str(clock)
        _move(service, clock, 0)
        late = 0
        with under_load(service, seed) as load:
            for off in JUMPS:
                _move(service, clock, off)
                load.wait_for_more(40)
                late += service.change(
                    f"UPDATE sync_request SET due_at = {{now}} + {off * 1000} WHERE lease_until IS NULL"
                    f" AND due_at > {{now}} + {off * 1000} + 600000"
                )
            sent = load.senders.sent
    assert set(sent.statuses) <= {200}
    return Jumped(sent, late)


def _move(service: Service, clock: Path, off: int) -> None:
    if service.database.dialect == "postgresql":
        with service.database.transaction() as session:
            session.run(_SERVER.format(off=off))
    draft = clock.with_suffix(".draft")
    draft.write_text(str(off))
    draft.rename(clock)
