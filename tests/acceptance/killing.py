"""kill -9 at every point of the story, again and again, while orders and callouts go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from threading import Thread

import requests

from tests.acceptance.changes import Changes
from tests.acceptance.comparing import find_stale
from tests.acceptance.processes import Child, wait_until
from tests.acceptance.service import Service
from tests.acceptance.tenant import PASSWORD, USERNAME

#: A whole comparison after so many kills; in between what the kill's own changes touched.
COMPARE_ALL = 25


@dataclass(frozen=True)
class Point:
    """Where a process is killed. `where` and `pattern` as in holding.py, or `fetch` for a call that Zuora does not
    answer; `whole` kills the web with its master, or all workers."""

    name: str
    where: str
    pattern: str
    whole: bool = False
    #: Something that Zuora gets wrong once, where it takes that to come to the point.
    fault: str | None = None


_CLAIM = r"token = token \+ 1"
_FINISH = r"SET done_seq"
POINTS = (
    Point("claim taken, not committed", "commit", _CLAIM),
    Point("claim committed, nothing asked", "log", '"sync_claimed"'),
    Point("waiting for the subscription", "fetch", "GET /v1/subscriptions/"),
    Point("waiting for the account", "fetch", "GET /v1/accounts/"),
    Point("waiting for the preview", "fetch", "billing-preview"),
    Point("finished, nothing written yet", "after", _FINISH),
    Point("about to write the first object", "before", r"^\s*(INSERT INTO|UPDATE) limio_"),
    Point("about to remember the read", "before", r"^\s*(INSERT INTO|UPDATE) zuora_link"),
    Point("all written, not committed", "commit", _FINISH),
    Point("committed, nothing said yet", "log", '"sync_finished"'),
    Point("about to put back a failed run", "commit", r"SET lease_until = NULL, last_error", fault="server_error"),
    Point("alias learnt, not committed", "commit", r"INSERT INTO subscription_alias[\s\S]*INSERT INTO sync_request"),
    Point("account's numbers queued, account not finished", "before", _FINISH + r"[\s\S]*'account'"),
    Point("callout about to be kept", "before", r"INSERT INTO callout"),
    Point("callout kept; committed with that only on PostgreSQL", "after", r"INSERT INTO callout"),
    Point("callout durable, not answered", "log", '"callout_received"'),
    Point("callout durable, not answered, the whole web dies", "log", '"callout_received"', whole=True),
)


@dataclass
class KillReport:
    """What was done, and what was seen of it."""

    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    stale: list[str] = field(default_factory=list)
    #: Acknowledged requests that the store knew nothing of.
    lost: set[str] = field(default_factory=set)
    given_up: list[object] = field(default_factory=list)
    #: Requests whose workers died ten times in a row, and which a person then had tried again.
    tried_again: int = 0
    #: What is there twice and must be there once.
    twice: list[str] = field(default_factory=list)


def choose_points(chance: Random, count: int) -> Iterator[Point]:
    """Every point once, in an order by chance, and again until there are `count`."""
    left = count
    while left > 0:
        yield from chance.sample(POINTS, min(left, len(POINTS)))
        left -= len(POINTS)


def run_kills(service: Service, seed: int, points: Sequence[Point], *, workers: int = 2) -> KillReport:
    """Kill at each of the points on a service that runs under the wrapper; it runs again when this returns."""
    chance = Random(seed)
    report = KillReport(seed)
    changes = Changes(service.tenant, chance)
    for number, point in enumerate(points, 1):
        changes.touched.clear()
        _kill_once(service, changes, point, workers)
        report.kills[point.name] += 1
        _settle(service)
        everything = number % COMPARE_ALL == 0 or number == len(points)
        known = set(_numbers_known(service))
        report.stale += find_stale(service, known if everything else changes.touched)
        if report.stale:
            report.stale.insert(0, f"after kill {number}, {point.name}, seed {seed}:")
            break
    callouts = service.tenant.wait_until_told()
    taken = [each["request_id"] for callout in callouts for each in callout["attempts"] if each["status"] == 200]
    report.acknowledged = len(taken)
    report.lost = service.unkept(taken)
    report.given_up = service.failed()
    return report


def _kill_once(service: Service, changes: Changes, point: Point, workers: int) -> None:
    """Changes, a process comes to the point, more changes, kill -9, more changes; the dead are replaced."""
    unknown_id = _change_untold(service, changes)
    if point.fault:
        service.tenant.do("fault", kind=point.fault, path="/v1/", count=1)
    if point.where == "fetch":
        service.tenant.do("fault", kind="latency", seconds=30, count=1, path=point.pattern)
    else:
        service.hold(point.where, point.pattern)
    changes.change_subscriptions(4)
    changes.edit_account()
    told = Thread(target=post_until_taken, args=(service, unknown_id))  # it may be the one whose answer never comes
    told.start()
    victims = _wait_for_victims(service, point)
    changes.change_subscriptions(3)
    for child, pid in victims:
        service.kill(child, None if point.whole else pid)
    changes.change_subscriptions(1)
    for _ in range(workers - len(service.running("worker"))):
        service.start("worker", held=True)
    if not service.running("web"):
        service.start("web", held=True)
    service.expire_leases()
    told.join()


def _wait_for_victims(service: Service, point: Point) -> list[tuple[Child, int]]:
    if point.where != "fetch":
        return [service.wait_until_held(point.name)]

    def is_asked() -> bool:
        return not service.tenant.show("faults")["faults"]

    wait_until(is_asked, f"a worker asks {point.pattern}")
    return [(worker, worker.pid) for worker in service.running("worker")]  # whichever of them asked


def _change_untold(service: Service, changes: Changes) -> str:
    """The id of a new version, for a callout whose template names ids: its number is not known yet."""
    (number,) = changes.change_subscriptions(1, callout=False)
    changes.spared = number
    known = {str(alias) for (alias,) in service.rows("SELECT alias FROM subscription_alias")}
    while (new := str(service.tenant.fetch_subscription(number)["id"])) in known:  # a withdrawn order brings one back
        changes.place_order(number, callout=False)
    return new


def post_until_taken(service: Service, key: str) -> None:
    """Send a callout for `key` until it is answered with 200, as Zuora does."""

    def taken() -> bool:
        try:
            address = f"{service.url}/api/plugins/zuora/sync/subscription/{key}"
            with requests.Session() as http:
                http.trust_env = False
                return http.post(address, auth=(USERNAME, PASSWORD), timeout=20).status_code == 200
        except requests.RequestException:
            return False

    wait_until(taken, f"a callout for {key} is taken")


def _settle(service: Service) -> None:
    service.tenant.wait_until_told()
    service.settle(time_passes=True)


def _numbers_known(service: Service) -> list[str]:
    return [str(row[0]) for row in service.rows("SELECT number FROM zuora_link")]
