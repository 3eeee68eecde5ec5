"""A tenant's first customers: varied, made by the same orders as everybody's, at dates relative to today.

Numbers of twelve letters and digits are Limio's references: Limio's shop ordered those. The others were made in Zuora.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from zuora_emulator import billing, orders, people, shop
from zuora_emulator.customers import CUSTOMERS
from zuora_emulator.fields import Fields
from zuora_emulator.order_records import By
from zuora_emulator.periods import add_months
from zuora_emulator.tenant import Tenant

Values = dict[str, Any]
#: What happened on a day: the action of `orders.ORDER_ACTIONS`, and its fields.
Happened = tuple[date, str, Values]


@dataclass(frozen=True, kw_only=True)
class Seed:
    """One subscription: when it began, on which account, and what happened to it since."""

    number: str
    #: How long before today it began.
    months: int
    days: int
    account: str
    person: str
    subscription: Values
    #: What happened later, by the day on which it began and today.
    later: Callable[[date, date], list[Happened]] = lambda start, today: []

    @property
    def is_limios(self) -> bool:
        """Whether Limio's shop ordered it."""
        return not self.number.startswith("A-S")

    def start(self, today: date) -> date:
        """The day on which it began."""
        return add_months(today, -self.months) - timedelta(days=self.days)


def _plan(name: str, price: str, **more: Any) -> Values:
    return {"name": name, "product": "The Gazette", "price": price, **more}


def _discounted(start: date, _: date) -> list[Happened]:
    off = {"name": "Welcome", "product": "Discounts", "percent": "20", "until": add_months(start, 6).isoformat()}
    return [(start, "add_product", off)]


def _with_print(start: date, _: date) -> list[Happened]:
    return [(start, "add_product", _plan("Print", "22.00"))]


def _cancel_pending(_: date, today: date) -> list[Happened]:
    return [(today - timedelta(days=2), "cancel", {"on": "period_end", "reason": "Too expensive"})]


def _set_up(start: date, today: date) -> list[Happened]:
    fee = _plan("Set-up", "25.00", type="OneTime")
    trial = _plan("Trial", "1.00", product="The Gazette Trial")
    return [
        (start, "add_product", fee),
        (start, "add_product", trial),
        (add_months(today, -2), "remove_product", {"plan": "Trial"}),
    ]


def _suspended(_: date, today: date) -> list[Happened]:
    return [(today - timedelta(days=3), "suspend", {})]


def _dearer_soon(_: date, today: date) -> list[Happened]:
    return [(today - timedelta(days=1), "change_price", {"price": "11.99"})]


def _gone(_: date, today: date) -> list[Happened]:
    return [(add_months(today, -1), "cancel", {"reason": "Moved abroad"})]


