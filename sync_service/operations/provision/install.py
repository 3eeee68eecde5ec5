"""Setting Zuora up to call us: what should be there, what is, and the steps from one to the other.

`plan_install` and `plan_remove` are pure; `apply_plan` takes the steps, each of which may be taken again. Ours is what
bears our names; nothing else is ever changed or removed. A custom event with the same object and condition as ours is
used as it is: Zuora would merge or delete a second one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sync_service.operations.provision.wanted import (
    CalloutTerms,
    WantedCallout,
    definition_body,
    definition_differences,
    is_in,
    is_same,
    squeeze,
    template_body,
    template_differences,
    why_anew,
    wish_list,
)
from sync_service.zuora import callout_definitions
from sync_service.zuora.callout_definitions import (
    Definition,
    NotificationDefinition,
    Profile,
    TenantCallouts,
    same_id,
)
from sync_service.zuora.reading import Reading


class Act(StrEnum):
    """What a step does."""

    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"


@dataclass(frozen=True, kw_only=True)
class ProvisionStep:
    """One thing that is made, changed or removed in Zuora."""

    act: Act
    thing: Definition
    #: For people.
    name: str
    #: Of what is changed or deleted.
    id: str = ""
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)
    #: A definition sends this template, whose id may not be known before it is made.
    template: str = ""
    #: What differs, in words without secrets.
    why: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """All of it but the password."""
        body = dict(self.body)
        if auth := body.get("calloutAuth"):
            body["calloutAuth"] = {**auth, "password": "…"}
        named = {"name": self.name, "id": self.id or None, "template": self.template or None, "body": body or None}
        return {"act": self.act, "thing": self.thing, "why": list(self.why), **{k: v for k, v in named.items() if v}}


@dataclass(frozen=True, kw_only=True)
class ProvisionPlan:
    """The steps in the order in which they can be taken, and what stays as it is."""

    steps: tuple[ProvisionStep, ...]
    kept: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    #: The ids of our templates that are there already, by their names.
    template_ids: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether everything is as it should be."""
        return not self.steps

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "steps": [step.as_json() for step in self.steps],
            "kept": list(self.kept),
            "notes": list(self.notes),
        }


def plan_install(found: TenantCallouts, terms: CalloutTerms, *, renew_password: bool = False) -> ProvisionPlan:
    """What is to be done so that every change in the tenant calls us.

    Zuora does not show passwords: `renew_password` sends ours again although nothing else differs.
    """
    wishes, notes = wish_list(terms, order_fields=found.order_fields, account_fields=found.account_fields)
    planner = _Planner(found, terms, renew_password, notes)
    for wish in wishes:
        planner.want(wish)
    planner.drop_the_rest()
    return planner.plan()


def plan_remove(found: TenantCallouts, terms: CalloutTerms) -> ProvisionPlan:
    """What is to be done so that nothing of ours is left, and everything else is as it was."""
    planner = _Planner(found, terms, False, [])
    planner.drop_the_rest()
    return planner.plan()


def list_ours(found: TenantCallouts, terms: CalloutTerms) -> Iterator[tuple[Definition, str, str, bool]]:
    """What of ours is there: the kind, the name, what it is about, and whether it is active."""
    ours = _Ours(found, terms)
    names = {same_id(each.id): each.name for each in found.profiles or ()}
    for trigger in ours.triggers:
        yield Definition.TRIGGER, trigger.event, f"{trigger.base_object}: {trigger.condition}", trigger.active
    for template in ours.templates:
        address = str(template.row.get("calloutBaseurl") or "")
        yield Definition.TEMPLATE, template.name, address, template.row.get("active") is not False
    for definition in ours.definitions:
        about = ", ".join(sorted(names.get(each, each) for each in definition.profiles))
        about += f"; only if {definition.condition}" if definition.condition else ""
        active = definition.row.get("active") is not False and definition.row.get("calloutActive") is True
        yield Definition.DEFINITION, definition.name, about, active


