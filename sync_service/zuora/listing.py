"""All subscriptions of the tenant, a page at a time, in the order in which they were last updated.

Whoever is changed while the list is read moves to its end and is met again, so that nobody is missed; the time of the
last one met is all that is needed to go on after an interruption.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sync_service.errors import PayloadInvalid
from sync_service.zuora.reading import Reading


@dataclass(frozen=True)
class Listed:
    """One subscription of the list."""

    number: str
    #: When Zuora last updated it.
    updated: datetime


@dataclass(frozen=True)
class ListedPage:
    """One page, and the cursor of the next one; None after the last."""

    subscriptions: tuple[Listed, ...]
    cursor: str | None


def fetch_numbers(reading: Reading, *, since: datetime | None = None, cursor: str | None = None) -> ListedPage:
    """A page of the latest versions updated at or after `since`, of any status, the longest unchanged first.

    One call of "List subscriptions" of Zuora's Object Query. Raises PermissionRefused, NotFoundInZuora or
    RequestRefused where the tenant lacks Object Query, PayloadInvalid, and every TenantError.
    """
    filters = ["islatestversion.EQ:true"]
    if since is not None:
        filters.append(f"updateddate.GE:{as_query_time(since)}")
    page = reading.query_page(
        "subscriptions", filters=filters, fields=["name", "updateddate"], sort="updateddate.ASC", cursor=cursor
    )
    return ListedPage(tuple(_read(row) for row in page.rows), page.cursor if page.cursor != cursor else None)


def as_query_time(moment: datetime) -> str:
    """`moment`, which has a zone, as a filter takes it: UTC with a Z, because a plus sign in an address is a blank."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read(row: object) -> Listed:
    values = row if isinstance(row, dict) else {}
    name, updated = values.get("name"), values.get("updatedDate")
    if not isinstance(name, str) or not name.strip():
        raise PayloadInvalid("name is missing in Zuora's list of subscriptions")
    try:
        moment = datetime.fromisoformat(str(updated))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise PayloadInvalid("updatedDate is no time with an offset in Zuora's list of subscriptions")
    return Listed(name.strip(), moment)
