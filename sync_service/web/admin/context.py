"""What the admin views work with, and how their lists turn pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TypeVar

from flask import request

from sync_service.access.cipher import TextCipher
from sync_service.queue.limit import Share
from sync_service.settings import Settings
from sync_service.store.engine import Database, Session
from sync_service.web.admin.zuora_links import ZuoraLinks

#: Rows of a list.
PAGE = 50
_LARGEST = 2**63 - 1
Row = TypeVar("Row")


@dataclass(frozen=True, kw_only=True)
class PageContext:
    """The store and the settings. There is no way to Zuora from here."""

    settings: Settings
    database: Database
    cipher: TextCipher

    @property
    def zuora(self) -> ZuoraLinks:
        """Where people find the same objects in Zuora."""
        return ZuoraLinks(self.settings.zuora_base_url, self.settings.zuora_app_url)

    @property
    def share(self) -> Share:
        """How much of the tenant we may use."""
        return Share.of(self.settings)

    def today(self, session: Session) -> date:
        """The tenant's calendar day."""
        now = datetime.fromtimestamp(session.now() / 1000, UTC)
        return now.astimezone(self.settings.tenant_time_zone).date()


def before_id() -> int | None:
    """The id that the page at hand begins below; None for the first page."""
    text = request.args.get("before", "")
    return min(int(text), _LARGEST) if text.isascii() and text.isdigit() and len(text) < 20 else None


def one_page(rows: Sequence[Row], limit: int = PAGE) -> tuple[Sequence[Row], bool]:
    """The rows to show of `limit` + 1 that were read, and whether there are more."""
    return rows[:limit], len(rows) > limit


def chosen(name: str, words: Sequence[str]) -> str:
    """The query's `name` where it is one of `words`, else empty."""
    word = request.args.get(name, "")
    return word if word in words else ""
