"""Zuora's addresses for provisioning callouts, and what a provisioned one sends when an order was processed.

Sources: "Create an event trigger", "Create a callout template", "Create a notification definition" of Zuora's API
reference and "Merge fields" of its documentation. Events: `OrderProcessed` once an order, `OrderActionProcessed` once
an action, and custom events of accounts and contacts. A filter that cannot be evaluated sends nothing, as documented.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

from sync_service.emulator import messages
from sync_service.emulator.answers import Json
from sync_service.emulator.callouts import Callouts
from sync_service.emulator.delivery import Destination
from sync_service.emulator.fields import Refused
from sync_service.emulator.messages import Answer, Request
from sync_service.emulator.tenant import LIMIO_USER

_KINDS = {
    "events/event-triggers": ("baseObject", "condition", "eventType"),
    "notifications/callout-templates": ("name", "calloutBaseurl", "httpMethod"),
    "notifications/notification-definitions": ("name",),
}
_DEFAULTS: dict[str, Json] = {
    "events/event-triggers": {"active": True},
    "notifications/callout-templates": {"active": True, "calloutRetry": True, "requiredAuth": False},
    "notifications/notification-definitions": {"active": True, "calloutActive": False, "calloutTemplateIds": []},
}
_FIELD = re.compile(r"\{\{\s*([\w.]+)\s*\}\}|<([A-Z]\w*(?:\.\w+)+)>")
_CONDITION = re.compile(r"\s*([\w.]+)\s*(==|!=)\s*(?:'([^']*)'|\"([^\"]*)\"|(null))\s*$")
_ALGORITHMS = {f"SHA-{bits}": f"sha{bits}" for bits in (1, 224, 256, 384, 512)} | {"MD5": "md5"}


class Notifications:
    """Triggers, templates and definitions as they were created, by kind and id."""

    def __init__(self, callouts: Callouts) -> None:
        self.callouts = callouts
        self.kept: dict[str, dict[str, Json]] = {kind: {} for kind in _KINDS}

    def answer(self, request: Request) -> Answer:
        """Create, list, read, change or delete."""
        kind = "/".join(request.parts[:2])
        key = request.parts[2] if len(request.parts) == 3 else None
        if kind == "notifications/callout-histories" and key == "resend" and request.method == "POST":
            self.callouts.resend()
            return Answer(202, {})
        if kind not in self.kept or len(request.parts) > 3:
            return messages.refusal(50000045, f"{request.method} {request.path} is not supported by the emulator.")
        if key is not None and key not in self.kept[kind]:
            raise Refused(f"Cannot find entity by key: '{key}'.", 50000040)
        match request.method:
            case "GET" if key is None:
                return Answer(200, self._list(request, kind))
            case "POST" if key is None:
                return Answer(200, self._create(kind, request.json()))
            case "GET" if key is not None:
                return Answer(200, self.kept[kind][key])
            case "PUT" if key is not None:
                self.kept[kind][key] |= {**request.json(), "id": key}
                return Answer(200, self.kept[kind][key])
            case "DELETE" if key is not None:
                del self.kept[kind][key]
                return Answer(204)
        return messages.refusal(50000045, f"{request.method} is not supported here.")

    def send(self, event: str, object_id: str, context: Mapping[str, str], at: datetime) -> None:
        """Send what is defined for an event."""
        for definition in list(self.kept["notifications/notification-definitions"].values()):
            if definition.get("eventTypeName") != event or not (definition["active"] and definition["calloutActive"]):
                continue
            condition = (definition.get("filterRule") or {}).get("condition")
            params = definition.get("filterRuleParams") or {}
            if condition and not _holds(condition, {**context, **{name: str(value) for name, value in params.items()}}):
                continue
            for template in self._templates(definition):
                url, body = _merge(template["calloutBaseurl"], context), _body(template, context)
                self.callouts.send(event, object_id, url, body, at, self._destination(template))

    def events(self, base_object: str) -> list[str]:
        """The custom events that active triggers define on an object such as `Account`."""
        triggers = self.kept["events/event-triggers"].values()
        return [each["eventType"]["name"] for each in triggers if each["active"] and each["baseObject"] == base_object]

    def _templates(self, definition: Json) -> list[Json]:
        templates = self.kept["notifications/callout-templates"]
        found = [templates[key] for key in definition.get("calloutTemplateIds") or () if key in templates]
        found += [definition["callout"]] if definition.get("callout") else []
        return [template for template in found if template.get("active", True)]

    def _destination(self, template: Json) -> Destination:
        auth = template.get("calloutAuth") or {} if template.get("requiredAuth") else {}
        mine = self.callouts.destination
        return Destination(
            url=template["calloutBaseurl"],
            username=auth.get("username", ""),
            password=auth.get("password", ""),
            preemptive=bool(auth.get("preemptive")),
            parse_response=bool(template.get("confirmSuccessFromResponseContent")),
            retriable=bool(template.get("calloutRetry", True)),
            headers=template.get("calloutHeaders") or {},
            hmac_secret=template.get("hmacSecret") or "",
            hmac_header=template.get("hmacKey") or "",
            hmac_prefix=(template.get("hmacValue") or "").partition("{{")[0],
            hmac_algorithm=_ALGORITHMS.get(template.get("hmacAlgorithm") or "", "sha256"),
            hmac_encoding="hex" if template.get("hmacOutputFormat") == "HEX" else "base64",
            max_attempts=mine.max_attempts,
            interval_seconds=mine.interval_seconds,
            drop_rate=mine.drop_rate,
            duplicate_rate=mine.duplicate_rate,
            delay_seconds=mine.delay_seconds,
        )

    def _create(self, kind: str, given: Json) -> Json:
        missing = [name for name in _KINDS[kind] if not given.get(name)]
        if missing:
            raise Refused(f"{', '.join(missing)} may not be null", 50000022)
        names = [each.get("name") for each in self.kept[kind].values()]
        if given.get("name") is not None and given["name"] in names:
            raise Refused(f"The name {given['name']} is in use.", 50000020)
        key = str(uuid4())
        marks = {"id": key, "createdBy": LIMIO_USER, "updatedBy": LIMIO_USER}
        stored = {**_DEFAULTS[kind], **given, **marks}
        if kind == "events/event-triggers":
            stored["eventType"] = {**given["eventType"], "namespace": "user.notification"}
        self.kept[kind][key] = stored
        return stored

    def _list(self, request: Request, kind: str) -> Json:
        rows = list(self.kept[kind].values())
        for name in ("name", "eventTypeName", "eventCategory", "baseObject"):
            wanted = request.one(name)
            if wanted is not None:
                rows = [row for row in rows if wanted in (row.get(name), (row.get("eventType") or {}).get("name"))]
        start, limit = int(request.one("start") or 0), int(request.one("limit") or 10)
        answer: Json = {"data": rows[start : start + limit]}
        if start + limit < len(rows):
            answer["next"] = f"{request.path}?start={start + limit}&limit={limit}"
        return answer


def _body(template: Json, context: Mapping[str, str]) -> bytes:
    if template.get("customRequestBody"):
        return _merge(template["customRequestBody"], context).encode()
    params = template.get("calloutParams") or {}
    return json.dumps({name: _merge(str(value), context) for name, value in params.items()}).encode()


def _merge(text: str, context: Mapping[str, str]) -> str:
    """The text with its merge fields filled; an unknown one leaves nothing."""
    return _FIELD.sub(lambda found: _look_up(found[1] or found[2], context), text)


def _look_up(name: str, context: Mapping[str, str]) -> str:
    """`DataSource.Subscription.Name` and `OrderAction.Subscription.Name` are the same as `Subscription.Name`."""
    return context.get(".".join(name.split(".")[-2:]), "")


def _holds(condition: str, context: Mapping[str, str]) -> bool:
    """Evaluate comparisons joined by && and ||; what is not understood is false."""
    combine: Callable[[Any], bool]
    for joint, combine in (("||", any), ("&&", all)):
        if joint in condition:
            return combine([_holds(part, context) for part in condition.split(joint)])
    parsed = _CONDITION.match(condition.strip().strip("()"))
    if parsed is None:
        return False
    name, operator, *values = parsed.groups()
    wanted = next((value for value in values[:2] if value is not None), "")
    return (_look_up(name, context) == wanted) == (operator == "==")
