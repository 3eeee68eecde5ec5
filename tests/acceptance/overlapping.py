"""Answers that overtake each other: every callout three times at once while Zuora takes its time and leases run out."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from threading import Event

from tests.acceptance.changes import Changes
from tests.acceptance.comparing import find_stale
from tests.acceptance.senders import Senders
from tests.acceptance.service import Service

#: Bursts of changes before everything comes to rest and is compared.
BURSTS = 4
TIMES = 3


@dataclass
class OverlapReport:
    """What was done, and what was seen of it."""

    seed: int
    rounds: int = 0
    callouts: int = 0
    #: Runs that came too late because another one had taken over.
    overtaken: int = 0
    #: Runs that wrote although one that covers later requests had written before.
    backwards: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    given_up: list[object] = field(default_factory=list)


def run_overlap(service: Service, seed: int, rounds: int) -> OverlapReport:
    """Rounds of bursts; within them leases end early by chance, as they do for a worker that is merely slow."""
    chance = Random(seed)
    report = OverlapReport(seed)
    changes = Changes(service.tenant, chance)
    senders = Senders(service.port, threads=12)
    try:
        senders.send_all(service.tenant.numbers)
        for number in range(1, rounds + 1):
            _play_round(service, changes, senders)
            report.rounds = number
            report.stale = find_stale(service, service.tenant.numbers, planned=number == rounds)
            if report.stale:
                report.stale.insert(0, f"after round {number}, seed {seed}:")
                break
    finally:
        senders.stop()
    report.callouts = len(senders.sent.acknowledged)
    report.overtaken = sum(len(child.events("sync_lease_lost")) for child in service.children)
    report.backwards = find_backwards(service)
    report.lost = service.unkept(senders.sent.acknowledged)
    report.given_up = service.failed()
    return report


def _play_round(service: Service, changes: Changes, senders: Senders) -> None:
    chance, slow = changes.chance, "GET /v1/accounts/|billing-preview"
    service.tenant.do("fault", kind="latency", seconds=0, up_to=0.1)
    service.tenant.do("fault", kind="latency", seconds=0.2, up_to=1.5, path=slow, probability=0.3)
    for _ in range(BURSTS):
        numbers = changes.change_subscriptions(chance.randint(3, 12), callout=False)
        accounts = [changes.edit_account(callout=False) for _ in range(chance.randint(1, 3))]
        futures = [senders.send(number) for number in numbers for _ in range(TIMES)]
        futures += [senders.send(account, kind="account") for account in accounts for _ in range(TIMES)]
        _change_what_is_being_read(changes, senders, numbers)
        if chance.random() < 0.7:
            service.expire_leases()
        for future in futures:
            future.result()
    service.tenant.do("clear_faults")
    service.settle(time_passes=True)


def _change_what_is_being_read(changes: Changes, senders: Senders, numbers: list[str]) -> None:
    """Another order on half of `numbers` and another email for their customers while answers are on their way.

    A callout tells of each order; of an email one callout for one of the customer's subscriptions, which is enough.
    """
    Event().wait(changes.chance.uniform(0, 0.5))
    again = [number for number in numbers[::2] if changes.place_order(number)]
    edited = [changes.edit_email(number) for number in numbers[1::2]]
    for future in [senders.send(number) for number in again + edited]:
        future.result()


def find_backwards(service: Service) -> list[str]:
    """Runs that wrote what was read for earlier requests than an earlier run: no number ever goes back."""
    found = service.rows(
        "SELECT late.key, late.seq_to, early.seq_to FROM sync_run AS late JOIN sync_run AS early"
        " ON early.kind = late.kind AND early.key = late.key AND early.id < late.id AND early.seq_to > late.seq_from"
        " WHERE late.outcome IN ('changed', 'imported') AND early.outcome IN ('changed', 'imported')"
    )
    return [f"{key}: the run up to {late} wrote after the one up to {early}" for key, late, early in found]
