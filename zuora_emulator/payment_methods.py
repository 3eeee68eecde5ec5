"""Payment methods and the gateways that charge them.

A method that Zuora's hosted page made belongs to no account until one takes it ("Update a payment method": it cannot be
taken from another account).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from zuora_emulator.fields import Fields, Refused
from zuora_emulator.records import hex_id


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentMethod:
    """A card, a PayPal agreement, a bank account."""

    id: str
    #: The number of the account that it belongs to; None is an orphan.
    account: str | None = None
    type: str = "CreditCard"
    brand: str = "Visa"
    last4: str = "4242"
    expires_month: int = 12
    expires_year: int = 2030
    holder: str = ""
    status: str = "Active"
    #: What its bank says to every charge; None lets them pass.
    declines: str | None = None
    #: Whether money cannot be given back to it.
    refuses_refunds: bool = False
    created: datetime
    updated: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """An instance of a payment gateway."""

    id: str
    name: str
    type: str = "Stripe"
    is_default: bool = False


class PaymentMethods:
    """All payment methods by id, and the gateways."""

    def __init__(self) -> None:
        self.methods: dict[str, PaymentMethod] = {}
        names = ("CreditCard_UK", "CreditCard_US", "PayPal")
        self.gateways = [Gateway(id=hex_id("gateway", name), name=name, is_default=name == names[0]) for name in names]

    def put(self, method: PaymentMethod) -> PaymentMethod:
        """Add a method, or replace it."""
        self.methods[method.id] = method
        return method

    def need(self, key: str) -> PaymentMethod:
        """The method with this id. Raises Refused."""
        if key not in self.methods:
            raise Refused(f"Cannot find entity by key: '{key}'.", 50000040)
        return self.methods[key]

    def of_account(self, number: str) -> list[PaymentMethod]:
        """The methods of an account."""
        return [each for each in self.methods.values() if each.account == number]

    def taken(self, key: str, account: str, now: datetime) -> PaymentMethod:
        """The method as one of the account's; not yet put. Raises Refused for one of another account."""
        method = self.need(key)
        if method.account not in (None, account):
            raise Refused(f"The payment method {key} belongs to another account.", 50000030)
        if method.status != "Active":
            raise Refused(f"The payment method {key} is not active.", 50000030)
        return method if method.account else replace(method, account=account, updated=now)

    def find_gateway(self, key: str) -> Gateway | None:
        """The gateway with this id or name."""
        return next((each for each in self.gateways if key in (each.id, each.name)), None)

    def need_gateway(self, key: str) -> Gateway:
        """The gateway with this id or name. Raises Refused."""
        found = self.find_gateway(key)
        if found is None:
            raise Refused(f"There is no payment gateway {key}.", 50000020)
        return found

    def change(self, fields: Fields, now: datetime, find: Callable[[str], object]) -> PaymentMethod:
        """Make a method, or change the one of `id`: `account` (a dash leaves it an orphan), `type`, `brand`, `last4`,
        `holder`, `status` (Active, Closed), `declines` (what the bank says; a dash lets charges pass),
        `refuses_refunds`. `find` finds an account."""
        key = fields.text("id") or hex_id("payment method", len(self.methods))
        method = self.methods.get(key) or PaymentMethod(id=key, created=now, updated=now)
        account, declines = fields.text("account"), fields.text("declines")
        if account not in (None, "-") and find(account or "") is None:
            raise Refused("there is no such account", 50000040)
        method = replace(
            method,
            account=method.account if account is None else None if account == "-" else account,
            declines=method.declines if declines is None else None if declines == "-" else declines,
            type=fields.text("type") or method.type,
            brand=fields.text("brand") or method.brand,
            last4=fields.text("last4") or method.last4,
            holder=fields.text("holder") or method.holder,
            status=fields.one_of("status", ("Active", "Closed"), method.status),
            refuses_refunds=bool(fields.flag("refuses_refunds", method.refuses_refunds)),
            updated=now,
        )
        fields.finish()
        return self.put(method)
