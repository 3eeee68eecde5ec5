"""The settings that the comparison depends on, as a value. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a tenant decides about its comparisons: TENANT_TIME_ZONE and EVERGREEN_HORIZON_MONTHS."""

    tenant_zone: ZoneInfo
    #: How many months of coming payments a subscription without an end has.
    horizon_months: int
