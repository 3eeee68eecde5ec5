"""Pages of what changed in Zuora since a moment, or of everything there is: Object Query, or ZOQL where that is off.

Sources: "List subscriptions", "List accounts", "List contacts" (Object Queries) and "CRUD: query", "CRUD: queryMore" of
Zuora's API reference. A page is small and read whole; nothing is kept between pages but the place of the next one. ZOQL
has the names of fields with a capital. A row without what identifies it is refused; everything else may be absent,
since nulls are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

from marshmallow import ValidationError

from sync_service.errors import PayloadInvalid
from sync_service.subscription.listed import ListedAccount, ListedContact, ListedSubscription
from sync_service.subscription.zuora import Contact
from sync_service.zuora.fields import Day, Flag, Status, Text, Whole, ZuoraField
from sync_service.zuora.reading import Reading
from sync_service.zuora.schemas import Part, PersonSchema, ZuoraSchema


class Moment(ZuoraField[datetime]):
    """A time with its offset, such as 2026-06-05T06:00:35+01:00; without one it is taken as UTC."""

    def read(self, value: Any) -> datetime | None:
        """The time, or None for a blank text."""
        if not isinstance(value, str):
            raise ValidationError("is not a time")
        text = value.strip()
        if not text:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ValidationError("is not a time") from None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class SubscriptionRowSchema(ZuoraSchema):
    """A subscription's row; its number is called `name`."""

    id = Text(required=True, data_key="id")
    number = Text(required=True, data_key="name")
    version = Whole(required=True, data_key="version")
    is_latest = Flag(data_key="isLatestVersion")
    status = Status(required=True, data_key="status")
    account_id = Text(data_key="accountId")
    term_start = Day(data_key="termStartDate")
    term_end = Day(data_key="termEndDate")
    auto_renew = Flag(data_key="autoRenew")
    updated = Moment(required=True, data_key="updatedDate")
    created = Moment(data_key="originalCreatedDate")


class AccountRowSchema(ZuoraSchema):
    """An account's row."""

    id = Text(required=True, data_key="id")
    name = Text(data_key="name")
    currency = Text(data_key="currency")
    bill_cycle_day = Whole(data_key="billCycleDay")
    bill_to = Text(data_key="billToId")
    sold_to = Text(data_key="soldToId")
    updated = Moment(data_key="updatedDate")


class ContactRowSchema(ZuoraSchema):
    """A contact's row: whose it is, and since when it is as it is."""

    id = Text(required=True, data_key="id")
    account_id = Text(required=True, data_key="accountId")
    updated = Moment(data_key="updatedDate")


def read_listed_subscription(row: Mapping[str, Any]) -> ListedSubscription:
    """Raises PayloadInvalid."""
    values = {"is_latest": None, "account_id": None} | Part(row, "list of subscriptions").read(SubscriptionRowSchema)
    return ListedSubscription(**values)


def read_listed_account(row: Mapping[str, Any]) -> ListedAccount:
    """Raises PayloadInvalid."""
    return ListedAccount(**Part(row, "list of accounts").read(AccountRowSchema))


def read_listed_contact(row: Mapping[str, Any]) -> ListedContact:
    """Raises PayloadInvalid."""
    part = Part(row, "list of contacts")
    return ListedContact(**part.read(ContactRowSchema), contact=Contact(**part.read(PersonSchema)))


@cache
def _names(kind: type[ZuoraSchema]) -> tuple[str, ...]:
    return tuple(field.data_key or name for name, field in kind().load_fields.items())


SUBSCRIPTION_FIELDS = _names(SubscriptionRowSchema)
ACCOUNT_FIELDS = _names(AccountRowSchema)
CONTACT_FIELDS = tuple(dict.fromkeys((*_names(ContactRowSchema), *_names(PersonSchema))))


_Listed = TypeVar("_Listed", ListedSubscription, ListedAccount, ListedContact)

#: The most rows of one Object Query page, by its documentation.
_PAGE_SIZE = 99
#: What belongs to a subscription and is shown beside it, each at most once a row.
_BESIDE = ("account", "account.billto", "account.soldto", "billtocontact", "soldtocontact")


class Listing(StrEnum):
    """What a page lists."""

    SUBSCRIPTIONS = "subscriptions"
    ACCOUNTS = "accounts"
    CONTACTS = "contacts"


class ListSource(StrEnum):
    """What is asked."""

    OBJECT_QUERY = "object query"
    ZOQL = "zoql"


@dataclass(frozen=True, kw_only=True)
class ListQuery:
    """Which rows are wanted."""

    listing: Listing
    source: ListSource = ListSource.OBJECT_QUERY
    #: Only what was updated then or later, in the order of updates; None is everything, in the order of ids.
    since: datetime | None = None
    #: Subscriptions with their account and contacts beside them; Object Query only.
    with_people: bool = False


@dataclass(frozen=True, kw_only=True)
class RowPage:
    """Rows of one page, and where the next one begins; None after the last."""

    subscriptions: Sequence[ListedSubscription] = ()
    accounts: Sequence[ListedAccount] = ()
    contacts: Sequence[ListedContact] = ()
    following: str | None = None
    #: The latest update of the rows that were asked for.
    newest: datetime | None = None
    #: Rows that lack what identifies them.
    unreadable: int = 0


def fetch_page(reading: Reading, question: ListQuery, place: str | None) -> RowPage:
    """The page at `place`, which an earlier page named as `following`; None is the first one. One call.

    Raises PermissionRefused, NotFoundInZuora or RequestRefused where the tenant or our user lacks this way of asking,
    RequestRefused for a place that Zuora no longer knows, PayloadInvalid, and every TenantError.
    """
    if question.source is ListSource.ZOQL:
        return _fetch_zoql(reading, question, place)
    return _fetch_object_query(reading, question, place)


