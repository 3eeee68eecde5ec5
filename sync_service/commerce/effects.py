"""What an order changes in Limio's store: values that placing writes in the transaction of its submit or its finish.

Decided in `submission` and `completion`. Terms and schedule of a subscription that Zuora has are never here, nor its
status once it has been active: the sync that follows an order brings them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sync_service.subscription.plan import Document


@dataclass(frozen=True, kw_only=True)
class NewObject:
    """A new object. Without an `id` the store gives one, and always the rest of the envelope."""

    record_type: str
    document: Document
    id: str | None = None
    #: The subscription that it belongs to.
    subscription_id: str | None = None
    #: Nothing happens where the id is there already (an owner who bought before).
    unless_there: bool = False


@dataclass(frozen=True, kw_only=True)
class ObjectChange:
    """Other values in an object that exists: dotted path (`data.end`, `status`) to the new value."""

    record_type: str
    id: str
    values: Mapping[str, Any]


Effect = NewObject | ObjectChange
