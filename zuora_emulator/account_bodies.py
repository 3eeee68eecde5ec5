"""Accounts as bodies of Zuora's API name or describe them: one that is there, or a new one with its contacts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zuora_emulator.fields import Fields, Refused
from zuora_emulator.payment_methods import PaymentMethod
from zuora_emulator.people import new_contact, read_contact
from zuora_emulator.records import Account, Contact, hex_id
from zuora_emulator.tenant import Tenant

Json = dict[str, Any]


@dataclass(kw_only=True)
class Owner:
    """The account that an order is placed under, and what comes into being with it where it is new."""

    account: Account
    is_new: bool = False
    contacts: list[Contact] = field(default_factory=list)
    #: The method that pays unless another is named.
    method: PaymentMethod | None = None

    def put(self, tenant: Tenant) -> None:
        """Put a new account, its contacts and its method into the tenant."""
        if self.is_new:
            for contact in self.contacts:
                tenant.put_contact(contact)
            tenant.put_account(self.account)
            if self.method:
                tenant.payment_methods.put(self.method)


def owner_of(tenant: Tenant, asked: Fields) -> Owner:
    """The account under which an order is placed. Raises Refused."""
    key = asked.text("existingAccountNumber") or asked.text("existingAccountId")
    given = asked.inner("newAccount")
    if (key is None) == (given is None):
        raise Refused("Exactly one of newAccount, existingAccountNumber and existingAccountId is required.", 40000022)
    if given is not None:
        return new_account(tenant, given)
    account = tenant.find_account(key or "")
    if account is None:
        raise Refused(f"Cannot find entity by key: '{key}'.", 40000040)
    own = account.default_payment_method
    return Owner(account=account, method=tenant.payment_methods.methods.get(own) if own else None)


def check_custom_fields(tenant: Tenant, of: str, given: Any) -> Json:
    """The custom fields of a body, if the tenant has them all. Raises Refused."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise Refused("customFields is no object", 40000020)
    if unknown := sorted(given.keys() - set(tenant.custom_fields.get(of, ()))):
        raise Refused(f"The custom field {unknown[0]} is not defined for {of}.", 40000021)
    return dict(given)


def new_account(tenant: Tenant, asked: Fields) -> Owner:
    """An account of a body with its contacts and its payment method, not yet put into the tenant. Raises Refused."""
    number = asked.text("accountNumber") or tenant.next_number("A")
    if tenant.find_account(number):
        raise Refused(f"The account number {number} already exists.", 40000020)
    bill_to = _contact(tenant, number, asked, "billTo")
    if bill_to is None:
        raise Refused("billToContact is missing", 40000022)
    sold_to = None if asked.flag("soldToSameAsBillTo") else _contact(tenant, number, asked, "soldTo")
    now, method = tenant.now(), None
    if key := asked.text("hpmCreditCardPaymentMethodId"):
        if not asked.flag("autoPay", True):
            raise Refused("autoPay must be true where hpmCreditCardPaymentMethodId is given.", 40000020)
        method = tenant.payment_methods.taken(key, number, now)
    if gateway := asked.text("paymentGateway"):
        tenant.payment_methods.need_gateway(gateway)
    account = Account(
        id=hex_id("account", number),
        number=number,
        name=asked.need("name"),
        currency=asked.need("currency"),
        bill_to=bill_to.id,
        sold_to=(sold_to or bill_to).id,
        bill_cycle_day=asked.whole("billCycleDay") or tenant.today.day,
        crm_id=asked.text("crmId") or "",
        auto_pay=bool(asked.flag("autoPay", method is not None)),
        payment_gateway=gateway,
        default_payment_method=method.id if method else None,
        is_partner=bool(asked.flag("partnerAccount", False)),
        custom_fields=check_custom_fields(tenant, "Account", asked.raw("customFields")),
        created=now,
        updated=now,
    )
    contacts = [bill_to] if sold_to is None else [bill_to, sold_to]
    return Owner(account=account, is_new=True, contacts=contacts, method=method)


def _contact(tenant: Tenant, account: str, asked: Fields, role: str) -> Contact | None:
    given = asked.inner(f"{role}Contact")
    if given is None:
        return None
    for name in ("firstName", "lastName"):
        given.need(name)
    return new_contact(tenant, account, "bill to" if role == "billTo" else "sold to", read_contact(given))
