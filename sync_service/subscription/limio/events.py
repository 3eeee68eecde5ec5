"""The Limio event that one sync leaves beside a subscription: what happened, in words for people. Pure.

Limio's events (the objects API's `event`) carry `data.type`, `data.message` and the subscriptions that they concern.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from sync_service.subscription.plan import Cancel, Change, Create, SyncPlan, Update

SYNCED = "subscription_synced"
#: The type that Limio's own handling of Zuora's events creates for what runs after it.
CANCELLED = "subscription_cancelled"

_NOUNS = {"schedule": "payment", "subscription_offer": "offer", "add_on": "add-on", "payment_method": "payment method"}
_FIELDS = {
    "data.termStartDate": "term start date",
    "data.termEndDate": "term end date",
    "data.attributes.autoRenew": "auto-renew",
}
#: Owner and customer come with every import: not worth a word of their own.
_UNSAID = frozenset({"identity", "customer", "subscription"})


def is_cancelling(change: Change) -> bool:
    """Whether `change` cancels the subscription itself."""
    if change.record_type != "subscription" or isinstance(change, Create):
        return False
    if isinstance(change, Cancel):
        return True
    return any(field.path == "status" and field.after == "cancelled" for field in change.fields)


def describe_event(plan: SyncPlan, subscription_id: str) -> dict[str, Any]:
    """The event's document, without what the store gives. Holds no personal data."""
    cancelled = any(is_cancelling(change) for change in plan.changes)
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
    fields = [
        _field_name(change.record_type, field.path)
        for change in plan.changes
        if isinstance(change, Update) and change.record_type in _UNSAID
        for field in change.fields
    ]
    parts = [f"{name} changed" for name in dict.fromkeys(fields)] + _count_objects(plan)
    return f"{opening}: {', '.join(parts)}." if parts else f"{opening}."


def _field_name(record_type: str, path: str) -> str:
    last = path.rsplit(".", 1)[-1]
    return _FIELDS.get(path, f"customer {last}" if record_type == "customer" else last)


def _count_objects(plan: SyncPlan) -> list[str]:
    done = {Create: "added", Update: "changed", Cancel: "cancelled"}
    counts = Counter(
        (_noun(change), done[type(change)]) for change in plan.changes if change.record_type not in _UNSAID
    )
    return [f"{count} {_plural(noun) if count > 1 else noun} {verb}" for (noun, verb), count in counts.items()]


def _noun(change: Change) -> str:
    if change.record_type == "address" and isinstance(change, Create):
        kind = change.document.get("relationship_type")
        return f"{kind} address" if isinstance(kind, str) else "address"
    return _NOUNS.get(change.record_type, change.record_type)


def _plural(noun: str) -> str:
    return noun + ("es" if noun.endswith("s") else "s")
