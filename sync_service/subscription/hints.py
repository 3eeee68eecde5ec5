"""What a callout tells besides its key: hints for the loop filter, never instructions. Pure.

A tenant writes its callout templates itself, so the same value comes as JSON, as a form, in the query string or as the
XML of older tenants, under the names that the merge field dialog makes (`OrderSource__c`), that Zuora's API uses
(`customFields.Source__c`) or in other spellings. What cannot be read counts as absent: then we sync.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from defusedxml.ElementTree import ParseError, fromstring

from sync_service.subscription.keys import is_null

#: A dotted path of names, and the value that was found there.
Field = tuple[str, str]

#: No real body nests deeper.
_DEEPEST = 8
#: Longer values are no source, order number or user id, and longer names are not theirs.
_LONGEST_VALUE = 255

#: The objects whose fields speak of the order at hand. A subscription's or an account's own fields do not: what once
#: created the subscription says nothing about who changed it now.
_ORDER = re.compile(r"(datasource|event|data|orderaction|order|amendment|customfields)")
_ORDER_FIRST = re.compile(f"^{_ORDER.pattern}+")
_SOURCES = frozenset({"source", "initiatedsource"})
_CREATORS = frozenset({"createdbyid", "createdby"})
_ORDER_NUMBERS = frozenset({"ordernumber", "number"})
#: In the order of trust: an id or number, by whatever name, of the subscription.
_KEYS = ("subscriptionid", "subscriptionnumber", "subscriptionname", "subscription")

#: What a list of subscriptions may be called.
_LISTS = frozenset({"subscriptions", "events", "items", "data"})

#: Headers that a template may carry instead of, or besides, a body.
HEADERS = {
    "X-Order-Source": "source",
    "X-Order-Initiated-Source": "initiatedSource",
    "X-Order-Number": "orderNumber",
    "X-Order-Created-By": "createdBy",
}


@dataclass(frozen=True, kw_only=True)
class Hints:
    """The order behind a callout, as far as the callout says."""

    #: Both source fields, as given; Limio crosses the two.
    sources: tuple[str, ...] = ()
    order_number: str | None = None
    #: Zuora's ids (or names) of the users that made the order.
    created_by: tuple[str, ...] = ()


def read_fields(body: bytes, extra: Iterable[Field] = ()) -> list[Field]:
    """All named values of a body, whatever its format, then those of `extra`; a body that cannot be read has none."""
    return [*_body_fields(body), *extra]


def split_items(body: bytes) -> list[bytes]:
    """The objects of a body that is a JSON list, or an object around one; none where it is anything else.

    A Workflow may loop in its body instead of calling once for each row ("Callout task" of Zuora's documentation).
    """
    try:
        value = json.loads(body) if body.lstrip()[:1] in (b"[", b"{") else None
    except (ValueError, RecursionError):
        return []
    if isinstance(value, dict):
        value = next((value[name] for name in value if _squeeze(name) in _LISTS), None)
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        return []
    return [json.dumps(each).encode() for each in value]


def read_hints(fields: Sequence[Field]) -> Hints:
    """The hints among `fields`. Empty values and merge fields that did not resolve count as absent."""
    sources: list[str] = []
    creators: list[str] = []
    numbers: list[str] = []
    for path, raw in fields:
        value = _clean(raw)
        if value is None or len(path) > _LONGEST_VALUE:
            continue
        name = _order_field(path)
        if name in _SOURCES and value not in sources:
            sources.append(value)
        elif name in _CREATORS and value not in creators:
            creators.append(value)
        elif name in _ORDER_NUMBERS and "order" in path.lower():
            numbers.append(value)
    return Hints(sources=tuple(sources), order_number=next(iter(numbers), None), created_by=tuple(creators))


def read_subscription_key(fields: Sequence[Field]) -> str:
    """The subscription that a body names (`subscriptionID` in Limio's handleZuoraEvent); empty where it names none."""
    named = [(_squeeze(path), value) for path, value in fields if value.strip() and not is_null(value)]
    bare = [(_ORDER_FIRST.sub("", name), value) for name, value in named]
    for wanted in _KEYS:
        for name, value in named + bare:
            if name == wanted:
                return value
    return ""


class ReasonCode(StrEnum):
    """Why a callout leads to nothing."""

    #: An order of Limio's own made it.
    ECHO = "echo"
    IMPOSSIBLE_KEY = "impossible key"
    WRONG_CREDENTIALS = "wrong credentials"


@dataclass(frozen=True)
class Reason:
    """A code to decide by, and what a person wants to know."""

    code: ReasonCode
    detail: str

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


def why_echo(hints: Hints, ignored_sources: Sequence[str], integration_users: Sequence[str]) -> Reason | None:
    """Why this is the echo of an order of Limio's own; None for a foreign one, and where nothing is known."""
    ours = {source.casefold() for source in ignored_sources}
    for source in hints.sources:
        if source.casefold() in ours:
            return Reason(ReasonCode.ECHO, f"the order's source is {source}")
    users = {user.casefold() for user in integration_users}
    if any(creator.casefold() in users for creator in hints.created_by):
        return Reason(ReasonCode.ECHO, "the order was made by the integration user")
    return None


@lru_cache(maxsize=512)  # a tenant's templates use the same few names in every callout
def _order_field(path: str) -> str:
    """The field's name where it is one of the order's own or stands alone; else the path as it is."""
    squeezed = _squeeze(path)
    for names in (_SOURCES, _CREATORS, _ORDER_NUMBERS):
        for name in names:
            owner = squeezed.removesuffix(name)
            if owner != squeezed and _ORDER.sub("", owner) == "":
                return name
    return squeezed


def _squeeze(path: str) -> str:
    """`Order.InitiatedSource__c` and `order_initiated-source` alike: letters and digits, no custom field's `__c`."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"_{1,2}c$", "", path.strip().lower()))


def _clean(raw: str) -> str | None:
    value = raw.strip()
    if not value or is_null(value) or len(value) > _LONGEST_VALUE or not value.isprintable():
        return None
    unrendered = "{{" in value or (value.startswith("<") and value.endswith(">"))
    return None if unrendered else value


def _body_fields(body: bytes) -> list[Field]:
    """By the first character and not by Content-Type, which hand-made senders get wrong."""
    text = body.lstrip(b"\xef\xbb\xbf \t\r\n")
    try:
        if text.startswith(b"{"):
            return list(_flatten(json.loads(text), "", _DEEPEST))
        if text.startswith(b"<"):
            return _xml_parameters(text)
        return parse_qsl(text.decode("utf-8", "strict"), max_num_fields=200)
    except (ValueError, RecursionError, LookupError, ParseError):
        return []


def _flatten(value: Any, path: str, depth: int) -> Iterator[Field]:
    """Dotted paths of the texts in objects. A list is not looked into: of several orders one may be foreign."""
    if isinstance(value, dict) and depth > 0:
        for name, inner in value.items():
            yield from _flatten(inner, f"{path}.{name}" if path else str(name), depth - 1)
    elif isinstance(value, str):
        yield path, value
    elif isinstance(value, int) and not isinstance(value, bool):
        yield path, str(value)


def _xml_parameters(text: bytes) -> list[Field]:
    """`<callout><parameter name="AccountId">…</parameter></callout>`, the body of older tenants' callouts."""
    root = fromstring(text, forbid_dtd=True)  # entities could blow up or reach out
    return [(each.get("name", ""), "".join(each.itertext())) for each in root.iter("parameter")]
