"""The sync plan: what the Limio store holds, and its computed difference from Zuora, with its JSON, hash and words.

Outputs lay the words out: the event in Limio, pages, the command line and reports take them from here.

Pure. A plan names no random ids: `store.apply.apply_plan` gives new objects theirs.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

#: A Limio object as JSON, or the parts of one.
Document = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class LimioState:
    """What our store holds of one subscription, read in the transaction that will write the plan."""

    #: None: Limio never saw it.
    subscription: Document | None = None
    #: All entries, cancelled and past ones too.
    schedule: tuple[Document, ...] = ()
    #: All addresses of the subscription, old ones too.
    addresses: tuple[Document, ...] = ()
    customer: Document | None = None
    #: Several accounts of one customer: only the newest one that is not cancelled writes name and email.
    writes_customer: bool = True
    #: The customer was compared with a read that ended after ours began: values that differ are not ours to write.
    customer_is_newer: bool = False
    #: The customer's personal values were erased on request: name, email and addresses are never written again.
    is_scrubbed: bool = False
    #: The Zuora account of the last good read; None before the first.
    linked_account_id: str | None = None
    #: The identity and the customer that the store keeps for the Zuora account as just read, where it has them.
    account_owner: str | None = None
    account_customer: str | None = None


@dataclass(frozen=True, kw_only=True)
class FieldChange:
    """One value of one object. `path` is dotted from the object's top: `data.termEndDate`. None is absent."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, kw_only=True)
class Create:
    """A new object. `document` lacks what the store gives: id, owner, related ids, timestamps."""

    record_type: str
    document: Document
    reason: str


@dataclass(frozen=True, kw_only=True)
class Update:
    """Other values in an object that exists."""

    record_type: str
    id: str
    fields: tuple[FieldChange, ...]
    reason: str


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """An object that no longer applies: its status becomes `cancelled`; `document` is the object before."""

    record_type: str
    id: str
    document: Document
    reason: str


Change = Create | Update | Cancel


