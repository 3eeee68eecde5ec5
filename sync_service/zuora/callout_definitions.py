"""The callouts of a tenant: triggers, templates and notification definitions, and those that were not delivered.

Sources: "Custom event triggers", "Callout templates", "Notification definitions", "Describe an object" and "List
callout notification histories" of Zuora's API reference. The user needs the permission "Events & Notifications Manage
Access". A record of the history is one attempt; a callout that failed and was delivered on a retry is listed with the
attempt that failed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from defusedxml.ElementTree import ParseError, fromstring

from sync_service.errors import NotFoundInZuora, PayloadInvalid, PermissionRefused, RequestRefused, ZuoraUnavailable
from sync_service.zuora.reading import Reading


class Definition(StrEnum):
    """What is provisioned, in the order in which each needs the one before."""

    TRIGGER = "event trigger"
    TEMPLATE = "callout template"
    DEFINITION = "notification definition"


_PATHS = {
    Definition.TRIGGER: "/events/event-triggers",
    Definition.TEMPLATE: "/notifications/callout-templates",
    Definition.DEFINITION: "/notifications/notification-definitions",
}
#: The most rows of one page of templates and definitions; of triggers no limit is documented.
_PAGE_SIZE = 100
_MAX_PAGES = 100
_PROFILES = "select Id, ProfileName from CommunicationProfile"


@dataclass(frozen=True, kw_only=True)
class EventTrigger:
    """A custom event of the tenant: what happens to which object."""

    id: str
    event: str
    base_object: str
    condition: str
    active: bool


@dataclass(frozen=True, kw_only=True)
class CalloutTemplate:
    """Where a callout goes and what it says; `row` is all that Zuora answered."""

    id: str
    name: str
    event: str
    row: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class NotificationDefinition:
    """Which event sends what, for the accounts of which communication profiles."""

    id: str
    name: str
    event: str
    #: Ids as `same_id` has them; empty where Zuora names none.
    profiles: frozenset[str]
    template_ids: tuple[str, ...]
    condition: str
    row: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A communication profile: a definition speaks for the accounts that have it."""

    id: str
    name: str


@dataclass(frozen=True, kw_only=True)
class TenantCallouts:
    """What a tenant has."""

    triggers: tuple[EventTrigger, ...] = ()
    templates: tuple[CalloutTemplate, ...] = ()
    definitions: tuple[NotificationDefinition, ...] = ()
    #: None where we may not list them.
    profiles: tuple[Profile, ...] | None = None
    #: The fields of orders and accounts; None where we may not ask.
    order_fields: frozenset[str] | None = None
    account_fields: frozenset[str] | None = None


def fetch_found(reading: Reading) -> TenantCallouts:
    """Everything that provisioning must know. Raises PermissionRefused, PayloadInvalid and every other TenantError."""
    return TenantCallouts(
        triggers=tuple(_read_trigger(row) for row in fetch_rows(reading, Definition.TRIGGER)),
        templates=tuple(_read_template(row) for row in fetch_rows(reading, Definition.TEMPLATE)),
        definitions=tuple(read_definition(row) for row in fetch_rows(reading, Definition.DEFINITION)),
        profiles=fetch_profiles(reading),
        order_fields=fetch_fields(reading, "Order"),
        account_fields=fetch_fields(reading, "Account"),
    )


def fetch_profiles(reading: Reading) -> tuple[Profile, ...] | None:
    """All communication profiles ("CommunicationProfile" of Zuora's SOAP object reference); None if not permitted."""
    try:
        answer = reading.call("POST", "/v1/action/query", body={"queryString": _PROFILES}, repeatable=True)
    except (PermissionRefused, RequestRefused, NotFoundInZuora):
        return None
    rows = answer.get("records") or []
    if answer.get("done") is not True or not isinstance(rows, list):
        return None  # no tenant has more than 2000 profiles
    found = (Profile(id=str(row["Id"]), name=str(row.get("ProfileName") or row["Id"])) for row in rows if row.get("Id"))
    return tuple(sorted(found, key=lambda each: (each.name, each.id))) or None


def fetch_fields(reading: Reading, name: str) -> frozenset[str] | None:
    """The fields of an object, custom ones too; None if we may not ask or cannot read the answer."""
    try:
        return read_fields(reading.fetch_text(f"/v1/describe/{name}"))
    except (PermissionRefused, RequestRefused, NotFoundInZuora, ZuoraUnavailable):
        return None


def read_fields(text: str) -> frozenset[str] | None:
    """The names in the XML of "Describe an object"; None where it is no such XML."""
    try:
        root = fromstring(text, forbid_dtd=True)  # entities could blow up or reach out
    except (ValueError, LookupError, ParseError):
        return None
    found = root.findall("fields/field/name") if root.tag == "object" else []
    return frozenset(name for each in found if (name := (each.text or "").strip())) or None


def create(reading: Reading, thing: Definition, body: Mapping[str, Any]) -> str:
    """Make one; its id."""
    key = reading.call("POST", _PATHS[thing], body=body).get("id")
    if not isinstance(key, str) or not key:
        raise PayloadInvalid(f"Zuora made a {thing} and does not say its id.")
    return key


def change(reading: Reading, thing: Definition, key: str, body: Mapping[str, Any]) -> None:
    """Change one. What a definition's `body` leaves out goes back to Zuora's default, so give all of it."""
    reading.call("PUT", f"{_PATHS[thing]}/{key}", body=body, repeatable=True)


