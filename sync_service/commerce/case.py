"""One order with everything that decides how it is placed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sync_service.commerce.catalog import Catalog
from sync_service.commerce.options import Options
from sync_service.commerce.order import Order
from sync_service.commerce.state import State


@dataclass(frozen=True, kw_only=True)
class Case:
    """The order, what it meets, and the day in the tenant's zone."""

    order: Order
    state: State
    catalog: Catalog
    options: Options
    today: date
