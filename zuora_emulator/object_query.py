"""Object Query over subscriptions, accounts, contacts and product rate plans: filters, order, pages by cursor.

Source: "List subscriptions", "List accounts" and "List contacts" of Zuora's Object Query reference. Names of fields are
compared without case, as Zuora does; the default order is by the time of update, newest first.
"""

from __future__ import annotations

import base64
import binascii
import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from zuora_emulator.answers import Json
from zuora_emulator.fields import Refused
from zuora_emulator.query_rows import expand_row, row_of
from zuora_emulator.records import Subscription
from zuora_emulator.tenant import Tenant

_LARGEST_PAGE = 99
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "EQ": lambda a, b: a == b,
    "NE": lambda a, b: a != b,
    "GT": lambda a, b: a is not None and a > b,
    "GE": lambda a, b: a is not None and a >= b,
    "LT": lambda a, b: a is not None and a < b,
    "LE": lambda a, b: a is not None and a <= b,
    "SW": lambda a, b: a is not None and str(a).startswith(str(b)),
}


@dataclass(frozen=True, slots=True)
class _Filter:
    field: str
    operator: str
    value: Any

    def passes(self, row: Json) -> bool:
        try:
            return _COMPARE[self.operator](row.get(self.field), self.value)
        except TypeError:
            raise Refused(f"Invalid value for filter {self.field}", 50000027) from None


@dataclass(frozen=True, slots=True)
class _Order:
    field: str
    descending: bool


def query(tenant: Tenant, kind: str, asked: dict[str, list[str]]) -> Json:
    """One page of a kind of `tenant.KINDS`; raises Refused for a request that makes no sense."""
    wanted = [_read_filter(each) for each in asked.get("filter[]", [])]
    if kind == "invoice-items" and not wanted:
        raise Refused("Invoice items need a filter.", 50000027)
    order = _read_sort(asked.get("sort[]", []))
    size = _read_size(asked.get("pageSize", ["10"])[0])
    fields = {name.strip().lower() for each in asked.get("fields[]", []) for name in each.split(",")}
    expand = {name.strip().lower() for each in asked.get("expand[]", []) for name in each.split(",")}
    after = _read_cursor(asked["cursor"][0]) if asked.get("cursor") else None
    rows: list[Json] = []
    place: tuple[Any, str] | None = None
    for key in _walk(tenant, kind, order, after, wanted):
        row = row_of(tenant, kind, key)
        compared = {name.lower(): _comparable(value) for name, value in row.items()}
        if not all(each.passes(compared) for each in wanted):
            continue
        if len(rows) == size and place is not None:
            return {"nextPage": _write_cursor(place, order), "data": rows}
        place = (next((value for name, value in row.items() if name.lower() == order.field), None), key)
        if kind == "subscriptions" and expand:
            expand_row(tenant, row, key, expand)
        elif kind == "product-rate-plans" and expand:
            row = row_of(tenant, kind, key, expand)
        shown = {name: value for name, value in row.items() if value is not None}
        rows.append({n: v for n, v in shown.items() if not fields or n.lower() in fields or n.lower() in expand})
    return {"data": rows}


def keys(tenant: Tenant, kind: str, filters: list[str]) -> list[str]:
    """The ids of all rows that pass, in the order of their ids."""
    wanted = [_read_filter(each) for each in filters]
    found = []
    for key in _walk(tenant, kind, _Order("id", False), None, wanted):
        row = {name.lower(): _comparable(value) for name, value in row_of(tenant, kind, key).items()}
        if all(each.passes(row) for each in wanted):
            found.append(key)
    return found


def find(tenant: Tenant, kind: str, key: str) -> Json:
    """One object by its id, or a subscription or account by its number. Raises Refused."""
    if kind == "subscriptions" and (found := tenant.find_version(key)):
        key = found[1].id
    elif kind == "accounts" and (account := tenant.find_account(key)):
        key = account.id
    elif kind == "product-rate-plans" and (plan := tenant.catalog.find_plan(key)):
        key = plan[1].id
    elif kind == "invoices" and (invoice := tenant.ledger.find("Invoice", key)):
        key = invoice.id
    elif kind != "contacts" or tenant.find_contact(key) is None:
        raise Refused(f"Cannot find entity by key: '{key}'.", 50000040)
    return {name: value for name, value in row_of(tenant, kind, key).items() if value is not None}


def _walk(
    tenant: Tenant, kind: str, order: _Order, after: tuple[Any, str] | None, wanted: list[_Filter]
) -> Iterator[str]:
    """Ids in the asked order, from behind the cursor on.

    The order of updates and that of ids are at hand for any number of records; others are sorted here.
    """
    entries = tenant.updated[kind].entries
    few = _few(tenant, kind, wanted)
    if few is None and order.field == "updateddate":
        low, high = _bounds(entries, wanted)
        if after is not None:
            spot = (_comparable(after[0]), after[1])
            low = low if order.descending else max(low, bisect_right(entries, spot))
            high = min(high, bisect_left(entries, spot)) if order.descending else high
        yield from (
            entries[place][1] for place in (range(high - 1, low - 1, -1) if order.descending else range(low, high))
        )
        return
    keys = [key for _, key in entries] if few is None else few
    if order.field == "id":
        placed: list[Any] = [(key, key) for key in keys]
    else:
        rows = ((key, {name.lower(): value for name, value in row_of(tenant, kind, key).items()}) for key in keys)
        placed = [(_orderly(row.get(order.field)), key) for key, row in rows]
    placed.sort(reverse=order.descending)
    if after is not None:
        spot = (after[1] if order.field == "id" else _orderly(after[0]), after[1])
        placed = [each for each in placed if (each < spot if order.descending else each > spot)]
    yield from (key for _, key in placed)