def fetch_newest_update(reading: Reading) -> datetime | None:
    """When Zuora last updated a subscription, by its own clock; None in an empty tenant. Object Query; one call."""
    params = {"pageSize": 1, "sort[]": "updateddate.DESC", "fields[]": ",".join(SUBSCRIPTION_FIELDS).lower()}
    rows = _rows(reading.call("GET", "/object-query/subscriptions", params=params), "data")
    return _newest(_read(read_listed_subscription, rows)[0])


def _fetch_object_query(reading: Reading, question: ListQuery, place: str | None) -> RowPage:
    filters = [f"updateddate.GE:{_utc(question.since)}Z"] if question.since else []
    if question.listing is Listing.SUBSCRIPTIONS:
        filters.append("islatestversion.EQ:true")
    params: dict[str, Any] = {
        "pageSize": _PAGE_SIZE,
        "filter[]": filters,
        "sort[]": "updateddate.ASC" if question.since else "id.ASC",
    }
    if question.with_people:
        # All fields: the reference does not say how to name some of what stands beside.
        params["expand[]"] = list(_BESIDE)
    else:
        params["fields[]"] = ",".join(_FIELDS[question.listing]).lower()
    if place is not None:
        params["cursor"] = place
    answer = reading.call("GET", f"/object-query/{question.listing}", params=params)
    following = answer.get("nextPage")
    return _page(question, _rows(answer, "data"), None if following in ("", place) else following)


def _fetch_zoql(reading: Reading, question: ListQuery, place: str | None) -> RowPage:
    """ZOQL has 2,000 rows a page and neither order nor joins; it lists superseded versions too."""
    if place is None:
        name = _capital(question.listing.removesuffix("s"))
        names = ", ".join(_capital(field) for field in _FIELDS[question.listing] if field != "isLatestVersion")
        where = f" where UpdatedDate >= '{_utc(question.since)}+00:00'" if question.since else ""
        text = f"select {names} from {name}{where}"  # noqa: S608 - ZOQL only reads; constant text, no user input
        answer = reading.call("POST", "/v1/action/query", body={"queryString": text}, repeatable=True)
    else:
        answer = reading.call("POST", "/v1/action/queryMore", body={"queryLocator": place}, repeatable=True)
    rows = _rows(answer, "records") if "records" in answer else []
    following = answer.get("queryLocator") if answer.get("done") is False else None
    if answer.get("done") is False and not isinstance(following, str):
        raise PayloadInvalid("queryLocator is missing in Zuora's answer to a query that is not done")
    # Object Query's names of fields: the first letter small.
    rows = [{name[:1].lower() + name[1:]: value for name, value in row.items()} for row in rows]
    return _page(question, rows, following)


def _page(question: ListQuery, rows: Sequence[Mapping[str, Any]], following: str | None) -> RowPage:
    match question.listing:
        case Listing.ACCOUNTS:
            accounts, bad = _read(read_listed_account, rows)
            return RowPage(accounts=accounts, following=following, newest=_newest(accounts), unreadable=bad)
        case Listing.CONTACTS:
            contacts, bad = _read(read_listed_contact, [row for row in rows if row.get("accountId")])
            return RowPage(contacts=contacts, following=following, newest=_newest(contacts), unreadable=bad)
    subscriptions, bad = _read(read_listed_subscription, rows)
    accounts, _ = _read(read_listed_account, [each for row in rows for each in _objects(row, "account")])
    contacts, _ = _read(read_listed_contact, [each for row in rows for each in _contacts_beside(row)])
    return RowPage(
        subscriptions=subscriptions,
        accounts=list({each.id: each for each in accounts}.values()),
        contacts=list({each.id: each for each in contacts}.values()),
        following=following,
        newest=_newest(subscriptions),
        unreadable=bad,
    )


def _read(
    reader: Callable[[Mapping[str, Any]], _Listed], rows: Sequence[Mapping[str, Any]]
) -> tuple[list[_Listed], int]:
    """The rows that can be read, and how many cannot: one odd row must not stop a sweep for ever."""
    read: list[_Listed] = []
    for row in rows:
        with suppress(PayloadInvalid):
            read.append(reader(row))
    return read, len(rows) - len(read)


def _contacts_beside(row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The subscription's own contacts and those of its account, which names the account should they not."""
    for holder in (row, *_objects(row, "account")):
        for contact in _objects(holder, "billTo", "soldTo", "billToContact", "soldToContact"):
            yield {"accountId": row.get("accountId"), **contact}


def _objects(row: Mapping[str, Any], *names: str) -> Iterator[Mapping[str, Any]]:
    return (row[name] for name in names if isinstance(row.get(name), Mapping))


def _newest(rows: Sequence[_Listed]) -> datetime | None:
    return max((row.updated for row in rows if row.updated is not None), default=None)


def _rows(answer: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    rows = answer.get(key)
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise PayloadInvalid(f"{key} is no list of objects in Zuora's answer")
    return rows


def _utc(moment: datetime | None) -> str:
    """Without its offset, for the two ways of writing that it is UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S") if moment else ""


def _capital(field: str) -> str:
    return field[0].upper() + field[1:]


_FIELDS: Mapping[str, Sequence[str]] = {
    Listing.SUBSCRIPTIONS: SUBSCRIPTION_FIELDS,
    Listing.ACCOUNTS: ACCOUNT_FIELDS,
    Listing.CONTACTS: CONTACT_FIELDS,
}