@dataclass(frozen=True, kw_only=True)
class SyncPlan:
    """Everything that one sync will change, and what a person should know besides."""

    number: str
    changes: tuple[Change, ...] = ()
    #: Plain sentences: what was left alone and why, what could not be known.
    notes: tuple[str, ...] = ()
    #: The next date on which Zuora's answer changes by itself.
    look_again_on: date | None = None
    #: A shared row was newer than this read and differs: sync the number again.
    again: bool = False
    #: Every payment that was still to come goes and none takes its place.
    empties_schedule: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether the store already agrees with Zuora."""
        return not self.changes

    @property
    def cancels(self) -> bool:
        """Whether it cancels the subscription itself."""
        return any(_is_cancelling(change) for change in self.changes)

    @property
    def is_drastic(self) -> bool:
        """Whether it cancels the subscription, or leaves none of the payments that were still to come."""
        return self.empties_schedule or self.cancels

    @property
    def hash(self) -> str:
        """The same for two plans that would change the same things in the same way, whatever their notes."""
        parts = json.dumps([_as_plain(change) for change in self.changes], sort_keys=True, default=_plain_value)
        return hashlib.sha256(parts.encode()).hexdigest()

    def changed_fields(self) -> list[str]:
        """What people call the values of the subscription and of its people that change."""
        people = {"customer": "customer ", "identity": "identity "}
        return [
            people.get(change.record_type, "") + name_of(field.path)
            for change in self.changes
            if isinstance(change, Update) and change.record_type in SINGLE
            for field in change.fields
        ]

    def changed_objects(self) -> Counter[tuple[str, str]]:
        """How many objects come, go and change: noun and verb to count, without those of `changed_fields`."""
        return Counter(
            (_noun_of(change), _verb_of(change))
            for change in self.changes
            if not (isinstance(change, Update) and change.record_type in SINGLE)
        )

    def as_json(self) -> dict[str, Any]:
        """The plan for the history and for machines: each change with its values; dates and decimals are text."""
        return {
            "number": self.number,
            "changes": [_change_as_json(change) for change in self.changes],
            "notes": list(self.notes),
            "look_again_on": self.look_again_on and self.look_again_on.isoformat(),
            "again": self.again,
            "empties_schedule": self.empties_schedule,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> SyncPlan:
        """The plan that `as_json` wrote; inside documents, dates and decimals stay the text that they became."""
        day = stored.get("look_again_on")
        return cls(
            number=stored["number"],
            changes=tuple(_change_from_json(change) for change in stored.get("changes", ())),
            notes=tuple(stored.get("notes", ())),
            look_again_on=date.fromisoformat(day) if day else None,
            again=bool(stored.get("again", False)),
            empties_schedule=bool(stored.get("empties_schedule", False)),
        )


_NOUNS = {"schedule": "payment", "subscription_offer": "offer", "add_on": "add-on"}
_FIELDS = {
    "data.termStartDate": "term start date",
    "data.termEndDate": "term end date",
    "data.attributes.autoRenew": "auto-renew",
    "data.email": "email address",
}
_PLURALS = {"auto-renew": "auto-renew flags", "identity": "identities"}
#: A plan is about one of each, so that its values count, and not how many objects change.
SINGLE = frozenset({"subscription", "customer", "identity"})


def name_of(path: str) -> str:
    """What people call the value at a path of a plan."""
    return _FIELDS.get(path, path.rsplit(".", 1)[-1])


def noun_of(record_type: str) -> str:
    """What people call an object of this type."""
    return _NOUNS.get(record_type, record_type.replace("_", " "))


def plural(noun: str) -> str:
    """Several of what `noun_of` or `name_of` names."""
    return _PLURALS.get(noun, noun + ("es" if noun.endswith("s") else "s"))


def in_short(record_type: str, document: Document) -> str:
    """An object in a few words; of an address and a customer they are personal."""
    inside = document.get("data")
    data = inside if isinstance(inside, Mapping) else {}
    match record_type:
        case "schedule":
            names = ", ".join(str(item.get("chargeName", "")) for item in data.get("lineItems") or [])
            return f"{str(data.get('date'))[:10]}  {data.get('currency') or ''} {data.get('amount')}  {names}"
        case "address":
            parts = (data.get(name) for name in ("address1", "city", "postalCode", "country"))
            return f"{document.get('relationship_type')}: {', '.join(str(part) for part in parts if part)}"
        case "customer":
            return ", ".join(str(data[name]) for name in ("name", "email") if data.get(name))
        case _:
            return str(document.get("reference") or document.get("name") or "")


def _noun_of(change: Change) -> str:
    if change.record_type == "address" and isinstance(change, Create):
        kind = change.document.get("relationship_type")
        return f"{kind} address" if isinstance(kind, str) else "address"
    return noun_of(change.record_type)


def _verb_of(change: Change) -> str:
    if isinstance(change, Create):
        return "imported" if change.record_type in SINGLE else "added"
    return "changed" if isinstance(change, Update) else "cancelled"


#: What JSON holds as it is. A tuple made once: a union of types is made anew wherever it is written.
_PLAIN = (str, int, float)


def as_json(value: Any) -> Any:
    """`value` with dates and decimals as text, so that JSON can hold it; everything else as it is."""
    if value is None or isinstance(value, _PLAIN):  # nearly all of them
        return value
    match value:
        case dict() | Mapping():
            return {str(key): as_json(inner) for key, inner in value.items()}
        case list() | tuple():
            return [as_json(inner) for inner in value]
        case Decimal():
            return str(value)
        case date():
            return value.isoformat()
    return value


def _is_cancelling(change: Change) -> bool:
    if change.record_type != "subscription" or isinstance(change, Create):
        return False
    if isinstance(change, Cancel):
        return True
    return any(field.path == "status" and field.after == "cancelled" for field in change.fields)


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


def _as_plain(change: Change) -> list[Any]:
    if isinstance(change, Update):
        fields = [[field.path, field.before, field.after] for field in change.fields]
        return ["update", change.record_type, change.id, fields]
    if isinstance(change, Create):
        return ["create", change.record_type, dict(change.document)]
    return ["cancel", change.record_type, change.id]


def _plain_value(value: Any) -> str:
    """Decimals and dates as text; anything else is a mistake of ours."""
    if isinstance(value, Decimal | date):
        return str(value)
    raise TypeError(f"a plan holds a {type(value).__name__}")
