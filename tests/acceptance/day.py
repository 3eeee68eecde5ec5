"""A day of a tenant some of whose callouts get lost: agents, Limio's own shop, a bill run, and the turn of the day.

It goes by hours. In one hour a subscription has one change at most and at its end everything is served, so that what
no callout told us of follows from the callouts alone: those of the hours since it was last read.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

from sync_service.queue.jobs import ensure_job, pause, resume
from tests.acceptance.ahead import clock_ahead
from tests.acceptance.changes import Changes
from tests.acceptance.comparing import find_stale
from tests.acceptance.processes import PATIENCE, wait_until
from tests.acceptance.service import Service
from tests.integration.callout_receivers import Receiver, Reply

#: The share of callouts that are never sent.
DROPPED = 0.3
#: By Zuora's clock the calendar's requests are made until then; it renews in the night.
_MORNING = 8
#: All that a scheduler runs.
JOBS = ("sweep delta", "sweep full", "failed callouts", "failed again", "check", "prune", "calendar")
#: Who orders: Limio, whose callouts are echoes, and others.
_SOURCES = ("shop", "csr")


@dataclass
class DayReport:
    """What happened, what the store was behind on in the evening, and what the sweep made of it."""

    seed: int
    callouts: int = 0
    dropped: int = 0
    #: Requests that were made because a day began.
    by_calendar: int = 0
    #: Numbers that differ from Zuora and of which a callout was dropped, or whose only callouts were our own orders'.
    drift: set[str] = field(default_factory=set)
    echoes: set[str] = field(default_factory=set)
    #: Those that differ for no reason that we know.
    unexplained: set[str] = field(default_factory=set)
    #: Made in Zuora, and no callout told us.
    unknown: set[str] = field(default_factory=set)
    sweep: dict[str, Any] = field(default_factory=dict)
    named_drift: set[str] = field(default_factory=set)
    named_echoes: set[str] = field(default_factory=set)
    stale: list[str] = field(default_factory=list)
    again: dict[str, Any] = field(default_factory=dict)
    given_up: list[Any] = field(default_factory=list)


def run_day(service: Service, seed: int, *, hours: int = 4, busy: float = 0.15) -> DayReport:
    """A day of so many hours in which each has orders on the share `busy` of the subscriptions; then one delta sweep.

    The service works and has read everything; it works on the next day when this returns.
    """
    report = DayReport(seed)
    day = Day(service, seed)
    service.tell("sweep", "delta", seconds=5 * PATIENCE)
    service.settle()
    service.tenant.do("callouts", drop_rate=DROPPED)
    for hour in range(hours):
        if hour == hours // 2:
            day.plan_for_tomorrow()
            day.turn()
        day.pass_hour(busy)
    service.tenant.do("callouts", drop_rate=0)
    report.by_calendar = day.ask_by_calendar()
    report.callouts, report.dropped = day.callouts, day.dropped

    behind = day.find_behind()
    report.drift = {number for number in behind if "dropped" in day.unread[number]}
    report.echoes = {number for number in behind - report.drift if day.unread[number]}
    report.unexplained = behind - report.drift - report.echoes
    report.unknown = set(day.account_of) - day.find_known()

    last_cause = service.one("SELECT COALESCE(max(id), 0) FROM sync_cause")
    report.sweep = service.tell("sweep", "delta", seconds=5 * PATIENCE)
    report.named_drift, report.named_echoes = find_named(service, last_cause)
    service.settle(5 * PATIENCE)
    report.stale = day.find_stale()
    report.again = service.tell("sweep", "delta", seconds=5 * PATIENCE)
    report.given_up = service.failed()
    return report


def find_named(service: Service, after: int) -> tuple[set[str], set[str]]:
    """The numbers that sweeps requested as drift and as echoes, by causes with an id above `after`."""
    statement = "SELECT key FROM sync_cause WHERE id > :after AND trigger = 'sweep' AND found_as = :found_as"
    drift, echoes = (
        {row[0] for row in service.rows(statement, after=after, found_as=each)} for each in ("drift", "echo")
    )
    return drift, echoes


@dataclass
class OutageReport:
    """What an outage cost and what became of it."""

    seed: int
    #: Callouts that Zuora gave up on.
    failed: int = 0
    recovery: dict[str, Any] = field(default_factory=dict)
    #: Numbers that only Limio's own orders changed: no matter of the recovery.
    echoes: set[str] = field(default_factory=set)
    #: The others that are still behind when all that the recovery asked for is served.
    behind: set[str] = field(default_factory=set)
    sweep: dict[str, Any] = field(default_factory=dict)
    named_drift: set[str] = field(default_factory=set)
    named_echoes: set[str] = field(default_factory=set)
    stale: list[str] = field(default_factory=list)


def run_outage(service: Service, seed: int, *, hours: int = 2, busy: float = 0.15) -> OutageReport:
    """For hours no callout is taken: at first a proxy answers each with 500, then none is answered. Then all is well,
    and the scheduler looks into Zuora's history; what a sweep finds after that is told too.
    """
    report = OutageReport(seed)
    day = Day(service, seed)
    proxy = Receiver()
    proxy.reply = lambda _: Reply(status=500)
    for hour in range(hours):
        if hour == hours // 2:
            proxy.stop()
        service.tenant.send_callouts_to(proxy.url, interval_seconds=0.05, max_attempts=2)
        day.pass_hour(busy)
    service.tenant.send_callouts_to(service.url)
    report.failed = day.failed

    report.recovery = run_job(service, "failed callouts")
    service.settle(5 * PATIENCE)
    behind = day.find_behind()
    report.echoes = {number for number in behind if day.unread[number] == {"echo"}}
    report.behind = behind - report.echoes

    last_cause = service.one("SELECT COALESCE(max(id), 0) FROM sync_cause")
    report.sweep = service.tell("sweep", "delta", seconds=5 * PATIENCE)
    report.named_drift, report.named_echoes = find_named(service, last_cause)
    service.settle(5 * PATIENCE)
    report.stale = day.find_stale()
    return report


class Day:
    """Makes things happen and remembers, by number, what was not read yet: the states of callouts that were not
    delivered, and `echo`.
    """

    def __init__(self, service: Service, seed: int) -> None:
        self.service, self.tenant = service, service.tenant
        self.chance = Random(seed)
        self.changes = Changes(service.tenant, self.chance)
        self.unread: defaultdict[str, set[str]] = defaultdict(set)
        accounts = self.tenant.accounts
        self.account_of = {number: accounts[n % len(accounts)] for n, number in enumerate(self.tenant.numbers)}
        self.callouts = self.dropped = self.failed = 0
        #: Limio sells these; the others are left to agents, who also withdraw what they ordered.
        self._sold = set(self.tenant.numbers[::2])
        self._heard = 0

    def pass_hour(self, busy: float) -> None:
        """Some accounts are edited, orders are placed, subscriptions are made; at the end all is served."""
        count = len(self.tenant.numbers)
        edited = set(self.chance.sample(self.tenant.accounts, max(1, int(count * busy / 20))))
        for account in edited:
            self.changes.edit_account(account)
        left = [number for number in self.tenant.numbers if self.account_of[number] not in edited]
        for number in self.chance.sample(left, int(count * busy)):
            self.changes.place_order(number, source=self.chance.choice(_SOURCES) if number in self._sold else None)
        for account in self.chance.sample([each for each in self.tenant.accounts if each not in edited], 2):
            made = self.tenant.do("create_subscription", account=account, price="7.50")
            self.account_of[made["subscription"]] = account
        self.hear()

    def plan_for_tomorrow(self) -> None:
        """Cancellations and suspensions that begin tomorrow, suspensions and terms that end then; tonight's bills."""
        wishes: list[tuple[str, dict[str, Any]]] = [
            ("cancel", {"on": "+1"}),
            ("suspend", {"on": "+1"}),
            ("suspend", {"on": "today", "until": "+1"}),
            ("change_terms", {"term_end": "+1", "auto_renew": "on"}),
        ]
        among = [number for number in self.tenant.numbers if self._is_running(number)]
        for n, number in enumerate(self.chance.sample(among, min(len(among), max(8, len(among) // 20)))):
            action, fields = wishes[n % len(wishes)]
            self.tenant.do(action, key=number, **fields)
        self.hear()
        self.tenant.do("bill_run", target="+1")

    def turn(self) -> None:
        """It is tomorrow, in Zuora's calendar and by our clock; Zuora renews what ends."""
        for child in self.service.children:
            child.kill()
        hour = datetime.now(UTC).hour
        later = timedelta(days=1, hours=max(0, _MORNING - hour))
        self.service.set_clock_ahead(int(later.total_seconds() * 1000))
        self.service.start_all(workers=1)
        self.tenant.do("advance", days=1)
        self.hear()

    def ask_by_calendar(self) -> int:
        """The scheduler asks for those whose day has come; how many."""
        run_job(self.service, "calendar")
        self.service.settle(5 * PATIENCE)
        return int(self.service.one("SELECT count(*) FROM sync_cause WHERE trigger = 'calendar'"))

    def hear(self) -> None:
        """Wait until all is told and served, and note what each callout meant."""
        callouts = self.tenant.wait_until_told()
        self.service.settle(5 * PATIENCE)
        for callout in callouts:
            if callout["number"] <= self._heard:
                continue
            self._heard = callout["number"]
            self.callouts += 1
            self.dropped += callout["state"] == "dropped"
            self.failed += callout["state"] == "failed"
            kind, key = callout["url"].rsplit("/", 2)[-2:]
            for number in [key] if kind == "subscription" else self._numbers_of(key):
                is_echo = '"OrderSource__c": "shop"' in callout["body"]
                if callout["state"] == "delivered" and not is_echo:
                    self.unread[number].clear()
                elif callout["state"] == "dropped" or not is_echo:
                    self.unread[number].add(callout["state"])
                else:
                    self.unread[number].add("echo")

    def find_known(self) -> set[str]:
        """The numbers that the store has."""
        return {row[0] for row in self.service.rows("SELECT number FROM zuora_link")}

    def find_behind(self) -> set[str]:
        """The numbers in which the store and Zuora differ, whether Limio's readers would see it or not."""
        known = self.find_known()
        behind = {line.partition(":")[0] for line in find_stale(self.service, known, planned=False, today=self._today)}
        read = dict(self.service.rows("SELECT number, zuora_id FROM zuora_link"))
        return behind | {n for n in known if self.tenant.fetch_subscription(n)["id"] != read[n]}

    def find_stale(self) -> list[str]:
        """As `comparing.find_stale`, of everything that the store has, today."""
        with clock_ahead(self.service.clock_ahead_ms):
            return find_stale(self.service, self.find_known(), today=self._today)

    @property
    def _today(self) -> date:
        return (datetime.now(UTC) + timedelta(milliseconds=self.service.clock_ahead_ms)).date()

    def _numbers_of(self, account: str) -> Iterator[str]:
        return (number for number, of in self.account_of.items() if of == account)

    def _is_running(self, number: str) -> bool:
        found = self.tenant.fetch_subscription(number)
        return found["status"] == "Active" and all(each["status"] != "Cancelled" for each in found["statusHistory"])


def run_job(service: Service, name: str) -> dict[str, Any]:
    """Let a scheduler run this one job to its end; its report."""
    others = [other for other in JOBS if other != name]
    for other in others:
        ensure_job(service.database, other)
    with service.database.transaction() as session:
        for other in others:
            pause(session, other)
    began = service.one("SELECT {now}")
    child = service.start("scheduler")
    ended = "SELECT progress FROM job WHERE name = :name AND last_ended >= :began AND lease_until IS NULL"
    wait_until(lambda: service.rows(ended, name=name, began=began), f"the job {name} ends", 3 * PATIENCE)
    child.terminate()
    child.wait()
    with service.database.transaction() as session:
        for other in others:
            resume(session, other)
    progress = service.one(ended, name=name, began=began)
    return dict(json.loads(progress) if isinstance(progress, str) else progress)
