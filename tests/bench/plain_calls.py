"""What plain threads reach: the calls of so many changed syncs on `requests` alone, without a database or a thought.

`python -m tests.bench.plain_calls` reads what to call as JSON from standard input and prints how long it took and how
much of the processor.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from queue import Empty, SimpleQueue

import requests

from zuora_emulator.zuora_api import CLIENT_ID, CLIENT_SECRET


@dataclass(frozen=True, kw_only=True)
class Took:
    """In seconds, from the first call to the last answer."""

    seconds: float
    cpu: float


def run(url: str, numbers: Sequence[str], threads: int) -> Took:
    """In a process of its own, two calls for each number."""
    given = json.dumps({"url": url, "numbers": list(numbers), "threads": threads})
    words = [sys.executable, "-m", "tests.bench.plain_calls"]
    done = subprocess.run(words, input=given, capture_output=True, text=True, check=True)
    return Took(**json.loads(done.stdout))


def _call_all(url: str, numbers: Sequence[str], threads: int) -> Took:
    form = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "grant_type": "client_credentials"}
    token = requests.post(f"{url}/oauth/token", data=form, timeout=10).json()["access_token"]
    waiting: SimpleQueue[str] = SimpleQueue()
    for number in numbers:
        waiting.put(number)
    pool = [threading.Thread(target=_call, args=(url, token, waiting)) for _ in range(threads)]
    began, cpu = time.perf_counter(), time.process_time()
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join()
    return Took(seconds=time.perf_counter() - began, cpu=time.process_time() - cpu)


def _call(url: str, token: str, waiting: SimpleQueue[str]) -> None:
    session = requests.Session()
    session.headers.update({"Authorization": f"Bearer {token}", "Zuora-Version": "2025-08-12"})
    while True:
        try:
            number = waiting.get_nowait()
        except Empty:
            return
        place = f"{url}/v1/subscriptions/{number}?charge-detail=all-segments"
        found = session.get(place, timeout=30).json()
        preview = {
            "accountId": found["invoiceOwnerAccountId"],
            "targetDate": found["termEndDate"],
            "includingEvergreenSubscription": True,
            "assumeRenewal": "None",
        }
        session.post(f"{url}/v1/operations/billing-preview", json=preview, timeout=30).json()


if __name__ == "__main__":
    print(json.dumps(asdict(_call_all(**json.load(sys.stdin)))))
