"""The event that a sync leaves in Limio: its type, and its message for people."""

from __future__ import annotations

from typing import Any

import pytest

from sync_service.subscription.limio.documents import describe_event
from sync_service.subscription.plan import Cancel, Change, Create, FieldChange, SyncPlan, Update


def create(record_type: str, **document: Any) -> Create:
    return Create(record_type=record_type, document=document, reason="r")


def update(record_type: str, *paths: str, after: Any = "x") -> Update:
    fields = tuple(FieldChange(path=path, before=None, after=after) for path in paths)
    return Update(record_type=record_type, id="1", fields=fields, reason="r")


def cancel(record_type: str) -> Cancel:
    return Cancel(record_type=record_type, id="1", document={}, reason="r")


@pytest.mark.parametrize(
    ("changes", "type_", "message"),
    [
        (
            (create("identity"), create("customer"), create("subscription"), create("schedule"), create("schedule")),
            "subscription_synced",
            "Imported from Zuora: 2 payments added.",
        ),
        ((create("subscription"),), "subscription_synced", "Imported from Zuora."),
        (
            (
                update("subscription", "data.termEndDate", "data.attributes.autoRenew", "status"),
                update("customer", "data.email"),
                cancel("schedule"),
                create("address", relationship_type="delivery"),
            ),
            "subscription_synced",
            (
                "Synced from Zuora: term end date changed, auto-renew changed, status changed, customer email address"
                " changed, 1 payment cancelled, 1 delivery address added."
            ),
        ),
        (
            (update("subscription", "status", after="cancelled"), cancel("schedule"), cancel("schedule")),
            "subscription_cancelled",
            "Cancelled in Zuora: status changed, 2 payments cancelled.",
        ),
        ((cancel("subscription"),), "subscription_cancelled", "Cancelled in Zuora."),
        (
            (update("schedule", "status", after="cancelled"),),
            "subscription_synced",
            "Synced from Zuora: 1 payment changed.",
        ),
    ],
)
def test_an_event_says_what_happened_without_personal_data(
    changes: tuple[Change, ...], type_: str, message: str
) -> None:
    event = describe_event(SyncPlan(number="A-S1", changes=changes), "sub-1")

    assert event == {
        "status": "submitted",
        "data": {"type": type_, "message": message, "event": {"subscriptions": [{"id": "sub-1"}]}},
    }
