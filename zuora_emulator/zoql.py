"""ZOQL, as far as a sweep needs it: `select Id, Name from Subscription where UpdatedDate >= '…'`, 2000 rows a page.

Source: "CRUD: query" and "CRUD: queryMore" of Zuora's API reference. Null fields and an empty `records` are left out.
"""

from __future__ import annotations

import re

from zuora_emulator import object_query
from zuora_emulator.answers import Json
from zuora_emulator.fields import Refused
from zuora_emulator.query_rows import row_of
from zuora_emulator.tenant import Tenant

_PAGE = 2000
_KINDS = {"subscription": "subscriptions", "account": "accounts", "contact": "contacts"}
_OPERATORS = {"=": "EQ", "!=": "NE", ">=": "GE", "<=": "LE", ">": "GT", "<": "LT"}
_QUERY = re.compile(r"\s*select\s+(?P<fields>.+?)\s+from\s+(?P<kind>\w+)(?:\s+where\s+(?P<where>.+?))?\s*;?\s*$", re.S)
_CONDITION = re.compile(r"\s*(\w+)\s*(>=|<=|!=|=|>|<)\s*(?:'([^']*)'|(\w+))\s*$")


def query(tenant: Tenant, asked: Json) -> Json:
    """The first page. Raises Refused for what is not understood, which Zuora refuses in an envelope of its own."""
    return _page(tenant, str(asked.get("queryString", "")), 0)


def query_more(tenant: Tenant, asked: Json) -> Json:
    """The page that a `queryLocator` names."""
    text, _, place = str(asked.get("queryLocator", "")).rpartition("-")
    if not place.isdigit():
        raise Refused("invalid queryLocator", 50000020)
    return _page(tenant, bytes.fromhex(text).decode(), int(place))


def _page(tenant: Tenant, text: str, start: int) -> Json:
    parsed = _QUERY.match(text)
    kind = _KINDS.get(parsed["kind"].lower()) if parsed else None
    if parsed is None or kind is None:
        raise Refused(f"There is an error in the query: {text}", 50000020)
    names = [name.strip() for name in parsed["fields"].split(",")]
    conditions = re.split(r"\s+and\s+", parsed["where"]) if parsed["where"] else []
    keys = object_query.keys(tenant, kind, [_read(each) for each in conditions])
    records = []
    for key in keys[start : start + _PAGE]:
        row = {name.lower(): value for name, value in row_of(tenant, kind, key).items()}
        records.append({name: row[name.lower()] for name in names if row.get(name.lower()) is not None})
    answer: Json = {"size": len(keys), "done": start + _PAGE >= len(keys)}
    if records:
        answer["records"] = records
    if not answer["done"]:
        answer["queryLocator"] = f"{text.encode().hex()}-{start + _PAGE}"
    return answer


def _read(condition: str) -> str:
    parsed = _CONDITION.match(condition)
    if parsed is None:
        raise Refused(f"There is an error in the query: {condition}", 50000020)
    name, operator, quoted, plain = parsed.groups()
    return f"{name}.{_OPERATORS[operator]}:{plain if quoted is None else quoted}"
