"""Clocks jump by an hour, there and back, under load.

With PostgreSQL the clocks of our processes jump and the database's does not; with the embedded database they are one.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.acceptance.database_away import service_on, under_load
from tests.acceptance.senders import Sent

_LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
JUMPS = ("+3600", "+0", "-3600", "+0")


class NoClocks(Exception):
    """libfaketime is not installed."""


def jump(url: str, folder: Path, seed: int) -> Sent:
    """All processes of the service find themselves an hour later, earlier and back. Raises NoClocks."""
    if _LIBRARY is None or shutil.which("faketime") is None:
        raise NoClocks("needs Debian's faketime")
    clock = folder / "clock"
    clock.write_text("+0")
    with service_on(url, folder) as service:
        service.environ |= {
            "LD_PRELOAD": str(_LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        with under_load(service, seed) as load:
            for offset in JUMPS:
                draft = folder / "clock.draft"
                draft.write_text(offset)
                draft.rename(clock)
                load.wait_for_more(40)
            sent = load.senders.sent
    assert set(sent.statuses) == {200}
    return sent
