"""Is the process up, can it work, and how does the whole service do: for load balancers and monitoring.

None of the addresses names a subscription, a person or a secret. The first two are open and cheap; /metrics needs its
token, and says the same from every process of every host: what is so now is read from the database, each number from an
index and a bounded number of its rows, whatever the size of the tables; what has happened is counted by those who do it
(`telemetry`), and their sums are read from one row for each process.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable, Iterable
from itertools import product

from flask import Blueprint, Response, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from sync_service import __version__
from sync_service.errors import SyncServiceError
from sync_service.queue.backlog import read_standing
from sync_service.queue.limit import Share, read_limit
from sync_service.queue.orders.lanes import OPEN_STATES, OrderState
from sync_service.queue.outbox import read_outbox
from sync_service.queue.requests import Kind, Priority
from sync_service.queue.runs.held import count_held
from sync_service.queue.status.heartbeats import GONE_MS, ProcessRole, read_last_seen, read_samples
from sync_service.store.engine import Database, Session
from sync_service.telemetry.measures import as_families
from sync_service.web.answers import answer
from sync_service.web.auth import NotLetIn, authorization

#: For how long an answer of /metrics is given again, in seconds.
FRESH_SECONDS = 5.0
#: So many orders of each state are counted and no more.
_MAX_ORDERS = 2_000
_ORDERS = """
SELECT count(*), min(submitted_at)
FROM (SELECT submitted_at FROM order_work WHERE state = :state ORDER BY submitted_at LIMIT :most) AS of_state
"""


class Scrapes:
    """The last answer, read anew by one at a time."""

    def __init__(self, numbers: Collector) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(numbers)
        self._reading = threading.Lock()
        self._last: bytes | None = None
        self._fresh_until = 0.0

    def read(self) -> bytes | None:
        """The numbers; while another reads them the last ones, None where there are none yet."""
        if time.monotonic() < self._fresh_until or not self._reading.acquire(blocking=False):
            return self._last
        try:
            self._last = generate_latest(self._registry)
            self._fresh_until = time.monotonic() + FRESH_SECONDS
            return self._last
        finally:
            self._reading.release()


class Numbers(Collector):
    """All numbers, read when they are asked for."""

    def __init__(self, database: Database, share: Share) -> None:
        self._database = database
        self._share = share

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering reads no database."""
        return []

    def collect(self) -> Iterable[Metric]:
        """One short look at the database."""
        with self._database.reading() as session:
            return [
                *self._queue(session),
                *self._orders(session),
                *self._zuora(session),
                *self._webhooks(session),
                *self._processes(session),
                *as_families(read_samples(session)),
            ]

    def _queue(self, session: Session) -> Iterable[Metric]:
        backlog, open_rows = read_standing(session)
        by_class = {(each.kind, each.priority): each for each in open_rows}
        waiting = _family("requests_waiting", "Requests to be run, now or after a backoff.", ["kind", "asked_by"])
        oldest = _family("oldest_seconds", "How long the oldest due request has waited.", ["kind", "asked_by"])
        for kind, priority in product(Kind, Priority):  # nothing is 0: of a series that is gone no alarm can tell
            found = by_class.get((kind, priority))
            labels = [kind.value, priority.name.lower()]
            waiting.add_metric(labels, found.count if found else 0)
            oldest.add_metric(labels, ((found and found.oldest_ms) or 0) / 1000)
        yield waiting
        yield oldest
        yield _one(
            "oldest_wait_seconds", "How long the oldest due request has waited.", (backlog.oldest_ms or 0) / 1000
        )
        yield _one("requests_running", "Live leases.", backlog.running)
        yield _one("requests_backing_off", "Requests that wait after a failed attempt.", backlog.backing_off)
        yield _one("plans_held", "Plans that the safety stop keeps for a person's decision.", count_held(session))
        yield _one("requests_failed", "Requests given up and not asked for since.", backlog.failed)

    def _orders(self, session: Session) -> Iterable[Metric]:
        orders = _family("orders", "Orders that are under way or held.", ["state"])
        now, ages = session.now(), [0]
        for state in sorted({*OPEN_STATES, OrderState.HELD}):
            count, oldest = session.run(_ORDERS, {"state": state.value, "most": _MAX_ORDERS}).one()
            orders.add_metric([state.value], count)
            if state in OPEN_STATES and oldest is not None:
                ages.append(now - oldest)
        yield orders
        yield _one("oldest_order_seconds", "Age of the oldest order under way.", max(ages) / 1000)

    def _zuora(self, session: Session) -> Iterable[Metric]:
        limit = read_limit(session, self._share)
        yield _one("zuora_permitted", "Runs that may call Zuora at the same time.", limit.row.permitted)
        yield _one("zuora_allowed", "The most of them that the settings allow.", limit.share.max_concurrency)
        yield _one("zuora_live", "Runs and stories that call Zuora now.", limit.live)
        yield _one(
            "zuora_trouble", "Errors of the tenant in a row; above 0 claims are paused or probe.", limit.row.trouble
        )
        yield _one("zuora_paused", "1 while a tenant error pauses all claims.", int(limit.is_paused))
        yield _one("zuora_calls_today", "Calls to Zuora since midnight UTC.", limit.calls_today)
        yield _one("zuora_calls_budget", "Calls that a day may have; 0 is no bound.", limit.share.daily_calls or 0)

    def _webhooks(self, session: Session) -> Iterable[Metric]:
        outbox = read_outbox(session)
        yield _one("webhooks_pending", "Webhooks to be delivered, now or after a backoff.", outbox.pending)
        yield _one(
            "webhooks_oldest_seconds", "How long the oldest pending webhook has waited.", (outbox.oldest_ms or 0) / 1000
        )
        yield _one("webhooks_dead", "Webhooks given up and not replayed since.", outbox.dead)
        yield _one("webhook_endpoints_paused", "Endpoints that fail and are left alone for a while.", outbox.paused)

    def _processes(self, session: Session) -> Iterable[Metric]:
        alive = _family("alive", "1 where a process of the role showed in the last 25 s that it runs.", ["role"])
        now = session.now()
        for role in (ProcessRole.WEB, ProcessRole.WORKER, ProcessRole.SCHEDULER):
            seen = read_last_seen(session, role)
            alive.add_metric([role.value], int(seen is not None and now - seen <= GONE_MS))
        yield alive


