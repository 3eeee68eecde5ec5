"""kill -9 at any moment, hundreds of times without a pause, while orders, edits and callouts go on."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from random import Random

from sync_service.queue.outbox import WebhookType
from sync_service.queue.requests import Cause
from sync_service.queue.runs.decisions import retry_all
from sync_service.settings import Settings
from sync_service.subscription.trigger import Trigger
from sync_service.webhooks.endpoints import Endpoints
from tests.acceptance.changes import Changes
from tests.acceptance.comparing import find_stale
from tests.acceptance.killing import KillReport
from tests.acceptance.processes import PATIENCE, Child
from tests.acceptance.senders import Senders
from tests.acceptance.service import Service

WORKERS, WEBS = 3, 2
#: Kills between two moments in which all comes to rest and the whole store is compared.
REST_EVERY = 500
#: Between two kills the processes write so many lines of log at the most, and then some time passes, in seconds.
_MAX_LINES, _MAX_SECONDS = 4, 0.03
#: So long after the last change there is nothing left to log.
_SILENCE_SECONDS = 0.25
#: How long the lease of a dead worker lasts here instead of 90 s.
_LEASE_MS = 2_000
_LEASES_END = f"""
UPDATE sync_request SET lease_until = {{now}}
WHERE lease_until > {{now}} AND lease_until < {{now}} + 90000 - {_LEASE_MS}
"""
_LEASES_OF_LOOKS_END = _LEASES_END.replace("sync_request", "zuora_lease")
#: Of more orders on one subscription terms become so long that Zuora cuts its previews.
_MAX_ORDERS = 5
#: Callouts that may be under way.
_MAX_UNDER_WAY = 30
#: What must be there once, and how what is there twice is found.
_ONCE = {
    "callouts": "SELECT request_id FROM callout GROUP BY request_id HAVING count(*) > 1",
    # An unknown number's callout asks for an alias and then, at the callout's own time, for what that proves to be; an
    # account's asks for all on it again where its worker died before the end. A run that finds the customer compared by
    # another asks once more, later.
    "requests of one callout": """
        SELECT callout_id, kind, key FROM sync_cause WHERE callout_id IS NOT NULL
          AND callout_id NOT IN (SELECT callout_id FROM sync_cause WHERE kind = 'account' AND callout_id IS NOT NULL)
        GROUP BY callout_id, kind, key, at HAVING count(*) > 1""",
    "ended runs for one request": """
        SELECT one.kind, one.key, one.seq_from, one.seq_to, other.seq_from, other.seq_to FROM sync_run AS one
        JOIN sync_run AS other ON other.kind = one.kind AND other.key = one.key AND other.id > one.id
        WHERE one.outcome IN ('changed', 'unchanged', 'imported', 'listed', 'resolved')
          AND other.outcome IN ('changed', 'unchanged', 'imported', 'listed', 'resolved')
          AND other.seq_from < one.seq_to AND one.seq_from < other.seq_to""",
    "imports": "SELECT key FROM sync_run WHERE outcome = 'imported' GROUP BY key HAVING count(*) > 1",
    "subscriptions": "SELECT reference FROM limio_subscription GROUP BY reference HAVING count(*) > 1",
    "messages of one change": """
        SELECT told.object_id, told.count, written.count
        FROM (SELECT object_id, count(*) AS count FROM webhook_delivery GROUP BY object_id) AS told
        LEFT JOIN (SELECT subscription_id, count(*) AS count FROM sync_run WHERE outcome IN ('changed', 'imported')
          GROUP BY subscription_id) AS written ON written.subscription_id = told.object_id
        WHERE told.count > COALESCE(written.count, 0)""",
}


class Crowd:
    """Workers and web processes of which each one that dies is replaced at once."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._workers = self._start("worker", "tests.acceptance.replacing", str(WORKERS), "worker", "--threads", "2")
        settings = ("-c", "python:tests.acceptance.replacing", "--workers", str(WEBS))
        self._web = self._start("web", "gunicorn", *settings, "sync_service.app:create_wsgi()")
        self._workers.wait_for("worker_started")
        service.wait_until_ready()

    def kill_one(self, chance: Random) -> str:
        """kill -9 to one of the processes by chance; whether it was a `worker` or a `web` process."""
        while True:
            parent = chance.choice((self._workers, self._workers, self._workers, self._web))
            victims = parent.pids()[1:]
            if victims:
                with suppress(ProcessLookupError):
                    os.kill(chance.choice(victims), signal.SIGKILL)
                    return parent.name
            assert parent.is_running, parent.tail()
            time.sleep(0.01)

    def wait_for_lines(self, count: int) -> None:
        """Wait until all together have logged so many more lines, or have nothing more to say."""
        enough, deadline = self._lines + count, time.monotonic() + _SILENCE_SECONDS
        while self._lines < enough and time.monotonic() < deadline:
            time.sleep(0.005)

    @property
    def _lines(self) -> int:
        return len(self._workers.lines) + len(self._web.lines)

    def _start(self, name: str, *words: str) -> Child:
        child = Child(name, [sys.executable, "-m", *words], self._service.environ, self._service.folder)
        self._service.children.append(child)
        return child


