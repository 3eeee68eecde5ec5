"""What happens to a tenant's subscriptions all day: seeded changes, each told by the callouts that Zuora would send."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from tests.acceptance.tenant import Tenant
from zuora_emulator.control import ControlRefused


@dataclass
class Changes:
    """Makes changes by chance and remembers which numbers they touch."""

    tenant: Tenant
    chance: Random
    touched: set[str] = field(default_factory=set)
    #: Left alone: a withdrawn order would take back the id of a version that a callout names.
    spared: str | None = None
    #: Orders that were placed.
    orders: int = 0
    #: The serial number of the last change that has one in its name.
    made: int = 0

    def change_subscriptions(self, count: int, *, callout: bool = True) -> list[str]:
        """Place an order on each of `count` subscriptions; the numbers."""
        among = [number for number in self.tenant.numbers if number != self.spared]
        changed = self.chance.sample(among, count)
        for number in changed:
            assert self.place_order(number, callout=callout), f"nothing can be done to {number}"
        self.touched.update(changed)
        return changed

    def edit_account(self, account: str | None = None, *, callout: bool = True) -> str:
        """Give an account's contact another name, address and email: no subscription gets a new version by that."""
        account = account or self.chance.choice(self.tenant.accounts)
        serial = self._count()
        self.tenant.do(
            "change_contact",
            key=account,
            callout=callout,
            first_name=f"Reader{serial}",
            last_name=self.chance.choice(("Lovelace", "Hopper", "Noether")),
            address1=f"{serial} Broad Street",
            personal_email=f"reader{serial}@example.com",
        )
        self.touched.update(self.numbers_of(account))
        return account

    def edit_email(self, number: str) -> str:
        """Give the customer of a subscription another email; another of the customer's subscriptions, to tell of it."""
        account = next(each for each in self.tenant.accounts if number in self.numbers_of(each))
        email = f"reader{self._count()}@example.com"
        self.tenant.do("change_contact", key=account, callout=False, personal_email=email)
        self.touched.update(self.numbers_of(account))
        return self.chance.choice([each for each in self.numbers_of(account) if each != number])

    def numbers_of(self, account: str) -> list[str]:
        """The subscriptions that an account of the bulk owns."""
        return self.tenant.numbers[self.tenant.accounts.index(account) :: len(self.tenant.accounts)]

    def place_order(self, number: str, *, callout: bool = True, source: str | None = None) -> bool:
        """Some order on a subscription, made by `source` where that is given; none is withdrawn then.

        Whether any was possible: without withdrawing there is none on a cancelled one.
        """
        wishes = [self._renew, self._switch_renewal, self._raise_price, self._add_product, self._remove_product]
        wishes += [self._cancel, self._move, self._suspend, self._resume] + [self._withdraw] * (source is None)
        by = {"source": source} if source else {}
        self.chance.shuffle(wishes)
        for wish in wishes:
            try:
                action, fields = wish()
                self.tenant.do(action, key=number, callout=callout, **fields, **by)
            except ControlRefused:  # such as another order on a cancelled one: the next wish is granted
                continue
            self.orders += 1
            return True
        return False

    def _count(self) -> int:
        self.made += 1
        return self.made

    def _renew(self) -> tuple[str, dict[str, object]]:
        return "renew", {}

    def _switch_renewal(self) -> tuple[str, dict[str, object]]:
        return "auto_renew", {"value": self.chance.choice((True, False))}

    def _raise_price(self) -> tuple[str, dict[str, object]]:
        return "change_price", {"price": f"{5 + self._count() % 90}.{self.chance.randrange(10, 99)}"}

    def _add_product(self) -> tuple[str, dict[str, object]]:
        return "add_product", {"name": f"Puzzles {self._count()}", "price": "2.50"}

    def _remove_product(self) -> tuple[str, dict[str, object]]:
        return "remove_product", {}

    def _cancel(self) -> tuple[str, dict[str, object]]:
        return "cancel", {"on": "term_end"}

    def _withdraw(self) -> tuple[str, dict[str, object]]:
        return "withdraw_cancel", {}

    def _move(self) -> tuple[str, dict[str, object]]:
        place = f"{self._count()} Mill Lane"
        return "change_contact", {"of": "subscription", "which": "sold_to", "address1": place, "how": "new"}

    def _suspend(self) -> tuple[str, dict[str, object]]:
        return "suspend", {}

    def _resume(self) -> tuple[str, dict[str, object]]:
        return "resume", {}
