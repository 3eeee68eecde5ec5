"""A night on call, played: each fault makes its alert fire, and the commands of the alert's page are all that is done.

What others do meanwhile (Zuora comes back, a receiver is mended) is the fault's other half. A page is a section of
docs/runbook.md; its commands are run in their order, with what they print put for the words in capitals.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import requests

from sync_service.webhooks.turn import MAX_ATTEMPTS
from tests.acceptance.processes import ROOT, wait_until
from tests.acceptance.service import Service
from tests.acceptance.shop import SETTINGS, Shop
from tests.acceptance.tenant import Tenant
from tests.acceptance.watching import TOKEN, Prometheus
from tests.integration.callout_receivers import Receiver, Reply

RUNBOOK = ROOT / "docs/runbook.md"
#: What is started and goes on.
_LASTING = ("web", "worker", "scheduler")
#: What a word in capitals may be, in what was printed before.
_WORDS = {
    "KEY": r"\bA-S\w+",
    "ORDER": r"(?m)^.*? ([0-9A-Z]{12})\b",  # of each line the first
    "ENDPOINT": r"\bep_\w+",
    "MESSAGE": r"\bmsg_\w+",
    "PID": r"(?m)^ *(\d+) \|",
}
#: So many cancellations within an hour are no accident.
_CANCELLED = 60
#: How much the only worker does at once: too little for a bad hour, and with a database server the default.
_THREADS_OF_A_NIGHT = {"sqlite": 2, "postgresql": 12}


def read_page(alert: str) -> list[list[str]]:
    """The commands of an alert's page in their order: a list for each block of them, without comments."""
    section = re.split(r"^#{2,3} ", RUNBOOK.read_text().partition(f"### {alert}\n")[2], maxsplit=1, flags=re.MULTILINE)[
        0
    ]
    blocks = re.findall(r"(?:^ {4}\S.*\n)+", section, re.MULTILINE)
    return [[line.partition(" # ")[0].strip() for line in block.splitlines()] for block in blocks]


@dataclass
class Night:
    """A service under watch, and the person who is called."""

    service: Service
    shop: Shop
    prometheus: Prometheus
    receiver: Receiver
    #: A session at the database that was left open.
    forgotten: psycopg.Connection | None = None
    #: What the page's commands have printed so far.
    _shown: str = ""
    #: What was put for a word, since its first use.
    _meant: dict[str, list[str]] = field(default_factory=dict)

    @property
    def tenant(self) -> Tenant:
        return self.service.tenant

    def answer(self, call: Call) -> None:
        """Follow the page of a firing alert until it fires no more; others mend their part after its first block."""
        self._shown, self._meant = "", {}
        for place, block in enumerate(read_page(call.alert)):
            if place == 1 and call.mend is not None:
                call.mend(self)
            for command in block:
                self._type(command, {**_WORDS, **call.words})
        wait_until(lambda: call.alert not in self.prometheus.firing(), f"{call.alert} is over")

    def wait_until_quiet(self) -> None:
        """Wait until no alert fires."""
        wait_until(lambda: self.prometheus.firing() == set(), "no alert fires")

    def _type(self, command: str, words: dict[str, str]) -> None:
        """Run a command for each of the things that a word in it may stand for."""
        asked = [word for word in words if re.search(rf"\b{word}\b", command)]
        if not asked:
            self._run(command)
            return
        (word,) = asked
        if word not in self._meant:
            self._meant[word] = list(dict.fromkeys(re.findall(words[word], self._shown)))
        assert self._meant[word], f"{command}: what was printed names no {word}:\n{self._shown}"
        for value in self._meant[word]:
            self._run(re.sub(rf"\b{word}\b", value, command))

    def _run(self, command: str) -> None:
        if not command.startswith("sync-service "):
            words = ["sh", "-c", command]
            done = subprocess.run(
                words, env=self.service.environ, capture_output=True, text=True, timeout=60, check=False
            )
            self._shown += done.stdout + done.stderr
            return
        words = shlex.split(command)[1:]
        child = self.service.start(*words)
        if words[0] in _LASTING:
            return
        status = child.wait()
        assert status == 0, f"{command} left with {status}:\n{child.tail()}"
        self._shown += "\n".join(child.lines) + "\n"