class Story:
    """What happens meanwhile, a step at each kill."""

    def __init__(self, service: Service, seed: int) -> None:
        self.chance = Random(seed)
        self.senders = Senders(service.port, threads=6)
        self._tenant = service.tenant
        self._changes = Changes(service.tenant, self.chance)
        self._orders = _MAX_ORDERS * len(service.tenant.numbers)
        self._under_way: deque[Future[int]] = deque()

    def go_on(self) -> None:
        """An order, or an edit of an account, told by one callout or by several; or callouts that tell nothing new."""
        wish = self.chance.random()
        if wish < 0.6 and self._orders > 0:
            self._orders -= 1
            for number in self._changes.change_subscriptions(1, callout=False):
                self._tell(number, times=self.chance.choice((1, 1, 3)))
        elif wish < 0.8:
            self._tell(self._changes.edit_account(callout=False), kind="account")
        else:
            for number in self.chance.sample(self._tenant.numbers, 3):
                self._tell(number)

    def tell_of_a_version(self) -> None:
        """One callout names the id of a version that the store has not heard of, and not the number."""
        self._changes.spared = None
        (number,) = self._changes.change_subscriptions(1, callout=False)
        self._changes.spared = number
        self._tell(str(self._tenant.fetch_subscription(number)["id"]))

    def rest(self) -> None:
        """Wait until every callout was acknowledged."""
        while self._under_way:
            assert self._under_way.popleft().result(PATIENCE) == 200

    def _tell(self, key: str, *, kind: str = "subscription", times: int = 1) -> None:
        for _ in range(times):
            while len(self._under_way) >= _MAX_UNDER_WAY:
                assert self._under_way.popleft().result(PATIENCE) == 200
            self._under_way.append(self.senders.send(key, kind=kind))


def kill_suddenly(service: Service, seed: int, count: int) -> KillReport:
    """`count` kills on a service of which nothing runs yet; what was wrong is in the report."""
    report = KillReport(seed)
    settings = Settings(secret_key=service.environ["SECRET_KEY"])
    Endpoints(service.database, settings).add(
        "https://receiver.example/", [WebhookType.SYNC_CHANGED, WebhookType.SYNC_IMPORTED]
    )
    crowd, story = Crowd(service), Story(service, seed)
    try:
        for kill in range(1, count + 1):
            if kill % REST_EVERY == 1:
                story.tell_of_a_version()
            story.go_on()
            crowd.wait_for_lines(story.chance.randint(1, _MAX_LINES))
            time.sleep(story.chance.uniform(0, _MAX_SECONDS))
            report.kills[crowd.kill_one(story.chance)] += 1
            if kill % 5 == 0:
                service.change(_LEASES_END, _LEASES_OF_LOOKS_END)
            if kill % REST_EVERY == 0 or kill == count:
                _compare(service, story, report)
                if report.stale:
                    report.stale.insert(0, f"after kill {kill}, seed {seed}:")
                    break
    finally:
        story.senders.stop()
    acknowledged = story.senders.sent.acknowledged
    report.acknowledged = len(acknowledged)
    report.lost = service.unkept(acknowledged)
    report.given_up = service.failed()
    report.twice = [f"{what}: {list(row)}" for what, query in _ONCE.items() for row in service.rows(query)]
    return report


def _compare(service: Service, story: Story, report: KillReport) -> None:
    story.rest()
    service.expire_leases()
    service.settle(2 * PATIENCE, time_passes=True)
    # What ten workers died of one after the other is left to a person, who has it tried again.
    again = retry_all(service.database, Cause(trigger=Trigger.ADMIN, actor="on call"), code="attempts exhausted")
    report.tried_again += again
    if again:
        service.settle(2 * PATIENCE, time_passes=True)
    known = {str(row[0]) for row in service.rows("SELECT number FROM zuora_link")}
    report.stale += find_stale(service, known)
