"""Limio objects as JSON documents: names, envelope, values deep inside them, the event that a sync leaves. Pure.

Shapes are those that Limio's objects API answers with; its `event` carries `data.type`, `data.message` and the
subscriptions that it concerns. No function alters a document that it is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sync_service.subscription.plan import SINGLE, Create, Document, SyncPlan, Update, as_json, plural

#: What Limio's ids begin with, by record type.
ID_PREFIXES: Mapping[str, str] = {
    "subscription": "sub",
    "schedule": "schedule",
    "subscription_offer": "subscription_offer",
    "add_on": "add_on",
    "address": "address",
    "customer": "cus",
    "identity": "id",
    "event": "event",
    "order": "order",
    "payment_method": "pm",
    "gift_code": "gift_code",
    "process": "process",
}
#: Record types whose objects name their subscription in `related`.
RELATED_TO_SUBSCRIPTION = frozenset({"schedule", "subscription_offer", "add_on", "event"})
#: As long as any id of Limio's (its partner API).
MAX_ID = 64
#: A reference is twelve base-32 digits, so sixty bits name one.
REFERENCE_BITS = 60

_BASE_32 = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
#: A JSON object; a dict, which nearly all are, is told at once.
OBJECTS = (dict, Mapping)

_STATUS_AT_BIRTH = {"schedule": "pending-external", "event": "submitted"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Birth:
    """What the store gives a new object. `at` is Limio's timestamp text; ids and the reference are random."""

    id: str
    reference: str
    relationship_id: str
    at: str
    owner: str | None
    customer: str | None
    subscription_id: str | None


def id_of(record_type: str, hex_digits: str) -> str:
    """A Limio id: the record type's prefix and 32 hex digits."""
    return f"{ID_PREFIXES[record_type]}-{hex_digits}"


def is_id(text: str) -> bool:
    """Whether this can be an id of Limio's."""
    return 0 < len(text) <= MAX_ID and text.isprintable()


def type_of(object_id: str) -> str | None:
    """The record type of the object with this Limio id, told from its prefix; None for a prefix that is none."""
    prefix = object_id.split("-", 1)[0]
    return next((record_type for record_type, known in ID_PREFIXES.items() if known == prefix), None)


def reference_of(bits: int) -> str:
    """The twelve base-32 digits that Limio's references consist of, for a number of sixty bits."""
    return "".join(_BASE_32[(bits >> shift) & 31] for shift in range(REFERENCE_BITS - 5, -1, -5))


def moment_at(milliseconds: int) -> datetime:
    """The moment `milliseconds` since 1970, in UTC."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def midnight(day: date) -> str:
    """`day` as Limio writes a day where it has a timestamp."""
    return f"{day.isoformat()}T00:00:00.000Z"


def timestamp_of(milliseconds: int) -> str:
    """`milliseconds` since 1970 as Limio prints time: ISO, milliseconds, Z."""
    return moment_at(milliseconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment_of(timestamp: Any) -> datetime | None:
    """The moment that a Limio timestamp or date names, in UTC; None for anything else."""
    if not isinstance(timestamp, str):
        return None
    try:
        moment = datetime.fromisoformat(timestamp.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def read_day(value: Any) -> date | None:
    """The calendar day that a date or timestamp begins with, as Zuora and Limio write it; None for anything else."""
    try:
        return date.fromisoformat(value.strip()[:10]) if isinstance(value, str) else None
    except ValueError:
        return None


def get_value(document: Document, path: str) -> Any:
    """The value at the dotted `path`; None where any part of it is missing."""
    value: Any = document
    for key in path.split("."):
        if not isinstance(value, OBJECTS):
            return None
        value = value.get(key)
    return value


def part_of(document: Document | None, key: str) -> Document:
    """The object under `key`; empty where there is none."""
    part = (document or {}).get(key)
    return part if isinstance(part, OBJECTS) else {}


def data_of(document: Document | None) -> Document:
    """A Limio object's `data`; empty where there is none."""
    return part_of(document, "data")


