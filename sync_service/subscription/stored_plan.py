"""A sync plan as the JSON that the history keeps and commands print, and read back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from sync_service.subscription.limio.documents import as_json
from sync_service.subscription.plan import Cancel, Change, Create, FieldChange, SyncPlan, Update


def plan_as_json(plan: SyncPlan) -> dict[str, Any]:
    """The plan as JSON: each change with its values before and after; dates and decimals are text."""
    return {
        "number": plan.number,
        "changes": [_change_as_json(change) for change in plan.changes],
        "notes": list(plan.notes),
        "look_again_on": plan.look_again_on and plan.look_again_on.isoformat(),
        "again": plan.again,
        "empties_schedule": plan.empties_schedule,
    }


def plan_from_json(stored: Mapping[str, Any]) -> SyncPlan:
    """The plan that `plan_as_json` wrote; inside documents, dates and decimals stay the text that they became."""
    day = stored.get("look_again_on")
    return SyncPlan(
        number=stored["number"],
        changes=tuple(_change_from_json(change) for change in stored.get("changes", ())),
        notes=tuple(stored.get("notes", ())),
        look_again_on=date.fromisoformat(day) if day else None,
        again=bool(stored.get("again", False)),
        empties_schedule=bool(stored.get("empties_schedule", False)),
    )


def _change_as_json(change: Change) -> dict[str, Any]:
    written: dict[str, Any] = {"change": type(change).__name__.lower(), "record_type": change.record_type}
    if not isinstance(change, Create):
        written["id"] = change.id
    if isinstance(change, Update):
        written["fields"] = [
            {"path": field.path, "before": as_json(field.before), "after": as_json(field.after)}
            for field in change.fields
        ]
    else:
        written["document"] = as_json(change.document)
    return {**written, "reason": change.reason}


def _change_from_json(stored: Mapping[str, Any]) -> Change:
    record_type, reason = stored["record_type"], stored["reason"]
    if stored["change"] == "create":
        return Create(record_type=record_type, document=stored["document"], reason=reason)
    if stored["change"] == "cancel":
        return Cancel(record_type=record_type, id=stored["id"], document=stored["document"], reason=reason)
    fields = tuple(FieldChange(**field) for field in stored["fields"])
    return Update(record_type=record_type, id=stored["id"], fields=fields, reason=reason)
