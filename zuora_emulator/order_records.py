"""An order once it is placed: the versions that it makes, and what it says of itself in "Retrieve an order"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from zuora_emulator.fields import Fields
from zuora_emulator.order_actions import Action
from zuora_emulator.records import RatePlan, Subscription, Version, hex_id
from zuora_emulator.tenant import AGENT, LIMIO_USER, SYSTEM_USER, Tenant

if TYPE_CHECKING:
    from zuora_emulator.account_bodies import Owner


@dataclass(frozen=True, kw_only=True)
class By:
    """Who made an order, when, and from where; `source` is what Limio writes to `Source__c` of its own orders."""

    user: str = AGENT
    source: str | None = None
    at: datetime | None = None
    description: str | None = None

    @classmethod
    def read(cls, fields: Fields) -> By:
        """`source` (such as shop) and `created_by` (a user id, or `limio`, `system`, `agent`)."""
        users = {"limio": LIMIO_USER, "system": SYSTEM_USER, "agent": AGENT}
        source = fields.text("source")
        named = fields.text("created_by", "limio" if source in ("shop", "salesforce") else "agent") or "agent"
        return cls(user=users.get(named, named), source=source, description=fields.text("description"))


@dataclass(frozen=True, kw_only=True)
class Part:
    """What an order does to one subscription: `after` still has the ids of `before`, which a new subscription lacks."""

    before: Subscription | None = None
    after: Version
    actions: Sequence[Action]
    custom_fields: Mapping[str, Any] = field(default_factory=dict)
    #: Of a new subscription.
    owner: Owner | None = None


def commit(
    tenant: Tenant, parts: Sequence[Part], by: By, *, number: str | None = None, said: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Put the versions of all parts into the tenant, with the order that made them, which is returned.

    `said` is what the order says of itself, in the shape of "Retrieve an order".
    """
    at = max([by.at or tenant.now(), *(part.before.latest.created for part in parts if part.before)])
    number = number or tenant.next_number("O-")
    bases = [part.before.latest.version if part.before else None for part in parts]
    versions = [_put(tenant, part, number, at) for part in parts]
    order = {
        "orderNumber": number,
        "orderDate": at.date().isoformat(),
        "createdDate": f"{at:%Y-%m-%d %H:%M:%S}",
        "createdBy": by.user,
        "updatedDate": f"{at:%Y-%m-%d %H:%M:%S}",
        "updatedBy": by.user,
        "existingAccountNumber": versions[0].invoice_owner,
        "currency": versions[0].currency,
        "status": "Completed",
        "state": "Complete",
        "description": by.description,
        "category": None if all(bases) else "NewSales",
        "reasonCode": None,
        "cancelReason": None,
        "invoiceScheduleId": None,
        "orderLineItems": [],
        "customFields": {"Source__c": by.source, "InitiatedSource__c": by.source},
        **(said or {}),
        "subscriptions": [
            _told(number, part, base, version) for part, base, version in zip(parts, bases, versions, strict=True)
        ],
    }
    tenant.orders[number] = order
    return order


def _put(tenant: Tenant, part: Part, order: str, at: datetime) -> Version:
    if part.before is None:
        version = replace(part.after, order_number=order)
        tenant.put_subscription(Subscription(version.number, [version], [order]))
        return version
    before = part.before.latest
    version = replace(
        part.after,
        id=hex_id("subscription", before.number, part.before.made + 1),
        version=before.version + 1,
        previous_id=before.id,
        order_number=order,
        created=at,
        updated=at,
    )
    tenant.add_version(part.before, version)
    part.before.orders.append(order)
    return version


def _told(order: str, part: Part, base: int | None, version: Version) -> dict[str, Any]:
    """What an order says of one of its subscriptions."""
    numbered = enumerate(part.actions)
    return {
        "subscriptionNumber": version.number,
        "subscriptionOwnerAccountNumber": version.account,
        "externallyManagedBy": None,
        "notes": version.notes,
        "customFields": {**version.custom_fields, **part.custom_fields},
        "baseVersion": base,
        "newVersion": version.version,
        "orderActions": [
            {**action, "sequence": place, "id": hex_id("action", order, version.number, place)}
            for place, action in numbered
        ],
    }


def creation(version: Version) -> Action:
    """The action that created a subscription with this first version."""
    names = ("ContractEffective", "ServiceActivation", "CustomerAcceptance")
    terms = {
        "autoRenew": version.auto_renew,
        "renewalSetting": version.renewal_setting,
        "renewalTerms": [{"period": version.renewal_term, "periodType": version.renewal_period or version.term_period}],
        "initialTerm": {
            "termType": version.term_type,
            "period": version.initial_term,
            "periodType": version.term_period,
            "startDate": version.start.isoformat(),
        },
    }
    return {
        "type": "CreateSubscription",
        "triggerDates": [{"name": name, "triggerDate": version.start.isoformat()} for name in names],
        "changeReason": None,
        "customFields": {},
        "createSubscription": {
            "subscriptionNumber": version.number,
            "subscriptionOwnerAccountNumber": version.account,
            "invoiceOwnerAccountNumber": version.invoice_owner,
            "terms": terms,
            "subscribeToRatePlans": [_subscribed(plan) for plan in version.rate_plans],
        },
    }


def _subscribed(plan: RatePlan) -> dict[str, Any]:
    return {
        "subscriptionRatePlanNumber": plan.number,
        "productRatePlanId": plan.product_rate_plan_id,
        "chargeOverrides": [],
        "customFields": {},
    }
