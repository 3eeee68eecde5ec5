"""Accepting an order: one transaction that makes it durable with everything that Limio shows of it from then on."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from uuid import uuid4

from sync_service.commerce.case import Case
from sync_service.commerce.checks import check
from sync_service.commerce.order import (
    CannotBePlacedError,
    Names,
    NewSubscription,
    Order,
    OrderType,
    Problem,
    ProblemCode,
)
from sync_service.commerce.state import Options, State
from sync_service.commerce.submission import submitted, wanted_names
from sync_service.errors import SyncServiceError
from sync_service.queue.orders.lanes import hold_lane, submit_order
from sync_service.queue.outbox import WebhookType, announce
from sync_service.settings import Settings
from sync_service.store.effects import (
    Written,
    apply_effects,
    attribute_order,
    find_paying_account,
    new_id,
    new_reference,
    why_not_for,
)
from sync_service.store.engine import Database, Session
from sync_service.store.offers import read_catalog
from sync_service.store.order_state import read_in_store
from sync_service.store.reads import resolve_key
from sync_service.store.tables import OrderRequestRow, OrderWorkRow
from sync_service.subscription.limio.documents import timestamp_of

#: Limio names the webhook of an order after its type ("Webhooks and notifications"); the others are Order Submitted.
_OF_ORDER: Mapping[str, WebhookType] = {
    OrderType.CHANGE_ADDRESS: WebhookType.ADDRESS_CHANGE,
    OrderType.CHANGE_PAYMENT: WebhookType.PAYMENT_METHOD_CHANGE,
    OrderType.CHANGE_EXTERNAL_PAYMENT: WebhookType.PAYMENT_METHOD_CHANGE,
    OrderType.CHANGE_DEFAULT_PAYMENT: WebhookType.PAYMENT_METHOD_CHANGE,
    OrderType.CHANGE_OFFER: WebhookType.SUBSCRIPTION_OFFER_CHANGE,
    OrderType.ADD_OFFER: WebhookType.SUBSCRIPTION_OFFER_ADDITION,
    OrderType.CANCEL_SUBSCRIPTION: WebhookType.SUBSCRIPTION_CANCELLATION,
    OrderType.CANCEL_INTENT: WebhookType.CANCEL_ATTEMPTED,
    OrderType.UPDATE_CUSTOMER_DETAILS: WebhookType.UPDATE_CUSTOMER_DETAILS,
    OrderType.UPDATE_SUBSCRIPTION: WebhookType.UPDATE_SUBSCRIPTION,
}
_OF_CREATED: Mapping[str, WebhookType] = {
    "customer": WebhookType.CUSTOMER_CREATED,
    "subscription": WebhookType.SUBSCRIPTION_CREATED,
    "payment_method": WebhookType.PAYMENT_METHOD_ADDED,
    "address": WebhookType.ADDRESS_ADDED,
}
_GIFT_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
#: How long an acceptance waits for a lock before it is a 503, in ms.
LOCK_TIMEOUT_MS = 2000
#: For how long the same request of one client is the same order, in ms: with an Idempotency-Key, and without one, where
#: it is a button that was pressed twice.
KEY_LIFE_MS = 24 * 3_600_000
DOUBLE_CLICK_MS = 10 * 60_000

# The first caller writes the row; a concurrent caller waits for that transaction and finds it. A row
# that is too old counts no more.
_CLAIM_REQUEST = """
INSERT INTO order_request (client, key, body_sha256, order_id, at)
SELECT CAST(:client AS TEXT), CAST(:key AS TEXT), CAST(:body_sha256 AS TEXT), CAST(:order_id AS TEXT), {now}
WHERE 1 = 1
ON CONFLICT (client, key) DO UPDATE SET
  body_sha256 = excluded.body_sha256, order_id = excluded.order_id, at = excluded.at
  WHERE order_request.at <= excluded.at - :life
