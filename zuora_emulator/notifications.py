"""Zuora's addresses for provisioning callouts, and what a provisioned one sends when something happened.

Sources: "Callout templates", "Notification definitions" and "Merge fields" of Zuora's documentation. Events:
`OrderProcessed` once an order, `OrderActionProcessed` once an action, and custom events of what triggers watch. A
filter that cannot be evaluated sends nothing, and a definition speaks for the accounts of its profiles alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime

from zuora_emulator import messages
from zuora_emulator.answers import Json
from zuora_emulator.callouts import Callouts
from zuora_emulator.conditions import CannotEvaluate, holds
from zuora_emulator.delivery import Destination
from zuora_emulator.messages import Answer, Request
from zuora_emulator.notification_store import (
    DEFAULT_PROFILE,
    DEFINITIONS,
    TEMPLATES,
    TRIGGERS,
    NotificationStore,
)

_FIELD = re.compile(r"\{\{\s*([\w.]+)\s*\}\}|<([A-Z]\w*(?:\.\w+)+)>")
_ALGORITHMS = {f"SHA-{bits}": f"sha{bits}" for bits in (1, 224, 256, 384, 512)} | {"MD5": "md5"}


class Notifications:
    """Answers for the store of triggers, templates and definitions, and sends what they say."""

    def __init__(self, callouts: Callouts) -> None:
        self.callouts = callouts
        self.store = NotificationStore()

    def answer(self, request: Request) -> Answer:
        """Create, list, read, change or delete."""
        kind = "/".join(request.parts[:2])
        key = request.parts[2] if len(request.parts) == 3 else None
        if kind == "notifications/callout-histories" and key == "resend" and request.method == "POST":
            self.callouts.resend()
            return Answer(202, {})
        if kind not in self.store.kept or len(request.parts) > 3:
            return messages.refusal(50000045, f"{request.method} {request.path} is not supported by the emulator.")
        match request.method, key:
            case "GET", None:
                return Answer(200, self.store.listed(request, kind))
            case "POST", None:
                made = self.store.create(kind, request.json())
                return Answer(200, self.store.shown(kind, made["id"]))
            case method, str(key):
                shown = self.store.shown(kind, key)
                if method == "PUT":
                    self.store.change(kind, key, request.json())
                    return Answer(200, self.store.shown(kind, key))
                if method == "DELETE":
                    self.store.delete(kind, key)
                    return Answer(204)
                return Answer(200, shown)
        return messages.refusal(50000045, f"{request.method} is not supported here.")

    def send(self, event: str, object_id: str, context: Mapping[str, str], at: datetime) -> None:
        """Send what is defined for an event; `context` are the merge fields that it has."""
        profile = self.store.profile_of.get(context.get("Account.AccountNumber", ""), DEFAULT_PROFILE)
        for definition in self.store.rows(DEFINITIONS):
            if definition.get("eventTypeName") != event or not (definition["active"] and definition["calloutActive"]):
                continue
            if profile not in self.store.profiles_of(definition) or not _passes(definition, context):
                continue
            for template in self._templates(definition):
                url, body = _merge(template["calloutBaseurl"], context), _body(template, context)
                self.callouts.send(event, object_id, url, body, at, self._destination(template))

    def notice(
        self, base_object: str, old: Mapping[str, str], new: Mapping[str, str], context: Mapping[str, str], at: datetime
    ) -> None:
        """An object was updated: every trigger whose condition holds has its event sent."""
        values = {"changeType": "UPDATE", **new, **{f"{name}_old": value for name, value in old.items()}}
        for trigger in self.store.rows(TRIGGERS):
            if trigger["active"] and trigger["baseObject"] == base_object and _holds(trigger["condition"], values):
                event = trigger["eventType"]["name"]
                self.send(event, new[f"{base_object}.Id"], {**context, **new}, at)

    def watches(self, base_object: str) -> bool:
        """Whether any trigger is on such objects."""
        return any(each["baseObject"] == base_object for each in self.store.rows(TRIGGERS))

    def _templates(self, definition: Json) -> list[Json]:
        templates = self.store.kept[TEMPLATES]
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
            hmac_text=template.get("hmacData") or "{{Request.Body}}",
            max_attempts=mine.max_attempts,
            interval_seconds=mine.interval_seconds,
            drop_rate=mine.drop_rate,
            duplicate_rate=mine.duplicate_rate,
            delay_seconds=mine.delay_seconds,
        )


def _passes(definition: Json, context: Mapping[str, str]) -> bool:
    condition = (definition.get("filterRule") or {}).get("condition")
    params = {name: str(value) for name, value in (definition.get("filterRuleParams") or {}).items()}
    return not condition or _holds(condition, {**context, **params})


def _holds(condition: str, values: Mapping[str, str]) -> bool:
    try:
        return holds(condition, values)
    except CannotEvaluate:
        return False


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