#: Every subscription there is to begin with.
SEEDS = (
    Seed(
        number="4F7K2M9QH0B1",
        months=3,
        days=5,
        account="A00000001",
        person="ada",
        subscription=_plan("Digital Monthly", "9.99"),
    ),
    Seed(
        number="7Q0D3N5TJ2C8",
        months=26,
        days=3,
        account="A00000002",
        person="grace",
        subscription=_plan("Digital Annual", "120.00", billing_period="Annual"),
    ),
    Seed(
        number="9R2V6B1KP4E0",
        months=7,
        days=9,
        account="A00000003",
        person="kenji",
        subscription=_plan("Print Quarterly", "3000", billing_period="Quarter"),
    ),
    Seed(
        number="A1M8S4GU7F3D",
        months=2,
        days=8,
        account="A00000004",
        person="marie",
        subscription=_plan("Digital Monthly", "20.00"),
        later=_discounted,
    ),
    Seed(
        number="B5J3T8HC6K2L",
        months=5,
        days=12,
        account="A00000005",
        person="konrad",
        subscription=_plan("Digital", "12.50"),
        later=_with_print,
    ),
    Seed(
        number="C0P7E2ND9G4M",
        months=4,
        days=6,
        account="A00000006",
        person="rosalind",
        subscription=_plan("Digital Open End", "7.50", evergreen=True),
    ),
    Seed(
        number="D6S1F5RA3H8N",
        months=1,
        days=15,
        account="A00000007",
        person="alan",
        subscription=_plan("Team Seats", "3.00", model="PerUnit", quantity="5", unit="Seat"),
    ),
    Seed(
        number="E2U9G7KB5J0P",
        months=6,
        days=10,
        account="A00000008",
        person="katherine",
        subscription=_plan("Digital Monthly", "15.00"),
        later=_cancel_pending,
    ),
    Seed(
        number="F8H4J6LD1Q3R",
        months=2,
        days=20,
        account="A00000009",
        person="tim",
        subscription=_plan("Digital Monthly", "12.00", tax_rate="0.2"),
    ),
    Seed(
        number="G3K0L5MF7S9T",
        months=8,
        days=2,
        account="A00000010",
        person="ada",
        subscription=_plan("Weekend Annual", "99.00", billing_period="Annual"),
    ),
    Seed(
        number="A-S00000101",
        months=3,
        days=11,
        account="A00000101",
        person="lise",
        subscription=_plan("Metered Access", "30.00", timing="IN_ARREARS"),
    ),
    Seed(
        number="A-S00000102",
        months=5,
        days=7,
        account="A00000102",
        person="emmy",
        subscription=_plan("Digital Annual", "90.00", billing_period="Annual"),
    ),
    Seed(
        number="A-S00000103",
        months=4,
        days=1,
        account="A00000102",
        person="emmy",
        subscription=_plan("Puzzles", "2.50"),
    ),
    Seed(
        number="A-S00000104",
        months=3,
        days=14,
        account="A00000104",
        person="jean",
        subscription=_plan("Gift", "8.00"),
        later=lambda start, today: [(start, "own_sold_to", {"first_name": "Betty", "address1": "77 Elm Street"})],
    ),
    Seed(
        number="A-S00000105",
        months=4,
        days=16,
        account="A00000105",
        person="hedy",
        subscription=_plan("Digital Monthly", "9.99"),
        later=_suspended,
    ),
    Seed(
        number="A-S00000106",
        months=11,
        days=4,
        account="A00000106",
        person="lise",
        subscription=_plan("Fixed Year", "6.00", auto_renew=False),
    ),
    Seed(
        number="A-S00000107",
        months=6,
        days=13,
        account="A00000107",
        person="hedy",
        subscription=_plan("Digital Monthly", "14.00"),
        later=_set_up,
    ),
    Seed(
        number="A-S00000108",
        months=2,
        days=17,
        account="A00000108",
        person="jean",
        subscription=_plan("Paid by Emmy", "5.00", invoice_owner="A00000102"),
    ),
    Seed(
        number="A-S00000109",
        months=3,
        days=18,
        account="A00000109",
        person="lise",
        subscription=_plan("Digital Monthly", "10.99"),
        later=_dearer_soon,
    ),
    Seed(
        number="A-S00000110",
        months=9,
        days=19,
        account="A00000110",
        person="hedy",
        subscription=_plan("Digital Monthly", "9.99"),
        later=_gone,
    ),
    Seed(
        number="A-S00000111",
        months=11,
        days=27,
        account="A00000111",
        person="emmy",
        subscription=_plan("Renews This Week", "4.00"),
    ),
)


def fill(tenant: Tenant, seeds: tuple[Seed, ...] = SEEDS) -> None:
    """Let it all happen: orders on their days, renewals in between, a bill run before each and one today.

    Afterwards the tenant's calendar stands where it stood.
    """
    today = tenant.today
    for prefix in ("A", "A-S"):
        tenant.skip_numbers(prefix, 200)
    happened = sorted(_history(seeds, today), key=lambda each: each[0])
    tenant.today = happened[0][0] if happened else today
    for day, action, seed, values in happened:
        orders.advance(tenant, day)
        _bill(tenant, seed)
        _happen(tenant, action, seed, dict(values))
    orders.advance(tenant, today)
    for seed in seeds:
        _bill(tenant, seed)
    shop.fill_catalog(tenant)
    shop.fill_payment_methods(tenant)


def _history(seeds: tuple[Seed, ...], today: date) -> Iterator[tuple[date, str, Seed, Values]]:
    for seed in seeds:
        start = seed.start(today)
        yield start, "create_subscription", seed, seed.subscription
        for day, action, values in seed.later(start, today):
            yield day, action, seed, values


def _bill(tenant: Tenant, seed: Seed) -> None:
    subscription = tenant.subscriptions.get(seed.number)
    if subscription is not None:
        after = billing.bill(subscription.latest, tenant.today)
        if after != subscription.latest:
            tenant.touch(subscription, after)


def _happen(tenant: Tenant, action: str, seed: Seed, values: Values) -> None:
    by = By.read(Fields({"source": "shop"} if seed.is_limios else {}, today=tenant.today))
    if action == "create_subscription":
        needed = {seed.account, values.get("invoice_owner") or seed.account}
        for number in sorted(needed - tenant.accounts.keys()):
            owner = next(each for each in SEEDS if each.account == number)
            people.create_account(tenant, Fields({"number": number, **CUSTOMERS[owner.person]}, today=tenant.today))
        values |= {"number": seed.number, "account": seed.account}
        orders.create_subscription(tenant, Fields(values, today=tenant.today), by)
    elif action == "own_sold_to":
        values |= {"key": seed.number, "which": "sold_to", "how": "new", "of": "subscription"}
        people.change_contact(tenant, Fields(values, today=tenant.today), by)
    else:
        orders.place(tenant, tenant.subscriptions[seed.number], action, Fields(values, today=tenant.today), by)