@contextmanager
def open_night(folder: Path, database_url: str) -> Iterator[Night]:
    """A whole installation on an empty database, in which nothing is wrong yet, watched by Prometheus every second."""
    (folder / "service").mkdir()
    tenant = Tenant(folder / "service", subscriptions=_CANCELLED + 20, accounts=10)
    receiver = Receiver()
    service = Service(
        folder / "service",
        database_url,
        tenant,
        worker_threads=_THREADS_OF_A_NIGHT[database_url.partition(":")[0]],
        metrics_token=TOKEN,
        safety_share="0.05",
        webhook_allowed_networks="127.0.0.0/8",
        columns=200,
        **SETTINGS,
    )
    service.environ["PUBLIC_URL"] = service.url
    prometheus = night = None
    try:
        shop = Shop(service)
        service.tell("callouts", "install", "--yes")
        service.tell("webhooks", "add", f"{receiver.url}/hook")
        service.start_all()
        service.start("scheduler").wait_for("scheduler_started")
        tenant.do("callouts", interval_seconds=0.3, max_attempts=3)
        call_out(service, tenant.numbers)
        service.settle()
        prometheus = Prometheus(folder / "prometheus", service, window="20s")
        wait_until(lambda: prometheus.value('sync_service_alive{role="scheduler"}') == 1, "all processes were seen")
        night = Night(service, shop, prometheus, receiver)
        night.wait_until_quiet()
        yield night
    finally:
        if prometheus is not None:
            prometheus.child.kill()
        if night is not None and night.forgotten is not None:
            night.forgotten.close()
        service.stop()
        tenant.stop()
        receiver.stop()


def call_out(service: Service, keys: list[str]) -> None:
    """Zuora tells of these."""
    for key in keys:
        auth = (service.environ["CALLOUT_USERNAME"], service.environ["CALLOUT_PASSWORD"])
        url = f"{service.url}/api/plugins/zuora/sync/subscription/{key}"
        requests.post(url, auth=auth, timeout=30).raise_for_status()


@dataclass(frozen=True)
class Call:
    """What happens in the night: a fault, its alert, and what others mend once they are told."""

    alert: str
    fault: Callable[[Night], object]
    mend: Callable[[Night], object] | None = None
    #: Patterns that say better than the usual ones what a word in capitals stands for.
    words: dict[str, str] = field(default_factory=dict)


def _restart(night: Night, **settings: object) -> None:
    """All processes are stopped and come again with other settings."""
    _stop_all(night, **settings)
    night.service.start_all()
    night.service.start("scheduler").wait_for("scheduler_started")


def _stop_all(night: Night, **settings: object) -> None:
    for name in _LASTING:
        _kill(name)(night)
    night.service.environ |= {name.upper(): str(value) for name, value in settings.items()}


def _kill(name: str) -> Callable[[Night], None]:
    def kill(night: Night) -> None:
        for child in night.service.running(name):
            child.kill()

    return kill


def _clear_faults(night: Night) -> None:
    night.tenant.do("clear_faults")


def _more_comes_than_one_worker_does(night: Night) -> None:
    """A change of the whole catalog, told of every subscription while Zuora takes half a second for each answer."""
    night.tenant.do("fault", kind="latency", seconds=0.5, count=200)
    call_out(night.service, night.tenant.numbers)
    night.service.change("UPDATE sync_request SET waiting_since = waiting_since - 3600000 WHERE due_at IS NOT NULL")


def _zuora_answers_slowly(night: Night) -> None:
    night.tenant.do("fault", kind="latency", path="GET /v1/subscriptions", seconds=11)
    call_out(night.service, night.tenant.numbers[:2])


