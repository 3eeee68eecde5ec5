"""Very many plain monthly subscriptions, for benchmarks and sweeps: made when first looked at, by their number.

Subscription `i` lies on account `i mod accounts`; everything about it follows from `i` and the day the tenant opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from zuora_emulator.billing import bill
from zuora_emulator.order_records import By
from zuora_emulator.orders import add_subscription
from zuora_emulator.periods import add_months
from zuora_emulator.records import Account, Charge, Contact, RatePlan, Segment, Subscription, Version
from zuora_emulator.tenant import AGENT, LIMIO_USER, Tenant

#: The letters of Limio's references.
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
_PRICES = ("4.99", "9.99", "14.99", "19.99")
#: What their ids begin with; the place in the bulk follows.
_SUBSCRIPTION, _ACCOUNT, _CONTACT = "5b", "ac", "c0"


@dataclass(frozen=True, kw_only=True)
class Bulk:
    """How many subscriptions on how many accounts (one each by default), and whether Limio's shop ordered them."""

    count: int
    accounts: int = 0
    limios: bool = False

    def account_count(self) -> int:
        """How many accounts there are."""
        return min(self.accounts or self.count, self.count)

    def number(self, place: int) -> str:
        """The number of a subscription."""
        if not self.limios:
            return f"A-S9{place:07d}"
        letters = ""
        for _ in range(8):
            place, letter = divmod(place, 32)
            letters = _LETTERS[letter] + letters
        return f"BULK{letters}"

    def place(self, number: str) -> int | None:
        """The place of a number, None for one of others."""
        found: int | None = None
        if not self.limios and number.startswith("A-S9") and len(number) == 11 and number[4:].isdigit():
            found = int(number[4:])
        elif self.limios and number.startswith("BULK") and len(number) == 12:
            found = 0
            for letter in number[4:]:
                if letter not in _LETTERS:
                    return None
                found = found * 32 + _LETTERS.index(letter)
        return found if found is not None and found < self.count else None

    def account_number(self, place: int) -> str:
        """The number of an account."""
        return f"A9{place:07d}"


class BulkStock:
    """A `tenant.Stock` of them."""

    def __init__(self, bulk: Bulk, tenant: Tenant) -> None:
        self.bulk = bulk
        self.today = tenant.today
        self.opened = tenant.now() - timedelta(days=2)

    def entries(self) -> Mapping[str, Iterable[tuple[datetime, str]]]:
        """All were updated before the tenant opened, a second apart."""
        accounts = range(self.bulk.account_count())
        return {
            "subscriptions": ((self._updated(place), _id(_SUBSCRIPTION, place)) for place in range(self.bulk.count)),
            "accounts": ((self._updated(place), _id(_ACCOUNT, place)) for place in accounts),
            "contacts": ((self._updated(place), _id(_CONTACT, place)) for place in accounts),
        }

    def load_subscription(self, tenant: Tenant, key: str) -> Subscription | None:
        """Put the subscription with this number or id into the tenant."""
        place = _place_of(key, _SUBSCRIPTION, self.bulk.count)
        place = self.bulk.place(key) if place is None else place
        if place is None or self.bulk.number(place) in tenant.subscriptions:
            return None
        account = self.bulk.account_number(place % self.bulk.account_count())
        if account not in tenant.accounts:
            self._put_account(tenant, place % self.bulk.account_count())
        return self._make(tenant, place, account)

    def load_account(self, tenant: Tenant, key: str) -> Account | None:
        """Put the account with this number or id, and its contact, into the tenant."""
        place = _place_of(key, _ACCOUNT, self.bulk.account_count())
        if place is None and key.startswith("A9") and len(key) == 9 and key[2:].isdigit():
            place = int(key[2:])
        if place is None or place >= self.bulk.account_count():
            return None
        return self._put_account(tenant, place)

    def load_contact(self, tenant: Tenant, key: str) -> Contact | None:
        """Put the contact with this id, and its account, into the tenant."""
        place = _place_of(key, _CONTACT, self.bulk.account_count())
        if place is None:
            return None
        self._put_account(tenant, place)
        return tenant.contacts[key]

    def numbers_of(self, account: str) -> Iterable[str]:
        """The subscriptions that an account owns."""
        if not (account.startswith("A9") and len(account) == 9 and account[2:].isdigit()):
            return ()
        count = self.bulk.account_count()
        place = int(account[2:])
        return (self.bulk.number(each) for each in range(place, self.bulk.count, count)) if place < count else ()

    def load_due(self, tenant: Tenant, today: date) -> None:
        """Put the subscriptions whose term ends by then into the tenant."""
        for place in range(self.bulk.count):
            if add_months(self.start(place), 12) <= today:
                tenant.find_subscription(self.bulk.number(place))

    def load_all(self, tenant: Tenant) -> None:
        """Put everything into the tenant."""
        for place in range(self.bulk.count):
            tenant.find_subscription(self.bulk.number(place))

    def numbers(self) -> Iterator[str]:
        """The numbers of all."""
        return (self.bulk.number(place) for place in range(self.bulk.count))

    def start(self, place: int) -> date:
        """When a subscription began: within the eleven months before the tenant opened."""
        return self.today - timedelta(days=1 + place * 7 % 333)

    def _updated(self, place: int) -> datetime:
        return self.opened - timedelta(seconds=place)

    def _put_account(self, tenant: Tenant, place: int) -> Account:
        number, updated = self.bulk.account_number(place), self._updated(place)
        contact = Contact(
            id=_id(_CONTACT, place),
            account_number=number,
            first_name="Reader",
            last_name=f"Number {place}",
            address1=f"{place % 200 + 1} High Street",
            city="London",
            postal_code=f"N{place % 20 + 1} 1AA",
            country="United Kingdom",
            personal_email=f"reader{place}@example.com",
            created=updated,
            updated=updated,
        )
        tenant.put_contact(contact)
        account = Account(
            id=_id(_ACCOUNT, place),
            number=number,
            name=f"Reader Number {place}",
            currency="GBP",
            bill_to=contact.id,
            sold_to=contact.id,
            created=updated,
            updated=updated,
        )
        return tenant.put_account(account)

    def _make(self, tenant: Tenant, place: int, account: str) -> Subscription:
        number, start = self.bulk.number(place), self.start(place)
        charge = Charge(
            number=f"C-9{place:07d}",
            name="Digital Monthly",
            segments=(Segment(start=start, price=Decimal(_PRICES[place % len(_PRICES)])),),
        )
        plan = RatePlan(
            number=f"SRP-9{place:07d}", name="Digital Monthly", product_name="The Gazette", charges=(charge,)
        )
        version = Version(
            id=_id(_SUBSCRIPTION, place),
            number=number,
            version=1,
            account=account,
            invoice_owner=account,
            start=start,
            term_start=start,
            term_end=add_months(start, 12),
            currency="GBP",
            rate_plans=(plan,),
            created=self._updated(place),
            updated=self._updated(place),
        )
        user = LIMIO_USER if self.bulk.limios else AGENT
        by = By(user=user, source="shop" if self.bulk.limios else None)
        add_subscription(tenant, bill(version, self.today), by)
        return tenant.subscriptions[number]


def _id(kind: str, place: int) -> str:
    return f"{kind}{place:030x}"


def _place_of(key: str, kind: str, count: int) -> int | None:
    """The place in an id of this kind."""
    if len(key) != 32 or not key.startswith(f"{kind}{0:014x}"):
        return None
    try:
        place = int(key[2:], 16)
    except ValueError:
        return None
    return place if place < count else None