def _few(tenant: Tenant, kind: str, wanted: list[_Filter]) -> list[str] | None:
    """The ids that a filter on an account, a number or an id leaves; None where no filter narrows that far."""
    for each in wanted:
        if each.operator != "EQ" or not isinstance(each.value, str):
            continue
        if kind == "subscriptions":
            found = _subscriptions_by(tenant, each)
            if found is not None:
                return [version.id for subscription in found for version in subscription.versions]
        elif each.field == "accountid" and kind == "contacts" and (account := tenant.find_account(each.value)):
            return [
                contact.id for contact in list(tenant.contacts.values()) if contact.account_number == account.number
            ]
        elif each.field == "accountid" and kind == "invoices" and (account := tenant.find_account(each.value)):
            return [document.id for document in tenant.ledger.of_account(account.number, "Invoice")]
        elif each.field == "subscriptionnumber" and kind == "invoice-items":
            invoices = [found for found in tenant.ledger.documents.values() if found.kind == "Invoice"]
            return [line.id for found in invoices for line in found.lines if line.subscription == each.value]
        elif each.field == "accountnumber" and kind == "accounts":
            return [account.id] if (account := tenant.find_account(each.value)) else []
    return None


def _subscriptions_by(tenant: Tenant, wanted: _Filter) -> list[Subscription] | None:
    if wanted.field in ("accountid", "invoiceownerid"):
        account = tenant.find_account(str(wanted.value))
        if account is None:
            return []
        return tenant.owned_by(account.number) if wanted.field == "accountid" else tenant.invoiced_to(account.number)
    if wanted.field in ("name", "id"):
        found = tenant.find_subscription(str(wanted.value))
        return [found] if found else []
    return None


def _orderly(value: Any) -> tuple[bool, Any]:
    """A value that sorts, absent ones first."""
    return (False, "") if value is None else (True, _comparable(value))


def _bounds(entries: list[tuple[datetime, str]], wanted: list[_Filter]) -> tuple[int, int]:
    low, high = 0, len(entries)
    for each in wanted:
        if each.field != "updateddate" or not isinstance(each.value, datetime):
            continue
        before, behind = bisect_left(entries, (each.value, "")), bisect_right(entries, (each.value, "~"))
        low = max(low, {"GE": before, "GT": behind}.get(each.operator, low))
        high = min(high, {"LT": before, "LE": behind}.get(each.operator, high))
    return low, high


def _read_filter(given: str) -> _Filter:
    """A filter such as `updateddate.GE:2026-11-20T10:00:00Z`."""
    name, dot, rest = given.partition(".")
    operator, colon, value = rest.partition(":")
    if not dot or not colon or operator.upper() not in _COMPARE:
        raise Refused(f"Invalid filter: {given}", 50000027)
    return _Filter(name.strip().lower(), operator.upper(), _comparable(value))


def _read_sort(given: list[str]) -> _Order:
    """An order such as `updateddate.ASC`; by default the last update comes first."""
    if not given:
        return _Order("updateddate", True)
    name, _, direction = given[0].partition(".")
    if not name or direction.upper() not in ("", "ASC", "DESC"):
        raise Refused(f"Invalid sort: {given[0]}", 50000027)
    return _Order(name.lower(), direction.upper() == "DESC")


def _read_size(given: str) -> int:
    if not given.isdigit() or not 1 <= int(given) <= _LARGEST_PAGE:
        raise Refused("pageSize must be between 1 and 99", 50000027)
    return int(given)


def _comparable(value: Any) -> Any:
    """Texts that are times compare as times, those that are flags as flags."""
    if not isinstance(value, str):
        return value
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    if len(value) > 10 and value[10] == "T":
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return value
        return moment if moment.tzinfo else value
    return value


def _write_cursor(place: tuple[Any, str], order: _Order) -> str:
    """Zuora's cursor: the last row's sort key and its id, as JSON in base64."""
    direction = "DESC" if order.descending else "ASC"
    keys = [
        {"value": place[0], "orderBy": {"field": order.field, "order": direction}},
        {"value": place[1], "orderBy": {"field": "Id", "order": direction}},
    ]
    return base64.b64encode(json.dumps(keys, separators=(",", ":")).encode()).decode()


def _read_cursor(given: str) -> tuple[Any, str]:
    try:
        first, second = json.loads(base64.b64decode(given, validate=True))
        return first["value"], second["value"]
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise Refused("Invalid cursor.", 50000027) from None
