"""The tenant's state in memory: who and what there is, the calendar, and the order in which things were updated.

Every method is called under `lock`; the values handed out are frozen and may be used after it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import chain
from threading import RLock
from typing import Any, Protocol, TypeVar
from zoneinfo import ZoneInfo

from zuora_emulator.fields import Fields
from zuora_emulator.ledger import Document, Ledger, Payment, Refund
from zuora_emulator.payment_methods import PaymentMethod, PaymentMethods
from zuora_emulator.products import Catalog, Product, ProductCharge, ProductRatePlan
from zuora_emulator.records import Account, Contact, Subscription, Version, hex_id

_T = TypeVar("_T")

#: Zuora's own user, who makes the renewals of the nightly job.
SYSTEM_USER = hex_id("user", "system")
#: A person at the company who works in Zuora.
AGENT = hex_id("user", "agent")
#: The user whose OAuth client Limio has.
LIMIO_USER = hex_id("user", "limio")


#: What Object Query pages through.
KINDS = ("subscriptions", "accounts", "contacts", "product-rate-plans", "invoices", "invoice-items")
#: The custom fields that Limio's guide has a tenant make, by object; orders carry those that are there.
CUSTOM_FIELDS = {
    "Order": ("Source__c", "InitiatedSource__c"),
    "Subscription": ("CancellationReason__c", "PaymentMethodId__c", "PaymentGateway__c"),
    "DebitMemo": ("GiftCode__c",),
    "RatePlan": ("lmo_offer__c",),
}


class Stock(Protocol):
    """Many plain records that are made when first looked at."""

    def entries(self) -> Mapping[str, Iterable[tuple[datetime, str]]]:
        """When each record was updated, and its id: by `subscriptions`, `accounts` and `contacts`."""

    def load_subscription(self, tenant: Tenant, key: str) -> Subscription | None:
        """Put the subscription with this number or id into the tenant."""

    def load_account(self, tenant: Tenant, key: str) -> Account | None:
        """Put the account with this number or id, and its contact, into the tenant."""

    def load_contact(self, tenant: Tenant, key: str) -> Contact | None:
        """Put the contact with this id, and its account, into the tenant."""

    def numbers_of(self, account: str) -> Iterable[str]:
        """The subscriptions that an account owns."""

    def numbers(self) -> Iterable[str]:
        """The numbers of all subscriptions."""

    def load_due(self, tenant: Tenant, today: date) -> None:
        """Put the subscriptions whose term ends by then into the tenant."""

    def load_all(self, tenant: Tenant) -> None:
        """Put everything into the tenant."""


class UpdatedIndex:
    """Ids in the order in which their records were updated, as Object Query pages through them."""

    def __init__(self) -> None:
        self.entries: list[tuple[datetime, str]] = []
        self._when: dict[str, datetime] = {}

    def load(self, entries: Iterable[tuple[datetime, str]]) -> None:
        """Take many at once."""
        entries = list(entries)
        self._when.update((key, when) for when, key in entries)
        self.entries = sorted([*self.entries, *entries])

    def put(self, key: str, when: datetime) -> None:
        """Move an id to its new place."""
        self.drop(key)
        self._when[key] = when
        insort(self.entries, (when, key))

    def when(self, key: str) -> datetime:
        """When the record was updated."""
        return self._when[key]

    def drop(self, key: str) -> None:
        """Forget an id."""
        if (before := self._when.pop(key, None)) is not None:
            del self.entries[bisect_left(self.entries, (before, key))]


class Tenant:
    """A Zuora tenant. `today` is its calendar's day, which moves only by `orders.advance`."""

    def __init__(self, *, today: date, time_zone: str = "UTC", number: str = "19") -> None:
        self.lock = RLock()
        self.today = today
        self.zone = ZoneInfo(time_zone)
        self.number = number
        self.accounts: dict[str, Account] = {}
        self.contacts: dict[str, Contact] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self.catalog = Catalog()
        self.payment_methods = PaymentMethods()
        self.ledger = Ledger()
        self.custom_fields: dict[str, tuple[str, ...]] = dict(CUSTOM_FIELDS)
        #: Whether a subscription without a service activation date waits for one.
        self.requires_activation = True
        #: What a declined payment is refused with; Zuora documents no code.
        self.decline_code = 40000099
        #: Preview lines given by hand, in Zuora's shape, instead of those computed for a subscription.
        self.preview_rows: dict[str, list[dict[str, Any]]] = {}
        self.updated = {kind: UpdatedIndex() for kind in KINDS}
        self._stock: list[Stock] = []
        self._account_numbers: dict[str, str] = {}
        self._numbers: dict[str, str] = {}
        self._owned: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._invoiced: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._serials: defaultdict[str, int] = defaultdict(int)

    def now(self) -> datetime:
        """The time of day as it is, on the calendar's day, in the tenant's zone."""
        clock = datetime.now(self.zone).replace(microsecond=0)
        return clock + timedelta(days=(self.today - clock.date()).days)

    def next_number(self, prefix: str, digits: int = 8) -> str:
        """The next number of a kind, such as `O-00000001`."""
        self._serials[prefix] += 1
        return f"{prefix}{self._serials[prefix]:0{digits}d}"

    def skip_numbers(self, prefix: str, up_to: int) -> None:
        """Leave the numbers up to there to those who give their own."""
        self._serials[prefix] = max(self._serials[prefix], up_to)

    def add_stock(self, stock: Stock) -> None:
        """Take many plain records in, unseen."""
        self._stock.append(stock)
        for kind, entries in stock.entries().items():
            self.updated[kind].load(entries)

    def load_stock(self, *, due: date | None = None) -> None:
        """Look at everything in stock, or at what ends its term by a day."""
        for stock in self._stock:
            if due is None:
                stock.load_all(self)
            else:
                stock.load_due(self, due)

    def stock_numbers(self) -> Iterable[str]:
        """The numbers of all subscriptions in stock, or of all that there are where nothing is in stock."""
        return (
            chain.from_iterable(stock.numbers() for stock in self._stock) if self._stock else sorted(self.subscriptions)
        )

    # --- accounts and contacts

    def find_account(self, key: str) -> Account | None:
        """The account with this number or id."""
        found = self.accounts.get(self._account_numbers.get(key, key))
        return found or _first(stock.load_account(self, key) for stock in self._stock)

    def find_contact(self, key: str | None) -> Contact | None:
        """The contact with this id."""
        if key is None:
            return None
        return self.contacts.get(key) or _first(stock.load_contact(self, key) for stock in self._stock)

    def put_account(self, account: Account) -> Account:
        """Add an account, or replace it."""
        self.accounts[account.number] = account
        self._account_numbers[account.id] = account.number
        self.updated["accounts"].put(account.id, account.updated)
        return account

    def put_contact(self, contact: Contact) -> Contact:
        """Add a contact, or replace it."""
        self.contacts[contact.id] = contact
        self.updated["contacts"].put(contact.id, contact.updated)
        return contact

    def put_product(self, fields: Fields) -> tuple[Product, ProductRatePlan, ProductCharge]:
        """Put a charge into the catalog: see `products.Catalog.add`."""
        product, plan, charge = self.catalog.add(fields)
        self.updated["product-rate-plans"].put(plan.id, self.now())
        return product, plan, charge

    def put_payment_method(self, fields: Fields) -> PaymentMethod:
        """Make or change a payment method: see `payment_methods.PaymentMethods.change`."""
        return self.payment_methods.change(fields, self.now(), self.find_account)

    def pay_with(self, method: PaymentMethod) -> None:
        """Let a method's account, if it has one, pay with it from now on."""
        if account := self.find_account(method.account or ""):
            self.put_account(replace(account, default_payment_method=method.id, updated=self.now()))

    def put_money(self, *entries: Document | Payment | Refund) -> None:
        """Put documents, payments and refunds into the ledger."""
        self.ledger.put(*entries)
        for each in entries:
            if isinstance(each, Document) and each.kind == "Invoice":
                self.updated["invoices"].put(each.id, self.now())
                for line in each.lines:
                    self.updated["invoice-items"].put(line.id, self.now())

    # --- subscriptions

    def find_subscription(self, key: str) -> Subscription | None:
        """The subscription with this number, or with a version of this id."""
        found = self.subscriptions.get(self._numbers.get(key, key))
        return found or _first(stock.load_subscription(self, key) for stock in self._stock)

    def find_version(self, key: str) -> tuple[Subscription, Version] | None:
        """What `GET /v1/subscriptions/{key}` finds: the latest version by number, any version by its id."""
        subscription = self.find_subscription(key)
        if subscription is None:
            return None
        return subscription, next((each for each in subscription.versions if each.id == key), subscription.latest)

    def put_subscription(self, subscription: Subscription) -> None:
        """Add a subscription with the versions that it has."""
        self.subscriptions[subscription.number] = subscription
        for version in subscription.versions:
            self._put_version(version)

    def add_version(self, subscription: Subscription, version: Version) -> None:
        """An order's work: the version before expires."""
        subscription.versions.append(version)
        subscription.made += 1
        self._put_version(version)

    def drop_version(self, subscription: Subscription) -> None:
        """A deleted order's work: the version before is the latest again."""
        gone = subscription.versions.pop()
        del self._numbers[gone.id]
        self.updated["subscriptions"].drop(gone.id)
        self.touch(subscription, subscription.latest)

    def touch(self, subscription: Subscription, version: Version) -> None:
        """Replace the latest version by one that differs in what no order changes; it counts as updated now."""
        subscription.versions[-1] = replace(version, updated=max(self.now(), version.updated))
        self._put_version(subscription.latest)

    def forget_subscription(self, subscription: Subscription) -> None:
        """Delete it as though it had never been."""
        del self.subscriptions[subscription.number]
        for version in subscription.versions:
            del self._numbers[version.id]
            self.updated["subscriptions"].drop(version.id)
        self._owned[subscription.latest.account].pop(subscription.number, None)
        self._invoiced[subscription.latest.invoice_owner].pop(subscription.number, None)

    def owned_by(self, account: str) -> list[Subscription]:
        """The subscriptions that an account owns."""
        return self._of(self._owned, account, lambda version: version.account)

    def invoiced_to(self, account: str) -> list[Subscription]:
        """The subscriptions that an account pays for."""
        return self._of(self._invoiced, account, lambda version: version.invoice_owner)

    def _of(self, index: Mapping[str, Any], account: str, of: Any) -> list[Subscription]:
        numbers = dict.fromkeys(index.get(account, ()))
        for stock in self._stock:
            numbers |= dict.fromkeys(stock.numbers_of(account))
        found = (self.find_subscription(number) for number in numbers)
        return [each for each in found if each is not None and of(each.latest) == account]

    def _put_version(self, version: Version) -> None:
        self._numbers[version.id] = version.number
        self._owned[version.account][version.number] = None
        self._invoiced[version.invoice_owner][version.number] = None
        self.updated["subscriptions"].put(version.id, version.updated)


def _first(found: Iterable[_T | None]) -> _T | None:
    return next((each for each in found if each is not None), None)