def apply_plan(reading: Reading, plan: ProvisionPlan) -> Iterator[ProvisionStep]:
    """Take the steps one after another, giving out each once it is taken.

    Stops at the first that Zuora refuses, with its error; what is done stays done, and a new plan goes on from there.
    """
    template_ids = dict(plan.template_ids)
    for step in plan.steps:
        body = dict(step.body)
        if step.template:
            body["calloutTemplateIds"] = [template_ids[step.template]]
        if step.act is Act.DELETE:
            callout_definitions.delete(reading, step.thing, step.id)
        elif step.act is Act.CHANGE:
            callout_definitions.change(reading, step.thing, step.id, body)
        else:
            key = callout_definitions.create(reading, step.thing, body)
            if step.thing is Definition.TEMPLATE:
                template_ids[step.name] = key
        yield step


class _Ours:
    """What bears our names. Names of an order are exact: `limio-sync: my own` is not ours."""

    def __init__(self, found: TenantCallouts, terms: CalloutTerms) -> None:
        names = {terms.name(label) for label in ("order actions", "account changes", "contact changes")}
        events = {terms.event(base_object) for base_object in ("Account", "Contact")}
        self.triggers = [each for each in found.triggers if each.event in events]
        self.templates = [each for each in found.templates if each.name in names]
        self.definitions = [each for each in found.definitions if each.name in names]


