"""Random lives of subscriptions in a tenant: after whatever happened there, a sync makes the store say what Zuora says.

The tenant is the emulator, whose billing and previews are written apart from the service's.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sync_service.subscription.fingerprint import Fingerprint, may_skip_preview, take_fingerprint
from sync_service.subscription.plan import LimioState
from sync_service.subscription.reconcile import reconcile
from sync_service.subscription.schedule.computed import CannotCompute, compute_preview
from sync_service.subscription.schedule.coverage import preview_target_date
from sync_service.subscription.schedule.due import due_schedule
from sync_service.subscription.schedule.entries import coming_payments
from sync_service.subscription.schedule.money import round_amount
from sync_service.subscription.zuora import Preview, PreviewItem, ZuoraState
from sync_service.zuora.payloads import read_account, read_preview_rows, read_subscription
from tests.unit.builders import LONDON, term_of
from tests.unit.emulator.tenants import TODAY, a_tenant, act, subscribe
from tests.unit.paper_store import apply_on_paper
from zuora_emulator import account_answers, answers, orders
from zuora_emulator.billing import Assumptions, bill, preview
from zuora_emulator.fields import Refused

NUMBERS = ("A-S1", "A-S2")
LIVES = settings(suppress_health_check=list(HealthCheck))

#: What is sold: the emulator's words for a rate plan.
PLANS: tuple[dict[str, Any], ...] = (
    {"name": "Digital", "price": "9.99"},
    {"name": "Seats", "price": "3.335", "model": "PerUnit", "quantity": "3"},
    {"name": "Quarterly", "price": "30", "billing_period": "Quarter"},
    {"name": "Yearly", "price": "120", "billing_period": "Annual"},
    {"name": "Fortnight", "price": "4", "billing_period": "Specific_Weeks", "every": "2"},
    {"name": "Volume", "model": "Volume", "tiers": "5:3.00, 2.50", "quantity": "7"},
    {"name": "Tiers", "model": "Tiered", "tiers": "5:3.00, 2.50", "quantity": "7"},
    {"name": "Afterwards", "price": "6", "timing": "IN_ARREARS"},
    {"name": "Taxed", "price": "12", "tax_rate": "0.2"},
    {"name": "Free", "price": "0"},
)
ADDED: tuple[dict[str, Any], ...] = (
    *PLANS,
    {"name": "Set-up", "price": "25", "type": "OneTime"},
    {"name": "A tenth off", "percent": "10"},
    {"name": "One off", "amount": "1.00", "until": "+120"},
    {"name": "Half price to the end", "percent": "50", "on": "next_period"},
)
#: Days on which months end, one of them in a leap year.
STARTS = ("2026-01-15", "2025-12-31", "2026-08-30", "2026-11-20", "2024-02-29")

events = st.one_of(
    st.tuples(st.just("bill"), st.sampled_from([0, 0, 35])),
    st.tuples(st.just("wait"), st.integers(1, 75)),
    st.tuples(st.just("add_product"), st.sampled_from(ADDED)),
    st.tuples(st.just("change_price"), st.sampled_from([{"price": "11.50"}, {"price": "0"}, {"quantity": "9"}])),
    st.tuples(st.just("change_terms"), st.sampled_from([{"auto_renew": False}, {"auto_renew": True}])),
    st.tuples(st.just("remove_product"), st.sampled_from([{}, {"on": "+40"}])),
    st.tuples(st.just("cancel"), st.sampled_from([{}, {"on": "+40"}, {"on": "period_end"}, {"on": "term_end"}])),
    st.tuples(st.just("suspend"), st.sampled_from([{}, {"on": "+20"}, {"on": "+20", "until": "+50"}])),
    st.tuples(st.just("resume"), st.sampled_from([{}, {"extend_term": True}])),
    st.tuples(st.just("renew"), st.just({})),
)
steps = st.lists(st.tuples(st.sampled_from(NUMBERS), events), max_size=6)


@dataclass
class Life:
    """Two subscriptions of one account, and what a store holds of each."""

    plans: tuple[dict[str, Any], dict[str, Any]]
    starts: tuple[str, str]
    evergreen: bool
    #: Whether everything that was due is billed to begin with.
    billed: bool = False
    stores: dict[str, LimioState] = field(default_factory=lambda: {number: LimioState() for number in NUMBERS})
    #: What the last sync of each number read.
    last: dict[str, Fingerprint] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tenant = a_tenant(TODAY)
        for number, plan, start in zip(NUMBERS, self.plans, self.starts, strict=True):
            values = {"price": None, "number": number, "start": start, "evergreen": self.evergreen, **plan}
            subscribe(self.tenant, **values)
            if self.billed:
                self.live(number, ("bill", 0))

    def live(self, number: str, event: tuple[str, Any]) -> None:
        """Let it happen; what Zuora would refuse does not."""
        what, values = event
        subscription = self.tenant.subscriptions[number]
        with suppress(Refused):
            if what == "wait":
                orders.advance(self.tenant, self.tenant.today + timedelta(days=values))
            elif what == "bill":
                target = self.tenant.today + timedelta(days=values)
                self.tenant.touch(subscription, bill(subscription.latest, target))
            else:
                act(self.tenant, what, number, **values)

    def look(self, number: str) -> ZuoraState:
        """What a sync reads, by way of JSON as Zuora prints it."""
        tenant, of = self.tenant, self.tenant.subscriptions[number]
        account = tenant.accounts[of.latest.account]
        subscription = read_subscription(_sent(answers.subscription(tenant, of, of.latest, detail="all-segments")))
        target = preview_target_date(term_of(subscription, tenant.today))
        versions = [each.latest for each in tenant.invoiced_to(account.number)]
        lines = preview(versions, Assumptions(target=target, evergreen=True))
        rows = read_preview_rows(_sent(account_answers.preview(tenant, account, lines, 10_000)), number)
        return ZuoraState(
            subscription=subscription,
            account=read_account(_sent(account_answers.account(tenant, account))),
            preview=Preview(items=tuple(row.item for row in rows), target_date=target),
        )

    def sync(self, number: str) -> ZuoraState:
        """Bring the store up to date."""
        zuora = self.look(number)
        plan = reconcile(self.stores[number], zuora, self.tenant.today, LONDON)
        self.stores[number] = apply_on_paper(self.stores[number], plan, zuora.subscription)
        return zuora

    def sync_the_short_way(self, number: str) -> bool:
        """The same, but for a preview that may be skipped; whether it was."""
        zuora, today = self.look(number), self.tenant.today
        end = max(term_of(zuora.subscription, today).schedule_end, today)
        renews = bool(coming_payments(self.stores[number].schedule, end))
        skips = may_skip_preview(zuora.subscription, self.last.get(number), today, pays_renewal=lambda: renews)
        read = replace(zuora, preview=None) if skips else zuora
        plan = reconcile(self.stores[number], read, today, LONDON)
        self.stores[number] = apply_on_paper(self.stores[number], plan, zuora.subscription)
        self.last[number] = take_fingerprint(zuora.subscription, preview_day=today, account=zuora.account)
        return skips


def _sent(answer: Any) -> Any:
    return json.loads(json.dumps(answer), parse_float=Decimal)


def lives(billed: st.SearchStrategy[bool]) -> st.SearchStrategy[Life]:
    plans, starts = st.sampled_from(PLANS), st.sampled_from(STARTS)
    return st.builds(
        Life,
        plans=st.tuples(plans, plans),
        starts=st.tuples(starts, starts),
        evergreen=st.booleans(),
        billed=billed,
    )


#: Cancelled at once between two bills of what is paid afterwards: the last days are still to be billed.
CANCELLED_IN_ARREARS = Life(plans=(PLANS[0], PLANS[7]), starts=(STARTS[0], STARTS[0]), evergreen=False, billed=True)


@LIVES
@given(lives(st.booleans()), steps)
@example(CANCELLED_IN_ARREARS, [("A-S2", ("cancel", {}))])
def test_after_a_sync_every_coming_day_that_is_not_billed_costs_what_zuora_previews(
    life: Life, happened: list[tuple[str, tuple[str, Any]]]
) -> None:
    for number, event in [(number, ("wait", 0)) for number in NUMBERS] + happened:
        life.live(number, event)
        today = life.tenant.today

        zuora = life.sync(number)

        assert reconcile(life.stores[number], zuora, today, LONDON).changes == ()
        assert zuora.preview is not None
        due = due_schedule(term_of(zuora.subscription, today), zuora.preview, "GBP")
        previewed: dict[date, Decimal] = defaultdict(Decimal)
        entries = {
            date.fromisoformat(entry["data"]["date"][:10]): entry
            for entry in coming_payments(life.stores[number].schedule, today)
        }
        renewal = due.renewal_day(entries, today)
        for item in zuora.preview.items:
            day = due_day(item, zuora.preview.items)
            if day >= today and item.service_start < due.end and not due.must_keep(day) and day != renewal:
                previewed[day] += (item.amount or Decimal(0)) + item.tax_amount
        stored: dict[date, Decimal] = defaultdict(Decimal)
        for entry in coming_payments(life.stores[number].schedule, today):
            day = date.fromisoformat(entry["data"]["date"][:10])
            if not due.must_keep(day) and day != renewal:
                stored[day] += Decimal(entry["data"]["amount"])
        assert stored == previewed


@LIVES
@given(lives(st.booleans()), steps)
@example(CANCELLED_IN_ARREARS, [("A-S2", ("cancel", {}))])
def test_a_preview_that_is_skipped_would_have_changed_nothing(
    life: Life, happened: list[tuple[str, tuple[str, Any]]]
) -> None:
    for number, event in [(number, ("wait", 0)) for number in NUMBERS] + happened:
        life.live(number, event)

        life.sync_the_short_way(number)

        whole = reconcile(life.stores[number], life.look(number), life.tenant.today, LONDON)
        assert whole.changes == ()


@pytest.mark.parametrize(
    ("event", "skips"),
    [
        (("change_terms", {"renewal_term": 6}), True),
        (("change_terms", {"auto_renew": False}), True),
        (("change_price", {"price": "11.50"}), False),
        (("add_product", ADDED[1]), False),
        (("cancel", {"on": "+40"}), False),
        (("wait", 1), False),
    ],
)
def test_a_preview_is_skipped_only_after_what_bills_nothing(event: tuple[str, Any], skips: bool) -> None:
    life = Life(plans=(PLANS[0], PLANS[1]), starts=(STARTS[0], STARTS[0]), evergreen=False)
    assert not life.sync_the_short_way("A-S1")

    life.live("A-S1", event)

    assert life.sync_the_short_way("A-S1") is skips


def test_auto_renew_that_is_switched_off_takes_the_payment_of_the_renewal_the_same_day() -> None:
    number, life = "A-S1", Life(plans=(PLANS[0], PLANS[1]), starts=(STARTS[0], STARTS[0]), evergreen=False)
    life.live(number, ("change_terms", {"auto_renew": True}))
    end = term_of(life.sync(number).subscription, life.tenant.today).schedule_end
    last = life.stores[number].schedule[-1]
    renewal = {**last, "id": "renewal", "data": {**last["data"], "date": f"{end}T00:00:00.000"}}
    life.stores[number] = replace(life.stores[number], schedule=(*life.stores[number].schedule, renewal))
    assert not life.sync_the_short_way(number)
    assert coming_payments(life.stores[number].schedule, end)

    life.live(number, ("change_terms", {"auto_renew": False}))

    assert not life.sync_the_short_way(number)
    assert not coming_payments(life.stores[number].schedule, end)


OFF = {plan["name"] for plan in ADDED if "percent" in plan or "amount" in plan}


def due_day(item: PreviewItem, items: tuple[PreviewItem, ...]) -> date:
    """One plan is paid afterwards, and what is taken off nothing else with it."""
    period = (item.service_start, item.service_end)
    there = {each.charge_name for each in items if (each.service_start, each.service_end) == period}
    named = there - OFF if item.charge_name in OFF else {item.charge_name}
    return item.service_end + timedelta(days=1) if named == {"Afterwards"} else item.service_start


@LIVES
@given(lives(st.just(False)))
def test_a_term_that_is_not_billed_yet_adds_up_to_its_preview(life: Life) -> None:
    for number in NUMBERS:
        zuora = life.sync(number)

        assert zuora.preview is not None
        end = term_of(zuora.subscription, life.tenant.today).schedule_end
        items = [item for item in zuora.preview.items if item.service_start < end]
        cents = [(item.amount or Decimal(0)) + item.tax_amount for item in items]
        amounts = [Decimal(entry["data"]["amount"]) for entry in life.stores[number].schedule]
        assert sum(amounts) == sum(cents)
        assert len(amounts) == len({entry["data"]["date"] for entry in life.stores[number].schedule})


@LIVES
@given(lives(st.booleans()), steps)
def test_the_computed_schedule_is_the_previewed_one_wherever_it_does_not_refuse(
    life: Life, happened: list[tuple[str, tuple[str, Any]]]
) -> None:
    for number, event in happened:
        life.live(number, event)
    for number in NUMBERS:
        zuora, today = life.look(number), life.tenant.today
        with suppress(CannotCompute):
            computed = compute_preview(term_of(zuora.subscription, today))

            end = term_of(zuora.subscription, today).schedule_end
            assert zuora.preview is not None
            assert lines_before(end, computed) == lines_before(end, zuora.preview)


def lines_before(end: date, found: Preview) -> Counter[tuple[Any, ...]]:
    """What costs something; of free charges that change within a period, only the periods are in doubt."""

    def of(item: PreviewItem) -> tuple[Any, ...]:
        amount = None if item.amount is None else round_amount(item.amount, "GBP")
        return (item.charge_number, item.charge_name, item.service_start, item.service_end, amount)

    return Counter(of(item) for item in found.items if item.service_start < end and item.amount)
