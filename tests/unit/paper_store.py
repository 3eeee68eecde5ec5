"""A store on paper: applies a plan to a LimioState, as small as it can be. For asking what comes after a plan."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

from sync_service.subscription.limio.documents import moment_of, set_value
from sync_service.subscription.plan import Cancel, Create, Document, LimioState, SyncPlan, Update
from sync_service.subscription.zuora import ZuoraSubscription

#: The moment at which everything is written, unless something newer is there already.
NOW = "2026-06-15T12:00:00.000Z"


def apply_on_paper(current: LimioState, plan: SyncPlan, subscription: ZuoraSubscription) -> LimioState:
    """The state after `plan`, with ids `new-1`, `new-2`, … in the plan's order, and the read noted."""
    state = replace(current, linked_account_id=subscription.account_id)
    people = [each for each in (current.subscription, current.customer) if each is not None]
    taken = {each["id"] for each in (*current.schedule, *current.addresses, *people)} | {current.account_owner}
    ids = (new_id for number in count(1) if (new_id := f"new-{number}") not in taken)
    for change in plan.changes:
        match change:
            case Create():
                state = _create(state, change, next(ids))
            case Update() | Cancel():
                state = _replace(state, change)
    return _without_the_customer_that_was_left(current, state)


def _without_the_customer_that_was_left(before: LimioState, after: LimioState) -> LimioState:
    """The next look at a subscription that moved finds its new customer, which this store knows only if it is new."""
    left = before.subscription and before.subscription.get("customer")
    has = after.subscription and after.subscription.get("customer")
    if left == has or after.customer is None or after.customer["id"] == has:
        return after
    return replace(after, customer=None)


def _create(state: LimioState, change: Create, new_id: str) -> LimioState:
    document = {**change.document, "id": new_id, "record_type": change.record_type}
    match change.record_type:
        case "identity":
            return replace(state, account_owner=new_id)
        case "customer":
            return replace(state, account_customer=new_id, customer=document)
        case "subscription":
            owner = {"owner": state.account_owner, "customer": state.account_customer}
            return replace(state, subscription=document | owner)
        case "schedule":
            return replace(state, schedule=(*state.schedule, document))
        case "address":
            return replace(state, addresses=(*state.addresses, document | {"start": _newest_start(state)}))
    raise AssertionError(change.record_type)


def _newest_start(state: LimioState) -> str:
    starts = [moment_of(address.get("start")) for address in state.addresses]
    newest = max([moment_of(NOW), *(start + timedelta(milliseconds=1) for start in starts if start)])
    return newest.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _update(document: Document, change: Update, state: LimioState) -> dict[str, Any]:
    """No owner and no customer named means those that the plan has just created."""
    created = {"owner": state.account_owner, "customer": state.account_customer}
    for field in change.fields:
        after = field.after
        if change.record_type == "subscription" and after is None:
            after = created.get(field.path)
        document = set_value(document, field.path, after)
    return dict(document)


def _replace(state: LimioState, change: Update | Cancel) -> LimioState:
    def one(document: Document | None) -> Document | None:
        if document is None or document["id"] != change.id:
            return document
        return {**document, "status": "cancelled"} if isinstance(change, Cancel) else _update(document, change, state)

    return replace(
        state,
        subscription=one(state.subscription),
        customer=one(state.customer),
        schedule=tuple(one(each) for each in state.schedule),
        addresses=tuple(one(each) for each in state.addresses),
    )
