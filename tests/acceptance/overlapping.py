"""Answers that overtake each other: every callout three times at once while Zuora takes its time and leases run out."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

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
    report.lost = service.unkept(senders.sent.acknowledged)
    report.given_up = service.failed()
    return report


def _play_round(service: Service, changes: Changes, senders: Senders) -> None:
    service.tenant.do("fault", kind="latency", seconds=0, up_to=0.1)
    for _ in range(BURSTS):
        numbers = changes.change_subscriptions(changes.chance.randint(3, 12), callout=False)
        accounts = [changes.edit_account(callout=False) for _ in range(changes.chance.randint(1, 3))]
        futures = [senders.send(number) for number in numbers for _ in range(TIMES)]
        futures += [senders.send(account, kind="account") for account in accounts for _ in range(TIMES)]
        if changes.chance.random() < 0.5:
            service.expire_leases()
        for future in futures:
            future.result()
    service.tenant.do("clear_faults")
    service.settle(time_passes=True)
