"""Delivering the outbox: a thread for each endpoint that has something due, so that none waits for another."""

from __future__ import annotations

import random
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait

from sync_service.errors import LeaseLost
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.telemetry.log import logger
from sync_service.telemetry.measures import WEBHOOKS
from sync_service.webhooks.caller import EndpointCaller
from sync_service.webhooks.endpoints import MAX_ENDPOINTS, Endpoints
from sync_service.webhooks.turn import (
    DeliveryTurn,
    give_back,
    list_due_endpoints,
    next_delivery,
    note_test,
    settle,
    take,
)

#: How often an idle process looks, in seconds, and at most how rarely while the database is away.
LOOK_SECONDS = 0.5
MAX_PATIENCE_SECONDS = 10.0
#: How long deliveries under way get after a stop, in seconds: one attempt's deadline and a little more.
GRACE_SECONDS = 20.0


class Deliverer:
    """Delivers until told to stop; any number of processes may at the same time."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._endpoints = Endpoints(database, settings)
        self._stop = threading.Event()
        self._running: dict[str, Future[None]] = {}

    def stop(self) -> None:
        """Begin no further delivery; `run` returns when those under way have ended. Safe in a signal handler."""
        self._stop.set()

    def run(self) -> bool:
        """Deliver until `stop`. False where a delivery has not ended in time: its lease runs out."""
        logger().info("deliverer_started")
        pool = ThreadPoolExecutor(MAX_ENDPOINTS, thread_name_prefix="webhooks")
        patience = LOOK_SECONDS
        while not self._stop.is_set():
            try:
                self._begin(pool)
                patience = LOOK_SECONDS
            except Exception as error:  # the database is away: looked at again
                logger().exception("deliverer_failed", error=type(error).__name__)
                patience = min(patience * 2, MAX_PATIENCE_SECONDS)
            self._stop.wait(patience * random.uniform(0.75, 1.25))  # noqa: S311 - spreads the looks of many processes
        _, late = wait(self._running.values(), timeout=GRACE_SECONDS)
        pool.shutdown(wait=False, cancel_futures=True)
        logger().info("deliverer_stopped", late=len(late))
        return not late

    def run_until_idle(self) -> None:
        """Deliver until nothing is due that this process may deliver."""
        with ThreadPoolExecutor(MAX_ENDPOINTS, thread_name_prefix="webhooks") as pool:
            self._begin(pool)
            while self._running:
                wait(self._running.values())
                self._begin(pool)

    def _begin(self, pool: ThreadPoolExecutor) -> None:
        """A thread for each endpoint that has something due and none yet."""
        self._running = {name: future for name, future in self._running.items() if not future.done()}
        for endpoint_id in list_due_endpoints(self._database):
            if endpoint_id not in self._running:
                self._running[endpoint_id] = pool.submit(self._take_turn, endpoint_id)

    def _take_turn(self, endpoint_id: str) -> None:
        """Deliver to one endpoint until nothing is due."""
        try:
            turn = take(self._database, endpoint_id)
            if turn is not None:
                self._deliver(turn)
        except LeaseLost:
            logger().warning("webhook_lease_lost", endpoint=endpoint_id)
        except Exception as error:  # its lease runs out, and it is taken up again
            logger().exception("webhook_turn_failed", endpoint=endpoint_id, error=type(error).__name__)

    def _deliver(self, turn: DeliveryTurn) -> None:
        caller = EndpointCaller(self._endpoints, self._settings, turn.endpoint_id)
        try:
            if turn.is_test_wanted:
                note_test(self._database, turn, caller.test())
            while not self._stop.is_set():
                delivery = next_delivery(self._database, turn)
                if delivery is None or delivery.id is None:
                    break
                attempt = caller.call(delivery.message_id, delivery.type, delivery.body)
                state = settle(self._database, turn, delivery.id, attempt)
                WEBHOOKS.labels(state or "gone").inc()
                logger().info(
                    "webhook_sent",
                    endpoint=turn.endpoint_id,
                    message=delivery.message_id,
                    status=attempt.status,
                    error=attempt.error,
                    state=state,
                )
        finally:
            caller.close()
        give_back(self._database, turn)
