"""Far more callouts than can be served at once, several workers that share the work, and one of them dies of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from sync_service.settings import Settings
from tests.acceptance.comparing import find_stale
from tests.acceptance.processes import Child, wait_until
from tests.acceptance.senders import Senders, Sent
from tests.acceptance.service import Service

#: Callouts for each subscription.
TIMES = 4
WORKERS = 3
#: Syncs of one worker that call at the same time.
THREADS = Settings().worker_threads
#: What it may have in hand: half as many write beside them, and half as many are claimed ahead.
IN_HAND = 2 * THREADS
#: Numbers that are being synced when the burst comes.
RUNNING = 6
#: How long a large burst may take to be taken, and to be served, in seconds.
PATIENCE = 60.0
#: How many subscriptions are compared at the end.
COMPARED = 200


@dataclass
class BurstReport:
    """What was done, and what was seen of it."""

    seed: int
    subscriptions: int
    sent: Sent = field(default_factory=Sent)
    #: How often each number was claimed, and so read.
    claims: Counter[str] = field(default_factory=Counter)
    #: The numbers that were being synced when the burst came.
    running: set[str] = field(default_factory=set)
    #: What the killed worker had in hand, begun or not.
    orphans: set[str] = field(default_factory=set)
    #: Syncs that each worker began: the killed one may have ended none.
    shares: list[int] = field(default_factory=list)
    #: Subscriptions asked of Zuora.
    fetches: int = 0
    stale: list[str] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    given_up: list[object] = field(default_factory=list)


def run_burst(service: Service, seed: int) -> BurstReport:
    """Play it on a service that runs with WORKERS workers and knows nothing yet."""
    chance = Random(seed)
    numbers = service.tenant.numbers
    report = BurstReport(seed, len(numbers))
    senders = Senders(service.port, threads=16)
    report.sent = senders.sent
    report.running = _keep_some_running(service, senders, numbers)
    keys = [number for number in numbers for _ in range(TIMES)]
    chance.shuffle(keys)
    senders.send_all(keys, seconds=PATIENCE)
    senders.stop()
    service.pass_time()
    _kill_a_worker(service, len(numbers) // 4)
    report.orphans = _wait_for_orphans(service)
    service.expire_leases()
    service.settle(seconds=300)
    report.claims.update({row.key: row.token for row in service.rows("SELECT key, token FROM sync_request")})
    report.shares = [len(worker.events("sync_claimed")) for worker in service.children if worker.name == "worker"]
    report.fetches = sum(count for route, count in service.tenant.calls.items() if "subscriptions/" in route)
    report.stale = find_stale(service, chance.sample(numbers, min(len(numbers), COMPARED)), planned=False)
    report.lost = service.unkept(senders.sent.acknowledged)
    report.given_up = service.failed()
    return report


def _keep_some_running(service: Service, senders: Senders, numbers: list[str]) -> set[str]:
    """Let workers wait for a slow Zuora with some numbers, and claim no others before time is made to pass."""
    service.tenant.do("fault", kind="latency", seconds=2)
    running = set(numbers[:RUNNING])
    senders.send_all(running)
    wait_until(lambda: len(_leased(service)) == RUNNING, "the first ones are being synced")
    service.change("UPDATE zuora_limit SET open_until = {now} + 3600000")
    service.tenant.do("clear_faults")
    return running


def _kill_a_worker(service: Service, served: int) -> None:
    """kill -9 to a busy worker once so many are served; Zuora takes its time, or all might be served before we look."""
    service.tenant.do("fault", kind="latency", seconds=0.2)
    victim = service.running("worker")[0]

    def is_busy() -> bool:
        return service.one("SELECT count(*) FROM zuora_link") >= served and bool(_in_hand(victim))

    wait_until(is_busy, "a worker is in the middle of it", PATIENCE)
    victim.kill()
    victim.wait()
    service.tenant.do("clear_faults")


def _wait_for_orphans(service: Service) -> set[str]:
    """What waits for the end of the dead worker's leases, once all else is served."""
    open_keys = "SELECT key FROM sync_request WHERE due_at IS NOT NULL AND {}lease_until IS NOT NULL"

    def others_are_served() -> bool:
        if service.rows(open_keys.format("NOT ")):
            return False
        return not any(map(_in_hand, service.running("worker")))

    wait_until(others_are_served, "all others are served", PATIENCE)
    return {row[0] for row in service.rows(open_keys.format(""))}


def _in_hand(worker: Child) -> set[str]:
    """What a worker said that it began and not yet that it ended."""
    begun = Counter(str(event["key"]) for event in worker.events("sync_claimed"))
    return set(begun - Counter(str(event["key"]) for event in worker.events("sync_finished")))


def _leased(service: Service) -> set[str]:
    return {row[0] for row in service.rows("SELECT key FROM sync_request WHERE lease_until > {now}")}