class _Planner:
    """Takes what is wanted off what is there; whatever of ours then is left over goes."""

    def __init__(self, found: TenantCallouts, terms: CalloutTerms, renew_password: bool, notes: list[str]) -> None:
        self._found, self._terms, self._renew = found, terms, renew_password
        self._left = _Ours(found, terms)
        self._template_ids: dict[str, str] = {}
        self._spoken_for: list[NotificationDefinition] = []
        self._deletes: list[ProvisionStep] = []
        self._others: list[ProvisionStep] = []
        self._kept: list[str] = []
        self._notes = notes

    def want(self, wish: WantedCallout) -> None:
        event = wish.event if wish.watches is None else self._want_trigger(wish, *wish.watches)
        name = self._terms.name(wish.label)
        self._want_template(wish, name, event)
        if self._found.profiles is None:
            self._want_definition(wish, name, event, None)
        for profile in self._found.profiles or ():
            self._want_definition(wish, name, event, profile)

    def drop_the_rest(self) -> None:
        """What of ours is no longer wanted: users before what they use."""
        for definition in self._left.definitions:
            self._delete(Definition.DEFINITION, definition.id, definition.name)
        for template in self._left.templates:
            self._delete(Definition.TEMPLATE, template.id, template.name)
        for trigger in self._left.triggers:
            users = sorted(set(self._others_who_use(trigger.event)))
            if users:
                self._notes.append(f"The event {trigger.event} stays: it is used by {', '.join(users)}.")
            else:
                self._delete(Definition.TRIGGER, trigger.id, trigger.event)

    def _others_who_use(self, event: str) -> Iterator[str]:
        ours = _Ours(self._found, self._terms)
        yield from (
            each.name for each in self._found.definitions if each.event == event and each not in ours.definitions
        )
        yield from (each.name for each in self._found.templates if each.event == event and each not in ours.templates)

    def plan(self) -> ProvisionPlan:
        if self._found.profiles is None:
            self._notes.append(
                "Zuora does not list its communication profiles to us: only accounts of the default one call us."
                " Permit our OAuth client's user to query, or add the notifications to the other profiles by hand."
            )
        order = list(Definition)
        deletes = sorted(self._deletes, key=lambda step: -order.index(step.thing))
        others = sorted(self._others, key=lambda step: order.index(step.thing))
        return ProvisionPlan(
            steps=(*deletes, *others),
            kept=tuple(self._kept),
            notes=tuple(self._notes),
            template_ids=self._template_ids,
        )

    def _want_trigger(self, wish: WantedCallout, base_object: str, condition: str) -> str:
        """The name of the event, ours or whosever is there."""
        same = [each for each in self._found.triggers if is_same(each, base_object, condition)]
        mine = [each for each in self._left.triggers if each.event == wish.event]
        there = next((each for each in same if each in mine), None) or next(iter(same), None)
        body: dict[str, Any] = {"active": True, "condition": condition}
        if there is not None and there not in mine:
            self._kept.append(f"{Definition.TRIGGER} {there.event}, which is not ours")
            if not there.active:
                self._notes.append(f"The event {there.event} is not active, so nothing calls us for it: activate it.")
            return there.event
        there = there or next((each for each in mine if each.base_object == base_object), None)
        if there is None:
            label = self._terms.name(wish.label)
            kind = {"name": wish.event, "displayName": label}
            body |= {"baseObject": base_object, "eventType": kind}
            self._others.append(ProvisionStep(act=Act.CREATE, thing=Definition.TRIGGER, name=wish.event, body=body))
            return wish.event
        self._left.triggers.remove(there)
        why = [] if squeeze(there.condition) == squeeze(condition) else [f"condition: {there.condition} → {condition}"]
        why += [] if there.active else ["it is not active"]
        self._change(Definition.TRIGGER, there.id, wish.event, body, why)
        return wish.event

    def _want_template(self, wish: WantedCallout, name: str, event: str) -> None:
        body = template_body(wish, name, event, self._terms)
        there = next((each for each in self._left.templates if each.name == name), None)
        if there is not None:
            self._left.templates.remove(there)
            if there.event and there.event != event:
                # An event cannot be changed, and definitions of the other event go with it.
                self._delete(Definition.TEMPLATE, there.id, name, f"it is for the event {there.event}")
                there = None
        if there is None:
            self._others.append(ProvisionStep(act=Act.CREATE, thing=Definition.TEMPLATE, name=name, body=body))
            return
        self._template_ids[name] = there.id
        why = template_differences(there, body)
        why += ["the password is sent again"] if self._renew else []
        changeable = {key: value for key, value in body.items() if not key.startswith("eventType")}
        self._change(Definition.TEMPLATE, there.id, name, changeable, why)

    def _want_definition(self, wish: WantedCallout, name: str, event: str, profile: Profile | None) -> None:
        body = definition_body(wish, name, event, profile)
        shown = name if profile is None else f"{name} ({profile.name})"
        if any(each.name == name and each.profiles and is_in(each, profile) for each in self._spoken_for):
            return  # one that was set to cover several profiles
        there = next((each for each in self._left.definitions if each.name == name and is_in(each, profile)), None)
        if there is not None:
            self._left.definitions.remove(there)
            reason = why_anew(there, event, wish.condition)
            if reason:
                self._delete(Definition.DEFINITION, there.id, shown, reason)
                there = None
        if there is None:
            step = ProvisionStep(act=Act.CREATE, thing=Definition.DEFINITION, name=shown, body=body, template=name)
            self._others.append(step)
            return
        why = definition_differences(there, wish, self._template_ids.get(name))
        self._spoken_for.append(there)
        if len(there.profiles) > 1:
            body.pop("communicationProfileId", None)
            body["communicationProfileIds"] = sorted(there.row.get("communicationProfileIds") or ())
        self._change(Definition.DEFINITION, there.id, shown, body, why, template=name)

    def _change(
        self, thing: Definition, key: str, name: str, body: Mapping[str, Any], why: Iterable[str], template: str = ""
    ) -> None:
        reasons = tuple(why)
        if not reasons:
            self._kept.append(f"{thing} {name}")
            return
        self._others.append(
            ProvisionStep(act=Act.CHANGE, thing=thing, name=name, id=key, body=body, why=reasons, template=template)
        )

    def _delete(self, thing: Definition, key: str, name: str, *why: str) -> None:
        self._deletes.append(ProvisionStep(act=Act.DELETE, thing=thing, name=name, id=key, why=why))
