"""Reading an order from its payload, of either generation; everything that is wrong with it is named at once.

Sources: Limio's "Send Orders" page for the documented fields, the payloads of Limio's public components for the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from decimal import Decimal
from itertools import islice
from typing import Any

from sync_service.commerce import wire
from sync_service.commerce.fields import MAX_ENTRIES, MAX_TEXT, Fields, find_unkeepable
from sync_service.commerce.order import (
    CONTACT_NAMES,
    CatalogRef,
    ItemUpdate,
    Order,
    OrderContact,
    OrderDiscount,
    OrderItem,
    OrderPayment,
    OrderType,
    Problem,
    ProblemCode,
    Refusal,
    UpdateAction,
)

#: Never kept: card secrets, and what proves that a hosted page was answered.
_SECRETS = frozenset({"signature", "cardnumber", "creditcardnumber", "cvv", "cvc", "securitycode", "cardsecuritycode"})
#: The longest of each that every one of Zuora's calls takes; its OpenAPI file has them.
_LONGEST = {
    **dict.fromkeys(("first_name", "last_name", "city", "county", "state"), 100),
    **dict.fromkeys(("phone", "work_phone", "other_phone"), 40),
    **dict.fromkeys(("email", "work_email"), 80),
    **dict.fromkeys(("address1", "address2", "company"), 255),
    "postal_code": 20,
    "country": 64,
}
#: What every type must have besides `order_type`; alternatives are separated by `|`. Source: "Send Orders", and for the
#: types that it does not show what Zuora cannot do without.
_REQUIRED: Mapping[OrderType, tuple[str, ...]] = {
    OrderType.NEW: ("orderItems", "billingDetails", "payment", "checkoutId", "country"),
    OrderType.CHANGE_OFFER: ("offer",),
    OrderType.ADD_OFFER: ("offer",),
    OrderType.UPDATE_SUBSCRIPTION: ("updates|orderItems",),
    OrderType.RENEW: (),
    OrderType.CHANGE_ADDRESS: ("type", "address"),
    OrderType.CHANGE_PAYMENT: ("payment",),
    OrderType.CHANGE_DEFAULT_PAYMENT: ("payment",),
    OrderType.PAY_INVOICE: ("invoice",),
    OrderType.UPDATE_CUSTOMER_DETAILS: ("customerDetails",),
    OrderType.REFUND: ("offer",),
    OrderType.CREDIT_MEMO: ("offer|addOn",),
}
_REDEMPTION = ("orderItems", "redeemCode|payment.gift_code", "customerDetails|recipientDetails", "country")
#: Types that name no subscription; pay_invoice may.
_WITHOUT_SUBSCRIPTION = frozenset({OrderType.NEW, OrderType.PAY_INVOICE})


def read_order(payload: Any, zone: tzinfo, *, may_refund: bool = False) -> Order | Refusal:
    """The order, or everything that is wrong with its payload. Timestamps become days in `zone`, the tenant's.

    `may_refund`: the caller holds the scope `api/order:update_refund`.
    """
    if not isinstance(payload, Mapping):
        return Refusal(problems=(Problem(field="", code=ProblemCode.INVALID, message="The body must be an object."),))
    unkeepable = tuple(islice(find_unkeepable(payload), MAX_ENTRIES))
    if unkeepable:
        return Refusal(problems=unkeepable)
    given = payload.get("order_type")
    kind = wire.ORDER_TYPES.get(given) if isinstance(given, str) else None
    if kind is None:
        return Refusal(problems=(_unknown_type(given),))
    fields = Fields(without_secrets(payload), zone)
    order = _read(fields, kind, may_refund=may_refund)
    _require(fields, order)
    return Refusal(problems=tuple(fields.problems)) if fields.problems else order


def without_secrets(value: Any) -> Any:
    """A copy of a payload without card secrets, tokens and signatures, however deep."""
    if isinstance(value, Mapping):
        return {key: without_secrets(inner) for key, inner in value.items() if not _is_secret(str(key))}
    return [without_secrets(each) for each in value] if isinstance(value, list) else value


def _is_secret(name: str) -> bool:
    plain = name.replace("_", "").lower()
    return plain in _SECRETS or plain.endswith("token")


def _unknown_type(given: Any) -> Problem:
    if not given:
        return Problem(field="order_type", code=ProblemCode.MISSING, message="order_type is required.")
    known = ", ".join(sorted(wire.ORDER_TYPES))
    return Problem(field="order_type", code=ProblemCode.UNSUPPORTED, message=f"order_type must be one of: {known}.")


def _read(fields: Fields, kind: OrderType, *, may_refund: bool) -> Order:
    return Order(
        type=kind,
        document=fields.payload,
        external_id=fields.text("external_id"),
        initiated_source=fields.text("initiated_source"),
        source=fields.text("source"),
        process_immediately=fields.flag("process_immediately") or False,
        start=fields.day("orderDate"),
        country=fields.text("country"),
        owner=fields.first(fields.id, "owner", "userDetails.sub"),
        subscription_key=fields.first(
            fields.text, "forSubscription.id", "forSubscription.name", "subscriptionId", "subscriptionRef"
        ),
        items=_read_items(fields),
        updates=_read_updates(fields) if kind is OrderType.UPDATE_SUBSCRIPTION else (),
        change_type=fields.text("change_type"),
        effective=fields.day("effectiveDate"),
        cancel_date=fields.day("cancelDate"),
        reason=fields.first(fields.text, *wire.REASONS),
        customer=_read_person(fields, "customerDetails"),
        billing=_read_person(fields, "billingDetails"),
        delivery=_read_person(fields, "deliveryDetails"),
        recipient=_read_person(fields, "recipientDetails"),
        address=_read_person(fields, "address"),
        address_type=fields.text("type") if kind is OrderType.CHANGE_ADDRESS else None,
        payment=_read_payment(fields),
        discount=_read_discount(fields),
        auto_renew=fields.flag("autoRenew"),
        is_gift=fields.flag("isGift") or False,
        is_redeem=fields.flag("isRedeem") or False,
        gift_code=fields.text("giftCode"),
        redeem_code=fields.first(fields.text, "redeemCode", "payment.gift_code"),
        amount=fields.first(fields.amount, *wire.AMOUNTS),
        quantity=fields.first(fields.amount, *wire.QUANTITIES),
        invoice_id=fields.text("invoice.id"),
        tracking=fields.object("tracking") or {},
        may_refund=may_refund,
    )


def _require(fields: Fields, order: Order) -> None:
    names = _REDEMPTION if order.is_redeem else _REQUIRED.get(order.type, ())
    for name in names:
        if not any(fields.value(each) for each in name.split("|")):
            fields.say(name.split("|")[0], ProblemCode.MISSING, f"{name.replace('|', ' or ')} is required.")
    if order.type not in _WITHOUT_SUBSCRIPTION and not order.subscription_key:
        message = "Name the subscription: forSubscription with id or name, or subscriptionId."
        fields.say("forSubscription", ProblemCode.MISSING, message)
    if order.type is OrderType.CHANGE_ADDRESS and order.address_type not in (None, "billing", "delivery"):
        fields.say("type", ProblemCode.INVALID, "type must be billing or delivery.")
    if order.type in (OrderType.PAY_INVOICE, OrderType.REFUND) and not (order.amount and order.amount > 0):
        fields.say("payment.amount" if order.type is OrderType.PAY_INVOICE else "amount", *_NO_AMOUNT)
    if order.type is OrderType.CREDIT_MEMO and not (order.amount or order.quantity):
        fields.say("amount", ProblemCode.MISSING, "amount or quantity is required.")
    if order.type is OrderType.PAY_INVOICE and fields.value("invoice") and not order.invoice_id:
        fields.say("invoice.id", ProblemCode.MISSING, "invoice.id is required.")
    if order.type in (OrderType.CHANGE_PAYMENT, OrderType.CHANGE_DEFAULT_PAYMENT) and order.payment:
        _require_method(fields, order.payment)
    if order.type is OrderType.NEW and order.payment and order.payment.type == "zuora":
        _require_method(fields, order.payment)


_NO_AMOUNT = (ProblemCode.MISSING, "An amount above 0 is required.")


def _require_method(fields: Fields, payment: OrderPayment) -> None:
    if not payment.method_id and not payment.gift_code:
        message = "Zuora's id of the payment method is required."
        fields.say("payment.zuora.refId", ProblemCode.MISSING, message)


def _read_ref(fields: Fields, path: str) -> CatalogRef | None:
    if fields.value(path) is None:
        return None
    found = fields.text(f"{path}.id")
    if not found:
        fields.say(f"{path}.id", ProblemCode.MISSING, f"{path}.id is required.")
        return None
    return CatalogRef(id=found, version=fields.text(f"{path}.version"))


def _read_items(fields: Fields) -> tuple[OrderItem, ...]:
    """`orderItems`, or the single `offer` or `addOn` of the types that concern one."""
    for single in ("offer", "addOn"):
        if fields.value(single) is not None and fields.value("orderItems") is None:
            ref = _read_ref(fields, single)
            return (OrderItem(offer=ref, quantity=fields.quantity("quantity") or Decimal(1)),) if ref else ()
    items = []
    for path in fields.entries("orderItems"):
        ref = _read_ref(fields, f"{path}.offer")
        if ref is None:
            if fields.value(f"{path}.offer") is None:
                fields.say(f"{path}.offer", ProblemCode.MISSING, f"{path}.offer is required.")
            continue
        add_ons = (_read_ref(fields, each) for each in fields.entries(f"{path}.addOns"))
        items.append(
            OrderItem(
                id=fields.text(f"{path}.id"),
                offer=ref,
                quantity=fields.quantity(f"{path}.quantity") or Decimal(1),
                add_ons=tuple(each for each in add_ons if each),
            )
        )
    return tuple(items)


def _read_updates(fields: Fields) -> tuple[ItemUpdate, ...]:
    """`updates` of the components, or `orderItems` with `orderItemActionType` of the checkout."""
    if fields.value("updates") is not None:
        read = [_read_update(fields, path, f"{path}.type", f"{path}.record_type") for path in fields.entries("updates")]
    else:
        read = [
            _read_update(fields, path, f"{path}.orderItemActionType", f"{path}.type")
            for path in fields.entries("orderItems")
        ]
    return tuple(each for each in read if each)


def _read_update(fields: Fields, path: str, action: str, record_type: str) -> ItemUpdate | None:
    at = path if fields.value(f"{path}.id") and not fields.value(f"{path}.offer") else f"{path}.offer"
    ref = _read_ref(fields, at)
    doing = fields.one_of(action, *UpdateAction)
    kind = fields.one_of(record_type, "offer", "add_on", "addon")
    if ref is None or doing is None or kind is None:
        if fields.value(at) is None:
            fields.say(f"{path}.id", ProblemCode.MISSING, f"{path}.id is required.")
        return None
    return ItemUpdate(
        action=UpdateAction(doing),
        record_type="offer" if kind == "offer" else "add_on",
        item=ref,
        quantity=fields.quantity(f"{path}.quantity"),
        effective=fields.day(f"{path}.effective_date"),
    )


def _read_person(fields: Fields, path: str) -> OrderContact | None:
    if fields.object(path) is None:
        return None
    values = {
        name: (fields.email if name.endswith("email") else fields.text)(f"{path}.{key}", _LONGEST.get(name, MAX_TEXT))
        for name, key, _ in CONTACT_NAMES
    }
    whole = fields.first(fields.text, f"{path}.full_name", f"{path}.fullName")
    if whole and not values["first_name"] and not values["last_name"]:
        first, _, last = whole.partition(" ")
        values |= {"first_name": first, "last_name": last.strip() or None}
    company = fields.first(fields.text, f"{path}.company", f"{path}.companyName", f"{path}.company_name")
    return OrderContact(**values, company=company, tax_number=fields.text(f"{path}.tax_number"))


def _read_payment(fields: Fields) -> OrderPayment | None:
    if fields.object("payment") is None:
        return None
    return OrderPayment(
        type=fields.text("payment.type"),
        payment_type=fields.first(fields.text, "payment.paymentType", "paymentType"),
        method_id=fields.text("payment.zuora.refId"),
        gateway=fields.text("payment.zuora.paymentGateway"),
        gift_code=fields.text("payment.gift_code"),
    )


def _read_discount(fields: Fields) -> OrderDiscount | None:
    if fields.object("orderDiscount") is None:
        return None
    path, plan = "orderDiscount.productDetails.product.path", "orderDiscount.productDetails.ratePlan.path"
    product_path, rate_plan = fields.text(path), fields.text(plan)
    if not product_path or not rate_plan:
        missing = plan if product_path else path
        fields.say(missing, ProblemCode.MISSING, f"{missing} is required.")
        return None
    overrides = "orderDiscount.discountOverrides"
    is_percentage = fields.text(f"{overrides}.discountType") != "DiscountFixedAmount"
    length = fields.quantity(f"{overrides}.durationLength")
    return OrderDiscount(
        product_path=product_path,
        rate_plan=rate_plan,
        percentage=fields.amount(f"{overrides}.percentageDiscount") if is_percentage else None,
        amount=None if is_percentage else fields.amount(f"{overrides}.amountDiscount"),
        periods=int(length) if length else None,
        period_type=fields.text(f"{overrides}.durationType"),
    )