def _family(name: str, text: str, labels: list[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"sync_service_{name}", text, labels=labels)


def _one(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"sync_service_{name}", text, value=value)


def health_blueprint(
    database: Database, share: Share, check: Callable[[Database], None], *, metrics_token: str
) -> Blueprint:
    """`/healthz`, `/readyz` and `/metrics`; `check` raises where the schema is older than this release needs.

    Without a `metrics_token` /metrics is closed to all.
    """
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return answer(200, {"status": "ok", "version": __version__})

    @blueprint.get("/readyz")
    def readyz() -> Response:
        try:
            check(database)
        except (SQLAlchemyError, TimeoutError):
            return answer(503, {"status": "not ready", "message": "The database cannot be reached: see DATABASE_URL."})
        except SyncServiceError as error:
            return answer(503, {"status": "not ready", "message": str(error)})
        return answer(200, {"status": "ready", "version": __version__})

    scrapes = Scrapes(Numbers(database, share))

    # No second spelling: what a proxy keeps closed under one name must not be open under another.
    @blueprint.get("/metrics", strict_slashes=True)
    def metrics() -> Response:
        if not metrics_token:
            return answer(403, {"message": "METRICS_TOKEN is not set, so the metrics are closed."})
        kind, token = authorization(request)
        if kind != "bearer" or not hmac.compare_digest(token.encode("utf-8", "replace"), metrics_token.encode()):
            raise NotLetIn(401, "This address needs METRICS_TOKEN as a Bearer token.", "Bearer")
        text = scrapes.read()
        if text is None:
            return answer(503, {"message": "The numbers are just being read; please ask again."}, {"Retry-After": "1"})
        return Response(text, content_type=CONTENT_TYPE_LATEST)

    return blueprint
