"""Zuora's addresses of accounts, contacts and payment methods, as far as they write."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zuora_emulator import people
from zuora_emulator.account_bodies import check_custom_fields, new_account
from zuora_emulator.answers import Json
from zuora_emulator.fields import Fields, Refused
from zuora_emulator.messages import Request
from zuora_emulator.payment_methods import PaymentMethod
from zuora_emulator.records import Account, Contact

if TYPE_CHECKING:
    from zuora_emulator.zuora_api import ZuoraApi


def create_account(api: ZuoraApi, request: Request) -> Json:
    """As "Create an account"."""
    tenant = api.tenant
    body = request.json()
    custom = {name: value for name, value in body.items() if name.endswith("__c")}
    owner = new_account(tenant, Fields({**body, "customFields": custom}, today=tenant.today))
    owner.put(tenant)
    api.announcements.edited(owner.account.number, None, ())
    said = {"accountId": owner.account.id, "accountNumber": owner.account.number}
    method = {"paymentMethodId": owner.method.id} if owner.method else {}
    return {
        "success": True,
        **said,
        "billToContactId": owner.account.bill_to,
        "soldToContactId": owner.account.sold_to,
        **method,
    }


def change_account(api: ZuoraApi, request: Request, key: str) -> Json:
    """As "Update an account", for its contacts, its name, its ways of paying and its custom fields."""
    tenant, before = api.tenant, api.need_account(key)
    body = request.json()
    asked = Fields(body, today=tenant.today)
    changed: Json = {}
    for name, role in (("billToContactId", "bill_to"), ("soldToContactId", "sold_to")):
        if contact := asked.text(name):
            changed[role] = _need_contact(api, contact, of=before).id
    if method := asked.text("defaultPaymentMethodId"):
        changed["default_payment_method"] = _own_method(api, method, before).id
    if gateway := asked.text("paymentGateway"):
        changed["payment_gateway"] = tenant.payment_methods.need_gateway(gateway).name
    if (auto_pay := asked.flag("autoPay")) is not None:
        changed["auto_pay"] = auto_pay
    if auto_pay and not changed.get("default_payment_method", before.default_payment_method):
        raise Refused("autoPay needs a default payment method.", 50000020)
    changed |= {field: text for name, field in (("name", "name"), ("crmId", "crm_id")) if (text := asked.text(name))}
    custom = {name: value for name, value in body.items() if name.endswith("__c")}
    changed["custom_fields"] = {**before.custom_fields, **check_custom_fields(tenant, "Account", custom)}
    tenant.put_account(replace(before, updated=tenant.now(), **changed))
    api.announcements.edited(before.number, before, ())
    return {"success": True}


def create_contact(api: ZuoraApi, request: Request) -> Json:
    """As "Create a contact"."""
    tenant = api.tenant
    asked = Fields(request.json(), today=tenant.today)
    account = api.need_account(asked.text("accountNumber") or asked.need("accountId"))
    for name in ("firstName", "lastName"):
        asked.need(name)
    contact = people.make_contact(tenant, account.number, "contact", people.read_contact(asked))
    return {**api.contact(request, contact.id), "id": contact.id}


def change_contact(api: ZuoraApi, request: Request, key: str) -> Json:
    """As "Update a contact": in place, so that no subscription gets another version."""
    tenant = api.tenant
    before = _need_contact(api, key)
    body = request.json()
    said: Json = {name: body[theirs] or None for theirs, name in people.CONTACT_NAMES.items() if theirs in body}
    for name in ("first_name", "last_name"):
        if name in said and not said[name]:
            raise Refused("firstName and lastName are required.", 50000022)
    tenant.put_contact(replace(before, updated=tenant.now(), **said))
    api.announcements.edited(before.account_number, tenant.accounts[before.account_number], [before])
    return {**api.contact(request, key), "id": key}


def show_method(api: ZuoraApi, _: Request, key: str) -> Json:
    """As "Retrieve a payment method"."""
    return {**_method(api, api.tenant.payment_methods.need(key)), "success": True}


def change_method(api: ZuoraApi, request: Request, key: str) -> Json:
    """As "Update a payment method": an orphan becomes one of the account's; one of another account does not."""
    tenant = api.tenant
    asked = Fields(request.json(), today=tenant.today)
    method = tenant.payment_methods.need(key)
    if account := asked.text("accountKey"):
        method = tenant.payment_methods.taken(key, api.need_account(account).number, tenant.now())
    tenant.payment_methods.put(method)
    return {"id": key, "success": True}


def list_methods(api: ZuoraApi, _: Request, key: str) -> Json:
    """As "List payment methods of an account"."""
    account = api.need_account(key)
    shown: Json = {}
    for method in api.tenant.payment_methods.of_account(account.number):
        shown.setdefault(method.type.lower(), []).append(_method(api, method))
    more = {"defaultPaymentMethodId": account.default_payment_method, "paymentGateway": account.payment_gateway}
    return {**{name: value for name, value in more.items() if value}, **shown, "success": True}


def _own_method(api: ZuoraApi, key: str, account: Account) -> PaymentMethod:
    method = api.tenant.payment_methods.need(key)
    if method.account != account.number:
        raise Refused(f"The payment method {key} is not one of the account {account.number}.", 50000030)
    return method


def _need_contact(api: ZuoraApi, key: str, *, of: Account | None = None) -> Contact:
    contact = api.tenant.find_contact(key)
    if contact is None or (of is not None and contact.account_number != of.number):
        raise Refused(f"Cannot find entity by key: '{key}'.", 50000040)
    return contact


def _method(api: ZuoraApi, of: PaymentMethod) -> Json:
    account = api.tenant.find_account(of.account) if of.account else None
    shown: Json = {
        "id": of.id,
        "type": of.type,
        "status": of.status,
        "isDefault": bool(account and account.default_payment_method == of.id),
        "createdOn": of.created.isoformat(),
        "updatedOn": of.updated.isoformat(),
        "useDefaultRetryRule": True,
        "numConsecutiveFailures": 0,
        "accountHolderInfo": {"accountHolderName": of.holder},
    }
    if of.type.startswith("CreditCard"):
        shown |= {
            "cardNumber": f"************{of.last4}",
            "creditCardType": of.brand,
            "expirationMonth": of.expires_month,
            "expirationYear": of.expires_year,
        }
    return shown


ROUTES: dict[str, Any] = {
    "POST /v1/accounts": create_account,
    "PUT /v1/accounts/{key}": change_account,
    "POST /v1/contacts": create_contact,
    "PUT /v1/contacts/{id}": change_contact,
    "GET /v1/payment-methods/{id}": show_method,
    "PUT /v1/payment-methods/{id}": change_method,
    "GET /v1/accounts/{key}/payment-methods": list_methods,
}
