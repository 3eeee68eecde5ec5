"""The pages of a sweep, one listing after the other, by Object Query or, where that is not to be had, by ZOQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sync_service.errors import NotFoundInZuora, PermissionRefused, RequestRefused, SubscriptionError
from sync_service.jobs.sweep.listed_people import mark_accounts, mark_contacts
from sync_service.jobs.sweep.listed_subscriptions import mark_subscriptions
from sync_service.jobs.sweep.marks import Sweep
from sync_service.jobs.sweep.walk import Cursor
from sync_service.zuora.client import Reading
from sync_service.zuora.listing import Listing, ListQuery, ListSource, RowPage, fetch_page

#: The tenant, its edition or our user lacks what was asked with.
NOT_TO_BE_HAD = (PermissionRefused, NotFoundInZuora, RequestRefused)
#: How often a listing is begun anew in one sweep because Zuora does not know its own cursor any more.
_MOST_RESTARTS = 3
#: Subscriptions first: what is asked for there with the account's news is then already waiting.
_ORDER = (Listing.SUBSCRIPTIONS, Listing.ACCOUNTS, Listing.CONTACTS)


def first_page(source: ListSource) -> dict[str, Any]:
    """The cursor of the first listing's first page."""
    return {"source": source.value, "listing": _ORDER[0].value, "place": None}


def fetch_marked(sweep: Sweep, reading: Reading, question: ListQuery, cursor: Cursor) -> tuple[RowPage, Cursor | None]:
    """Fetch the page at `cursor`, mark what differs; the page, and the next cursor or None after the last.

    Where this way of asking is refused, the page is empty and the next cursor asks the other way. Raises what refuses
    that one too.
    """
    place = cursor.get("place")
    try:
        page = fetch_page(reading, question, place)
    except NOT_TO_BE_HAD as refusal:
        return RowPage(), _other_way(sweep, cursor, refusal)
    mark_subscriptions(sweep, page.subscriptions)
    mark_accounts(sweep, page.accounts)
    mark_contacts(sweep, page.contacts)
    sweep.report.add("unreadable", page.unreadable)
    if page.following is not None:
        return page, {**cursor, "place": page.following}
    return page, _next_listing(cursor, with_people=question.with_people)


def _next_listing(cursor: Cursor, *, with_people: bool) -> Cursor | None:
    following = _ORDER[_ORDER.index(Listing(cursor["listing"])) + 1 :]
    return {**cursor, "listing": following[0].value, "place": None} if following and not with_people else None


def _other_way(sweep: Sweep, cursor: Mapping[str, Any], refusal: Exception) -> Cursor:
    restarts = cursor.get("restarts", 0) + 1
    if cursor.get("place") is not None:
        if restarts > _MOST_RESTARTS:
            raise SubscriptionError(f"Zuora keeps refusing the next page of its list: {refusal}") from refusal
        return {**cursor, "place": None, "restarts": restarts}
    if cursor["source"] == ListSource.ZOQL.value:
        raise SubscriptionError(f"Neither Object Query nor ZOQL is to be had for a sweep: {refusal}") from refusal
    sweep.report.values["source"] = ListSource.ZOQL.value
    return {**cursor, "source": ListSource.ZOQL.value, "restarts": restarts}
