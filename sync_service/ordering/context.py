"""What placing orders works with."""

from __future__ import annotations

from dataclasses import dataclass

from sync_service.commerce.options import Options
from sync_service.queue.limit import Share
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.zuora.client import ZuoraClient


@dataclass(frozen=True, kw_only=True)
class OrderContext:
    """The store, Zuora, and the settings that decide."""

    database: Database
    zuora: ZuoraClient
    settings: Settings
    options: Options

    @property
    def share(self) -> Share:
        """How much of the tenant we may use."""
        return Share.of(self.settings)