RETURNING order_id
"""


def order_options(settings: Settings) -> Options:
    """How orders are placed, as the settings say."""
    return Options(
        zone=settings.tenant_time_zone,
        one_account_per_owner=settings.order_account_model == "1-N",
        collect_payment=settings.order_collect_payment,
        payment_profiles=settings.order_payment_profiles,
        advanced_payment_manager=settings.order_advanced_payment_manager,
        disable_auto_pay=settings.order_disable_auto_pay,
        refund_cancelled=settings.order_refund_cancelled,
        invoice_payment_method_id=settings.order_invoice_payment_method or None,
        combine_invoices=settings.order_combine_invoices,
        one_subscription_per_order=settings.order_one_subscription,
        renewal_removes_old_plan=settings.order_renewal_removes_old_plan,
        gift_reason_code=settings.order_gift_reason_code,
        gift_code_field=settings.order_gift_code_field,
        custom_fields=frozenset(settings.order_custom_fields),
    )


@dataclass(frozen=True, kw_only=True)
class OrderRequest:
    """How a client asked for an order."""

    client: str
    #: The header Idempotency-Key, where there is one.
    key: str | None
    #: What the order says, for telling whether two requests are the same.
    body: bytes

    @property
    def body_sha256(self) -> str:
        """A hash of the body."""
        return hashlib.sha256(self.body).hexdigest()


class OtherBody(SyncServiceError):
    """This Idempotency-Key was used within 24 hours for an order with another body."""

    code = "key reused"


def claim_request(session: Session, asked: OrderRequest, order_id: str) -> str:
    """The order that this request is about: `order_id`, or the one that the same request made before.

    In the transaction that stores the order. Raises OtherBody.
    """
    key, life = (f"key {asked.key}", KEY_LIFE_MS) if asked.key else (f"body {asked.body_sha256}", DOUBLE_CLICK_MS)
    values = {"client": asked.client, "key": key, "body_sha256": asked.body_sha256, "order_id": order_id, "life": life}
    if session.run(_CLAIM_REQUEST, values).one_or_none() is not None:
        return order_id
    known = session.get(OrderRequestRow, (asked.client, key))
    assert known is not None  # noqa: S101 - that is what the conflict was with
    if known.body_sha256 != asked.body_sha256:
        raise OtherBody
    return known.order_id


@dataclass(frozen=True)
class Accepted:
    """An order that is durable; `known` where the same request had made it before."""

    order_id: str
    known: bool


def take_order(
    database: Database,
    settings: Settings,
    order: Order,
    asked: OrderRequest,
    *,
    client: str,
    partner_org: str | None = None,
) -> Accepted:
    """Check the order against the store, name it and make it durable; committed when this returns.

    One transaction: a concurrent caller with the same request, or for the same subscription, waits for it, and what
    is refused leaves nothing behind. Raises OtherBody, and what `place_order` raises.
    """
    with database.transaction(lock_timeout_ms=LOCK_TIMEOUT_MS) as session:
        order_id = new_id("order")
        known = claim_request(session, asked, order_id)
        if known != order_id:
            return Accepted(known, known=True)
        place_order(session, settings, order, order_id=order_id, client=client, partner_org=partner_org)
    return Accepted(order_id, known=False)


def place_order(
    session: Session,
    settings: Settings,
    order: Order,
    *,
    order_id: str,
    client: str,
    partner_org: str | None = None,
) -> OrderWorkRow:
    """Check the order against the store, name it and make it durable with the caller's transaction.

    What it makes belongs to `partner_org`, if it is placed for a partner. Raises CannotBePlacedError with everything
    that is wrong.
    """
    number = resolve_key(session, order.subscription_key) if order.subscription_key else None
    if number is not None:
        hold_lane(session, number)
    if partner_org is not None and order.type is OrderType.NEW:
        order = replace(order, payer_account=find_paying_account(session, partner_org))
    case = check_order(session, settings, order, lock=True)
    case = replace(case, order=replace(order, names=name_order(case, order_id)))
    subscription = case.state.store.subscription
    held = str(subscription["id"]) if subscription else None
    obstacle = why_not_for(session, partner_org, subscription_id=held) if partner_org is not None else None
    if obstacle is not None:
        raise CannotBePlacedError(Problem(field="forPartner", code=ProblemCode.INVALID, message=obstacle))
    return accept_order(session, case, client=client, partner_org=partner_org)


def check_order(session: Session, settings: Settings, order: Order, *, lock: bool = False) -> Case:
    """The order with what the store knows of it. Raises CannotBePlacedError with everything that speaks against it."""
    case = read_case(session, settings, order, at=session.now(), lock=lock)
    problems = check(case)
    if problems:
        raise CannotBePlacedError(*problems)
    return case


def read_case(session: Session, settings: Settings, order: Order, *, at: int, lock: bool = False) -> Case:
    """The order with what the store knows of it `at` that time in ms; `lock` as `read_in_store` has it."""
    store = read_in_store(session, order, lock=lock)
    return Case(
        order=order,
        state=State(store=store),
        catalog=read_catalog(session, order, store),
        options=order_options(settings),
        today=settings.day_at(at),
    )


def accept_order(session: Session, case: Case, *, client: str | None, partner_org: str | None = None) -> OrderWorkRow:
    """Make the order durable, with the objects that Limio shows from now on, in the caller's transaction."""
    order, names = case.order, case.names
    subscription = case.state.store.subscription
    number = str(subscription["reference"]) if subscription else None
    work = submit_order(
        session,
        order,
        _lane_of(case, number),
        subscription_number=number or next((each.reference for each in names.subscriptions), None),
        client=client,
    )
    effects = submitted(order, case.state.store, case.catalog, at=timestamp_of(work.submitted_at))
    written = apply_effects(session, effects, at=work.submitted_at, owner=names.owner, customer=names.customer)
    held = str(subscription["id"]) if subscription else None
    attribute_order(session, written, subscription_id=held, partner_org=partner_org)
    announce_written(session, written)
    document = next((each.document for each in written if each.record_type == "order"), None)
    if document is not None:
        announce(session, _OF_ORDER.get(order.type, WebhookType.ORDER_SUBMITTED), work.order_id, document)
    return work


