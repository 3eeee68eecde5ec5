"""What we send to Zuora to have a wish fulfilled, and how that differs from what is there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sync_service.operations.provision.wanted import CalloutTerms, WantedCallout
from sync_service.zuora.callout_definitions import (
    CalloutTemplate,
    EventTrigger,
    NotificationDefinition,
    Profile,
    same_id,
)


def template_body(wish: WantedCallout, name: str, event: str, terms: CalloutTerms) -> dict[str, Any]:
    """A callout template that sends `event` to us."""
    return {
        "name": name,
        "active": True,
        "eventTypeName": event,
        "eventTypeNamespace": wish.namespace,
        "httpMethod": "POST",
        "calloutBaseurl": wish.address,
        # Zuora makes the JSON of these itself; in a body of our own a quote in a value would break it.
        "calloutParams": dict(wish.params),
        "calloutRetry": True,
        # A proxy's page with a 200 is no success.
        "confirmSuccessFromResponseContent": True,
        "requiredAuth": True,
        "calloutAuth": {"username": terms.username, "password": terms.password, "preemptive": True},
    }


def definition_body(wish: WantedCallout, name: str, event: str, profile: Profile | None) -> dict[str, Any]:
    """A notification definition, but for the id of its template."""
    body: dict[str, Any] = {
        "name": name,
        "active": True,
        "calloutActive": True,
        "emailActive": False,
        "eventTypeName": event,
        "eventTypeNamespace": wish.namespace,
    }
    if profile is not None:
        body["communicationProfileId"] = profile.id
    if wish.condition:
        rule = {"eventTypeName": event, "condition": wish.condition, "description": "Not our own orders"}
        body |= {"filterRule": {**rule, "parameters": {}}, "filterRuleParams": {}}
    return body


def template_differences(there: CalloutTemplate, body: Mapping[str, Any]) -> list[str]:
    """In words. What Zuora's answer leaves out counts as equal, or every plan would find it again."""
    found = []
    for name, wanted in body.items():
        if name == "calloutAuth":
            found += _auth_differences(there.row.get(name), wanted)
        elif name in there.row and there.row[name] != wanted:
            found.append(f"{name}: {_short(there.row[name])} → {_short(wanted)}")
    return found


def _auth_differences(there: Any, wanted: Mapping[str, Any]) -> list[str]:
    if not isinstance(there, Mapping):
        return ["calloutAuth: none"]
    found = [
        f"calloutAuth.{name}: {there.get(name)} → {wanted[name]}"
        for name in ("username", "preemptive")
        if name in there and there[name] != wanted[name]
    ]
    password = there.get("password")
    # A masked one tells nothing.
    if isinstance(password, str) and set(password) - set("*•.") and password != wanted["password"]:
        found.append("calloutAuth.password: another one")
    return found


def definition_differences(there: NotificationDefinition, wish: WantedCallout, template_id: str | None) -> list[str]:
    """In words; `template_id` is the template that it should send, None for one that is yet to be made."""
    found = [f"{name}: {there.row[name]}" for name in ("active", "calloutActive") if there.row.get(name) is False]
    if template_id is None or tuple(map(same_id, there.template_ids)) != (same_id(template_id),):
        found.append("callout template")
    if squeeze(there.condition) != squeeze(wish.condition):
        found.append(f"filter rule: {there.condition or 'none'} → {wish.condition}")
    return found


def why_anew(there: NotificationDefinition, event: str, condition: str) -> str:
    """What cannot be changed: the event, and that there is a filter rule."""
    if there.event and there.event != event:
        return f"it is for the event {there.event}"
    return f"filter rule: {there.condition} → none" if there.condition and not condition else ""


def is_in(there: NotificationDefinition, profile: Profile | None) -> bool:
    """Whether a definition speaks for a profile; where either is unknown it may."""
    return profile is None or not there.profiles or same_id(profile.id) in there.profiles


def is_same(trigger: EventTrigger, base_object: str, condition: str) -> bool:
    """Whether a trigger has that object and condition: Zuora takes two such for one."""
    return trigger.base_object == base_object and squeeze(trigger.condition) == squeeze(condition)


def squeeze(condition: str) -> str:
    """A condition as it is compared: blanks and the kind of quotes say nothing."""
    return "".join(condition.replace('"', "'").split())


def _short(value: Any) -> str:
    return ", ".join(f"{name}={each}" for name, each in value.items()) if isinstance(value, Mapping) else str(value)
