"""What an order meets: what our store holds of its subscription, and what Zuora says now.

Placing reads the store's part before it accepts an order and again before it plans it. Zuora's part is what
`reads.missing` names, read round by round until nothing is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time, tzinfo
from typing import Any

from sync_service.commerce.subscribed import read_day
from sync_service.subscription.limio.documents import moment_of
from sync_service.subscription.plan import Document


@dataclass(frozen=True, kw_only=True)
class InStore:
    """Limio's objects around the order, as documents; all of the subscription's, old ones too."""

    #: The subscription that the order names; None: the order names none, or we hold none.
    subscription: Document | None = None
    offers: tuple[Document, ...] = ()
    add_ons: tuple[Document, ...] = ()
    addresses: tuple[Document, ...] = ()
    schedule: tuple[Document, ...] = ()
    payment_methods: tuple[Document, ...] = ()
    customer: Document | None = None
    #: The gift code that the order redeems or refunds.
    gift_code: Document | None = None
    #: The Zuora account of the subscription, or the newest account of the order's owner (1-N); None: not known.
    account_number: str | None = None


@dataclass(frozen=True, kw_only=True)
class State:
    """The store's part, and Zuora's answers by the name of the `Read` that brought them; None: Zuora knows no such."""

    store: InStore = field(default_factory=InStore)
    zuora: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)


def data_of(document: Document | None) -> Document:
    """A Limio object's `data`; empty where there is none."""
    data = (document or {}).get("data")
    return data if isinstance(data, Mapping) else {}


def day_of(value: Any, zone: tzinfo) -> date | None:
    """The day of a Limio timestamp in the tenant's `zone`; midnight in UTC stands for a day as such."""
    moment = moment_of(value)
    if moment is None or moment.time() == time.min:
        return moment.date() if moment else None
    return moment.astimezone(zone).date()


def is_discount(document: Document) -> bool:
    """Whether an offer of a subscription is a discount beside the product."""
    return data_of(document).get("record_subtype") == "discount"


def goes_on(document: Document, day: date) -> bool:
    """Whether an offer or add-on of a subscription has not ended on `day`."""
    end = read_day(data_of(document).get("end"))
    return document.get("status", "active") == "active" and (end is None or end > day)
