"""The stream as pages show it: of one subscription, of a customer, and of everything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flask import request

from sync_service.queue.branches import EntryFilter, EntryKind, Spot, Whose, read_spot
from sync_service.queue.entries import read_entries
from sync_service.queue.stream import count, read_page
from sync_service.store.engine import Session
from sync_service.web.admin.context import PageContext
from sync_service.web.admin.filters import SHOWN, Filter, read_filter
from sync_service.web.admin.telling import Told, tell

#: Entries of each kind that are counted; there may be more.
MOST_COUNTED = 1_000
_NOUNS = {
    EntryKind.RUN: ("sync", "syncs"),
    EntryKind.ACT: ("act of a person", "acts of people"),
    EntryKind.ORDER: ("order", "orders"),
    EntryKind.CALLOUT: ("callout", "callouts"),
}


@dataclass(frozen=True, kw_only=True)
class Chip:
    """A filter that one press sets or takes away."""

    words: str
    kept: Mapping[str, str]
    is_set: bool


@dataclass(frozen=True, kw_only=True)
class ShownEntries:
    """What a page shows of the stream."""

    told: tuple[Told, ...]
    filter: Filter
    #: The parameters of the page's own address.
    kept: Mapping[str, str]
    chips: tuple[Chip, ...]
    #: Where the next page begins.
    before: Spot | None
    #: How far it looked, in ms, where it ended before the past did.
    looked_to: int | None
    is_first: bool
    whose: Whose | None
    totals: tuple[str, ...] = ()


def read_shown(
    context: PageContext,
    session: Session,
    *,
    whose: Whose | None = None,
    asked: Filter | None = None,
    order: str = "",
    counted: bool = False,
) -> ShownEntries:
    """What the request asks for; `asked` where the page has read its filter from elsewhere than the address."""
    zone = context.settings.tenant_time_zone
    wish = read_filter(request.args, context.cipher, zone) if asked is None else asked
    wanted = wish.wanted(zone, whose, order)
    before = read_spot(request.args.get("before", ""))
    page = read_page(session, wanted, before)
    return ShownEntries(
        told=tuple(tell(session, read_entries(session, page.spots))),
        filter=wish,
        kept=wish.kept(context.cipher),
        chips=tuple(_chips(context, wish)),
        before=page.before,
        looked_to=page.looked_to,
        is_first=before is None,
        whose=whose,
        totals=_totals(session, wanted) if counted else (),
    )


def _chips(context: PageContext, wish: Filter) -> list[Chip]:
    chips = [Chip(words="Everything", kept=wish.kept(context.cipher, show=""), is_set=not wish.show)]
    for name, (words, _) in SHOWN.items():
        chips.append(Chip(words=words, kept=wish.kept(context.cipher, show=name), is_set=wish.show == name))
    return chips


def _totals(session: Session, wanted: EntryFilter) -> tuple[str, ...]:
    words = []
    for kind, found in count(session, wanted, MOST_COUNTED).items():
        one, many = _NOUNS[kind]
        shown = f"{found:,} or more" if found >= MOST_COUNTED else f"{found:,}"
        if found:
            words.append(f"{shown} {one if found == 1 else many}")
    return tuple(words)