def delete(reading: Reading, thing: Definition, key: str) -> None:
    """Delete one; that it is gone already is no error."""
    try:
        reading.call("DELETE", f"{_PATHS[thing]}/{key}", repeatable=True)
    except NotFoundInZuora:
        return


def same_id(text: object) -> str:
    """An id in the one form in which ids may be compared: Zuora writes some with dashes, some without."""
    return str(text or "").replace("-", "").lower()


def fetch_rows(reading: Reading, thing: Definition) -> list[Mapping[str, Any]]:
    """All rows of a list. Where a page begins is taken from `next`: the lists differ in whether they count from 1."""
    rows: dict[str, Mapping[str, Any]] = {}
    params: dict[str, Any] = {"limit": _PAGE_SIZE}
    for _ in range(_MAX_PAGES):
        answer = reading.call("GET", _PATHS[thing], params=params)
        page = answer.get("data")
        if not isinstance(page, list) or not all(isinstance(row, Mapping) and row.get("id") for row in page):
            raise PayloadInvalid(f"data is no list of objects with an id in Zuora's list of {thing}s")
        new = [row for row in page if str(row["id"]) not in rows]
        rows.update((str(row["id"]), row) for row in new)
        following = parse_qs(urlsplit(str(answer.get("next") or "")).query)
        if not following or not new:
            return list(rows.values())
        params = {**params, **{name: values[0] for name, values in following.items()}}
    raise PayloadInvalid(f"Zuora's list of {thing}s does not end.")


def _read_trigger(row: Mapping[str, Any]) -> EventTrigger:
    kind = row.get("eventType")
    return EventTrigger(
        id=str(row["id"]),
        event=str(kind.get("name") or "") if isinstance(kind, Mapping) else "",
        base_object=str(row.get("baseObject") or ""),
        condition=str(row.get("condition") or ""),
        active=row.get("active") is not False,
    )


def _read_template(row: Mapping[str, Any]) -> CalloutTemplate:
    return CalloutTemplate(
        id=str(row["id"]), name=str(row.get("name") or ""), event=str(row.get("eventTypeName") or ""), row=row
    )


def read_definition(row: Mapping[str, Any]) -> NotificationDefinition:
    """A definition as Zuora lists it."""
    several = row.get("communicationProfileIds")
    profiles = [*several] if isinstance(several, list) and several else [row.get("communicationProfileId")]
    templates = row.get("calloutTemplateIds")
    rule = row.get("filterRule")
    return NotificationDefinition(
        id=str(row["id"]),
        name=str(row.get("name") or ""),
        event=str(row.get("eventTypeName") or ""),
        profiles=frozenset(same_id(each) for each in profiles if each),
        template_ids=tuple(str(each) for each in templates) if isinstance(templates, list) else (),
        condition=str(rule.get("condition") or "") if isinstance(rule, Mapping) else "",
        row=row,
    )


#: The most records of one page, by the documentation.
_HISTORY_PAGE = 40


@dataclass(frozen=True, kw_only=True)
class FailedCallout:
    """One attempt that failed."""

    url: str
    #: The merge fields that the callout was made with, as a JSON object of texts.
    context: bytes
    #: Tells this attempt from every other; holds nothing personal.
    fingerprint: str


@dataclass(frozen=True)
class HistoryPage:
    """Records, the newest first, and whether there are more."""

    callouts: list[FailedCallout]
    is_last: bool


def fetch_failed_callouts(reading: Reading, since: datetime, page: int, zone: ZoneInfo) -> HistoryPage:
    """One page, from 1 on, of the attempts that failed since then. `zone` is the tenant's; one call.

    Whether the history's times are the tenant's or UTC is not said: the earlier of both is asked for. Raises
    PermissionRefused and every other error of a call.
    """
    start = min(since.astimezone(each).strftime("%Y-%m-%dT%H:%M:%S") for each in (UTC, zone))
    params = {
        "failedOnly": "true",
        "includeResponseContent": "false",
        "startTime": start,
        "page": page,
        "pageSize": _HISTORY_PAGE,
    }
    answer = reading.call("GET", "/v1/notification-history/callout", params=params)
    records = answer.get("calloutHistories") or []
    if not isinstance(records, list):
        raise PayloadInvalid("calloutHistories is no list in Zuora's answer")
    callouts = [_read(record) for record in records if isinstance(record, Mapping) and record.get("requestUrl")]
    return HistoryPage(callouts, is_last=not answer.get("nextPage"))


def _read(record: Mapping[str, Any]) -> FailedCallout:
    url = str(record["requestUrl"])
    attempt = [url, *(str(record.get(name)) for name in ("createTime", "attemptedNum", "notification"))]
    context = json.dumps(_fields(record.get("eventContext")))
    return FailedCallout(
        url=url, context=context.encode(), fingerprint=sha256(repr([*attempt, context]).encode()).hexdigest()
    )


def _fields(context: Any) -> dict[str, str]:
    """Merge fields by name: `<Subscription.ID>` and `Subscription.ID` alike; an object, or one printed as a text."""
    if isinstance(context, str):
        try:
            context = json.loads(context)
        except ValueError:
            return {}
    if not isinstance(context, Mapping):
        return {}
    return {str(name).strip("<>{} "): str(value) for name, value in context.items() if value is not None}
