"""Event triggers, callout templates and notification definitions as they were made, with Zuora's rules of what may be.

Sources: "Create an event trigger", "Create a callout template" and "Create a notification definition" of Zuora's API
reference, "Communication profiles" of its documentation. Stricter than the documentation where it is silent: what is in
use cannot be deleted, and what does not fit is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from zuora_emulator.answers import Json
from zuora_emulator.fields import Refused
from zuora_emulator.messages import Request
from zuora_emulator.records import hex_id
from zuora_emulator.tenant import LIMIO_USER

TRIGGERS = "events/event-triggers"
TEMPLATES = "notifications/callout-templates"
DEFINITIONS = "notifications/notification-definitions"

#: The profile of every account that has no other.
DEFAULT_PROFILE = hex_id("communication profile", "Default Profile")
_NEEDED = {
    TRIGGERS: ("baseObject", "condition", "eventType"),
    TEMPLATES: ("name", "calloutBaseurl", "httpMethod"),
    DEFINITIONS: ("name",),
}
_DEFAULTS: dict[str, Json] = {
    TRIGGERS: {"active": True},
    TEMPLATES: {"active": True, "calloutRetry": True, "requiredAuth": False},
    DEFINITIONS: {"active": True, "calloutActive": False, "emailActive": False, "calloutTemplateIds": []},
}
_ZUORAS_EVENTS = ("OrderProcessed", "OrderActionProcessed")
_PAGES = {TRIGGERS: 10, TEMPLATES: 20, DEFINITIONS: 20}


class NotificationStore:
    """What there is, by kind and id, and the communication profiles with who has which."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, Json]] = {kind: {} for kind in _NEEDED}
        self.profiles: dict[str, str] = {DEFAULT_PROFILE: "Default Profile"}
        #: By the account's number; who is not here has the default profile.
        self.profile_of: dict[str, str] = {}

    def rows(self, kind: str) -> list[Json]:
        """All of a kind, the first made first."""
        return list(self.kept[kind].values())

    def create(self, kind: str, given: Json) -> Json:
        """Make one. Raises Refused."""
        missing = [name for name in _NEEDED[kind] if not given.get(name)]
        if missing:
            raise Refused(f"{', '.join(missing)} may not be null", 50000022)
        key = str(uuid4())
        stored = self._checked(kind, {**_DEFAULTS[kind], **given, "id": key})
        if kind == TRIGGERS:
            self._merge_duplicates(stored)
        self.kept[kind][key] = stored | {"createdBy": LIMIO_USER, "updatedBy": LIMIO_USER}
        return self.kept[kind][key]

    def change(self, kind: str, key: str, given: Json) -> Json:
        """Change one; what the request leaves out goes back to its default, as in a definition's `calloutActive`."""
        before = self.kept[kind][key]
        defaults = _DEFAULTS[kind] if kind == DEFINITIONS else {}
        after = {**before, **{name: defaults[name] for name in defaults if name not in given}, **given, "id": key}
        if kind == TRIGGERS:
            after["eventType"] = {**before["eventType"], **(given.get("eventType") or {})}
        self.kept[kind][key] = self._checked(kind, after)
        return self.kept[kind][key]

    def delete(self, kind: str, key: str) -> None:
        """Delete one that nothing uses. Raises Refused."""
        row = self.kept[kind][key]
        for definition in self.rows(DEFINITIONS):
            if kind == TEMPLATES and key in (definition.get("calloutTemplateIds") or ()):
                raise Refused(f"The callout template is used by {definition['name']}.", 50000020)
            if kind == TRIGGERS and definition.get("eventTypeName") == row["eventType"]["name"]:
                raise Refused(f"The event is used by {definition['name']}.", 50000020)
        if kind == TRIGGERS and any(
            each.get("eventTypeName") == row["eventType"]["name"] for each in self.rows(TEMPLATES)
        ):
            raise Refused("The event is used by a callout template.", 50000020)
        del self.kept[kind][key]

    def listed(self, request: Request, kind: str) -> Json:
        """A page, and the address of the next."""
        rows = [_shown(kind, row) for row in self.rows(kind)]
        for name in ("name", "eventTypeName", "eventCategory", "baseObject"):
            wanted = request.one(name)
            if wanted is not None:
                rows = [row for row in rows if wanted in (row.get(name), (row.get("eventType") or {}).get("name"))]
        start, limit = int(request.one("start") or 0), int(request.one("limit") or _PAGES[kind])
        if kind != TRIGGERS and not 1 <= limit <= 100:
            raise Refused("limit is from 1 to 100", 50000020)
        answer: Json = {"data": rows[start : start + limit]}
        if start + limit < len(rows):
            answer["next"] = f"{request.path}?start={start + limit}&limit={limit}"
        return answer

    def shown(self, kind: str, key: str) -> Json:
        """One as it is answered. Raises Refused."""
        if key not in self.kept[kind]:
            raise Refused(f"Cannot find entity by key: '{key}'.", 50000040)
        return _shown(kind, self.kept[kind][key])

    def profiles_of(self, definition: Json) -> set[str]:
        """The profiles that a definition belongs to; without any it is the default one."""
        several = definition.get("communicationProfileIds") or [definition.get("communicationProfileId")]
        return {str(each).replace("-", "") for each in several if each} or {DEFAULT_PROFILE}

    def give_profile(self, account: str, name: str) -> str:
        """Let an account have the profile of that name, which is made if need be."""
        known = {label: key for key, label in self.profiles.items()}
        key = known.get(name) or hex_id("communication profile", name)
        self.profiles[key] = name
        self.profile_of[account] = key
        return key

    def zoql(self, text: str) -> Json | None:
        """The answer to a ZOQL question about communication profiles; None for any other."""
        words = text.split()
        if "communicationprofile" not in (word.lower() for word in words):
            return None
        rows = [{"Id": key, "ProfileName": name} for key, name in self.profiles.items()]
        return {"size": len(rows), "done": True, "records": rows}

    def _checked(self, kind: str, row: Json) -> Json:
        if kind == TRIGGERS:
            name = row["eventType"].get("name")
            if any(each["eventType"]["name"] == name for each in self._others(kind, row)):
                raise Refused(f"The event {name} is there already.", 50000020)
            return row | {"eventType": {**row["eventType"], "namespace": "user.notification"}}
        row.setdefault("eventTypeNamespace", "user.notification")
        self._check_event(row)
        if kind == TEMPLATES:
            _check_address(str(row["calloutBaseurl"]))
            same = [each for each in self._others(kind, row) if each["name"] == row["name"]]
        else:
            profiles = self.profiles_of(row)
            if unknown := profiles - set(self.profiles):
                raise Refused(f"There is no communication profile {', '.join(sorted(unknown))}.", 50000020)
            self._check_templates(row)
            same = [
                each
                for each in self._others(kind, row)
                if each["name"] == row["name"] and profiles & self.profiles_of(each)
            ]
            row.setdefault("communicationProfileId", DEFAULT_PROFILE)
        if same:
            raise Refused(f"The name {row['name']} is in use.", 50000020)
        return row

    def _check_event(self, row: Json) -> None:
        name = row.get("eventTypeName")
        if name is None:
            if row.get("eventCategory") is None:
                raise Refused("eventCategory or eventTypeName may not be null", 50000022)
            return
        if row["eventTypeNamespace"] == "com.zuora.notification":
            known: Iterable[str] = _ZUORAS_EVENTS
        else:
            known = [each["eventType"]["name"] for each in self.rows(TRIGGERS)]
        if name not in known:
            raise Refused(f"There is no event {name} in {row['eventTypeNamespace']}.", 50000020)

    def _check_templates(self, row: Json) -> None:
        for key in row.get("calloutTemplateIds") or ():
            template = self.kept[TEMPLATES].get(key)
            if template is None:
                raise Refused(f"There is no callout template {key}.", 50000020)
            if template.get("eventTypeName") != row.get("eventTypeName"):
                raise Refused("The callout template is made for another event.", 50000020)

    def _others(self, kind: str, row: Json) -> list[Json]:
        return [each for each in self.rows(kind) if each["id"] != row["id"]]

    def _merge_duplicates(self, made: Json) -> None:
        """Zuora merges triggers that have the same object and condition, whatever they are called: the older goes."""
        for key, each in list(self.kept[TRIGGERS].items()):
            if (each["baseObject"], each["condition"]) == (made["baseObject"], made["condition"]):
                del self.kept[TRIGGERS][key]


def _shown(kind: str, row: Json) -> Json:
    """As Zuora may show it, without the secrets in it."""
    shown: dict[str, Any] = dict(row)
    if kind == TEMPLATES:
        shown.pop("hmacSecret", None)
        if row.get("calloutAuth"):
            shown["calloutAuth"] = {name: value for name, value in row["calloutAuth"].items() if name != "password"}
    return shown


def _check_address(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise Refused("calloutBaseurl must begin with https", 50000020)
    if len(address) > 1000:
        raise Refused("calloutBaseurl is too long", 50000020)