def announce_written(session: Session, written: Iterable[Written]) -> None:
    """Tell of the objects that an order made or changed, where Limio has a webhook for that."""
    for each in written:
        if each.created and each.record_type in _OF_CREATED:
            announce(session, _OF_CREATED[each.record_type], each.id, each.document)
        elif each.record_type == "customer":
            announce(session, WebhookType.CUSTOMER_UPDATED, each.id, each.document)


def name_order(case: Case, order_id: str) -> Names:
    """Names for the order and for what it makes, before anything is sent."""
    order, store = case.order, case.state.store
    wanted = wanted_names(order, case.catalog, case.options)
    made = [
        NewSubscription(id=new_id("subscription"), reference=new_reference(), item_id=_item_id(order, index))
        for index in range(wanted.subscriptions)
    ]
    subscription, customer = store.subscription or {}, store.customer or {}
    return Names(
        order_id=order_id,
        reference=new_reference(),
        owner=subscription.get("owner") or order.owner or new_id("identity"),
        customer=customer.get("id") or new_id("customer"),
        subscriptions=tuple(made),
        gift_code=(order.gift_code or _new_gift_code()) if wanted.gift_code else None,
        payment_method=new_id("payment_method") if wanted.payment_method else None,
    )


def _item_id(order: Order, index: int) -> str:
    given = order.items[index].id if index < len(order.items) else None
    return given or str(uuid4())


def _new_gift_code() -> str:
    """Eight characters that are easy to tell apart when read from a card."""
    return "".join(secrets.choice(_GIFT_ALPHABET) for _ in range(8))


def _lane_of(case: Case, number: str | None) -> str:
    """What orders must not overtake each other on: a subscription, also one to come; else an account; else nothing.

    Where owners share an account, two first orders of one owner must not make two. Zuora locks the account that pays.
    """
    names = case.names
    if number is not None:
        return number
    if case.order.payer_account:
        return case.order.payer_account
    if case.options.one_account_per_owner or not names.subscriptions:
        return case.state.store.account_number or names.owner or names.order_id
    return names.subscriptions[0].reference if len(names.subscriptions) == 1 else names.order_id
