"""The clock of a page: its moment and the zone that its times are in, which the person chooses."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from flask import g, request

from sync_service.subscription.pace import duration_in_words

#: Holds the choice: `tenant`, or a zone's name.
ZONE_COOKIE = "sync_zone"
TENANT = "tenant"
_UTC = "UTC"
#: Longer ago, a moment is shown as its date.
_RELATIVE_MS = 86_400_000
#: The last moment that a calendar of four digits holds.
LAST_MOMENT = 253_402_300_799_999


@dataclass(frozen=True)
class Clock:
    """What time it is on the page at hand, in ms since 1970 by the database's clock, and where."""

    now: int
    zone: tzinfo = UTC

    @property
    def zone_name(self) -> str:
        """The zone as people write it now, such as CET; an offset where it has no name."""
        return self._name(self.now)

    def local(self, at: int) -> datetime:
        """The moment `at` in the page's zone."""
        return datetime.fromtimestamp(max(0, min(at, LAST_MOMENT)) / 1000, UTC).astimezone(self.zone)

    def exact(self, at: int, *, seconds: bool = False) -> str:
        """Date and time with the zone, such as `27 Nov 2026, 10:22 CET`."""
        return f"{self.local(at):{'%d %b %Y, %H:%M:%S' if seconds else '%d %b %Y, %H:%M'}} {self._name(at)}"

    def is_near(self, at: int) -> bool:
        """Whether the distance to `at` says more than its date."""
        return abs(self.now - at) < _RELATIVE_MS

    def relative(self, at: int) -> str:
        """How long ago, or in how long; one unit is enough."""
        words = " ".join(duration_in_words(abs(self.now - at) // 1000).split()[:2])
        return f"{words} ago" if at <= self.now else f"in {words}"

    def _name(self, at: int) -> str:
        local = self.local(at)
        name, offset = f"{local:%Z}", f"{local:%z}"
        return name if name.isalpha() else f"UTC{offset[:3]}:{offset[3:]}"


def clock() -> Clock:
    """The clock of the request at hand."""
    if "clock" not in g:
        g.clock = Clock(int(time.time() * 1000))
    here: Clock = g.clock
    return here


def chosen_zone(tenant: ZoneInfo) -> tuple[str, tzinfo]:
    """The person's choice, one of utc, tenant and mine, and the zone that it means."""
    wanted = request.cookies.get(ZONE_COOKIE, _UTC)
    if wanted == TENANT:
        return TENANT, tenant
    zone = None if wanted == _UTC else find_zone(wanted)
    return ("utc", UTC) if zone is None else ("mine", zone)


def find_zone(name: str) -> ZoneInfo | None:
    """The zone of this name, such as Europe/Berlin; None where there is none."""
    if not name.isascii() or len(name) > 60:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not there, not a name, a folder
        return None
