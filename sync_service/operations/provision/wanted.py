"""What Zuora should have in order to tell us of every change, and how what is there differs from it. Pure.

There are three events, each with its template. Order actions are an event of Zuora's own. Accounts and contacts have
none: a custom event watches their updates (docs.zuora.com, "Zuora custom events for Orders" and "Custom event
overview").
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from sync_service.errors import SyncServiceError
from sync_service.zuora.callout_definitions import (
    CalloutTemplate,
    EventTrigger,
    NotificationDefinition,
    Profile,
    same_id,
)

PREFIX = "limio-sync"
#: The custom fields by which Limio marks its orders.
SOURCE_FIELDS = ("Source__c", "InitiatedSource__c")
ZUORAS, TENANTS = "com.zuora.notification", "user.notification"
_ADDRESS = "/api/plugins/zuora/sync"
#: What of an account a sync reads: who its two contacts are. Its balance moves with every bill run.
_WATCHED = ("BillToId", "SoldToId")
_ANY_UPDATE = "changeType == 'UPDATE'"
#: Words that need no quoting in a condition.
_PLAIN = re.compile(r"[\w .:@+-]+")


class CannotProvision(SyncServiceError):
    """Zuora cannot be set up to call us as things are; the message says what to do."""

    code = "cannot provision"


@dataclass(frozen=True, kw_only=True)
class WantedCallout:
    """One event that is to call us."""

    #: For people; with the prefix it names template and definitions.
    label: str
    event: str
    namespace: str
    address: str
    params: Mapping[str, str]
    #: For a custom event: the object and the condition that make it; Zuora's own have none.
    watches: tuple[str, str] | None = None
    #: The filter rule; empty for none.
    condition: str = ""


@dataclass(frozen=True, kw_only=True)
class CalloutTerms:
    """Everything that an operator decides about the callouts."""

    public_url: str
    username: str
    password: str = field(repr=False)
    prefix: str = PREFIX
    #: Orders with these words in one of `source_fields`, or made by these users, are our own.
    sources: Sequence[str] = ()
    users: Sequence[str] = ()
    source_fields: Sequence[str] = SOURCE_FIELDS
    filtered: bool = True

    def name(self, label: str) -> str:
        """The name of the template and the definitions of an event."""
        return f"{self.prefix}: {label}"

    def event(self, base_object: str) -> str:
        """The name of our own custom event of an object; letters and digits, as in Zuora's."""
        words = re.findall(r"[A-Za-z0-9]+", self.prefix)
        return "".join(word[0].upper() + word[1:] for word in words) + f"{base_object}Updated"


def check_terms(terms: CalloutTerms, *, local: bool) -> None:
    """Raise CannotProvision with the remedy; `local` permits http to this machine, for an emulated Zuora."""
    if not (terms.username and terms.password):
        raise CannotProvision(
            "Zuora needs a name and a password to call us with: set CALLOUT_USERNAME and CALLOUT_PASSWORD."
        )
    if not terms.public_url:
        raise CannotProvision("PUBLIC_URL is not set: set it to the address under which Zuora reaches this service.")
    if not re.search(r"[A-Za-z]", terms.prefix):
        raise CannotProvision("The prefix needs a letter.")
    parts = urlsplit(terms.public_url)
    if local and is_this_machine(terms.public_url):
        return
    if parts.scheme != "https":
        raise CannotProvision(
            f"PUBLIC_URL is {terms.public_url}, and Zuora calls https only: put a proxy with a certificate in front"
            " (deploy/ has a sample) and set PUBLIC_URL to its https address."
        )
    if is_this_machine(terms.public_url):
        raise CannotProvision(f"PUBLIC_URL is {terms.public_url}, which Zuora cannot reach: set a public address.")


def is_this_machine(url: str) -> bool:
    """Whether the address is a loopback one."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def wish_list(
    terms: CalloutTerms, *, order_fields: frozenset[str] | None, account_fields: frozenset[str] | None
) -> tuple[list[WantedCallout], list[str]]:
    """What should be there, given the fields that the tenant's objects have (None: unknown), and what to know of it."""
    notes: list[str] = []
    if urlsplit(terms.public_url).port not in (None, 443) and not is_this_machine(terms.public_url):
        notes.append("Zuora calls port 443 and no other, unless its support has opened one for you.")
    sources = [name for name in terms.source_fields if name in (order_fields or ())]
    condition = _own_orders(terms, sources, order_fields, notes) if terms.filtered else ""
    orders = WantedCallout(
        label="order actions",
        event="OrderActionProcessed",
        namespace=ZUORAS,
        address=_address(terms, "subscription", "OrderAction.Subscription.Name"),
        params={
            "SubscriptionNumber": "{{OrderAction.Subscription.Name}}",
            "OrderNumber": "{{OrderAction.Order.OrderNumber}}",
            "OrderCreatedById": "{{OrderAction.Order.CreatedById}}",
            # A merge field that does not exist can keep a callout from being sent.
            **{f"Order{name}": f"{{{{OrderAction.Order.{name}}}}}" for name in sources},
        },
        condition=condition,
    )
    return [orders, _account(terms, account_fields, notes), _contact(terms)], notes


def _account(terms: CalloutTerms, fields: frozenset[str] | None, notes: list[str]) -> WantedCallout:
    condition = _ANY_UPDATE
    if fields is not None and fields.issuperset(_WATCHED):
        changed = " || ".join(f"Account.{name} != Account.{name}_old" for name in _WATCHED)
        condition = f"{_ANY_UPDATE} && ({changed})"
    else:
        notes.append(
            "Zuora does not show the fields of accounts: every update of one calls us, and a bill run updates them all."
        )
    return WantedCallout(
        label="account changes",
        event=terms.event("Account"),
        namespace=TENANTS,
        # The id in both, so that changes of an account and of its contacts are one request.
        address=_address(terms, "account", "Account.Id"),
        params={"AccountNumber": "{{Account.AccountNumber}}"},
        watches=("Account", condition),
    )


def _contact(terms: CalloutTerms) -> WantedCallout:
    return WantedCallout(
        label="contact changes",
        event=terms.event("Contact"),
        namespace=TENANTS,
        address=_address(terms, "account", "Contact.AccountId"),
        params={"ContactId": "{{Contact.Id}}"},
        watches=("Contact", _ANY_UPDATE),
    )


def _own_orders(terms: CalloutTerms, sources: Sequence[str], fields: frozenset[str] | None, notes: list[str]) -> str:
    """The filter rule that lets pass what is not our own; empty where no field is known to be there.

    A rule that names a field which the tenant lacks cannot be evaluated, and then nothing is sent at all.
    """
    if fields is None:
        notes.append("Zuora does not show the fields of orders: no filter rule, we tell our own orders ourselves.")
        return ""
    if missing := [name for name in terms.source_fields if name not in fields]:
        notes.append(f"Orders have no field {' or '.join(missing)} in this tenant: no filter rule names it.")
    parts = [f"Order.{name} != '{word}'" for name in sources for word in terms.sources if _PLAIN.fullmatch(word)]
    if "CreatedById" in fields:
        parts += [f"Order.CreatedById != '{user}'" for user in terms.users if _PLAIN.fullmatch(user)]
    return " && ".join(parts)


def _address(terms: CalloutTerms, kind: str, merge_field: str) -> str:
    return f"{terms.public_url.rstrip('/')}{_ADDRESS}/{kind}/{{{{{merge_field}}}}}"


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
