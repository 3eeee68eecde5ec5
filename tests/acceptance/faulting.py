"""Everything that can go wrong with Zuora, one thing at a time or all at once, while callouts come in."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.acceptance.changes import Changes
from tests.acceptance.comparing import find_stale
from tests.acceptance.processes import PATIENCE, wait_until
from tests.acceptance.senders import Senders, Sent
from tests.acceptance.service import Service
from zuora_emulator.faults import KINDS, OF_ORDERS

#: How often each happens.
SHARE = 0.2
#: Pauses and backoffs that are over while the trouble lasts; below the ten attempts after which a number is given up.
TRIES = 3
#: What each kind needs to be felt without the test taking its time.
_FIELDS: dict[str, dict[str, Any]] = {
    "latency": {"seconds": 0.05, "up_to": 0.3},
    "hang": {"seconds": 0.3},
    "trickle": {"seconds": 0.5},
    "rate_limit": {"retry_after": 1},
    "concurrency": {"retry_after": 1},
    "finish_later": {"seconds": 0.2, "up_to": 0.4},
}
#: Answers that are wrong without a sign of it: what was true before the last order, called the latest. A sync cannot
#: tell; the sweep that compares Zuora's lists finds it.
SILENT = "stale"
#: Without the preview, a schedule that cannot be computed is left alone until it is asked for again.
WITHHELD = "preview_not_permitted"


@dataclass
class FaultReport:
    """What was done, and what was seen of it."""

    seed: int
    #: How often each kind of trouble happened.
    happened: Counter[str] = field(default_factory=Counter)
    sent: Sent = field(default_factory=Sent)
    most_at_once: int = 0
    stale: list[str] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    given_up: list[object] = field(default_factory=list)


def run_faults(service: Service, seed: int, phases: Iterable[Iterable[str]], *, rounds: int = 1) -> FaultReport:
    """For each phase: its kinds of trouble, changes and callouts, an end of the trouble, and a comparison."""
    chance = Random(seed)
    report = FaultReport(seed)
    changes = Changes(service.tenant, chance)
    senders = Senders(service.port, threads=8)
    report.sent = senders.sent
    try:
        # A Zuora that takes its time is certain to be called by several at once, up to what is permitted.
        service.tenant.do("fault", kind="latency", probability=1, seconds=0.1)
        senders.send_all(service.tenant.numbers)
        service.settle(time_passes=True)
        service.tenant.do("clear_faults")
        for kinds in phases:
            changes.touched.clear()
            for _ in range(rounds):
                _play(service, changes, senders, tuple(kinds), report)
            if SILENT in kinds:
                sweep(service)
                service.settle(time_passes=True)
            report.stale = find_stale(service, changes.touched)
            report.given_up = service.failed()
            if report.stale or report.given_up:
                report.stale.insert(0, f"after {', '.join(kinds)}, seed {seed}:")
                break
    finally:
        senders.stop()
    report.most_at_once = service.tenant.most_at_once
    report.lost = service.unkept(senders.sent.acknowledged)
    return report


def _play(service: Service, changes: Changes, senders: Senders, kinds: tuple[str, ...], report: FaultReport) -> None:
    for kind in kinds:
        service.tenant.do("fault", kind=kind, probability=SHARE, **_FIELDS.get(kind, {}))
    numbers = changes.change_subscriptions(8, callout=False)
    senders.send_all(numbers)
    senders.send_all([changes.edit_account(callout=False)], kind="account")
    for _ in range(TRIES):
        _wait_until_nothing_runs(service)
        service.pass_time()
    _wait_until_nothing_runs(service)
    report.happened.update({each["kind"]: each["seen"] for each in service.tenant.show("faults")["faults"]})
    service.tenant.do("clear_faults")
    service.settle(time_passes=True)
    if WITHHELD in kinds:
        senders.send_all(numbers)
        service.settle(time_passes=True)


def _wait_until_nothing_runs(service: Service) -> None:
    """Until every request still to be served waits for a pause or a backoff to end."""
    running = (
        "SELECT count(*) FROM sync_request WHERE lease_until > {now} OR (due_at <= {now} AND NOT EXISTS"
        " (SELECT 1 FROM zuora_limit WHERE open_until > {now}))"
    )
    wait_until(lambda: service.one(running) == 0, "nothing runs any more")


def sweep(service: Service) -> None:
    """Compare Zuora's lists with what was read last, as the scheduler does every day."""
    words = [sys.executable, "-m", "sync_service.cli.main", "sweep", "full"]
    done = subprocess.run(
        words, env=service.environ, cwd=service.folder, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


#: Every kind for itself.
ONE_BY_ONE = tuple((kind,) for kind in KINDS if kind not in OF_ORDERS)
#: All of them together.
ALL_AT_ONCE = (tuple(KINDS),)