def _the_budget_is_nearly_used(night: Night) -> None:
    used = night.service.one("SELECT calls_today FROM zuora_limit")
    _restart(night, zuora_daily_calls=used * 10 // 9)
    call_out(night.service, night.tenant.numbers[:3])


def _the_contract_allows_more(night: Night) -> None:
    """Who looks after the hosts sets the new number and stops the processes."""
    _stop_all(night, zuora_daily_calls=1_000_000)


def _a_template_names_no_subscription(night: Night) -> None:
    night.tenant.change_callout_templates(lambda address: re.sub(r"/subscription/.*", "/subscription/null", address))
    for place, number in enumerate(night.tenant.numbers[:12]):
        night.tenant.do("change_price", key=number, price=f"{40 + place}.00")


def _a_lock_is_left_behind(night: Night) -> None:
    """Maintenance by hand, begun and forgotten."""
    night.forgotten = psycopg.connect(night.service.environ["DATABASE_URL"])
    night.forgotten.execute("LOCK TABLE limio_schedule")
    call_out(night.service, night.tenant.numbers)


def _zuora_is_away(night: Night) -> None:
    night.tenant.do("fault", kind="html", status=502)
    call_out(night.service, night.tenant.numbers[:3])


def _two_cannot_be_synced(night: Night) -> None:
    """One number is mistyped, and Zuora's answer for another lacks its rate plans for as long as it is asked."""
    spoilt = night.tenant.numbers[5]
    night.tenant.do("fault", kind="unsuccessful", path=f"subscriptions/{spoilt}", code=50000020)
    call_out(night.service, ["A-S0000MISTYPED", spoilt])
    failed = "SELECT count(*) FROM sync_request WHERE failed_seq = requested_seq"

    def both_failed() -> bool:
        night.service.pass_time()
        return bool(night.service.one(failed) == 2)

    wait_until(both_failed, "both are given up")


def _many_are_cancelled(night: Night) -> None:
    cancelled = night.tenant.numbers[-_CANCELLED:]
    for number in cancelled:
        night.tenant.do("cancel", key=number, callout=False)
    call_out(night.service, cancelled)


def _an_order_gets_no_answer(night: Night) -> None:
    night.tenant.do("fault", kind="reset", path="POST /v1/orders$")
    order = night.shop.place(night.shop.new())
    assert night.shop.wait_until_ended(order) == "held"


def _an_account_is_locked(night: Night) -> None:
    night.tenant.do("fault", kind="lock", path="POST /v1/orders$")
    night.shop.place(night.shop.new())
    night.service.change("UPDATE order_work SET submitted_at = submitted_at - 3600000 WHERE ended_at IS NULL")


def _a_receiver_refuses(night: Night, price: str) -> None:
    """A new price is told to the receiver, which does not take it."""
    night.receiver.reply = lambda _: Reply(status=500)
    night.tenant.do("change_price", key=night.tenant.numbers[1], price=price, callout=False)
    call_out(night.service, [night.tenant.numbers[1]])
    tried = "SELECT count(*) FROM webhook_delivery WHERE attempts > 0 AND state = 'pending'"
    wait_until(lambda: night.service.one(tried) > 0, "it was tried")


def _for_an_hour(night: Night) -> None:
    _a_receiver_refuses(night, "33.10")
    night.service.change("UPDATE webhook_delivery SET made_at = made_at - 3600000 WHERE state = 'pending'")


def _for_a_day(night: Night) -> None:
    _a_receiver_refuses(night, "33.20")
    before_the_last = (
        f"UPDATE webhook_delivery SET attempts = {MAX_ATTEMPTS - 1}, due_at = {{now}} WHERE state = 'pending'"
    )
    night.service.change(before_the_last, "UPDATE webhook_endpoint SET paused_until = NULL")
    pending = "SELECT count(*) FROM webhook_delivery WHERE state = 'pending'"
    wait_until(lambda: night.service.one(pending) == 0, "it is given up")


def _the_receiver_takes_again(night: Night) -> None:
    night.receiver.reply = lambda _: Reply()


def _the_password_was_changed_here_only(night: Night) -> None:
    _kill("web")(night)
    night.service.environ["CALLOUT_PASSWORD"] = "a new password of this night"
    night.service.start("web")
    night.service.wait_until_ready()
    for place, number in enumerate(night.tenant.numbers[:12]):
        night.tenant.do("change_price", key=number, price=f"{20 + place}.00")


#: In the order in which they happen.
CALLS = [
    Call("SyncServiceDown", _kill("web")),
    Call("SyncServiceNoWorker", _kill("worker")),
    Call("SyncServiceNoScheduler", _kill("scheduler")),
    Call("SyncServiceRequestsWait", _more_comes_than_one_worker_does),
    Call("SyncServiceZuoraPaused", _zuora_is_away, _clear_faults),
    Call("SyncServiceZuoraSlow", _zuora_answers_slowly, _clear_faults),
    Call("SyncServiceCallBudget", _the_budget_is_nearly_used, _the_contract_allows_more),
    Call("SyncServiceRequestsFailed", _two_cannot_be_synced, _clear_faults, {"KEY": r"A-S0000MISTYPED"}),
    Call("SyncServicePlansHeld", _many_are_cancelled),
    Call("SyncServiceOrdersHeld", _an_order_gets_no_answer, _clear_faults),
    Call("SyncServiceOrdersWait", _an_account_is_locked, _clear_faults),
    Call("SyncServiceWebhooksWait", _for_an_hour, _the_receiver_takes_again),
    Call("SyncServiceWebhooksDead", _for_a_day, _the_receiver_takes_again),
    Call("SyncServiceCalloutsBroken", _a_template_names_no_subscription),
    Call("SyncServiceCalloutsRejected", _the_password_was_changed_here_only),
]
#: What only a database server can bring about.
CALLS_ON_POSTGRESQL = [Call("SyncServiceConnections", _a_lock_is_left_behind)]
