"""Is the process up, can it work, and how does the whole service do: for load balancers and monitoring.

None of them names a subscription, a person or a secret. The first two are open and cheap; /metrics needs its token. The
numbers are read from the database, so that every process of every host tells the same, at most every
FRESH_SECONDS and by one at a time; of the hours that are over each process remembers what it counted.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import product

from flask import Blueprint, Response, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from sync_service import __version__
from sync_service.errors import SyncServiceError
from sync_service.queue.backlog import read_backlog
from sync_service.queue.held import count_held
from sync_service.queue.limit import Share, read_limit
from sync_service.queue.orders import OPEN_STATES, OrderState
from sync_service.queue.outbox import read_outbox
from sync_service.queue.requests import Kind, Priority
from sync_service.store.engine import Database, Session
from sync_service.web.answers import answer
from sync_service.web.auth import NotLetIn, authorization

# Grouped by what no index orders: SQLite would rather read whole tables in that order than sort the few it is about.
_WAITING = """
SELECT kind || '' AS kind, priority, count(*) FROM sync_request
WHERE due_at IS NOT NULL AND (lease_until IS NULL OR lease_until <= {now}) GROUP BY 1, 2
"""
_RUNS = """
SELECT outcome || '' AS outcome, count(*) FROM sync_run WHERE ended_at > :since AND ended_at <= :until GROUP BY 1
"""
_CALLOUTS = """
SELECT verdict || '' AS verdict, coalesce(reason_code, '') AS why, count(*)
FROM callout WHERE received_at > :since AND received_at <= :until GROUP BY 1, 2
"""
_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000
#: Rows of an hour may still be committed for so long after it.
_SETTLED_MS = 120_000
#: Runs whose outcome a person may still change.
_OPEN = "held"
#: For how long an answer of /metrics is given again, in seconds.
FRESH_SECONDS = 5.0


_ORDERS = """
SELECT state || '' AS state, count(*), min(submitted_at) FROM order_work WHERE ended_at IS NULL GROUP BY 1
UNION ALL SELECT state || '' AS state, count(*), min(submitted_at) FROM order_work
WHERE state = 'held' OR (state IN ('complete', 'failed') AND submitted_at > :now - 86400000) GROUP BY 1
"""


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

    scrapes = _Scrapes(_Numbers(database, share))

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


class _Scrapes:
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


class _DayCount:
    """How many rows of each kind the last 24 hours have; an hour that is over is counted once."""

    def __init__(self, statement: str) -> None:
        self._statement = statement
        self._hours: dict[int, Counter[tuple[str, ...]]] = {}

    def count(self, session: Session, now: int) -> Counter[tuple[str, ...]]:
        """The counts by the statement's columns at `now`, in ms by the database's clock."""
        since = now - _DAY_MS
        first, current = since // _HOUR_MS + 1, now // _HOUR_MS
        found = self._read(session, since, first * _HOUR_MS)
        for hour in range(first, current):
            if hour not in self._hours:
                counts = self._read(session, hour * _HOUR_MS, (hour + 1) * _HOUR_MS)
                if now - (hour + 1) * _HOUR_MS > _SETTLED_MS and (_OPEN,) not in counts:
                    self._hours[hour] = counts
                found += counts
            else:
                found += self._hours[hour]
        for hour in [hour for hour in self._hours if hour < first]:
            del self._hours[hour]
        return found + self._read(session, current * _HOUR_MS, now)

    def _read(self, session: Session, since: int, until: int) -> Counter[tuple[str, ...]]:
        """After `since`, up to and with `until`."""
        rows = session.run(self._statement, {"since": since, "until": until})
        return Counter({tuple(kinds): count for *kinds, count in rows})


class _Numbers(Collector):
    def __init__(self, database: Database, share: Share) -> None:
        self._database = database
        self._share = share
        self._runs, self._callouts = _DayCount(_RUNS), _DayCount(_CALLOUTS)

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing, so that registering reads no database."""
        return []

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """One short look at the database."""
        with self._database.reading() as session:
            return [
                *self._queue(session),
                *self._orders(session),
                *self._history(session),
                *self._zuora(session),
                *self._webhooks(session),
            ]

    def _queue(self, session: Session) -> Iterable[GaugeMetricFamily]:
        waiting = _family("requests_waiting", "Requests to be run, now or after a backoff.", ["kind", "priority"])
        found = session.run(_WAITING)
        counts = {(kind, priority): count for kind, priority, count in found}
        for kind, priority in product(Kind, Priority):  # nothing is 0: of a series that is gone no alarm can tell
            waiting.add_metric([kind.value, priority.name.lower()], counts.get((kind.value, int(priority)), 0))
        backlog = read_backlog(session)
        yield waiting
        yield _one(
            "oldest_wait_seconds", "How long the oldest due request has waited.", (backlog.oldest_ms or 0) / 1000
        )
        yield _one("requests_running", "Live leases.", backlog.running)
        yield _one("requests_backing_off", "Requests that wait after a failed attempt.", backlog.backing_off)
        yield _one("plans_held", "Plans that the safety stop keeps for a person's decision.", count_held(session))
        yield _one("requests_failed", "Requests given up and not asked for since.", backlog.failed)

    def _orders(self, session: Session) -> Iterable[GaugeMetricFamily]:
        orders = _family(
            "orders", "Orders that are under way or held, and those of the last 24 hours that have ended.", ["state"]
        )
        now = session.now()
        found = {state: (count, now - oldest) for state, count, oldest in session.run(_ORDERS, {"now": now})}
        for state in OrderState:
            orders.add_metric([state.value], found.get(state.value, (0, 0))[0])
        open_ages = [age for state, (_, age) in found.items() if state in OPEN_STATES]
        yield orders
        yield _one("oldest_order_seconds", "Age of the oldest order under way.", max(open_ages, default=0) / 1000)

    def _history(self, session: Session) -> Iterable[GaugeMetricFamily]:
        runs = _family("runs_last_day", "Runs in the history of the last 24 hours.", ["outcome"])
        now = session.now()
        for labels, count in self._runs.count(session, now).items():
            runs.add_metric(labels, count)
        callouts = _family("callouts_last_day", "Callouts of the last 24 hours.", ["verdict", "reason"])
        for labels, count in self._callouts.count(session, now).items():
            callouts.add_metric(labels, count)
        yield runs
        yield callouts

    def _zuora(self, session: Session) -> Iterable[GaugeMetricFamily]:
        limit = read_limit(session, self._share)
        yield _one("zuora_permitted", "Runs that may call Zuora at the same time.", limit.row.permitted)
        yield _one("zuora_live", "Runs and stories that call Zuora now.", limit.live)
        yield _one(
            "zuora_trouble", "Errors of the tenant in a row; above 0 claims are paused or probe.", limit.row.trouble
        )
        yield _one("zuora_paused", "1 while a tenant error pauses all claims.", int(limit.is_paused))
        yield _one("zuora_calls_today", "Calls to Zuora since midnight UTC.", limit.calls_today)

    def _webhooks(self, session: Session) -> Iterable[GaugeMetricFamily]:
        outbox = read_outbox(session)
        yield _one("webhooks_pending", "Webhooks to be delivered, now or after a backoff.", outbox.pending)
        yield _one(
            "webhooks_oldest_seconds", "How long the oldest pending webhook has waited.", (outbox.oldest_ms or 0) / 1000
        )
        yield _one("webhooks_dead", "Webhooks given up and not replayed since.", outbox.dead)
        yield _one("webhook_endpoints_paused", "Endpoints that fail and are left alone for a while.", outbox.paused)


def _family(name: str, text: str, labels: list[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"sync_service_{name}", text, labels=labels)


def _one(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"sync_service_{name}", text, value=value)
