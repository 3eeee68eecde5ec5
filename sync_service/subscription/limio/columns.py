"""Which typed columns stand beside a Limio document, and how each is read from it. Pure.

The document is the truth; a column that cannot hold its value is empty, and the path of the value is named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from unicodedata import combining, normalize

from sync_service.subscription.limio.documents import RELATED_TO_SUBSCRIPTION, get_value
from sync_service.subscription.plan import Document

#: PostgreSQL indexes no text above some 2,700 bytes; four bytes is the longest character.
LONGEST_TEXT = 500
#: Letters with a stroke or of two letters, which Unicode does not take apart.
_PLAIN = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"})
#: Where a subscription without an end stands in a list by the end.
NEVER_ENDS = "9999-12-31"


@dataclass(frozen=True)
class Columns:
    """The columns' values, and the paths of what did not fit."""

    values: Mapping[str, Any]
    unfit: tuple[str, ...]


class _DoesNotFitError(ValueError):
    """The value is no text, date, flag or amount, as the column needs."""


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise _DoesNotFitError
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _DoesNotFitError
    return value


def _day(value: Any) -> date | None:
    """The UTC day of a timestamp with an offset, else the day as written (Limio's schedule has no offset)."""
    text = _text(value).strip()
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo is None else moment.astimezone(UTC)).date()
    except (ValueError, OverflowError):
        raise _DoesNotFitError from None


def _amount(value: Any) -> str | None:
    """A decimal as text; Limio's own are text, some documented ones are numbers."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _DoesNotFitError
    text = str(value).strip()
    if not text:
        return None
    try:
        finite = len(text) <= LONGEST_TEXT and Decimal(text).is_finite()
    except InvalidOperation:
        finite = False
    if not finite:
        raise _DoesNotFitError
    return text


def _order_id(value: Any) -> str:
    """`ref` is the order's id, a slash and the order item's id."""
    return _text(value).split("/", 1)[0]


def _subscription_id(value: Any) -> str | None:
    """Limio relates some objects to other things than a subscription; those belong to none by themselves."""
    text = _text(value)
    return text if text.startswith("sub-") else None


#: Column, the paths that it may stand at (the first one that is there counts), how it is read.
_Column = tuple[str, tuple[str, ...], Callable[[Any], Any]]

_ENVELOPE: tuple[_Column, ...] = (
    ("status", ("status",), _text),
    ("reference", ("reference",), _text),
    ("name", ("name",), _text),
    ("owner", ("owner",), _text),
    ("created", ("created",), _text),
    ("updated", ("updated",), _text),
)
_OF_RECORD_TYPE: Mapping[str, tuple[_Column, ...]] = {
    "subscription": (
        ("customer", ("customer",), _text),
        ("term_start", ("data.termStartDate",), _day),
        ("term_end", ("data.termEndDate",), _day),
        ("auto_renew", ("data.attributes.autoRenew",), _flag),
        ("external", ("data.attributes.external",), _flag),
        ("order_id", ("ref",), _order_id),
    ),
    "schedule": (
        ("due", ("data.date", "data.schedule_date"), _day),
        ("type", ("data.type",), _text),
        ("amount", ("data.amount",), _amount),
        ("currency", ("data.currency",), _text),
    ),
    "address": (
        ("relationship_type", ("relationship_type",), _text),
        ("start", ("start",), _text),
    ),
    "gift_code": (("code", ("data.code",), _text),),
    "process": (("order_id", ("data.order",), _text),),
    "customer": (
        ("name", ("data.name", "name"), _text),
        ("email", ("data.email",), _text),
    ),
}


def derive_columns(record_type: str, document: Document) -> Columns:
    """The columns of a `record_type` object with this document; total, whatever the document holds.

    `subscription_id` is there only where the document itself names the subscription.
    """
    values: dict[str, Any] = {}
    unfit: list[str] = []
    for column, paths, read in (*_ENVELOPE, *_OF_RECORD_TYPE.get(record_type, ())):
        path, value = _first_present(document, paths)
        try:
            values[column] = None if value is None else read(value)
        except _DoesNotFitError:
            values[column] = None
            unfit.append(path)
    if record_type == "subscription":
        values["external"] = bool(values["external"])
        values["listed_at"] = values["created"] or ""
        values["listed_number"] = values["reference"] or ""
        values["listed_updated"] = values["updated"] or ""
        values["listed_end"] = values["term_end"].isoformat() if values["term_end"] else NEVER_ENDS
    if record_type == "customer":
        for name in ("email", "name"):
            values[f"{name}_folded"] = fold(values[name]) or None
    try:
        values |= _name_subscription(record_type, document)
    except _DoesNotFitError:
        unfit.append("related")
    return Columns(values, tuple(unfit))


def fold(text: str | None) -> str:
    """`text` as it is searched by: case, accents and spacing make no difference."""
    letters = normalize("NFKD", (text or "").casefold()).translate(_PLAIN)
    plain = "".join(letter for letter in letters if not combining(letter))
    return normalize("NFKC", " ".join(plain.split()))[:LONGEST_TEXT]


def _first_present(document: Document, paths: tuple[str, ...]) -> tuple[str, Any]:
    for path in paths:
        value = get_value(document, path)
        if value is not None:
            return path, value
    return paths[0], None


def _name_subscription(record_type: str, document: Document) -> dict[str, str]:
    """Events of Limio's own name their subscriptions in a list inside; the others say `related`."""
    related = document.get("related") if record_type in RELATED_TO_SUBSCRIPTION else None
    if related is None and record_type == "event":
        named = get_value(document, "data.event.subscriptions")
        first = named[0] if isinstance(named, list) and named else None
        related = first.get("id") if isinstance(first, Mapping) else None
    subscription_id = None if related is None else _subscription_id(related)
    return {"subscription_id": subscription_id} if subscription_id else {}
