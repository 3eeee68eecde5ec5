"""Zuora for the benchmarks: the emulator with bulk seeds in a process of its own, told what to do line by line."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from tests.bench.front import Front
from zuora_emulator.bulk import Bulk
from zuora_emulator.server import Options, Running, start
from zuora_emulator.traffic import Limits


def main() -> None:
    """Serve until standard input ends; with `front`, reads are answered from memory."""
    given = json.loads(os.environ["BENCH_OPTIONS"])
    bulk = Bulk(count=given["count"], accounts=given.get("accounts", 0), limios=given.get("limios", False))
    # What is measured is our own limit and not Zuora's.
    limits = Limits(minute=10**9, hour=10**9, day=10**9, concurrency=1000, object_query_concurrency=1000)
    running = start(Options(seeds="none", bulk=bulk, limits=limits))
    front = None
    if given.get("front"):
        front = Front((running.server.server_name, running.server.server_port))
        front.start()
    _say({"url": front.url if front else running.url})
    for line in sys.stdin:
        words = json.loads(line)
        do = words.pop("do")
        if front is None:
            _say(_DO[do](running, bulk, **words))
        elif do == "traffic":
            _say(front.traffic())
        elif do == "delay":
            front.delay = words["seconds"]
            _say(None)
        else:
            said = _DO[do](running, bulk, **words)
            front.renew()
            _say(said)


def _numbers(_: Running, bulk: Bulk, count: int) -> Any:
    return [bulk.number(place) for place in range(count)]


def _change(running: Running, bulk: Bulk, count: int, auto_renew: bool) -> Any:
    """A new version of each subscription, without a callout."""
    for place in range(count):
        values = {"key": bulk.number(place), "value": auto_renew, "callout": False}
        running.emulator.actions.do("auto_renew", values)
    return None


def _reprice(running: Running, bulk: Bulk, count: int, price: str) -> Any:
    """The same, of one that costs something else from now on."""
    for place in range(count):
        values = {"key": bulk.number(place), "price": price, "callout": False}
        running.emulator.actions.do("change_price", values)
    return None


def _delay(running: Running, _: Bulk, seconds: float) -> Any:
    """Every answer but the token's takes so much longer."""
    running.emulator.faults.clear()
    if seconds:
        running.emulator.actions.do("fault", {"kind": "latency", "path": "^(?!POST /oauth)", "seconds": seconds})
    return None


def _shop(running: Running, _: Bulk) -> Any:
    """The products that Limio's shop sells."""
    running.emulator.actions.do("shop", {})
    return None


def _cards(running: Running, _: Bulk, count: int) -> Any:
    """Payment methods that Zuora's hosted page has just made, by their ids."""
    return [running.emulator.actions.do("payment_method", {})["id"] for _ in range(count)]


def _traffic(running: Running, _: Bulk) -> Any:
    """What was called since the last time."""
    seen = dict(running.emulator.traffic.listed())
    running.emulator.traffic.reset()
    return seen


_DO = {
    "numbers": _numbers,
    "change": _change,
    "reprice": _reprice,
    "delay": _delay,
    "shop": _shop,
    "cards": _cards,
    "traffic": _traffic,
}


def _say(what: Any) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
