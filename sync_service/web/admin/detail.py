"""All that one page shows of a subscription, read in one look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import bindparam
from sqlmodel import col, select

from sync_service.queue.runs.history import Why, why
from sync_service.store.engine import Session
from sync_service.store.object_rows import find_subscription, read_addresses
from sync_service.store.reads import resolve_key
from sync_service.store.tables import (
    CustomerRow,
    SubscriptionOfferRow,
    SubscriptionRow,
    SyncRunRow,
    ZuoraLinkRow,
)
from sync_service.subscription.limio.documents import get_value
from sync_service.web.admin.payments import PaymentTable, Timeline, draw_timeline, read_payments

#: Offers of one subscription that are looked through for the one that names its plan.
_OFFERS = 20
ADDRESS_FIELDS = (
    *("address1", "address2", "city", "county", "state", "postalCode", "country"),
    *("phone", "workPhone", "otherPhone", "workEmail"),
)

_THEIR_OFFERS = (
    select(SubscriptionOfferRow.document)
    .where(SubscriptionOfferRow.subscription_id == bindparam("subscription_id"))
    .order_by(col(SubscriptionOfferRow.created).desc(), col(SubscriptionOfferRow.id))
    .limit(_OFFERS)
)
_HELD = select(SyncRunRow).where(
    SyncRunRow.kind == "subscription", SyncRunRow.key == bindparam("number"), SyncRunRow.outcome == "held"
)
_SIBLINGS = (
    select(SubscriptionRow.id, SubscriptionRow.reference, SubscriptionRow.status)
    .where(SubscriptionRow.customer == bindparam("customer"), SubscriptionRow.id != bindparam("id"))
    .order_by(col(SubscriptionRow.id))
    .limit(20)
)


@dataclass(frozen=True)
class Address:
    """One address in use."""

    use: str
    person: str
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Detail:
    """The whole page. `subscription` is None where the store has none by that key."""

    key: str
    #: The row of the queue that serves the key.
    kind: str
    number: str
    #: What the customer has bought; empty where nothing names it.
    plan: str
    subscription: SubscriptionRow | None
    customer: CustomerRow | None
    link: ZuoraLinkRow | None
    known: Why
    held: SyncRunRow | None
    payments: PaymentTable
    timeline: Timeline | None
    addresses: tuple[Address, ...]
    #: All of its addresses, those that are not in use too.
    documents: tuple[Mapping[str, Any], ...]
    siblings: tuple[SubscriptionRow, ...]

    @property
    def is_unknown(self) -> bool:
        """Nothing at all is known of the key."""
        return self.subscription is None and not self.known.causes and not self.known.runs

    @property
    def title(self) -> str:
        """The customer and the plan, as far as they are known; else the number."""
        name = self.customer.name if self.customer else ""
        return " · ".join(filter(None, (name, self.plan))) or self.number


def read_detail(session: Session, key: str, today: date, *, whole: bool = False) -> Detail:
    """Everything of the subscription that `key` names, or of the request that waits under it.

    `whole`: with all of its payments.
    """
    number = resolve_key(session, key)
    kind = "alias" if number is None else "subscription"
    number = number or key
    link = session.look_up(ZuoraLinkRow, number=number)
    subscription = session.look_up(SubscriptionRow, id=link.subscription_id) if link and link.subscription_id else None
    if subscription is None:
        subscription = find_subscription(session, number) or session.look_up(SubscriptionRow, id=key)
    payments = read_payments(session, subscription.id, today, whole=whole) if subscription else PaymentTable()
    documents = read_addresses(session, subscription.id) if subscription else ()
    return Detail(
        key=subscription.id if subscription else key,
        kind=kind,
        number=number,
        subscription=subscription,
        customer=session.look_up(CustomerRow, id=subscription.customer)
        if subscription and subscription.customer
        else None,
        link=link,
        plan=read_plan_name(session, subscription) if subscription else "",
        known=why(session, number, kind=kind, limit=1),
        held=_read_held(session, number),
        payments=payments,
        timeline=draw_timeline(
            payments.drawn,
            today=today,
            term_start=subscription.term_start if subscription else None,
            term_end=subscription.term_end if subscription else None,
        ),
        addresses=_addresses(documents),
        documents=documents,
        siblings=_read_siblings(session, subscription),
    )


def read_plan_name(session: Session, subscription: SubscriptionRow) -> str:
    """The name of the newest offer that is no discount, else what the subscription itself is called."""
    offers = session.run(_THEIR_OFFERS, {"subscription_id": subscription.id}).scalars()
    current = [each for each in offers if get_value(each, "data.record_subtype") != "discount"]
    names = [get_value(each, "data.name") for each in (*current, subscription.document)]
    return next((name for name in names if isinstance(name, str) and name), "")


def _addresses(documents: Sequence[Mapping[str, Any]]) -> tuple[Address, ...]:
    """The newest active address of each use."""
    newest: dict[str, Mapping[str, Any]] = {}
    for document in documents:
        if document.get("status") in (None, "active"):
            newest[str(document.get("relationship_type") or "address")] = document
    return tuple(_address(use, document) for use, document in sorted(newest.items()))


def _address(use: str, document: Mapping[str, Any]) -> Address:
    data = document.get("data")
    data = data if isinstance(data, Mapping) else {}
    person = " ".join(str(data[name]) for name in ("firstName", "lastName") if data.get(name))
    return Address(use, person, tuple(str(data[name]) for name in ADDRESS_FIELDS if data.get(name)))


def _read_held(session: Session, number: str) -> SyncRunRow | None:
    held: SyncRunRow | None = session.run(_HELD, {"number": number}).first()
    return held


def _read_siblings(session: Session, subscription: SubscriptionRow | None) -> tuple[SubscriptionRow, ...]:
    """The customer's other subscriptions."""
    if subscription is None or not subscription.customer:
        return ()
    return tuple(session.run(_SIBLINGS, {"customer": subscription.customer, "id": subscription.id}))