def set_value(document: Document, path: str, value: Any) -> dict[str, Any]:
    """A copy of `document` with `value` at the dotted `path`; missing parts are made, None stands as null."""
    key, _, rest = path.partition(".")
    if not rest:
        return {**document, key: value}
    inner = document.get(key)
    return {**document, key: set_value(inner if isinstance(inner, OBJECTS) else {}, rest, value)}


def merge(below: Document, above: Document) -> dict[str, Any]:
    """Both documents in one: where they disagree `above` counts; what only one has, however deep, stays.

    Lists are values: one replaces the other whole.
    """
    merged = dict(below)
    for key, value in above.items():
        mine = merged.get(key)
        both = isinstance(mine, OBJECTS) and isinstance(value, OBJECTS)
        merged[key] = merge(mine, value) if both else value  # type: ignore[arg-type] # both says that it is a Mapping
    return merged


def complete(record_type: str, document: Document, birth: Birth) -> dict[str, Any]:
    """A new object: `document` inside Limio's envelope, with what the store gives it."""
    reference = document.get("reference") or birth.reference
    envelope: dict[str, Any] = {
        "status": _STATUS_AT_BIRTH.get(record_type, "active"),
        "data": {},
        **as_json(document),
        "id": birth.id,
        "service": "limio",
        "record_type": record_type,
        "mode": "production",
        "reference": reference,
        "owner": birth.id if record_type == "identity" else birth.owner,
        "created": birth.at,
        "updated": birth.at,
    }
    if record_type == "subscription":
        envelope["customer"] = birth.customer
        envelope.setdefault("name", reference)
    elif record_type == "subscription_offer":
        envelope["customer"] = birth.customer
    elif record_type == "address":
        # Limio's addresses point at themselves: `relationship_id` stands for the tie to the subscription.
        envelope |= {"related": birth.id, "relationship_id": birth.relationship_id}
        envelope["start"] = document.get("start") or birth.at
    if record_type in RELATED_TO_SUBSCRIPTION:
        envelope["related"] = birth.subscription_id
    return envelope


SYNCED = "subscription_synced"
#: The type that Limio's own handling of Zuora's events creates for what runs after it.
CANCELLED = "subscription_cancelled"


def describe_event(plan: SyncPlan, subscription_id: str) -> dict[str, Any]:
    """The event's document, without what the store gives. Holds no personal data."""
    cancelled = plan.cancels
    return {
        "status": "submitted",
        "data": {
            "type": CANCELLED if cancelled else SYNCED,
            "message": _message(plan, cancelled=cancelled),
            "event": {"subscriptions": [{"id": subscription_id}]},
        },
    }


def describe_webhook(
    plan: SyncPlan, webhook_type: str, *, subscription_id: str, owner: str | None, event_id: str, at: str
) -> dict[str, Any]:
    """The body of the webhook that tells of a sync, as Standard Webhooks have it. Holds no personal data.

    It names what changed and where to read it: the values are at the objects' own addresses.
    """
    changes = [
        {"change": type(change).__name__.lower(), "record_type": change.record_type}
        | ({} if isinstance(change, Create) else {"id": change.id})
        | ({"fields": [field.path for field in change.fields]} if isinstance(change, Update) else {})
        for change in plan.changes
    ]
    named = {"subscription": subscription_id, "number": plan.number, "owner": owner, "event": event_id}
    return {"type": webhook_type, "timestamp": at, "data": named | {"changes": changes}}


def _message(plan: SyncPlan, *, cancelled: bool) -> str:
    imported = any(isinstance(change, Create) and change.record_type == "subscription" for change in plan.changes)
    opening = "Cancelled in Zuora" if cancelled else "Imported from Zuora" if imported else "Synced from Zuora"
    parts = [f"{name} changed" for name in dict.fromkeys(plan.changed_fields())]
    parts += [
        f"{count} {plural(noun) if count > 1 else noun} {verb}"
        for (noun, verb), count in plan.changed_objects().items()
        if noun not in SINGLE  # the opening says it
    ]
    return f"{opening}: {', '.join(parts)}." if parts else f"{opening}."
