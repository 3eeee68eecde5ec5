"""Zuora's addresses of orders and of what a subscription's owner may set on it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zuora_emulator import order_previews, orders, placing
from zuora_emulator.account_bodies import check_custom_fields
from zuora_emulator.answers import Json
from zuora_emulator.fields import Fields, Refused
from zuora_emulator.messages import Request
from zuora_emulator.records import hex_id

if TYPE_CHECKING:
    from zuora_emulator.zuora_api import ZuoraApi


def place(api: ZuoraApi, request: Request) -> Json:
    """As "Create an order"; the callouts go out before the answer, as they may."""
    answer, order = placing.place(api.tenant, request.json(), troubles=request.troubles)
    api.announcements.order(order)
    return answer | _ids(api, answer) if request.one("returnIds") == "true" else answer


def preview(api: ZuoraApi, request: Request) -> Json:
    """As "Preview an order"."""
    return order_previews.preview(api.tenant, request.json())


def delete(api: ZuoraApi, _: Request, number: str) -> Json:
    """As "Delete an order"; no callout tells of it."""
    orders.delete_order(api.tenant, number)
    return {"success": True}


def show(api: ZuoraApi, _: Request, number: str) -> Json:
    """As "Retrieve an order"."""
    return {"success": True, "order": _need_order(api, number)}


def list_of_subscription(api: ZuoraApi, request: Request, number: str) -> Json:
    """As "List orders by subscription number", the newest first."""
    found = api.tenant.find_subscription(number)
    if found is None or found.number != number:
        raise Refused(f"Cannot find entity by key: '{number}'.", 50000040)
    return _list(api, request, [api.tenant.orders[each] for each in reversed(found.orders)])


def list_of_invoice_owner(api: ZuoraApi, request: Request, number: str) -> Json:
    """As "List orders of an invoice owner"."""
    account = api.need_account(number)
    every = reversed(api.tenant.orders.values())
    return _list(api, request, [each for each in every if each["existingAccountNumber"] == account.number])


def list_all(api: ZuoraApi, request: Request) -> Json:
    """As "List orders"."""
    return _list(api, request, list(reversed(api.tenant.orders.values())))


def set_subscription_fields(api: ZuoraApi, request: Request, number: str) -> Json:
    """As "Update subscription custom fields": no version, no callout."""
    subscription = orders.need_subscription(api.tenant, number)
    given = check_custom_fields(api.tenant, "Subscription", request.json().get("customFields"))
    latest = subscription.latest
    api.tenant.touch(subscription, replace(latest, custom_fields={**latest.custom_fields, **given}))
    return {"success": True}


def set_order_fields(api: ZuoraApi, request: Request, number: str) -> Json:
    """As "Update order custom fields"."""
    order = _need_order(api, number)
    order["customFields"] |= check_custom_fields(api.tenant, "Order", request.json().get("customFields"))
    return {"success": True}


def set_payment_profiles(api: ZuoraApi, request: Request) -> Json:
    """As "Update payment profiles": by the id of a subscription's version, all or none."""
    tenant = api.tenant
    items = Fields(request.json(), today=tenant.today).inner_list("bulkPaymentOptionItems")
    if not 0 < len(items) <= 50:
        raise Refused("bulkPaymentOptionItems holds 1 to 50 items", 50000020)
    changes = []
    for item in items:
        subscription = orders.need_subscription(tenant, item.need("subscriptionId"))
        method, gateway = item.text("paymentMethodId"), item.text("paymentGatewayId")
        owner = tenant.payment_methods.need(method).account if method else None
        if method and owner != subscription.latest.invoice_owner:
            raise Refused(f"The payment method {method} is not one of {subscription.latest.invoice_owner}.")
        if gateway:
            tenant.payment_methods.need_gateway(gateway)
        changes.append((subscription, replace(subscription.latest, payment_method=method, payment_gateway=gateway)))
    for subscription, version in changes:
        tenant.touch(subscription, version)
    return {"success": True}


def _need_order(api: ZuoraApi, number: str) -> Json:
    if number not in api.tenant.orders:
        raise Refused(f"Cannot find entity by key: '{number}'.", 50000040)
    return api.tenant.orders[number]


def _list(api: ZuoraApi, request: Request, found: list[Json]) -> Json:
    field = "orderDate" if request.one("dateFilterOption") == "orderDate" else "updatedDate"
    first, last = request.one("startDate") or "", request.one("endDate") or "9999"
    status = request.one("status") or "all"
    kept = [
        each for each in found if first <= each[field][:10] <= last and status in ("all", str(each["status"]).lower())
    ]
    page, rest = api.page(request, kept)
    return {"success": True, "orders": page, **rest}


def _ids(api: ZuoraApi, answer: Json) -> Json:
    """The ids that `returnIds` asks for."""
    tenant, ledger = api.tenant, api.tenant.ledger
    ids: Json = {
        "orderId": hex_id("order", answer["orderNumber"]),
        "accountId": tenant.accounts[answer["accountNumber"]].id,
        "subscriptionIds": [
            tenant.subscriptions[each["subscriptionNumber"]].latest.id for each in answer["subscriptions"]
        ],
    }
    for kind, name in (("Invoice", "invoice"), ("CreditMemo", "creditMemo")):
        if numbers := answer.get(f"{name}Numbers"):
            ids[f"{name}Ids"] = [ledger.need(kind, each).id for each in numbers]
    if payment := ledger.find_payment(answer.get("paymentNumber", "")):
        ids["paymentId"] = payment.id
    return ids


ROUTES: dict[str, Any] = {
    "POST /v1/orders": place,
    "POST /v1/orders/preview": preview,
    "GET /v1/orders": list_all,
    "GET /v1/orders/subscription/{number}": list_of_subscription,
    "GET /v1/orders/invoiceOwner/{number}": list_of_invoice_owner,
    "GET /v1/orders/{number}": show,
    "DELETE /v1/orders/{number}": delete,
    "PUT /v1/orders/{number}/customFields": set_order_fields,
    "PUT /v1/subscriptions/{number}/customFields": set_subscription_fields,
    "PUT /v1/payment-profile": set_payment_profiles,
}
