"""Callouts going out: in the background, some lost or doubled on demand, tried again later, kept in a history.

Source: "Configure callout settings" of Zuora's documentation: a fixed interval, a greatest number of attempts.
"""

from __future__ import annotations

import heapq
import json
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from random import Random
from threading import Condition, Thread
from typing import Any
from urllib.parse import quote

import requests

from zuora_emulator.answers import Json
from zuora_emulator.delivery import Callout, Delivery, Destination
from zuora_emulator.messages import Request


class Callouts:
    """The sender: `send` queues, threads of its own deliver."""

    def __init__(self, destination: Destination | None = None, *, threads: int = 4, seed: int = 0, kept: int = 20_000):
        self.destination = destination or Destination()
        self._chance = Random(seed)  # noqa: S311 - decides no secret
        self._changed = Condition()
        self._due: list[tuple[float, int, Callout]] = []
        self._sent: deque[Callout] = deque(maxlen=kept)
        self._number = 0
        self._busy = 0
        self._stopped = False
        self._threads = [Thread(target=self._work, daemon=True, name=f"callouts-{n}") for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def change(self, **values: Any) -> Destination:
        """Other settings for the callouts to come."""
        self.destination = replace(self.destination, **values)
        return self.destination

    def send_for_subscription(self, number: str, context: Mapping[str, str], at: datetime) -> None:
        """A callout for an order action; `context` are the merge fields, all texts, absent ones empty."""
        path = f"/api/plugins/zuora/sync/subscription/{quote(number, safe='')}"
        body = {
            "SubscriptionNumber": context.get("Subscription.Name", ""),
            "SubscriptionId": context.get("Subscription.Id", ""),
            "OrderNumber": context.get("Order.OrderNumber", ""),
            "OrderActionType": context.get("OrderAction.Type", ""),
            "OrderSource__c": context.get("Order.Source__c", ""),
            "OrderInitiatedSource__c": context.get("Order.InitiatedSource__c", ""),
            "OrderCreatedById": context.get("Order.CreatedById", ""),
            "AccountAccountNumber": context.get("Account.AccountNumber", ""),
        }
        self._send_to_default(path, "OrderActionProcessed", context.get("Subscription.Id", ""), body, at)

    def send_for_account(self, number: str, account_id: str, at: datetime) -> None:
        """A callout of a custom event, where the tenant has one for accounts and contacts."""
        if self.destination.account_events:
            path = f"/api/plugins/zuora/sync/account/{quote(number, safe='')}"
            self._send_to_default(path, "user.notification:AccountEdited", account_id, {"AccountNumber": number}, at)

    def send(
        self, event: str, object_id: str, url: str, body: bytes, at: datetime, destination: Destination | None = None
    ) -> None:
        """Queue one callout."""
        chosen = destination or self.destination
        with self._changed:
            copies = 2 if self._chance.random() < chosen.duplicate_rate else 1
            for _ in range(copies):
                self._number += 1
                callout = Callout(self._number, event, object_id, url, body, chosen, at)
                self._sent.append(callout)
                if self._chance.random() < chosen.drop_rate:
                    callout.state = "dropped"
                else:
                    due = time.monotonic() + chosen.delay_seconds
                    heapq.heappush(self._due, (due, callout.number, callout))
            self._changed.notify_all()

    def resend(self, numbers: list[int] | None = None) -> int:
        """Send failed ones again with their notification ids; returns how many."""
        with self._changed:
            found = [each for each in self._sent if each.state == "failed" and (not numbers or each.number in numbers)]
            for callout in found:
                callout.state = "waiting"
                callout.destination = replace(
                    callout.destination, max_attempts=len(callout.attempts) + callout.destination.max_attempts
                )
                heapq.heappush(self._due, (time.monotonic(), callout.number, callout))
            self._changed.notify_all()
        return len(found)

    def listed(self, state: str | None = None, limit: int = 1000) -> list[Json]:
        """The last callouts, oldest first."""
        with self._changed:
            found = [each for each in self._sent if state in (None, each.state)]
        return [callout.as_json() for callout in found[-limit:]]

    def counted(self) -> Json:
        """How many there are in each state, and how many wait to be tried."""
        with self._changed:
            states = [callout.state for callout in self._sent]
        counts: Json = {state: states.count(state) for state in ("waiting", "delivered", "failed", "dropped")}
        return {**counts, "sent": self._number, "destination": self.destination.url}

    def clear(self) -> None:
        """Forget the history and what waits."""
        with self._changed:
            self._sent.clear()
            self._due.clear()
            self._changed.notify_all()

    def wait_until_idle(self, seconds: float, *, retries: bool = False) -> bool:
        """Wait until nothing is being sent or due; with `retries` until nothing will be tried again either."""
        end = time.monotonic() + seconds
        with self._changed:
            while self._busy or (self._due and (retries or self._due[0][0] <= time.monotonic())):
                left = end - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(min(left, 0.05))
        return True

    def stop(self) -> None:
        """Send no more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout=1)

    def history(self, request: Request) -> Json:
        """As "List callout notification histories": by default the failed ones."""
        failed_only = request.one("failedOnly") != "false"
        with_content = request.one("includeResponseContent") != "false"
        wanted = request.one("objectId")
        size, page = min(40, int(request.one("pageSize") or 20)), int(request.one("page") or 1)
        first, last = request.one("startTime") or "", request.one("endTime") or "9999"
        with self._changed:
            sent = [each for each in self._sent if each.attempts]
        records = [
            self._record(each, attempt, with_content)
            for each in reversed(sent)
            for attempt in reversed(each.attempts)
            if (attempt["failed"] or not failed_only)
            and wanted in (None, each.object_id)
            and first <= attempt["at"]
            and attempt["at"][: len(last)] <= last
        ]
        shown = records[(page - 1) * size : page * size]
        answer: Json = {"calloutHistories": shown, "success": True}
        if page * size < len(records):
            base = f"http://{request.headers.get('host', '')}{request.path}"
            answer["nextPage"] = f"{base}?page={page + 1}&pageSize={size}&failedOnly={str(failed_only).lower()}"
        return answer

    def _record(self, callout: Callout, attempt: Json, with_content: bool) -> Json:
        return {
            "attemptedNum": attempt["attempt"],
            "createTime": attempt["at"],
            "eventCategory": callout.event,
            "eventContext": json.loads(callout.body or b"{}"),
            "notification": callout.event,
            "requestMethod": "POST",
            "requestUrl": callout.url,
            "responseCode": str(attempt["status"]),
            "responseContent": attempt["content"] if with_content else None,
        }

    def _send_to_default(self, path: str, event: str, object_id: str, body: Json, at: datetime) -> None:
        if self.destination.url:
            self.send(event, object_id, self.destination.url.rstrip("/") + path, json.dumps(body).encode(), at)

    def _work(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while (callout := self._next()) is not None:
                delivery = Delivery(session, callout)
                outcome = delivery.attempt()
                with self._changed:
                    self._busy -= 1
                    callout.attempts.append(outcome)
                    if not outcome["failed"]:
                        callout.state = "delivered"
                    elif outcome["retried"]:
                        due = time.monotonic() + callout.destination.interval_seconds
                        heapq.heappush(self._due, (due, callout.number, callout))
                    else:
                        callout.state = "failed"
                    self._changed.notify_all()

    def _next(self) -> Callout | None:
        with self._changed:
            while not self._stopped:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    self._busy += 1
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait)
        return None
